"""One line in the log for each thing that happens, at the level that an engineer on call would choose."""

from __future__ import annotations

import logging

import pytest
from pytest_django import Settings

from django_govuk_notify_outbox import delivery, sync, transitions
from django_govuk_notify_outbox.outcomes import Exchange
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock, MakeEmail
from tests.test_retrying import SERVER_ERROR
from tests.test_transitions import NOTIFY_ID, claim_for, notification

pytestmark = pytest.mark.django_db


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and text of what the library said, each of which carries the row's number."""
    records = [record for record in caplog.records if record.name.startswith("django_govuk_notify_outbox")]
    for record in records:
        assert record.getMessage().startswith(f"Email {record.__dict__['email_message_pk']}: ")
    return [(record.levelname, record.getMessage().partition(": ")[2]) for record in records]


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
        ("WARNING", "attempt unclear, status retrying-send-to-notify"),
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
        ("ERROR", "abandoned, status failed-send-to-notify"),
    ]


def test_an_email_that_was_accepted_twice_is_an_error(make_email: MakeEmail, caplog: pytest.LogCaptureFixture) -> None:
    transitions.record_accepted(claim_for(make_email(Status.NOTIFY_DELIVERED)), NOTIFY_ID, Exchange())
    assert lines(caplog) == [("ERROR", "attempt accepted-again, status notify-delivered")]


def test_a_status_that_notify_has_added_is_named_once(make_email: MakeEmail, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    email = make_email(Status.SENT_TO_NOTIFY)
    for _ in range(3):
        transitions.record_report(email, notification("teleported"), Exchange())
    assert lines(caplog) == [("INFO", "report teleported, status sent-to-notify")]
