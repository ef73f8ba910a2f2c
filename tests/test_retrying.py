"""When an email is tried again, to the second, and when it is given up. The clock is moved, nothing is waited for."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pytest_django import Settings

from django_govuk_notify_outbox import delivery, sync
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock

pytestmark = pytest.mark.django_db

#: The ways in which an attempt can fail for sure, so that the intervals alone say when the next follows.
#: Notify's own 500 counts too: it had finished, so asking it settles the attempt at once.
SERVER_ERROR: dict[str, Any] = {
    "status": 500,
    "body": {"errors": [{"error": "OperationalError", "message": "Internal server error"}], "status_code": 500},
}
DEFAULT_INTERVALS = [5, 10, 60, 120, 240, 480, 960, 1920]


def new_email() -> EmailMessage:
    return send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})


def posts(sandbox: Sandbox) -> int:
    return sum(request["method"] == "POST" for request in sandbox.requests())


def nothing_listens(settings: Settings) -> None:
    """From now on connections to Notify are refused."""
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://127.0.0.1:9"


def times_of_attempts(email: EmailMessage, clock: Clock) -> list[float]:
    """Go from one due moment to the next until there is none; seconds from creation at which attempts were made."""
    times: list[float] = []
    while True:
        email.refresh_from_db()
        if email.due_at is None:
            return times
        if email.attempts:
            # A second too early: nothing may happen
            clock.move_to(email.due_at - dt.timedelta(seconds=1))
            before = EmailMessage.objects.filter(pk=email.pk).values()[0]
            sync.run()
            assert EmailMessage.objects.filter(pk=email.pk).values()[0] == before
            clock.move(1)
        attempts = email.attempts
        delivery.deliver(email.pk)
        email.refresh_from_db()
        if email.attempts > attempts:
            times.append((clock.now - email.created_at).total_seconds())


def test_attempts_follow_the_intervals_of_the_settings_and_then_the_email_has_failed(
    clock: Clock, sandbox: Sandbox, settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = [3, 7, 20]
    nothing_listens(settings)
    email = new_email()
    assert times_of_attempts(email, clock) == [0, 3, 10, 30]
    assert email.status == Status.FAILED_SEND_TO_NOTIFY
    assert (email.attempts, email.due_at, email.unclear_until) == (4, None, None)
    assert [event.outcome for event in email.events.all()] == ["try-later"] * 4


def test_server_errors_of_notify_are_retried_at_the_same_moments(
    clock: Clock, sandbox: Sandbox, settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = [3, 7]
    sandbox.add_fault(times=9, **SERVER_ERROR)
    email = new_email()
    assert times_of_attempts(email, clock) == [0, 3, 10]
    assert email.status == Status.FAILED_SEND_TO_NOTIFY
    assert posts(sandbox) == 3
    assert sandbox.emails() == []


def test_by_default_attempts_follow_the_documented_intervals_and_end_after_an_hour(
    clock: Clock, sandbox: Sandbox, settings: Settings
) -> None:
    nothing_listens(settings)
    email = new_email()
    assert times_of_attempts(email, clock) == [0, 5, 15, 75, 195, 435, 915, 1875]
    assert email.status == Status.FAILED_SEND_TO_NOTIFY
    # The next would have been due at 3,795 seconds: the hour ends first
    assert email.status_changed_at == email.created_at + dt.timedelta(seconds=3600)
    assert email.events.last().kind == "abandoned"  # type: ignore[union-attr]  # there are nine


def test_with_more_time_the_intervals_end_first(clock: Clock, sandbox: Sandbox, settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_ABANDON_AFTER = 4000
    nothing_listens(settings)
    email = new_email()
    assert times_of_attempts(email, clock) == [0, 5, 15, 75, 195, 435, 915, 1875, 3795]
    assert email.status_changed_at == email.created_at + dt.timedelta(seconds=3795)
    assert [event.kind for event in email.events.all()] == ["attempt"] * 9


def test_without_intervals_there_is_one_attempt(clock: Clock, sandbox: Sandbox, settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = []
    nothing_listens(settings)
    email = new_email()
    assert times_of_attempts(email, clock) == [0]
    assert (email.status, email.attempts) == (Status.FAILED_SEND_TO_NOTIFY, 1)


def test_without_intervals_an_unclear_attempt_is_asked_about_before_it_counts_as_failed(
    clock: Clock, sandbox: Sandbox, settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = []
    sandbox.add_fault(**SERVER_ERROR)
    email = new_email()
    delivery.deliver(email.pk)
    email.refresh_from_db()
    assert email.status == Status.RETRYING_SEND_TO_NOTIFY
    clock.move_to(email.due_at)
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.FAILED_SEND_TO_NOTIFY
    assert [event.outcome for event in email.events.all()] == ["unclear", "not-found"]
    assert posts(sandbox) == 1


@pytest.mark.parametrize(("away", "status"), [(3599, Status.SENT_TO_NOTIFY), (3600, Status.FAILED_SEND_TO_NOTIFY)])
def test_an_email_whose_worker_was_away_for_too_long_is_abandoned_and_not_sent(
    clock: Clock, sandbox: Sandbox, away: int, status: Status
) -> None:
    email = new_email()
    clock.move(away)
    sync.run()
    email.refresh_from_db()
    assert email.status == status
    assert len(sandbox.emails()) == (status == Status.SENT_TO_NOTIFY)


def test_a_push_that_arrives_too_late_sends_nothing(clock: Clock, sandbox: Sandbox, settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_ABANDON_AFTER = 60
    email = new_email()
    clock.move(60)
    delivery.deliver(email.pk)
    email.refresh_from_db()
    assert (email.status, email.attempts) == (Status.FAILED_SEND_TO_NOTIFY, 0)
    assert [event.kind for event in email.events.all()] == ["abandoned"]
    assert posts(sandbox) == 0


def test_an_unclear_email_is_not_abandoned_before_its_fate_is_known(
    clock: Clock, sandbox: Sandbox, settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_ABANDON_AFTER = 60
    sandbox.add_fault(accept=True, cut=True)
    sandbox.add_fault(on="GET", **SERVER_ERROR)
    email = new_email()
    delivery.deliver(email.pk)
    clock.move(120)
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.RETRYING_SEND_TO_NOTIFY
    clock.move_to(email.due_at)
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.NOTIFY_DELIVERED
    assert [event.outcome for event in email.events.all()] == ["unclear", "no-answer", "found"]
    assert len(sandbox.emails()) == 1


def test_an_unclear_email_that_notify_does_not_have_is_given_up_once_its_time_is_over(
    clock: Clock, sandbox: Sandbox, settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_ABANDON_AFTER = 60
    sandbox.add_fault(cut=True)
    email = new_email()
    delivery.deliver(email.pk)
    clock.move(60)
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.RETRYING_SEND_TO_NOTIFY
    clock.move(70)
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.FAILED_SEND_TO_NOTIFY
    assert [event.outcome for event in email.events.all()] == ["unclear", "not-found-yet", "not-found"]
    assert posts(sandbox) == 1
