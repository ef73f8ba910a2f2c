"""Notify is down, or unclear, for longer than an email has."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from django_govuk_notify_outbox import delivery, sync
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import Clock
from tests.faults.conftest import Aftermath, story
from tests.faults.test_answers import HTML, new_email
from tests.test_retrying import posts

pytestmark = pytest.mark.django_db


def test_an_outage_longer_than_its_time_abandons_an_email_but_not_before_its_fate_is_known(
    clock: Clock, sandbox: Sandbox
) -> None:
    first, second = new_email(), new_email()
    sandbox.add_fault(status=502, body=HTML, times=1000)
    sandbox.add_fault(on="GET", status=502, body=HTML, times=1000)
    delivery.deliver(first.pk)
    for _ in range(2 * 3600 // 60):
        clock.move(60)
        sync.run()
    for email in (first, second):
        email.refresh_from_db()
        # Two hours on, twice its time, nobody knows whether Notify has it
        assert email.status == Status.RETRYING_SEND_TO_NOTIFY
        assert {event.outcome for event in email.events.all()} == {"unclear", "no-answer"}
    sandbox.clear_faults()
    Aftermath(clock).settle()
    for email in (first, second):
        email.refresh_from_db()
        assert email.status == Status.FAILED_SEND_TO_NOTIFY
        assert email.events.latest("pk").outcome == "not-found"
    assert sandbox.emails() == []


def test_an_outage_without_a_connection_abandons_an_email_when_its_time_is_over(
    clock: Clock, sandbox: Sandbox, settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://127.0.0.1:9"
    email = new_email()
    Aftermath(clock).settle()
    email.refresh_from_db()
    assert email.status == Status.FAILED_SEND_TO_NOTIFY
    last = email.events.latest("pk")
    assert (last.kind, (last.created_at - email.created_at).total_seconds()) == ("abandoned", 3600)
    assert {event.outcome for event in email.events.exclude(pk=last.pk)} == {"try-later"}
    assert sandbox.requests() == []


def test_an_unclear_attempt_is_asked_about_when_the_emails_time_is_over_and_not_an_interval_later(
    clock: Clock, sandbox: Sandbox, settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = [1800]
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_ABANDON_AFTER = 600
    sandbox.add_fault(cut=True)
    email = new_email()
    delivery.deliver(email.pk)
    Aftermath(clock).settle()
    assert story(email, email.created_at) == [(0, "unclear"), (600, "not-found")]
    email.refresh_from_db()
    assert email.status == Status.FAILED_SEND_TO_NOTIFY
    assert posts(sandbox) == 1
