"""The official client's calls for email work unchanged against the sandbox, over real HTTP."""

from __future__ import annotations

import base64
import inspect
import io
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.request import urlopen
from uuid import UUID, uuid4

import pytest
from notifications_python_client import NotificationsAPIClient, prepare_upload
from notifications_python_client.errors import HTTP503Error, HTTPError

from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox, SandboxError
from django_govuk_notify_outbox.sandbox.process import running_sandbox

from . import recorded
from .conftest import ADDRESS

_VALUES = {"name": "Amala & <b>", "date": "3 March", "time": "10am", "place": ["Harbour House", "Pier 4"],
           "reference": "A-17"}  # fmt: skip


@pytest.fixture
def client(sandbox: Sandbox) -> NotificationsAPIClient:
    """The official client as it is, with the sandbox's key and address."""
    return NotificationsAPIClient(sandbox.api_key, base_url=sandbox.base_url)


@pytest.fixture(scope="module")
def with_files() -> Iterator[Sandbox]:
    """A sandbox whose service has contact details, and so may send files."""
    with running_sandbox("--contact-link", "https://example.gov.uk/contact") as sandbox:
        yield sandbox


def test_send_email_notification(client: NotificationsAPIClient, sandbox: Sandbox) -> None:
    arguments = {
        "email_address": ADDRESS,
        "template_id": defaults.APPOINTMENT_TEMPLATE_ID,
        "personalisation": _VALUES,
        "reference": "r-1",
        "email_reply_to_id": defaults.REPLY_TO_ID,
        "one_click_unsubscribe_url": "https://example.gov.uk/u",
        "sanitise_content_for": ["name"],
    }
    if "sanitise_content_for" in inspect.signature(client.send_email_notification).parameters:
        answer = client.send_email_notification(**arguments)
    else:
        # Clients before 12.2 do not know it
        answer = client.post("/v2/notifications/email", arguments)

    (email,) = sandbox.emails()
    assert answer == {
        "id": email["id"],
        "reference": "r-1",
        "content": {
            "subject": "Your appointment on 3 March",
            "body": (
                "Hello Amala & \\<b\\>,\n\nYour appointment is on 3 March at 10am.\n\n# Where\n\n"
                "\n\n* Harbour House\n* Pier 4\n\nYour reference is A-17."
            ),
            "from_email": "sandbox@notifications.service.gov.uk",
            "one_click_unsubscribe_url": "https://example.gov.uk/u",
        },
        "sanitised_content": {"name": {"sanitised": "Amala & \\<b\\>", "unsanitised": "Amala & <b>"}},
        "scheduled_for": None,
        "template": {
            "id": defaults.APPOINTMENT_TEMPLATE_ID,
            "uri": f"{sandbox.base_url}/services/{defaults.SERVICE_ID}/templates/{defaults.APPOINTMENT_TEMPLATE_ID}",
            "version": 1,
        },
        "uri": f"{sandbox.base_url}/v2/notifications/{email['id']}",
    }


def test_get_notification_by_id(client: NotificationsAPIClient) -> None:
    sent = client.send_email_notification(ADDRESS, defaults.PLAIN_TEMPLATE_ID, reference="r")

    # At once: the answer is written when the email can be read
    seen = client.get_notification_by_id(sent["id"])

    assert (seen["id"], seen["status"], seen["reference"]) == (sent["id"], "created", "r")
    with pytest.raises(HTTPError) as refused:
        client.get_notification_by_id(str(uuid4()))
    assert refused.value.status_code == 404
    assert refused.value.message == [{"error": "NoResultFound", "message": "No result found"}]


def test_get_all_notifications(client: NotificationsAPIClient) -> None:
    ids = [client.send_email_notification(ADDRESS, defaults.PLAIN_TEMPLATE_ID, reference=name)["id"] for name in "ab"]

    assert [one["id"] for one in client.get_all_notifications()["notifications"]] == ids[::-1]
    for asked, found in (
        ({"reference": "a"}, ids[:1]),
        ({"status": "created", "template_type": "email"}, ids[::-1]),
        ({"status": "delivered"}, []),
        ({"older_than": ids[1]}, ids[:1]),
    ):
        assert [one["id"] for one in client.get_all_notifications(**asked)["notifications"]] == found


def test_get_all_notifications_iterator(client: NotificationsAPIClient, sandbox: Sandbox) -> None:
    sandbox.set_timing(sending_after=600, final_after=600)
    ids = [client.send_email_notification(ADDRESS, defaults.PLAIN_TEMPLATE_ID)["id"] for _ in range(253)]

    assert [one["id"] for one in client.get_all_notifications_iterator(status="created")] == ids[::-1]

    lists = [
        request["query"].partition("older_than")[1] for request in sandbox.requests() if request["method"] == "GET"
    ]
    # A full page, a short one, and an empty one that ends it
    assert lists == ["", "older_than", "older_than"]


def test_get_template(client: NotificationsAPIClient) -> None:
    assert client.get_template(defaults.APPOINTMENT_TEMPLATE_ID) == {
        "id": defaults.APPOINTMENT_TEMPLATE_ID,
        "type": "email",
        "name": "Appointment",
        "version": 1,
        "created_at": "2026-01-01T00:00:00.000000Z",
        "created_by": "team.member@example.gov.uk",
        "updated_at": None,
        "subject": "Your appointment on ((date))",
        "body": defaults.SERVICE.templates[UUID(defaults.APPOINTMENT_TEMPLATE_ID)].body,
        "personalisation": {name: {"required": True} for name in ("date", "name", "time", "place", "reference")},
        "letter_contact_block": None,
        "postage": None,
    }


def test_get_template_version(client: NotificationsAPIClient) -> None:
    assert client.get_template_version(defaults.TEMPLATE_ID, 1) == client.get_template(defaults.TEMPLATE_ID)
    with pytest.raises(HTTPError) as refused:
        client.get_template_version(defaults.TEMPLATE_ID, 2)
    assert refused.value.status_code == 404


def test_post_template_preview(client: NotificationsAPIClient) -> None:
    preview = client.post_template_preview(defaults.TEMPLATE_ID, {"name": "<b>O'Neil</b>"})

    paragraph = '<p style="Margin: 0 0 20px 0; font-size: 19px; line-height: 25px; color: #0B0C0C;">'
    assert preview == {
        "id": defaults.TEMPLATE_ID,
        "type": "email",
        "version": 1,
        "subject": "Hello <b>O’Neil</b>",
        "body": "Hello <b>O'Neil</b>,\n\nThis email comes from the sandbox.",
        "html": (f"{paragraph}Hello &lt;b&gt;O’Neil&lt;/b&gt;,</p>{paragraph}This email comes from the sandbox.</p>"),
        "postage": None,
    }
    with pytest.raises(HTTPError) as refused:
        client.post_template_preview(defaults.TEMPLATE_ID, {"nome": "Amala"})
    assert refused.value.message == [{"error": "BadRequestError", "message": "Missing personalisation: name"}]


def test_get_all_templates(client: NotificationsAPIClient) -> None:
    names = ["Appointment", "Application received", "Hello"]

    assert [one["name"] for one in client.get_all_templates()["templates"]] == sorted(names)
    assert [one["name"] for one in client.get_all_templates("email")["templates"]] == sorted(names)
    assert client.get_all_templates("sms") == {"templates": []}


def test_prepare_upload(with_files: Sandbox) -> None:
    client = NotificationsAPIClient(with_files.api_key, base_url=with_files.base_url)
    upload = prepare_upload(io.BytesIO(b"a,b\n1,2"), filename="report.csv", retention_period="4 weeks")

    sent = client.send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": upload})

    link = sent["content"]["body"].removeprefix("Hello ").partition(",")[0]
    service, email = (recorded.short(UUID(one)) for one in (defaults.SERVICE_ID, sent["id"]))
    assert link.startswith(f"{with_files.base_url}/d/{service}/{email}?key=")
    assert client.get_notification_by_id(sent["id"])["body"] == sent["content"]["body"]
    with urlopen(link) as response:
        assert response.read() == b"a,b\n1,2"
        assert response.headers["Content-Disposition"] == 'attachment; filename="report.csv"'
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_uploads_have_the_recorded_shape_and_size() -> None:
    told = recorded.row("client.prepare_upload-shape")["note"]
    assert prepare_upload(io.BytesIO(b"hi")) == {
        "file": base64.b64encode(b"hi").decode(),
        "filename": None,
        "confirm_email_before_download": None,
        "retention_period": None,
    }
    assert '"filename": null' in told
    with pytest.raises(ValueError, match="File is larger than 2MB"):
        prepare_upload(io.BytesIO(b"x" * (2 * 1024 * 1024 + 1)))


def test_refused_connection_looks_like_a_503() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(HTTP503Error) as refused:
        NotificationsAPIClient(defaults.API_KEY, base_url=f"http://127.0.0.1:{port}").get_all_notifications()

    assert (refused.value.status_code, refused.value.message, refused.value.response) == (503, "Request failed", None)


def test_client_that_gave_up_has_sent_the_email_all_the_same(sandbox: Sandbox) -> None:
    sandbox.add_fault(accept=True, delay=1.0)
    impatient = NotificationsAPIClient(sandbox.api_key, base_url=sandbox.base_url, timeout=0.5)

    with pytest.raises(HTTP503Error) as gave_up:
        impatient.send_email_notification(ADDRESS, defaults.PLAIN_TEMPLATE_ID, reference="late")

    assert gave_up.value.response is None
    assert len(impatient.get_all_notifications(reference="late")["notifications"]) == 1


def test_email_is_found_by_others_as_soon_as_it_was_accepted(sandbox: Sandbox) -> None:
    missed: list[Any] = []

    def send(number: int) -> None:
        for index in range(10):
            reference = f"{number}-{index}"
            client = NotificationsAPIClient(sandbox.api_key, base_url=sandbox.base_url)
            sent = client.send_email_notification(ADDRESS, defaults.PLAIN_TEMPLATE_ID, reference=reference)
            other = NotificationsAPIClient(sandbox.api_key, base_url=sandbox.base_url)
            found = [one["id"] for one in other.get_all_notifications(reference=reference)["notifications"]]
            missed.extend([] if found == [sent["id"]] else [reference])

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert missed == []


def test_rate_and_daily_limits_are_set_by_remote_control(client: NotificationsAPIClient, sandbox: Sandbox) -> None:
    def send() -> Any:
        try:
            return client.send_email_notification(ADDRESS, defaults.PLAIN_TEMPLATE_ID)["id"] and 201
        except HTTPError as error:
            return error.message

    sandbox.set_clock(datetime.now(UTC))
    sandbox.set_limits(rate_limit=6)
    limited = [{"error": "RateLimitError",
                "message": "Exceeded rate limit for key type LIVE of 6 requests per 60 seconds"}]  # fmt: skip
    assert [send(), send(), send()] == [201, 201, limited]
    sandbox.set_limits(rate_limit=0, daily_limit=1)
    too_many = [{"error": "TooManyRequestsError", "message": "Exceeded send limits (email: 1) for today"}]
    assert [send(), send()] == [201, too_many]
    with pytest.raises(SandboxError, match="The limits are whole numbers from 0"):
        sandbox.set_limits(rate_limit=-1)
    sandbox.reset()
    assert [send(), send(), send()] == [201] * 3
