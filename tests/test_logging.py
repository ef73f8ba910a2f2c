"""One line in the log for each thing that happens, at the level that an engineer on call would choose."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import pytest
from pytest_django import Settings

from django_govuk_notify_outbox import delivery, reports, sync, transitions
from django_govuk_notify_outbox.outcomes import Exchange
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock, MakeEmail
from tests.test_retrying import SERVER_ERROR
from tests.test_transitions import NOTIFY_ID, claim_for, notification

pytestmark = pytest.mark.django_db


def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What the library said."""
    return [record for record in caplog.records if record.name.startswith("django_govuk_notify_outbox")]


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and text of what the library said, each of which carries the row's number, which is left out here."""
    told = []
    for record in records(caplog):
        email = f"Email {record.__dict__['email_message_pk']}: "
        assert email in record.getMessage()
        told.append((record.levelname, record.getMessage().replace(email, "")))
    return told


#: What Notify answers to a host whose clock is wrong, and to a key that it does not know.
WRONG_CLOCK = "Error: Your system clock must be accurate to within 30 seconds"
WRONG_KEY = "Invalid token: API key not found"


def forbidden(message: str) -> dict[str, Any]:
    """A fault: Notify does not let us in."""
    return {"status": 403, "body": {"errors": [{"error": "AuthError", "message": message}], "status_code": 403}}


def test_an_email_that_goes_well_is_told_at_level_info(
    clock: Clock, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    delivery.deliver(send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"}).pk)
    clock.move(60)
    sync.run()
    assert lines(caplog) == [
        ("INFO", "attempt accepted, status sent-to-notify"),
        ("INFO", "report delivered, status notify-delivered"),
    ]


def test_what_may_mend_itself_is_a_warning(clock: Clock, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    sandbox.add_fault(**SERVER_ERROR)
    email = send_email_notification("perm-fail@simulator.notify", defaults.TEMPLATE_ID, {"name": "Amala"})
    delivery.deliver(email.pk)
    for _ in range(2):
        clock.move(60)
        sync.run()
    assert lines(caplog) == [
        ("WARNING", "RETRY: attempt unclear, status retrying-send-to-notify"),
        ("WARNING", "question not-found, status retrying-send-to-notify"),
        ("WARNING", "report permanent-failure, status notify-permanent-failure"),
    ]


def test_an_email_that_notify_never_took_is_an_error(
    clock: Clock, sandbox: Sandbox, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    delivery.deliver(send_email_notification(ADDRESS, defaults.TEMPLATE_ID).pk)
    late = send_email_notification(ADDRESS, defaults.TEMPLATE_ID)
    clock.move(3600)
    delivery.deliver(late.pk)
    assert lines(caplog) == [
        ("ERROR", "attempt refused, status failed-send-to-notify"),
        ("ERROR", "RETRY FAILED: abandoned, status failed-send-to-notify"),
    ]


def test_lines_of_tries_that_others_follow_begin_with_retry_and_of_the_last_with_retry_failed(
    clock: Clock, sandbox: Sandbox, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = [10]
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
    sandbox.add_fault(status=429)
    delivery.deliver(email.pk)
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://127.0.0.1:9"
    for _ in range(2):
        clock.move(10)
        delivery.deliver(email.pk)
    assert lines(caplog) == [
        ("WARNING", "RETRY: attempt limited, status sending-to-notify"),
        ("WARNING", "RETRY: attempt try-later, status retrying-send-to-notify"),
        ("ERROR", "RETRY FAILED: attempt try-later, status failed-send-to-notify"),
    ]
    assert [record.getMessage().partition(":")[0] for record in records(caplog)] == ["RETRY", "RETRY", "RETRY FAILED"]


def test_questions_and_look_ups_without_an_answer_are_retries_too(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, caplog: pytest.LogCaptureFixture
) -> None:
    unclear = make_email(Status.RETRYING_SEND_TO_NOTIFY, unclear_until=clock.now)
    sandbox.add_fault(on="GET", status=500)
    delivery.deliver(unclear.pk)
    sent = make_email(Status.SENT_TO_NOTIFY)
    sandbox.add_fault(on="GET", status=500)
    sync.run()
    assert lines(caplog) == [
        ("WARNING", "RETRY: question no-answer, status retrying-send-to-notify"),
        (
            "WARNING",
            "RETRY: Notify did not say what became of it (notifications_python_client.errors.HTTPError)",
        ),
    ]
    fields = records(caplog)[1].__dict__
    assert fields["notify_id"] == str(sent.notify_id)
    assert (fields["status"], fields["http_status"]) == ("sent-to-notify", 500)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (forbidden(WRONG_KEY), "key"),
        (forbidden(WRONG_CLOCK), "clock"),
        ({"status": 401}, "key"),
        ({"status": 404}, "address"),
    ],
)
def test_what_stops_every_email_until_somebody_acts_is_an_error_at_once(
    clock: Clock, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, fault: dict[str, Any], cause: str
) -> None:
    sandbox.add_fault(**fault)
    delivery.deliver(send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"}).pk)
    assert lines(caplog) == [("ERROR", f"RETRY: attempt try-later ({cause}), status retrying-send-to-notify")]
    assert records(caplog)[0].__dict__["cause"] == cause


def test_a_key_that_is_missing_is_an_error_at_once(
    clock: Clock, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = None
    delivery.deliver(email.pk)
    assert lines(caplog) == [("ERROR", "RETRY: attempt try-later (settings), status retrying-send-to-notify")]


def test_each_line_has_the_facts_as_fields(clock: Clock, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
    delivery.deliver(email.pk)
    clock.move(60)
    sync.run()
    email.refresh_from_db()
    ours = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
    accepted, delivered = (
        {name: value for name, value in record.__dict__.items() if name not in ours} for record in records(caplog)
    )
    assert accepted == {
        "email_message_pk": email.pk,
        "notify_id": str(email.notify_id),
        "kind": "attempt",
        "outcome": "accepted",
        "cause": None,
        "previous_status": "sending-to-notify",
        "status": "sent-to-notify",
        "source": "sending",
        "notify_status": "",
        "attempt": 1,
        "http_status": 201,
        "error_type": "",
        "exception": "",
        # The clock of this test stands still
        "duration": None,
    }
    assert delivered == {
        **accepted,
        "kind": "report",
        "outcome": "",
        "previous_status": "sent-to-notify",
        "status": "notify-delivered",
        "source": "look-up",
        "notify_status": "delivered",
        "attempt": None,
        "http_status": 200,
    }


def test_lines_about_emails_of_a_page_have_their_notify_ids(
    make_email: MakeEmail, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    emails = [make_email(Status.SENT_TO_NOTIFY) for _ in range(3)]
    page = {email.notify_id: notification("delivered") for email in emails if email.notify_id}
    reports.record_page(emails, page, Exchange(duration=0.25))
    told = {record.__dict__["email_message_pk"]: record.__dict__["notify_id"] for record in records(caplog)}
    assert told == {email.pk: str(email.notify_id) for email in emails}
    assert [record.__dict__["duration"] for record in records(caplog)] == [0.25] * 3


def test_an_email_that_was_accepted_twice_is_an_error(make_email: MakeEmail, caplog: pytest.LogCaptureFixture) -> None:
    transitions.record_accepted(claim_for(make_email(Status.NOTIFY_DELIVERED)), NOTIFY_ID, Exchange())
    assert lines(caplog) == [("ERROR", "attempt accepted-again, status notify-delivered")]
    assert uuid.UUID(records(caplog)[0].__dict__["notify_id"]) == NOTIFY_ID


def test_a_status_that_notify_has_added_is_named_once(make_email: MakeEmail, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    email = make_email(Status.SENT_TO_NOTIFY)
    for _ in range(3):
        reports.record_report(email, notification("teleported"), Exchange())
    assert lines(caplog) == [("INFO", "report teleported, status sent-to-notify")]
