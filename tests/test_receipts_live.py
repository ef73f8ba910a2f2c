"""Delivery receipts that the sandbox posts to a server over HTTP, many at once, and with the database in the way."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from django.db import connection, connections
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from django_govuk_notify_outbox import delivery, moments, receipts, sync
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock, MakeEmail
from tests.test_receipts import DELIVERED, PATH, SENT, TOKEN, events, post, receipt_of, receipts_on, row, unclear
from tests.test_retrying import posts

__all__ = ["receipts_on"]

pytestmark = [
    pytest.mark.urls("tests.receipt_urls"),
    pytest.mark.usefixtures("receipts_on"),
    pytest.mark.django_db(transaction=True),
]


def new_email(**arguments: Any) -> EmailMessage:
    return send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"}, **arguments)


def post_over_http(server: LiveServer, values: dict[str, Any]) -> int:
    """The status that a receipt is answered with, posted as Notify would post it."""
    request = Request(server.url + PATH, json.dumps(values).encode())
    request.add_header("Authorization", f"Bearer {TOKEN}")
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


# --- As the sandbox posts them -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (ADDRESS, "notify-delivered"),
        ("perm-fail@simulator.notify", "notify-permanent-failure"),
        ("temp-fail@simulator.notify", "notify-temporary-failure"),
    ],
)
def test_a_receipt_tells_of_an_emails_fate_before_anybody_has_asked(
    live_server: LiveServer, clock: Clock, sandbox: Sandbox, address: str, status: str
) -> None:
    sandbox.set_callback(live_server.url + PATH, TOKEN)
    email = send_email_notification(address, defaults.TEMPLATE_ID, {"name": "Amala"})
    delivery.deliver(email.pk)
    clock.move(3)
    sandbox.post_receipts()
    email.refresh_from_db()
    assert (email.status, email.due_at) == (status, None)
    assert [event[:3] for event in events(email)] == [("attempt", "accepted", "sending"), ("report", "", "receipt")]
    assert [receipt["outcome"] for receipt in sandbox.receipts()] == ["204"]
    assert [request["method"] for request in sandbox.requests()] == ["POST"]


@pytest.mark.parametrize("wrong", ["token", "no token", "database"])
def test_a_receipt_that_could_not_be_taken_comes_again_unless_the_token_was_wrong(
    live_server: LiveServer, clock: Clock, sandbox: Sandbox, settings: Settings, wrong: str
) -> None:
    sandbox.set_callback(live_server.url + PATH, "another-token" if wrong == "token" else TOKEN)
    if wrong == "no token":
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS = []
    email = new_email()
    delivery.deliver(email.pk)
    table = EmailMessage._meta.db_table
    if wrong == "database":
        with connection.schema_editor() as editor:
            editor.alter_db_table(EmailMessage, table, "elsewhere")
    try:
        clock.move(3)
        sandbox.post_receipts()
    finally:
        if wrong == "database":
            with connection.schema_editor() as editor:
                editor.alter_db_table(EmailMessage, "elsewhere", table)
    assert row(email)["status"] == SENT
    expected = {"token": "403", "no token": "503", "database": "500"}[wrong]
    assert [(receipt["attempts"], receipt["outcome"]) for receipt in sandbox.receipts()] == [(1, expected)]
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS = [TOKEN]
    clock.move(300)
    sandbox.post_receipts()
    assert row(email)["status"] == (SENT if wrong == "token" else DELIVERED)
    # What no receipt tells, a look-up does
    clock.move(1800)
    sync.run()
    assert row(email)["status"] == DELIVERED


def test_a_receipt_that_comes_before_the_answer_settles_the_email_and_the_answer_changes_nothing(
    live_server: LiveServer, sandbox: Sandbox
) -> None:
    sandbox.set_timing(sending_after=0, final_after=0)
    sandbox.set_callback(live_server.url + PATH, TOKEN)
    # By the clock of the wall, since the sandbox posts the receipt while the worker waits
    sandbox.add_fault(accept=True, delay=1.5)
    email = new_email()
    delivery.deliver(email.pk)
    assert [event[:3] for event in events(email)] == [("report", "found", "receipt")]
    email.refresh_from_db()
    [accepted] = sandbox.emails()
    assert (email.status, str(email.notify_id), email.attempts) == (DELIVERED, accepted["id"], 1)
    assert [request["status"] for request in sandbox.requests()] == [201]


@pytest.mark.parametrize("reference", [None, "the caller's"])
def test_a_receipt_settles_an_email_whose_answer_was_lost_and_it_is_neither_asked_about_nor_sent_again(
    live_server: LiveServer, clock: Clock, sandbox: Sandbox, reference: str | None
) -> None:
    sandbox.set_callback(live_server.url + PATH, TOKEN)
    sandbox.add_fault(accept=True, cut=True)
    email = new_email(reference=reference)
    delivery.deliver(email.pk)
    clock.move(3)
    sandbox.post_receipts()
    for _ in range(30):
        clock.move(10)
        sync.run()
    assert [event[:3] for event in events(email)] == [("attempt", "unclear", "sending"), ("report", "found", "receipt")]
    assert row(email)["status"] == DELIVERED
    assert [request["method"] for request in sandbox.requests()] == ["POST"]
    assert len(sandbox.emails()) == 1


def test_receipts_and_polling_settle_a_batch_with_lost_answers_and_one_reference_once_each(
    live_server: LiveServer, clock: Clock, sandbox: Sandbox
) -> None:
    sandbox.set_callback(live_server.url + PATH, TOKEN)
    emails = [new_email(reference="batch") for _ in range(4)]
    for email in emails:
        sandbox.add_fault(accept=True, cut=True)
        delivery.deliver(email.pk)
    clock.move(3)
    for _ in range(40):
        sandbox.post_receipts()
        clock.move(10)
        sync.run()
    assert posts(sandbox) == len(sandbox.emails()) == 4
    rows = EmailMessage.objects.all()
    assert {str(each.notify_id) for each in rows} == {accepted["id"] for accepted in sandbox.emails()}
    assert [each.status for each in rows] == [DELIVERED] * 4


# --- Many at once --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sent", "unclear"])
def test_the_same_receipt_many_times_at_once_is_told_once(
    live_server: LiveServer, make_email: MakeEmail, kind: str
) -> None:
    email = make_email(SENT) if kind == "sent" else unclear(make_email)
    values = receipt_of(email)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: post_over_http(live_server, values), range(16)))
    assert answers == [204] * 16
    assert len(events(email)) == 1
    assert row(email)["status"] == DELIVERED


def test_different_receipts_at_once_for_one_email_give_it_one_fate(
    live_server: LiveServer, make_email: MakeEmail
) -> None:
    for _ in range(5):
        email = make_email(SENT)
        words = ["delivered", "permanent-failure", "sending", "temporary-failure"] * 2
        different = [receipt_of(email, status=word) for word in words]
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda values: post_over_http(live_server, values), different))
        assert answers == [204] * 8
        fates = [event[4] for event in events(email) if event[4] != Status.NOTIFY_SENDING]
        assert fates == [row(email)["status"]]


def test_receipts_of_a_batch_at_once_never_give_two_emails_one_notification(
    live_server: LiveServer, make_email: MakeEmail
) -> None:
    emails = [unclear(make_email, email_address=f"{number}@example.com", reference="batch") for number in range(12)]
    receipts_of_all = [receipt_of(email) for email in emails] * 2
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda values: post_over_http(live_server, values), receipts_of_all))
    assert answers == [204] * 24
    assert [str(row(email)["notify_id"]) for email in emails] == [values["id"] for values in receipts_of_all[:12]]
    assert EmailMessageEvent.objects.count() == 12


# --- The database --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sent", "unclear"])
def test_it_works_in_the_requests_transaction(
    make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    email = make_email(SENT) if kind == "sent" else unclear(make_email)
    assert post(receipt_of(email)).status_code == 204
    assert row(email)["status"] == DELIVERED


def test_a_notification_that_another_email_takes_does_not_break_the_requests_transaction(
    make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    email = unclear(make_email)
    before, values = row(email), receipt_of(email)
    holder = make_email(SENT, notify_id=uuid.UUID(values["id"]))
    # As if the holder had come to it only after this look
    looks = iter([email])
    look = receipts._email_of
    monkeypatch.setattr(receipts, "_email_of", lambda receipt: next(looks, None) or look(receipt))
    assert post(values).status_code == 204
    assert row(email) == before
    assert row(holder)["status"] == DELIVERED


def test_a_database_that_fails_is_an_error_of_the_server_so_that_notify_comes_again(make_email: MakeEmail) -> None:
    values = receipt_of(make_email(SENT))
    table = EmailMessageEvent._meta.db_table
    with connection.schema_editor() as editor:
        editor.alter_db_table(EmailMessageEvent, table, "elsewhere")
    try:
        answer = post(values, client=Client(raise_request_exception=False))
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(EmailMessageEvent, "elsewhere", table)
    assert answer.status_code == 500
    # Neither the change nor its event
    assert EmailMessage.objects.get().status == SENT
    assert post(values).status_code == 204


@pytest.mark.parametrize("kind", ["sent", "unclear"])
def test_a_project_without_time_zones_takes_receipts_too(make_email: MakeEmail, settings: Settings, kind: str) -> None:
    settings.USE_TZ = False
    email = make_email(SENT) if kind == "sent" else unclear(make_email)
    assert timezone.is_naive(email.created_at)
    assert receipt_of(email)["created_at"] == moments.aware(email.attempt_started_at or email.created_at).isoformat()
    assert post(receipt_of(email)).status_code == 204
    assert row(email)["status"] == DELIVERED
