"""Emails by what people mean: exactly these, and no others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from django.utils import timezone
from freezegun import freeze_time

from django_govuk_notify_outbox.admin_filters import PARTS, STATES
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageQuerySet
from django_govuk_notify_outbox.states import FAILED_LATELY, TOO_LATE
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import MakeEmail

pytestmark = pytest.mark.django_db

SECOND = dt.timedelta(seconds=1)
AT_NOTIFY = {Status.NOTIFY_TEMPORARY_FAILURE, Status.NOTIFY_TECHNICAL_FAILURE, Status.NOTIFY_PERMANENT_FAILURE}
FAILURES = AT_NOTIFY | {Status.FAILED_SEND_TO_NOTIFY}
OPEN = {
    Status.SENDING_TO_NOTIFY,
    Status.RETRYING_SEND_TO_NOTIFY,
    Status.SENT_TO_NOTIFY,
    Status.NOTIFY_CREATED,
    Status.NOTIFY_SENDING,
}


@pytest.fixture(autouse=True)
def _noon() -> Iterator[None]:
    with freeze_time("2026-11-22T12:00:00Z"):
        yield


def statuses(emails: EmailMessageQuerySet) -> set[str]:
    found = [email.status for email in emails]
    assert len(found) == len(set(found))
    return set(found)


def test_every_status_has_the_meaning_that_people_give_it(make_email: MakeEmail) -> None:
    later = timezone.now() + SECOND
    for status in Status:
        make_email(status, due_at=later if status in OPEN else None)
    emails = EmailMessage.objects
    assert statuses(emails.on_its_way()) == OPEN
    assert statuses(emails.delivered()) == {Status.NOTIFY_DELIVERED}
    assert statuses(emails.failed_before_notify()) == {Status.FAILED_SEND_TO_NOTIFY}
    assert statuses(emails.failed_at_notify()) == AT_NOTIFY
    assert statuses(emails.needs_attention()) == FAILURES
    assert statuses(emails.overdue()) == set()


def test_an_email_is_overdue_from_the_moment_it_is_due(make_email: MakeEmail) -> None:
    now = timezone.now()
    due = make_email(due_at=now)
    make_email(due_at=now + SECOND)
    make_email(Status.NOTIFY_DELIVERED)
    long_due = make_email(Status.NOTIFY_SENDING, due_at=now - FAILED_LATELY)
    assert {email.pk for email in EmailMessage.objects.overdue()} == {due.pk, long_due.pk}


@pytest.mark.parametrize("status", sorted(FAILURES))
def test_a_failure_needs_attention_for_a_week(make_email: MakeEmail, status: Status) -> None:
    now = timezone.now()
    just = make_email(status, created_at=now - FAILED_LATELY)
    make_email(status, created_at=now - FAILED_LATELY - SECOND)
    assert [email.pk for email in EmailMessage.objects.needs_attention()] == [just.pk]


@pytest.mark.parametrize("status", sorted(OPEN))
def test_an_email_overdue_for_more_than_five_minutes_needs_attention_however_old(
    make_email: MakeEmail, status: Status
) -> None:
    now = timezone.now()
    make_email(status, due_at=now - TOO_LATE)
    late = make_email(status, due_at=now - TOO_LATE - SECOND, created_at=now - 10 * FAILED_LATELY)
    assert [email.pk for email in EmailMessage.objects.needs_attention()] == [late.pk]


def test_what_somebody_stopped_needs_no_attention_unless_it_hangs(make_email: MakeEmail) -> None:
    make_email(Status.FAILED_SEND_TO_NOTIFY, is_stopped=True)
    make_email(Status.NOTIFY_PERMANENT_FAILURE, is_stopped=True)
    hangs = make_email(is_stopped=True, due_at=timezone.now() - TOO_LATE - SECOND)
    assert [email.pk for email in EmailMessage.objects.needs_attention()] == [hangs.pk]


def test_these_questions_can_be_combined_with_others(make_email: MakeEmail) -> None:
    mine = make_email(Status.NOTIFY_DELIVERED, email_address="a@example.com")
    make_email(Status.NOTIFY_DELIVERED)
    assert [email.pk for email in EmailMessage.objects.delivered().with_address("a@example.com")] == [mine.pk]
    assert [email.pk for email in EmailMessage.objects.with_address("a@example.com").delivered()] == [mine.pk]


@pytest.mark.parametrize("state", sorted(PARTS))
def test_the_parts_of_a_state_are_the_whole_of_it(make_email: MakeEmail, state: str) -> None:
    now = timezone.now()
    for status in Status:
        for created_at in (now, now - FAILED_LATELY, now - FAILED_LATELY - SECOND):
            for due_at in (None, now, now - TOO_LATE, now - TOO_LATE - SECOND, now + SECOND):
                make_email(status, created_at=created_at, due_at=due_at)
                make_email(status, created_at=created_at, due_at=due_at, is_stopped=True)
    _words, narrow = STATES[state]
    whole = narrow(EmailMessage.objects.all())
    assert whole.exists()
    assert set(EmailMessage.objects.first_of(PARTS[state](), 1_000)) == set(whole)
    assert set(whole.first_of(PARTS[state](), 1_000)) == set(whole)


def test_of_each_part_the_first_are_found_and_no_more(make_email: MakeEmail) -> None:
    now = timezone.now()
    emails = {
        status: [make_email(status, created_at=now - number * SECOND, due_at=None) for number in range(3)]
        for status in sorted(AT_NOTIFY)
    }
    found = EmailMessage.objects.first_of(PARTS["failed-at-notify"](), 2)
    assert set(found) == {email for some in emails.values() for email in some[:2]}
    overdue = [make_email(due_at=now - number * SECOND) for number in range(3)]
    assert set(EmailMessage.objects.first_of(PARTS["overdue"](), 2)) == set(overdue[1:])
