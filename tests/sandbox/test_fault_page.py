"""Faults that are ordered from the page, the ones that go on for a time, and what the page tells of those that wait."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from django_govuk_notify_outbox.sandbox.control import Sandbox, SandboxError
from django_govuk_notify_outbox.sandbox.mailbox.fault_kinds import KINDS
from django_govuk_notify_outbox.sandbox.models import Fault, Notification, SandboxState

from .conftest import ADDRESS, Api

MOMENT = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _order(api: Api, **values: Any) -> None:
    response = api.client.post("/mailbox/faults/", {"on": "POST", "times": 1, **values})
    assert response.status_code == 303, _errors(response)


def _errors(response: Any) -> list[tuple[str, str]]:
    return [
        (name, unescape(text))
        for name, text in re.findall(r'<li><a href="#(.*?)">(.*?)</a></li>', response.content.decode())
    ]


def _waiting(api: Api) -> list[tuple[str, str]]:
    page = api.client.get("/mailbox/faults/").content.decode()
    rows = re.findall(r'<strong>(.*?)</strong><br>\s*<span class="quiet">(.*?)</span>', page)
    return [(unescape(title), unescape(told)) for title, told in rows]


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("bad-request", 400, "BadRequestError"),
        ("invalid", 400, "ValidationError"),
        ("clock", 403, "AuthError"),
        ("key", 403, "AuthError"),
        ("rate", 429, "RateLimitError"),
        ("daily", 429, "TooManyRequestsError"),
        ("error", 500, "OperationalError"),
    ],
)
def test_refusal_strikes_once_and_stores_nothing(api: Api, kind: str, status: int, error: str) -> None:
    _order(api, kind=kind)

    refused = api.post()

    assert (refused.status_code, refused.json()["errors"][0]["error"]) == (status, error)
    assert not Notification.objects.exists()
    assert api.post().status_code == 201
    assert _waiting(api) == []


@pytest.mark.parametrize(("kind", "status"), [("error", 500), ("garbage", 201), ("cut", 500), ("slow", 201)])
def test_email_is_accepted_all_the_same_if_so_ordered(api: Api, kind: str, status: int) -> None:
    _order(api, kind=kind, accept="on", seconds="0.1" if kind == "slow" else "")

    # The test's client can't be cut off: it gets an explanation
    answer = api.post()

    assert answer.status_code == status
    assert Notification.objects.count() == 1
    if kind == "garbage":
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer.content)


@pytest.mark.parametrize("kind", ["error", "garbage", "cut"])
def test_email_is_not_accepted_otherwise(api: Api, kind: str) -> None:
    _order(api, kind=kind)

    api.post()

    assert not Notification.objects.exists()


def test_late_email_is_not_found_until_its_time(api: Api) -> None:
    now = datetime.now(UTC)
    api.control("clock", now=now.isoformat())
    _order(api, kind="late", seconds="5")
    notification_id = api.send()

    assert api.get(f"/v2/notifications/{notification_id}").status_code == 404
    api.control("clock", now=(now + timedelta(seconds=5)).isoformat())
    assert api.look_up(notification_id)["id"] == notification_id


@pytest.mark.parametrize("kind", ["outage", "silence"])
def test_outage_strikes_every_request_until_it_ends(api: Api, kind: str) -> None:
    now = datetime.now(UTC)
    api.control("clock", now=now.isoformat())
    _order(api, kind=kind, seconds="20")
    down = 503 if kind == "outage" else 500

    assert [api.post().status_code for _ in range(3)] == [down] * 3
    assert api.get("/v2/notifications").status_code == down
    assert Fault.objects.count() == 1
    api.control("clock", now=(now + timedelta(seconds=20)).isoformat())
    assert _waiting(api) == []
    assert api.post().status_code == 201
    assert not Fault.objects.exists()
    assert Notification.objects.count() == 1


def test_fault_is_meant_for_one_recipient_and_for_as_many_requests_as_ordered(api: Api) -> None:
    _order(api, kind="error", times="2", email_address="bo@example.com")
    assert _waiting(api) == [
        ("The answer is 500", "For sending an email to bo@example.com. 2 requests left"),
    ]

    statuses = [api.post(email_address=to).status_code for to in (ADDRESS, "bo@example.com", "bo@example.com")]

    assert statuses == [201, 500, 500]
    assert api.post(email_address="bo@example.com").status_code == 201


def test_page_tells_of_every_fault_that_waits_wherever_it_was_ordered(api: Api) -> None:
    api.control("clock", now=MOMENT.isoformat())
    for kind in KINDS:
        _order(api, kind=kind, seconds="1.5")
    _order(api, kind="error", on="GET", times="3")
    api.control("faults", location="https://example.com/<b>", delay=2)
    api.control("faults", body=["nothing of Notify's"], accept=True)
    until = MOMENT + timedelta(seconds=1.5)
    local = until.astimezone().strftime("%H:%M:%S")

    once = "For sending an email. 1 request left"
    assert _waiting(api) == [
        ("The answer is slow, after 1.5 seconds", once),
        ("Accepted, and not found for 1.5 seconds", once),
        ("The answer is 400 (BadRequestError: Template has been deleted)", once),
        ("The answer is 400 (ValidationError: email_address Not a valid email address)", once),
        ("The answer is 403 (AuthError: Error: Your system clock must be accurate to within 30 seconds)", once),
        ("The answer is 403 (AuthError: Invalid token: API key revoked)", once),
        (
            "The answer is 429 (RateLimitError: Exceeded rate limit for key type LIVE of 3000 requests per 60 seconds)",
            once,
        ),
        ("The answer is 429 (TooManyRequestsError: Exceeded send limits (email: 250000) for today)", once),
        ("The answer is 500", once),
        ("The connection is cut", once),
        ("The answer is 201, with another body than Notify’s", once),
        ("The answer is 503, with another body than Notify’s", f"For any request. Until {local}"),
        ("The connection is cut", f"For any request. Until {local}"),
        ("The answer is 500", "For looking something up. 3 requests left"),
        ("The answer is 302, after 2 seconds", once),
        ("The answer is 500, with another body than Notify’s, though the email is accepted", once),
    ]


def test_one_fault_is_removed_or_all_of_them(api: Api) -> None:
    for status in (500, 501, 502):
        api.control("faults", status=status)
    second = Fault.objects.order_by("pk")[1].pk

    response = api.client.post("/mailbox/faults/remove", {"fault": second}, follow=True)

    assert "Nothing of that will go wrong any more." in response.content.decode()
    assert [title for title, _ in _waiting(api)] == ["The answer is 500", "The answer is 502"]
    api.client.post("/mailbox/faults/remove")
    assert _waiting(api) == []
    assert api.post().status_code == 201


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        ({"times": ""}, [("kind-slow", "Select what goes wrong"), ("times", "Enter a number of requests")]),
        ({"kind": "nonsense", "on": "PUT"}, [("kind-slow", "Select what goes wrong"), ("on", "Select which requests")]),
        ({"kind": "slow"}, [("seconds", "Enter a number of seconds")]),
        ({"kind": "outage", "seconds": "soon"}, [("seconds", "Enter a number of seconds")]),
        ({"kind": "outage", "seconds": "0"}, [("seconds", "Seconds must be 0.1 or more")]),
        ({"kind": "outage", "seconds": "601"}, [("seconds", "Seconds must be 600 or fewer")]),
        ({"kind": "error", "times": "0"}, [("times", "Requests must be 1 or more")]),
        ({"kind": "error", "times": "1001"}, [("times", "Requests must be 1000 or fewer")]),
        (
            {"kind": "rate", "accept": "on"},
            [("accept", "“429 Rate limit” leaves nothing to choose here: clear the box")],
        ),
    ],
)
def test_mistakes_in_the_form_are_told_and_order_nothing(
    api: Api, values: dict[str, str], errors: list[tuple[str, str]]
) -> None:
    response = api.client.post("/mailbox/faults/", {"on": "POST", "times": "1", "email_address": "<b>", **values})

    assert response.status_code == 400
    assert _errors(response) == errors
    page = response.content.decode()
    assert "<title>Error: Faults" in page
    assert all(page.count(f'id="{target}"') == 1 for target, _ in errors)
    # What was written stays
    assert 'name="email_address" value="&lt;b&gt;"' in page
    assert not Fault.objects.exists()


def test_timing_is_changed_from_the_page(api: Api) -> None:
    response = api.client.post("/mailbox/timing", {"sending_after": "0", "final_after": "0"}, follow=True)

    assert "New emails take that long." in response.content.decode()
    assert api.look_up(api.send())["status"] == "delivered"


def test_new_emails_are_held_until_somebody_decides(api: Api) -> None:
    now = datetime.now(UTC)
    api.client.post("/mailbox/timing", {"hold": "yes"})
    api.control("clock", now=now.isoformat())
    notification_id = api.send()

    api.control("clock", now=(now + timedelta(seconds=20)).isoformat())
    page = api.client.get("/mailbox/faults/").content.decode()

    assert api.look_up(notification_id)["status"] == "sending"
    assert "New emails stay at “Sending”" in page
    assert "Deliver new emails again" in page
    api.client.post(f"/mailbox/{notification_id}/status", {"status": "permanent-failure"})
    assert api.look_up(notification_id)["status"] == "permanent-failure"


def test_mistakes_in_the_timing_are_told_and_change_nothing(api: Api) -> None:
    response = api.client.post("/mailbox/timing", {"sending_after": "-1", "final_after": ""})

    assert response.status_code == 400
    assert _errors(response) == [
        ("sending_after", "Enter a number of seconds"),
        ("final_after", "Enter a number of seconds"),
    ]
    state = SandboxState.load()
    assert (state.sending_after, state.final_after) == (1.0, 2.0)


def test_remote_control_lists_and_clears_faults(live_server: LiveServer) -> None:
    sandbox = Sandbox(live_server.url)
    api = Api(Client())
    sandbox.set_clock(MOMENT)
    sandbox.add_fault(status=500, times=3, email_address=ADDRESS)
    sandbox.add_fault(cut=True, on="ANY", lasting=30)

    first, second = sandbox.faults()

    assert (first["on"], first["times"], first["remaining"], first["until"], first["status"]) == (
        "POST",
        3,
        3,
        None,
        500,
    )
    assert first["email_address"] == ADDRESS
    assert (second["on"], second["cut"], second["until"]) == ("ANY", True, "2026-11-22T12:00:30.000000Z")
    sandbox.set_clock(None)
    sandbox.clear_faults()
    assert sandbox.faults() == []
    assert api.post().status_code == 201


@pytest.mark.parametrize("lasting", [0, -1, 1e9])
def test_time_that_a_fault_cannot_last_is_explained(live_server: LiveServer, lasting: float) -> None:
    with pytest.raises(SandboxError, match='"lasting" is a number of seconds'):
        Sandbox(live_server.url).add_fault(status=503, lasting=lasting)
