"""Whatever Notify answers, or what stands before it, or nobody: each email is accepted once, or has failed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from notifications_python_client import NotificationsAPIClient
from pytest_django import Settings

from django_govuk_notify_outbox import client, delivery, sync
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock
from tests.faults.conftest import BELIEVED, LEASE, Aftermath, story
from tests.test_limits import error
from tests.test_retrying import SERVER_ERROR, posts

pytestmark = pytest.mark.django_db

HTML = "<html><body><h1>Something went wrong</h1></body></html>"
#: Seconds after a failed attempt, by default.
FIRST_INTERVAL = 5
NOT_ACCEPTED = [
    (FIRST_INTERVAL, "not-found-yet"),
    (LEASE, "not-found-yet"),
    (BELIEVED, "not-found"),
    (BELIEVED, "accepted"),
]

#: What Notify did not say itself: it may still be at it, so that it does not have the email is believed late.
SILENCES: dict[str, dict[str, Any]] = {
    "a connection that is cut": {"cut": True},
    "a read timeout": {"delay": 1.0, "cut": True},
    "500 with HTML": {"status": 500, "body": HTML},
    "502 with HTML": {"status": 502, "body": HTML},
    "503 with HTML": {"status": 503, "body": HTML},
    "504 with HTML": {"status": 504, "body": HTML},
    "408 with HTML": {"status": 408, "body": HTML},
    "201 with HTML": {"status": 201, "body": HTML},
    "201 without an id": {"status": 201, "body": {"reference": None}},
    "201 with another's reference": {"status": 201, "body": {"id": str(uuid.UUID(int=1)), "reference": "another's"}},
    "200 with a list": {"status": 200, "body": [1, 2]},
    "a redirect": {"status": 302, "location": "/v2/notifications"},
    "a redirect for good": {"status": 301, "location": "/_status"},
    "a redirect that leads nowhere": {"status": 303, "location": "http://127.0.0.1:9/"},
    "a redirect that asks for the same again": {"status": 307, "location": "/v2/notifications/email"},
}


def new_email(**arguments: Any) -> EmailMessage:
    values = {"email_address": ADDRESS, "template_id": defaults.TEMPLATE_ID, "personalisation": {"name": "Amala"}}
    return send_email_notification(**{**values, **arguments})


def assert_delivered_once(email: EmailMessage, sandbox: Sandbox) -> None:
    email.refresh_from_db()
    assert email.status == Status.NOTIFY_DELIVERED
    assert [(each["id"], each["reference"]) for each in sandbox.emails()] == [(str(email.notify_id), email.reference)]


@pytest.fixture
def quick() -> Iterator[None]:
    """A client that waits for a fraction of a second, though the rest of the library reckons with TIMEOUT."""
    make: Any = NotificationsAPIClient
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            client, "NotificationsAPIClient", lambda *args, **options: make(*args, **options | {"timeout": 0.3})
        )
        forget_client()
        yield
    # Or later tests would have it too
    forget_client()


def forget_client() -> None:
    """Have this thread make a new client when it next needs one."""
    client.close()
    vars(client._local).pop("made_for", None)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("silence", SILENCES)
def test_without_a_clear_answer_an_email_that_notify_accepted_is_found(
    clock: Clock, sandbox: Sandbox, silence: str
) -> None:
    sandbox.add_fault(accept=True, **SILENCES[silence])
    email = new_email()
    delivery.deliver(email.pk)
    Aftermath(clock).settle()
    assert story(email, email.created_at) == [(0, "unclear"), (FIRST_INTERVAL, "found")]
    assert posts(sandbox) == 1
    assert_delivered_once(email, sandbox)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("silence", SILENCES)
def test_without_a_clear_answer_an_email_that_notify_does_not_have_is_sent_when_that_is_certain(
    clock: Clock, sandbox: Sandbox, silence: str
) -> None:
    sandbox.add_fault(**SILENCES[silence])
    email = new_email()
    delivery.deliver(email.pk)
    Aftermath(clock).settle()
    assert story(email, email.created_at) == [(0, "unclear"), *NOT_ACCEPTED]
    assert posts(sandbox) == 2
    assert_delivered_once(email, sandbox)


@pytest.mark.usefixtures("quick")
def test_an_email_that_notify_accepts_after_the_worker_has_given_up_waiting_is_found(
    clock: Clock, sandbox: Sandbox
) -> None:
    sandbox.add_fault(delay=0.6)
    email = new_email()
    delivery.deliver(email.pk)
    assert sandbox.emails() == []
    while not sandbox.emails():
        time.sleep(0.01)
    Aftermath(clock).settle()
    assert story(email, email.created_at) == [(0, "unclear"), (FIRST_INTERVAL, "found")]
    assert posts(sandbox) == 1
    assert_delivered_once(email, sandbox)


@pytest.mark.parametrize("accept", [True, False])
def test_an_error_of_notifys_own_is_believed_as_soon_as_notify_is_asked(
    clock: Clock, sandbox: Sandbox, accept: bool
) -> None:
    sandbox.add_fault(accept=accept, **SERVER_ERROR)
    email = new_email()
    delivery.deliver(email.pk)
    Aftermath(clock).settle()
    then = ["found"] if accept else ["not-found", "accepted"]
    assert story(email, email.created_at) == [(0, "unclear"), *((FIRST_INTERVAL, outcome) for outcome in then)]
    assert posts(sandbox) == (1 if accept else 2)
    assert_delivered_once(email, sandbox)


def test_no_connection_is_a_failure_that_needs_no_question(clock: Clock, sandbox: Sandbox, settings: Settings) -> None:
    email = new_email()
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://127.0.0.1:9"
    delivery.deliver(email.pk)
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = sandbox.base_url
    Aftermath(clock).settle()
    assert story(email, email.created_at) == [(0, "try-later"), (FIRST_INTERVAL, "accepted")]
    assert posts(sandbox) == 1
    assert_delivered_once(email, sandbox)


@pytest.mark.parametrize("name", ["RateLimitError", "TooManyRequestsError"])
def test_a_limit_delays_an_email_and_costs_it_nothing(clock: Clock, sandbox: Sandbox, name: str) -> None:
    sandbox.add_fault(times=3, **error(429, name))
    email = new_email()
    delivery.deliver(email.pk)
    Aftermath(clock).settle()
    assert story(email, email.created_at) == [(0, "limited"), (5, "limited"), (10, "limited"), (15, "accepted")]
    email.refresh_from_db()
    assert email.attempts == 1
    assert_delivered_once(email, sandbox)


@pytest.mark.parametrize(
    "words",
    [
        "Invalid token: API key not found",
        "Invalid token: API key revoked",
        "Invalid token: service not found",
        "Invalid token: service is archived",
        "Error: Your system clock must be accurate to within 30 seconds",
        "Cannot send from an account that is not allowed to",
    ],
)
def test_a_key_or_clock_that_is_refused_fails_no_email_while_there_are_retries(
    clock: Clock, sandbox: Sandbox, words: str
) -> None:
    sandbox.add_fault(
        times=2, status=403, body={"status_code": 403, "errors": [{"error": "AuthError", "message": words}]}
    )
    email = new_email()
    delivery.deliver(email.pk)
    Aftermath(clock).settle()
    assert story(email, email.created_at) == [(0, "try-later"), (5, "try-later"), (15, "accepted")]
    assert email.events.all()[0].message == words
    assert_delivered_once(email, sandbox)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"email_address": "nobody"}, "email_address Not a valid email address"),
        ({"template_id": "none"}, "template_id is not a valid UUID"),
        ({"template_id": str(uuid.UUID(int=7))}, "Template not found"),
        ({"personalisation": None}, "Missing personalisation: name"),
        ({"personalisation": {}}, "Missing personalisation: name"),
        ({"personalisation": {"name": "x" * 2_100_000}}, "Your message is too long."),
        ({"email_reply_to_id": str(uuid.UUID(int=7))}, "does not exist in database for service id"),
        ({"one_click_unsubscribe_url": "nowhere"}, "one_click_unsubscribe_url"),
    ],
)
def test_what_notify_refuses_for_good_has_failed_at_once_and_is_not_tried_again(
    clock: Clock, sandbox: Sandbox, arguments: dict[str, Any], words: str
) -> None:
    email = new_email(**arguments)
    delivery.deliver(email.pk)
    Aftermath(clock).settle()
    email.refresh_from_db()
    assert (email.status, email.due_at, email.notify_id) == (Status.FAILED_SEND_TO_NOTIFY, None, None)
    event = email.events.get()
    assert (event.outcome, event.http_status) == ("refused", 400)
    assert words in event.message
    assert sandbox.emails() == []
    assert posts(sandbox) == 1


def test_an_email_that_can_be_found_only_after_some_seconds_is_not_sent_again(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(accept=True, cut=True, hidden_for=20)
    email = new_email()
    delivery.deliver(email.pk)
    Aftermath(clock).settle()
    assert story(email, email.created_at) == [(0, "unclear"), (FIRST_INTERVAL, "not-found-yet"), (LEASE, "found")]
    assert posts(sandbox) == 1
    assert_delivered_once(email, sandbox)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "failure",
    [
        SERVER_ERROR,
        {"status": 502, "body": HTML},
        {"delay": 1.0, "cut": True},
        {"cut": True},
        {"status": 200, "body": []},
    ],
    ids=["500", "502", "timeout", "cut", "garbage"],
)
def test_a_look_up_that_fails_decides_nothing(clock: Clock, sandbox: Sandbox, failure: dict[str, Any]) -> None:
    sandbox.add_fault(accept=True, cut=True)
    sandbox.add_fault(on="GET", times=3, **failure)
    email = new_email()
    delivery.deliver(email.pk)
    for _ in range(3):
        email.refresh_from_db()
        clock.move_to(email.due_at)
        sync.run()
        email.refresh_from_db()
        assert email.status == Status.RETRYING_SEND_TO_NOTIFY
        assert email.events.latest("pk").outcome == "no-answer"
    Aftermath(clock).settle()
    assert [outcome for _, outcome in story(email, email.created_at)] == ["unclear", *["no-answer"] * 3, "found"]
    assert posts(sandbox) == 1
    assert_delivered_once(email, sandbox)
