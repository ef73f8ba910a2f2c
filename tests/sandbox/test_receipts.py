"""Delivery receipts reach a real server as they reached one from Notify, and are tried again by the same rules."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from pytest_django import Settings

from django_govuk_notify_outbox.sandbox import clock, posting, receipts
from django_govuk_notify_outbox.sandbox.control import Sandbox, SandboxError
from django_govuk_notify_outbox.sandbox.models import Notification, Receipt, SandboxState
from django_govuk_notify_outbox.sandbox.process import running_sandbox

from . import accounts, recorded
from .conftest import ADDRESS, Api
from .receiver import Receiver, running_receiver
from .recorded import Row

_TOKEN = "callback-bearer-token-0123456789"
_ROWS = recorded.rows("callback.received.")
_BETWEEN = 300 * clock.SECOND


@pytest.fixture(scope="module")
def running() -> Iterator[Receiver]:
    """One receiver for all tests; they use ``receiver``."""
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def receiver(running: Receiver, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """A service that was sent nothing yet. Whoever waits for its answer waits less long than Notify."""
    running.calls.clear()
    monkeypatch.setattr(posting, "_TIMEOUT", 0.4)
    return running


def _move(microseconds: int) -> None:
    SandboxState.change(frozen_at=SandboxState.load().now() + microseconds)


def _attempts(receiver: Receiver) -> list[int]:
    """Post whatever is due for the next half an hour, and return at which second each attempt was made."""
    made = []
    for step in range(8):
        made += [step * 300] * receipts.post_due()
        _move(_BETWEEN)
    assert receipts.post_due() == 0
    return made


@pytest.mark.usefixtures("recorded_world")
@pytest.mark.parametrize("row", _ROWS, ids=[row["name"] for row in _ROWS])
def test_receipt_is_posted_as_by_notify(client: Client, receiver: Receiver, row: Row) -> None:
    expected = row["request"]["json"]
    kind = re.search("sent with a (.*?) key", row["note"])
    SandboxState.change(callback_url=receiver.url + row["request"]["path"], callback_token=_TOKEN, sending_after=0)
    _send(client, expected, kind[1] if kind else "normal")

    made = _attempts(receiver)

    call = receiver.calls[0]
    assert (call.method, call.path) == ("POST", row["request"]["path"])
    assert json.loads(call.body) == expected
    assert list(json.loads(call.body)) == list(expected)
    for name in ("Authorization", "Content-Type", "Content-Length", "Accept"):
        assert call.headers[name] == row["request"]["headers"][name]
    seconds = re.search(r"attempts at \[(.*?)\] s", row["note"])
    recorded_attempts = [int(text) for text in seconds[1].split(",")] if seconds else [0]
    # Notify counts the pause from when it gave up, and a repeated POST after a 307 as an attempt
    assert len(receiver.calls) == len(recorded_attempts) + (row["name"] == "callback.received.answer-redirect")
    assert made == [index * 300 for index in range(len(set(recorded_attempts)))]
    assert {one.body for one in receiver.calls if one.method == "POST"} == {call.body}
    accounts.replayed.add(row["name"])


def _send(client: Client, expected: dict[str, Any], kind: str) -> None:
    """Send an email by which the expected receipt comes about, and give it its id and times."""
    template_id = expected["template_id"]
    body = {
        "template_id": template_id,
        "email_address": expected["to"],
        "personalisation": {"name": "Amala", "reference": "R"},
    }
    if expected["reference"] is not None:
        body["reference"] = expected["reference"]
    response = client.post(
        "/v2/notifications/email",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {recorded.signed('callback_http_errors', kind)}"},
    )
    assert response.status_code == 201, response.content
    moments = {name: clock.from_datetime(datetime.fromisoformat(expected[name])) for name in
               ("created_at", "sent_at", "completed_at")}  # fmt: skip
    Notification.objects.update(
        notification_id=UUID(expected["id"]),
        created_at=moments["created_at"],
        sending_at=moments["sent_at"],
        final_at=moments["completed_at"],
        final_status=expected["status"],
    )
    Receipt.objects.update(notification_id=UUID(expected["id"]))
    SandboxState.change(frozen_at=clock.from_datetime(recorded.MOMENT + timedelta(hours=1)))


@pytest.mark.usefixtures("recorded_world")
def test_redirect_is_followed_without_the_body_and_ends_the_matter(client: Client, receiver: Receiver) -> None:
    row = recorded.row("callback.redirect-302-followed-as-GET")
    SandboxState.change(callback_url=f"{receiver.url}/redirect", callback_token=_TOKEN)
    _send(client, recorded.row("callback.received.answer-redirect")["request"]["json"], "normal")

    assert _attempts(receiver) == [0]

    first, second = receiver.calls
    assert first.method == "POST"
    assert (second.method, second.path, second.body) == ("GET", row["request"]["path"], "")
    assert second.headers["Authorization"] == row["request"]["headers"]["Authorization"]
    assert "Content-Type" not in second.headers
    accounts.replayed.add(row["name"])


@pytest.fixture
def told(api: Api, receiver: Receiver) -> Api:
    """A sandbox that posts receipts to the receiver, whose clock stands still."""
    api.control("callback", url=f"{receiver.url}/ok", token="t")
    api.control("timing", sending_after=0, final_after=0)
    return api


def _sent(api: Api, **values: Any) -> str:
    notification_id = api.send(**values)
    SandboxState.change(frozen_at=clock.real_now() + clock.SECOND)
    return notification_id


def test_neither_a_technical_failure_nor_a_simulated_address_is_told_of(told: Api, receiver: Receiver) -> None:
    told.send(email_address="technical-fail@simulator.notify")
    _sent(told, email_address="simulate-delivered@notifications.service.gov.uk")

    assert _attempts(receiver) == []
    assert receiver.calls == []


def test_no_receipt_is_posted_before_the_final_status(told: Api, receiver: Receiver) -> None:
    told.control("timing", sending_after=0, final_after=1_000)
    notification_id = _sent(told)

    assert receipts.post_due() == 0
    _move(1_000 * clock.SECOND)
    assert receipts.post_due() == 1

    assert [json.loads(call.body)["id"] for call in receiver.calls] == [notification_id]
    assert [json.loads(call.body)["status"] for call in receiver.calls] == ["delivered"]


def test_status_that_is_given_takes_the_place_of_the_one_that_was_planned(told: Api, receiver: Receiver) -> None:
    told.control("timing", sending_after=0, final_after=1_000)
    notification_id = _sent(told)

    told.control(f"emails/{notification_id}/status", status="permanent-failure")

    assert _attempts(receiver) == [0]
    _move(2_000 * clock.SECOND)
    assert receipts.post_due() == 0
    assert [json.loads(call.body)["status"] for call in receiver.calls] == ["permanent-failure"]


def test_email_that_goes_back_to_created_is_not_told_of(told: Api, receiver: Receiver) -> None:
    notification_id = _sent(told)

    told.control(f"emails/{notification_id}/status", status="created")

    assert _attempts(receiver) == []


@pytest.mark.parametrize("path", ["cut", "500", "503", "429", "round"])
def test_no_answer_5xx_and_429_are_tried_five_times_more(told: Api, receiver: Receiver, path: str) -> None:
    told.control("callback", url=f"{receiver.url}/{path}", token="t")
    _sent(told)

    assert _attempts(receiver) == [0, 300, 600, 900, 1200, 1500]

    (receipt,) = told.asked("receipts")
    assert (receipt["attempts"], receipt["next_attempt_at"]) == (6, None)


@pytest.mark.parametrize("path", ["302", "400", "401", "403", "404", "410"])
def test_any_other_answer_ends_the_matter_at_once(told: Api, receiver: Receiver, path: str) -> None:
    told.control("callback", url=f"{receiver.url}/{path}", token="t")
    _sent(told)

    assert _attempts(receiver) == [0]
    assert [receipt["outcome"] for receipt in told.asked("receipts")] == [path]


def test_receiver_that_nobody_runs_is_tried_again_until_it_runs(told: Api, receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    told.control("callback", url=f"http://127.0.0.1:{port}/", token="t")
    _sent(told)

    assert receipts.post_due() == 1
    # What a receipt says and where it goes is fixed when it's queued
    told.control("callback", url=f"{receiver.url}/ok", token="new")
    _move(_BETWEEN)
    assert receipts.post_due() == 1

    assert receiver.calls == []
    assert [receipt["outcome"] for receipt in told.asked("receipts")] == ["ConnectionRefusedError"]


def test_token_stays_with_the_host_that_it_was_meant_for(told: Api, receiver: Receiver) -> None:
    told.control("callback", url=f"{receiver.url}/elsewhere", token="secret")
    _sent(told)

    assert _attempts(receiver) == [0]

    assert [call.headers.get("Authorization") for call in receiver.calls] == ["Bearer secret", None]
    assert receiver.calls[0].body == receiver.calls[1].body


def test_nothing_is_posted_once_nobody_wants_receipts(told: Api, receiver: Receiver) -> None:
    _sent(told)
    told.control("callback", url="", token="")

    assert _attempts(receiver) == []
    SandboxState.change(frozen_at=None)
    _sent(told)
    assert told.asked("receipts") == []


def test_settings_say_where_receipts_go(api: Api, receiver: Receiver, settings: Settings) -> None:
    settings.GOVUK_NOTIFY_SANDBOX_CALLBACK_URL = f"{receiver.url}/ok"
    settings.GOVUK_NOTIFY_SANDBOX_CALLBACK_TOKEN = "from the settings"
    api.control("timing", sending_after=0, final_after=0)
    _sent(api)

    assert _attempts(receiver) == [0]
    assert receiver.calls[0].headers["Authorization"] == "Bearer from the settings"


def test_receipt_that_another_process_tries_is_left_to_it(told: Api, receiver: Receiver) -> None:
    _sent(told)
    stale = Receipt.objects.get()
    Receipt.objects.update(attempts=1)

    assert receipts._post(stale, SandboxState.load()) is False
    assert receiver.calls == []


def test_sandbox_posts_receipts_by_itself(receiver: Receiver) -> None:
    options = ("--callback-url", f"{receiver.url}/ok", "--callback-token", "of the command line")
    with running_sandbox(*options, sending_after=0, final_after=0.1) as sandbox:
        ids = [_send_to(sandbox, f"{number}@example.com") for number in range(5)]
        sandbox.post_receipts()
        _wait_for(receiver, 5)

        assert {json.loads(call.body)["id"] for call in receiver.calls} == set(ids)
        assert {call.headers["Authorization"] for call in receiver.calls} == {"Bearer of the command line"}
        assert [one["attempts"] for one in sandbox.receipts()] == [1] * 5
        # The thread that posted them has ended, and another one begins
        _send_to(sandbox, ADDRESS)
        _wait_for(receiver, 6)
        sandbox.set_callback(f"{receiver.url}/500", "t")
        _send_to(sandbox, ADDRESS)
        _wait_for(receiver, 7)
        sandbox.set_clock(datetime.fromisoformat("2099-01-01T00:00:00Z"))
        _wait_for(receiver, 8)
        sandbox.set_callback(None)
        with pytest.raises(SandboxError, match="begins with https://"):
            sandbox.set_callback("nonsense")


def _send_to(sandbox: Sandbox, address: str) -> str:
    from .test_server import _client

    answer = _client(sandbox).send_email_notification(address, "b2e6d4c9-1c85-4f37-9ea4-7d8f3bac5012")
    return str(answer["id"])


def _wait_for(receiver: Receiver, count: int) -> None:
    """Wait until so many receipts have come."""
    waiting = receiver.over
    for _ in range(300):
        if len(receiver.calls) >= count:
            break
        waiting.wait(0.05)
    assert len(receiver.calls) == count
