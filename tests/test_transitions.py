"""Every transition is tried from every status: those that are allowed move the row, the rest change nothing."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable

import pytest
from django.utils import timezone

from django_govuk_notify_outbox import claims, holds, reports, transitions
from django_govuk_notify_outbox.claims import Claim
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.outcomes import Exchange, Notification
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import ADDRESS, Clock, MakeEmail

NOTHING = Exchange()
NOTIFY_ID = uuid.uuid4()

SENDING, RETRYING, FAILED = (
    Status.SENDING_TO_NOTIFY,
    Status.RETRYING_SEND_TO_NOTIFY,
    Status.FAILED_SEND_TO_NOTIFY,
)
SENT, CREATED, AT_NOTIFY = Status.SENT_TO_NOTIFY, Status.NOTIFY_CREATED, Status.NOTIFY_SENDING
DELIVERED, TEMPORARY, TECHNICAL, PERMANENT = (
    Status.NOTIFY_DELIVERED,
    Status.NOTIFY_TEMPORARY_FAILURE,
    Status.NOTIFY_TECHNICAL_FAILURE,
    Status.NOTIFY_PERMANENT_FAILURE,
)


def claim_for(email: EmailMessage) -> Claim:
    """A claim that fits the row as it is, whatever its status."""
    return Claim(email, email.due_at or timezone.now(), email.attempts, timezone.now())


def notification(status: str) -> Notification:
    return Notification(
        id=NOTIFY_ID, status=status, email_address=ADDRESS, template_id="", created_at=dt.datetime.now(tz=dt.UTC)
    )


def report(status: str) -> Callable[[EmailMessage], bool]:
    return lambda email: reports.record_report(email, notification(status), NOTHING)


#: name, what to call, and which status it leads to from which. From any other status it must change nothing.
TRANSITIONS: list[tuple[str, Callable[[EmailMessage], object], dict[Status, Status]]] = [
    ("claim_attempt", claims.claim_attempt, {SENDING: SENDING, RETRYING: RETRYING}),
    ("claim_question", claims.claim_question, {SENDING: SENDING, RETRYING: RETRYING}),
    (
        "claim_new_attempt",
        lambda email: transitions.claim_new_attempt(claim_for(email), NOTHING),
        {SENDING: RETRYING, RETRYING: RETRYING},
    ),
    (
        "record_accepted",
        lambda email: transitions.record_accepted(claim_for(email), NOTIFY_ID, NOTHING),
        {SENDING: SENT, RETRYING: SENT, FAILED: SENT},
    ),
    (
        "record_refused",
        lambda email: transitions.record_refused(claim_for(email), NOTHING),
        {SENDING: FAILED, RETRYING: FAILED},
    ),
    (
        "record_try_later",
        lambda email: transitions.record_try_later(claim_for(email), NOTHING),
        {SENDING: RETRYING, RETRYING: RETRYING},
    ),
    (
        "record_limited",
        lambda email: transitions.record_limited(claim_for(email), NOTHING, until=timezone.now()),
        {SENDING: SENDING, RETRYING: RETRYING},
    ),
    (
        "record_unclear",
        lambda email: transitions.record_unclear(claim_for(email), NOTHING, finished=False),
        {SENDING: RETRYING, RETRYING: RETRYING},
    ),
    *(
        (
            f"record_found {status}",
            # The status is bound now: the loop moves on
            lambda email, status=status: transitions.record_found(claim_for(email), notification(status), NOTHING),
            {SENDING: becomes, RETRYING: becomes},
        )
        for status, becomes in (
            ("created", CREATED),
            ("sending", AT_NOTIFY),
            ("delivered", DELIVERED),
            ("temporary-failure", TEMPORARY),
            ("technical-failure", TECHNICAL),
            ("permanent-failure", PERMANENT),
            ("something-new", SENT),
        )
    ),
    *(
        (
            f"record_found_by_receipt {word}",
            lambda email, word=word: transitions.record_found_by_receipt(email, notification(word)),
            {SENDING: becomes, RETRYING: becomes, FAILED: becomes},
        )
        for word, becomes in (
            ("delivered", DELIVERED),
            ("temporary-failure", TEMPORARY),
            ("permanent-failure", PERMANENT),
            ("something-new", SENT),
        )
    ),
    (
        "record_not_found_yet",
        lambda email: transitions.record_not_found_yet(claim_for(email), NOTHING, ask_again_at=timezone.now()),
        {SENDING: SENDING, RETRYING: RETRYING},
    ),
    (
        "record_no_answer",
        lambda email: transitions.record_no_answer(claim_for(email), NOTHING),
        {SENDING: SENDING, RETRYING: RETRYING},
    ),
    (
        "record_given_up",
        lambda email: transitions.record_given_up(claim_for(email), NOTHING),
        {SENDING: FAILED, RETRYING: FAILED},
    ),
    ("abandon", transitions.abandon, {SENDING: FAILED, RETRYING: FAILED}),
    ("stop", lambda email: transitions.stop(email, "ann"), {SENDING: FAILED, RETRYING: FAILED}),
    (
        "start_anew",
        lambda email: transitions.start_anew(email, "ann"),
        {FAILED: SENDING, TEMPORARY: SENDING, TECHNICAL: SENDING},
    ),
    (
        "bring_forward",
        lambda email: transitions.bring_forward(email, EmailMessageEvent.Kind.CHECKED, "ann"),
        {status: status for status in (SENDING, RETRYING, SENT, CREATED, AT_NOTIFY)},
    ),
    (
        "schedule_next_look",
        reports.schedule_next_look,
        {SENT: SENT, CREATED: CREATED, AT_NOTIFY: AT_NOTIFY},
    ),
    ("record_report created", report("created"), {SENT: CREATED}),
    ("record_report sending", report("sending"), {SENT: AT_NOTIFY, CREATED: AT_NOTIFY}),
    *(
        (f"record_report {word}", report(word), {SENT: becomes, CREATED: becomes, AT_NOTIFY: becomes})
        for word, becomes in (
            ("delivered", DELIVERED),
            ("temporary-failure", TEMPORARY),
            ("technical-failure", TECHNICAL),
            ("permanent-failure", PERMANENT),
        )
    ),
]


def row(email: EmailMessage) -> dict[str, object]:
    return dict(EmailMessage.objects.filter(pk=email.pk).values()[0])


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize(
    ("act", "moves"), [entry[1:] for entry in TRANSITIONS], ids=[entry[0] for entry in TRANSITIONS]
)
def test_each_transition_moves_the_statuses_it_may_and_no_other(
    make_email: MakeEmail, act: Callable[[EmailMessage], object], moves: dict[Status, Status], status: Status
) -> None:
    email = make_email(status, attempts=1)
    before = row(email)
    took = bool(act(email))
    assert took is (status in moves)
    if took:
        assert row(email)["status"] == moves[status]
    else:
        assert row(email) == before


@pytest.mark.parametrize("status", Status)
def test_a_change_of_status_is_an_event_and_its_time_is_kept(
    make_email: MakeEmail, clock: Clock, status: Status
) -> None:
    email = make_email(status)
    clock.move(60)
    took = reports.record_report(email, notification("delivered"), NOTHING)
    email.refresh_from_db()
    events = [(event.previous_status, event.status, event.created_at) for event in email.events.all()]
    if took:
        assert events == [(status, DELIVERED, clock.now)]
        assert email.status_changed_at == clock.now
    else:
        assert events == []
        assert email.status_changed_at == clock.now - dt.timedelta(seconds=60)


def test_a_status_that_notify_may_add_one_day_is_kept_once_and_changes_nothing(make_email: MakeEmail) -> None:
    email = make_email(SENT)
    before = row(email)
    for _ in range(3):
        assert reports.record_report(email, notification("teleported"), NOTHING) is False
    assert row(email) == before
    assert [event.notify_status for event in email.events.all()] == ["teleported"]


@pytest.mark.parametrize("changed", ["due_at", "attempts", "status"])
def test_a_row_that_has_changed_since_it_was_read_cannot_be_claimed(make_email: MakeEmail, changed: str) -> None:
    email = make_email(RETRYING)
    news = {"due_at": timezone.now() + dt.timedelta(seconds=1), "attempts": 2, "status": SENDING}
    EmailMessage.objects.filter(pk=email.pk).update(**{changed: news[changed]})
    before = row(email)
    assert claims.claim_attempt(email) is None
    assert claims.claim_question(email) is None
    assert transitions.abandon(email) is False
    assert transitions.stop(email, "ann") is False
    assert transitions.bring_forward(email, EmailMessageEvent.Kind.SENT_AGAIN, "ann") is False
    assert row(email) == before


def test_a_claim_counts_the_attempt_and_leaves_it_unclear_until_its_outcome_is_known(
    make_email: MakeEmail, clock: Clock
) -> None:
    email = make_email()
    claim = claims.claim_attempt(email)
    assert claim is not None
    email.refresh_from_db()
    assert email.attempts == claim.attempt == 1
    assert email.attempt_started_at == clock.now
    assert email.unclear_until == clock.now + dt.timedelta(seconds=130)
    assert email.due_at == claim.lease_until == clock.now + dt.timedelta(seconds=70)
    assert email.status == SENDING


def test_nothing_is_claimed_to_be_posted_while_sending_is_held(make_email: MakeEmail, clock: Clock) -> None:
    email = make_email()
    holds.hold_sending()
    before = row(email)
    assert claims.claim_attempt(email) is None
    assert transitions.claim_new_attempt(claim_for(email), NOTHING) is None
    assert row(email) == before
    assert EmailMessageEvent.objects.count() == 0
    clock.move(holds.SENDING_HOLD)
    assert claims.claim_attempt(email) is not None


def test_a_late_failure_changes_nothing_once_another_worker_has_taken_over(make_email: MakeEmail, clock: Clock) -> None:
    late = claims.claim_attempt(make_email())
    assert late is not None
    clock.move_to(late.lease_until)
    assert not late.may_post()
    question = claims.claim_question(EmailMessage.objects.get())
    assert question is not None
    before = row(late.email)
    assert transitions.record_refused(late, NOTHING) is False
    assert transitions.record_try_later(late, NOTHING) is False
    assert transitions.record_unclear(late, NOTHING, finished=True) is False
    assert transitions.record_limited(late, NOTHING, until=clock.now) is False
    assert row(late.email) == before
    assert EmailMessageEvent.objects.count() == 0


def test_a_late_acceptance_is_recorded_whoever_owns_the_row(make_email: MakeEmail, clock: Clock) -> None:
    late = claims.claim_attempt(make_email())
    assert late is not None
    clock.move_to(late.lease_until)
    question = claims.claim_question(EmailMessage.objects.get())
    assert question is not None
    assert transitions.record_accepted(late, NOTIFY_ID, NOTHING) is True
    # The worker that asks comes second, and has nothing left to record
    assert transitions.record_given_up(question, NOTHING) is False
    email = EmailMessage.objects.get()
    assert (email.status, email.notify_id, email.unclear_until) == (SENT, NOTIFY_ID, None)


def test_a_second_acceptance_is_told_and_changes_nothing(make_email: MakeEmail) -> None:
    email = make_email(DELIVERED)
    before = row(email)
    assert transitions.record_accepted(claim_for(email), NOTIFY_ID, NOTHING) is False
    assert row(email) == before
    assert [event.outcome for event in email.events.all()] == ["accepted-again"]


def test_a_notification_that_another_email_holds_is_not_taken(make_email: MakeEmail) -> None:
    holder, email = make_email(SENT, notify_id=NOTIFY_ID), make_email(RETRYING)
    before = row(holder), row(email)
    assert transitions.record_found(claim_for(email), notification("delivered"), NOTHING) is False
    assert (row(holder), row(email)) == before
    assert EmailMessageEvent.objects.count() == 0


def test_the_same_acceptance_twice_is_told_once(make_email: MakeEmail) -> None:
    claim = claims.claim_attempt(make_email())
    assert claim is not None
    assert transitions.record_accepted(claim, NOTIFY_ID, NOTHING) is True
    assert transitions.record_accepted(claim, NOTIFY_ID, NOTHING) is False
    assert EmailMessageEvent.objects.count() == 1


def test_an_acceptance_for_a_deleted_row_harms_nothing(make_email: MakeEmail) -> None:
    claim = claims.claim_attempt(make_email())
    assert claim is not None
    EmailMessage.objects.all().delete()
    assert transitions.record_accepted(claim, NOTIFY_ID, NOTHING) is False
    assert EmailMessageEvent.objects.count() == 0
