"""Every answer, silence or exception becomes one outcome value. What can be caused over HTTP is caused so."""

from __future__ import annotations

import contextlib
import datetime as dt
import multiprocessing
import os
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
import urllib3.exceptions
from notifications_python_client.errors import HTTPError
from pytest_django import Settings

from django_govuk_notify_outbox import client, notify
from django_govuk_notify_outbox.client import this_threads_client
from django_govuk_notify_outbox.outcomes import (
    Accepted,
    Exchange,
    Found,
    Limited,
    NoAnswer,
    NotSent,
    Refused,
    Text,
    TryLater,
)
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from tests.conftest import ADDRESS

PAYLOAD: dict[str, Any] = {
    "email_address": ADDRESS,
    "template_id": defaults.TEMPLATE_ID,
    "personalisation": {"name": "Amala"},
    "reference": "ours",
}
NOTIFYS_WORDS = {"errors": [{"error": "SomeError", "message": "Some message"}], "status_code": 400}


def summary(outcome: Any) -> tuple[object, ...]:
    """The outcome without what differs each time."""
    flags = {name: value for name, value in vars(outcome).items() if name in {"finished", "everybody_waits"}}
    return (type(outcome).__name__, *flags.values())


def test_a_201_with_an_id_and_our_reference_is_an_acceptance(sandbox: Sandbox) -> None:
    outcome = notify.send(PAYLOAD)
    assert isinstance(outcome, Accepted)
    assert [str(outcome.notify_id)] == [accepted["id"] for accepted in sandbox.emails()]
    assert outcome.exchange.http_status == 201
    assert outcome.exchange.duration > 0
    assert (outcome.exchange.exception, outcome.exchange.message) == ("", "")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"status": 400, "body": NOTIFYS_WORDS}, ("Refused",)),
        ({"status": 400, "body": "<html>"}, ("Refused",)),
        ({"status": 413, "body": "<html>"}, ("Refused",)),
        ({"status": 422, "body": "<html>"}, ("Refused",)),
        ({"status": 401, "body": NOTIFYS_WORDS}, ("TryLater", True)),
        ({"status": 403, "body": NOTIFYS_WORDS}, ("TryLater", True)),
        ({"status": 404, "body": "<html>"}, ("TryLater", True)),
        ({"status": 405, "body": "<html>"}, ("TryLater", True)),
        ({"status": 408, "body": "<html>"}, ("Unclear", False)),
        ({"status": 429, "body": NOTIFYS_WORDS}, ("Limited",)),
        ({"status": 500, "body": NOTIFYS_WORDS}, ("Unclear", True)),
        ({"status": 500, "body": "<html>"}, ("Unclear", False)),
        ({"status": 500, "body": {"errors": []}}, ("Unclear", False)),
        ({"status": 500, "body": {"message": "x"}}, ("Unclear", False)),
        ({"status": 500, "body": "null"}, ("Unclear", False)),
        ({"status": 502, "body": "<html>"}, ("Unclear", False)),
        ({"status": 503, "body": "<html>"}, ("Unclear", False)),
        ({"status": 504, "body": NOTIFYS_WORDS}, ("Unclear", True)),
        ({"status": 201, "body": "garbage"}, ("Unclear", False)),
        ({"status": 201, "body": {"reference": "ours"}}, ("Unclear", False)),
        ({"status": 201, "body": {"reference": "ours", "id": "x"}}, ("Unclear", False)),
        ({"status": 201, "body": {"reference": "ours", "id": None}}, ("Unclear", False)),
        ({"status": 201, "body": {"reference": "theirs", "id": str(uuid.UUID(int=1))}}, ("Unclear", False)),
        ({"status": 204}, ("Unclear", False)),
        ({"status": 302, "location": "/v2/notifications"}, ("Unclear", False)),
        ({"status": 302, "location": "/v2/notifications/email"}, ("Unclear", False)),
        ({"cut": True}, ("Unclear", False)),
    ],
    ids=str,
)
def test_every_answer_has_its_outcome(sandbox: Sandbox, answer: dict[str, Any], expected: tuple[object, ...]) -> None:
    sandbox.add_fault(**answer)
    assert summary(notify.send(PAYLOAD)) == expected


def test_notifys_words_are_kept_with_the_exception_and_its_traceback(sandbox: Sandbox) -> None:
    errors = [{"error": "ValidationError", "message": "one"}, {"error": "ValidationError", "message": "two"}]
    sandbox.add_fault(status=400, body={"errors": errors, "status_code": 400})
    outcome = notify.send(PAYLOAD)
    assert isinstance(outcome, Refused)
    exchange = outcome.exchange
    assert (exchange.http_status, exchange.error_type, exchange.message) == (400, "ValidationError", "one; two")
    assert exchange.exception == "notifications_python_client.errors.HTTPError"
    assert exchange.traceback.startswith("Traceback (most recent call last):\n")
    assert "requests.exceptions.HTTPError: 400" in exchange.traceback


def test_an_answer_without_notifys_json_is_told_as_such(sandbox: Sandbox) -> None:
    sandbox.add_fault(status=502, body="<html>Bad gateway</html>")
    exchange = notify.send(PAYLOAD).exchange
    assert (exchange.http_status, exchange.error_type, exchange.message) == (
        502,
        "",
        "The answer was HTTP 502, without Notify's JSON.",
    )


def test_texts_that_a_database_cannot_hold_are_made_storable(sandbox: Sandbox) -> None:
    error = {"error": "E" * 300, "message": "NUL \0, half a pair \ud800, and more" + "x" * 30_000}
    sandbox.add_fault(status=400, body={"errors": [error], "status_code": 400})
    exchange = notify.send(PAYLOAD).exchange
    assert exchange.error_type == "E" * 255
    assert exchange.message.startswith("NUL \N{REPLACEMENT CHARACTER}, half a pair ?, and more")
    assert len(exchange.message) == 20_000
    assert "\0" not in exchange.traceback


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:9", "No connection could be made."),
        ("http://no-such-host.invalid", "No connection could be made."),
        ("http://127.0.0.1:99999", "No connection could be made."),
    ],
)
def test_a_connection_that_is_never_made_is_tried_later(settings: Settings, url: str, message: str) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = url
    outcome = notify.send(PAYLOAD)
    assert summary(outcome) == ("TryLater", False)
    assert (outcome.exchange.http_status, outcome.exchange.message) == (None, message)


def test_a_base_url_that_is_none_is_reported_and_tried_later(settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "nowhere"
    outcome = notify.send(PAYLOAD)
    assert summary(outcome) == ("TryLater", True)
    assert outcome.exchange.message == "DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL must be an http or https address."


@contextmanager
def full_queue() -> Iterator[int]:
    """A port whose queue of connections is full, so that no further one is made."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = []
        for _ in range(4):
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex(address)
            waiting.append(connection)
        time.sleep(0.05)
        yield address[1]
        for connection in waiting:
            connection.close()


def test_a_connection_that_takes_too_long_is_tried_later(settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__TIMEOUT = 0.3
    with full_queue() as port:
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = f"http://127.0.0.1:{port}"
        outcome = notify.send(PAYLOAD)
    assert summary(outcome) == ("TryLater", False)
    assert "ConnectTimeout" in outcome.exchange.traceback


@contextmanager
def answering(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port on which one connection is handled by a function, and then closed."""

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            handle(connection)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def test_a_connection_that_is_reset_is_unclear(settings: Settings) -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(10)
        # With this option closing sends a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with answering(reset) as port:
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = f"http://127.0.0.1:{port}"
        outcome = notify.send(PAYLOAD)
    assert summary(outcome) == ("Unclear", False)
    assert outcome.exchange.message == "The connection was cut."


def test_an_answer_that_ends_too_soon_is_unclear(settings: Settings) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\n{")

    with answering(answer) as port:
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = f"http://127.0.0.1:{port}"
        outcome = notify.send(PAYLOAD)
    assert summary(outcome) == ("Unclear", False)


def test_a_certificate_that_cannot_be_trusted_is_found_before_anything_is_sent(settings: Settings) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    received: list[bytes] = []

    def shake_hands(connection: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError, OSError), context.wrap_socket(connection, server_side=True) as tls:
            received.append(tls.recv(10))

    with answering(shake_hands) as port:
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = f"https://localhost:{port}"
        outcome = notify.send(PAYLOAD)
    assert summary(outcome) == ("TryLater", False)
    assert received in ([], [b""])


def test_a_proxy_that_cuts_the_connection_after_it_took_the_request_is_unclear(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[bytes] = []
    with answering(lambda connection: received.append(connection.recv(65536))) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://notify.example.com"
        outcome = notify.send(PAYLOAD)
    assert received[0].startswith(b"POST http://notify.example.com/v2/notifications/email")
    assert summary(outcome) == ("Unclear", False)


def test_a_proxy_that_is_not_there_is_tried_later(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://notify.example.com"
    assert summary(notify.send(PAYLOAD)) == ("TryLater", False)


def test_an_earlier_error_of_the_callers_is_not_taken_for_this_requests(sandbox: Sandbox) -> None:
    sandbox.add_fault(cut=True)
    try:
        raise urllib3.exceptions.ConnectTimeoutError
    except urllib3.exceptions.ConnectTimeoutError:
        outcome = notify.send(PAYLOAD)
    assert summary(outcome) == ("Unclear", False)


def test_what_interrupts_a_process_from_outside_is_not_taken_for_an_answer(sandbox: Sandbox) -> None:
    # As Celery's soft time limit does, in the middle of the request
    class Limit(Exception):
        pass

    client = this_threads_client()
    client.request_session.hooks["response"].append(_raiser(Limit("time is up")))
    try:
        with pytest.raises(Limit):
            notify.send(PAYLOAD)
        with pytest.raises(Limit):
            notify.find("ours", since=dt.datetime.now(tz=dt.UTC))
        with pytest.raises(Limit):
            notify.look_up(uuid.uuid4())
    finally:
        client.request_session.hooks["response"].pop()
    assert len(sandbox.emails()) == 1


def test_a_last_look_right_before_the_request_can_stop_it(sandbox: Sandbox) -> None:
    outcome = notify.send(PAYLOAD, may_post=lambda: False)
    assert isinstance(outcome, NotSent)
    assert outcome.exchange.message == "The worker was held up before it could send. Nothing was sent."
    assert sandbox.requests() == []
    assert isinstance(notify.send(PAYLOAD, may_post=lambda: True), Accepted)
    # It is for one request, not for the client that is kept
    assert isinstance(notify.find("ours", since=dt.datetime.now(tz=dt.UTC)), Found)


def _raiser(error: Exception) -> Any:
    def hook(response: requests.Response, **kwargs: object) -> None:
        # Read to its end, so that the connection goes back to where it belongs
        assert response.content
        raise error

    return hook


def test_an_http_error_that_only_names_itself_is_still_described() -> None:
    assert notify._what_went_wrong(ValueError()) == "ValueError"
    assert notify._what_went_wrong(HTTPError()) == "503 - Request failed"


def test_looking_up_gives_what_notify_knows(sandbox: Sandbox) -> None:
    accepted = notify.send(PAYLOAD)
    assert isinstance(accepted, Accepted)
    found = notify.look_up(accepted.notify_id)
    assert isinstance(found, Found)
    [notification] = found.notifications
    assert (notification.id, notification.email_address) == (accepted.notify_id, ADDRESS)
    assert notification.template_id == defaults.TEMPLATE_ID
    assert abs(notification.created_at - dt.datetime.now(tz=dt.UTC)) < dt.timedelta(minutes=1)


def test_a_time_without_a_zone_is_utc() -> None:
    body = {
        "id": str(uuid.uuid4()),
        "status": "created",
        "email_address": ADDRESS,
        "template": {"id": str(uuid.uuid4())},
        "created_at": "2026-11-22T12:00:00.000001",
    }
    assert notify._notification(body).created_at == dt.datetime(2026, 11, 22, 12, 0, 0, 1, tzinfo=dt.UTC)


def test_looking_up_what_notify_does_not_have_finds_nothing(sandbox: Sandbox) -> None:
    found = notify.look_up(uuid.uuid4())
    assert isinstance(found, Found)
    assert found.notifications == []


@pytest.mark.parametrize("answer", [{"status": 500, "body": NOTIFYS_WORDS}, {"cut": True}, {"status": 200, "body": []}])
def test_a_question_that_is_not_answered_says_so(sandbox: Sandbox, answer: dict[str, Any]) -> None:
    sandbox.add_fault(on="GET", times=2, **answer)
    assert isinstance(notify.look_up(uuid.uuid4()), NoAnswer)
    assert isinstance(notify.find("ours", since=dt.datetime.now(tz=dt.UTC)), NoAnswer)


def test_connections_are_kept_and_each_thread_has_its_own(sandbox: Sandbox) -> None:
    notify.send(PAYLOAD)
    client = this_threads_client()
    assert this_threads_client() is client
    others: list[object] = []
    thread = threading.Thread(target=lambda: others.append(this_threads_client()))
    thread.start()
    thread.join()
    assert others[0] is not client


def _client_in_child(parents: int, queue: multiprocessing.Queue[tuple[bool, bool]]) -> None:
    queue.put((id(this_threads_client()) != parents, os.getpid() in client._local.made_for))


def test_a_forked_process_makes_a_client_of_its_own(sandbox: Sandbox) -> None:
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[tuple[bool, bool]] = context.Queue()
    client = this_threads_client()
    child = context.Process(target=_client_in_child, args=(id(client), queue))
    child.start()
    assert queue.get(timeout=20) == (True, True)
    child.join()


def test_outcomes_are_values() -> None:
    exchange = Exchange(http_status=429)
    assert Limited(exchange) == Limited(Exchange(http_status=429))
    assert TryLater(exchange) != TryLater(exchange, everybody_waits=True)


def test_a_password_for_the_host_in_netrc_does_not_take_the_place_of_the_key(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    accepted = notify.send(PAYLOAD)
    assert isinstance(accepted, Accepted)
    assert isinstance(notify.look_up(accepted.notify_id), Found)


def test_a_redirect_takes_the_email_nowhere_else(sandbox: Sandbox) -> None:
    for status in (301, 302, 303, 307, 308):
        sandbox.add_fault(status=status, location="/v2/notifications/email")
        outcome = notify.send(PAYLOAD)
        assert summary(outcome) == ("Unclear", False)
        assert outcome.exchange.http_status == status
    assert [request["method"] for request in sandbox.requests()] == ["POST"] * 5
    assert sandbox.emails() == []


def test_an_email_can_be_asked_for_as_its_recipient_sees_it(sandbox: Sandbox) -> None:
    accepted = notify.send(PAYLOAD)
    assert isinstance(accepted, Accepted)
    text = notify.text_of(accepted.notify_id)
    assert isinstance(text, Text)
    (held,) = sandbox.emails()
    assert (text.subject, text.body) == (held["subject"], held["body"])
    assert "Amala" in text.body
    assert accepted.subject == text.subject
    assert "Amala" not in repr((accepted, text))


def test_an_email_can_be_previewed_without_being_sent(sandbox: Sandbox) -> None:
    text = notify.preview(defaults.TEMPLATE_ID, {"name": "Amala"})
    assert isinstance(text, Text)
    assert "Amala" in text.body
    assert sandbox.emails() == []


def test_half_a_surrogate_pair_in_an_email_does_not_keep_it_from_being_shown(sandbox: Sandbox) -> None:
    sandbox.add_fault(on="GET", status=200, body={"subject": "half \ud800", "body": "\udfff" + "x" * 30_000})
    text = notify.text_of(uuid.uuid4())
    assert isinstance(text, Text)
    assert (text.subject, text.body) == ("half ?", "?" + "x" * 30_000)


def test_what_notify_says_instead_of_a_preview_is_no_answer(sandbox: Sandbox) -> None:
    refused = notify.preview(defaults.TEMPLATE_ID, None)
    assert isinstance(refused, NoAnswer)
    assert (refused.exchange.http_status, refused.exchange.message) == (400, "Missing personalisation: name")
    unknown = notify.text_of(uuid.uuid4())
    assert isinstance(unknown, NoAnswer)
    assert unknown.exchange.http_status == 404
    sandbox.add_fault(on="GET", status=200, body=[])
    assert isinstance(notify.text_of(uuid.uuid4()), NoAnswer)
