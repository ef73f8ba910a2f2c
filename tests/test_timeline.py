"""What happened to an email, in order, in words, and how long after what happened before."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from django_govuk_notify_outbox import timeline, wording
from django_govuk_notify_outbox.events import Kind, Outcome, Source
from django_govuk_notify_outbox.masking import Sight
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import MakeEmail

EVERYTHING = Sight(contents=True)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a second"),
        (0.99, "less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (125, "2 minutes 5 seconds"),
        (3600, "1 hour"),
        (3661, "1 hour 1 minute"),
        (86_400, "1 day"),
        (200_000, "2 days 7 hours"),
    ],
)
def test_time_is_told_as_people_say_it(seconds: float, words: str) -> None:
    assert wording.passed(seconds) == words


def add(email: EmailMessage, moment: dt.datetime, outcome: Outcome) -> None:
    EmailMessageEvent.objects.create(
        email_message=email,
        kind=Kind.ATTEMPT,
        source=Source.SENDING,
        outcome=outcome,
        attempt=1,
        status=email.status,
        previous_status=email.status,
        created_at=moment,
    )


@pytest.mark.django_db
def test_each_entry_tells_the_time_since_the_one_before(make_email: MakeEmail) -> None:
    now = timezone.now()
    email = make_email(Status.RETRYING_SEND_TO_NOTIFY, created_at=now)
    for seconds in (3, 63, 60):
        # The last one was written by a host whose clock is late
        add(email, now + dt.timedelta(seconds=seconds), Outcome.TRY_LATER)
    assert [entry.passed for entry in timeline.entries(email, EVERYTHING)] == [
        "3 seconds",
        "1 minute",
        "less than a second",
    ]


@pytest.mark.django_db
def test_an_email_that_may_have_arrived_twice_is_worrying_though_it_was_delivered(make_email: MakeEmail) -> None:
    email = make_email(Status.NOTIFY_DELIVERED)
    add(email, timezone.now(), Outcome.ACCEPTED)
    add(email, timezone.now(), Outcome.ACCEPTED_AGAIN)
    assert [entry.mood for entry in timeline.entries(email, EVERYTHING)] == ["good", "worrying"]


@pytest.mark.parametrize(("number", "left_out"), [(499, 0), (500, 0), (501, 1), (520, 20)])
def test_of_very_much_the_beginning_and_the_end_are_told_and_how_much_is_left_out(
    make_email: MakeEmail, number: int, left_out: int
) -> None:
    email = make_email()
    EmailMessageEvent.objects.bulk_create(
        EmailMessageEvent(
            email_message=email,
            kind=Kind.ATTEMPT,
            source=Source.SENDING,
            outcome=Outcome.LIMITED,
            attempt=attempt,
            status=email.status,
            previous_status=email.status,
        )
        for attempt in range(number)
    )
    told = timeline.entries(email, EVERYTHING)
    assert [entry.event.attempt for entry in told] == [
        *range(50 if left_out else number - 450),
        *range(number - 450, number),
    ]
    # It is said right before the first of the newest
    expected = [(number - 450, left_out)] if left_out else []
    assert [(entry.event.attempt, entry.left_out) for entry in told if entry.left_out] == expected
