"""What people do to emails: nothing is sent twice, and it is said what was done and what was not."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import threading
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from django_govuk_notify_outbox import claims, delivery, operations, sync, transitions, wording
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.operations import Operation, Prospect, Result
from django_govuk_notify_outbox.outcomes import Exchange
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import FINAL, TO_SEND, TO_TRACK, Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock, MakeEmail, pushed
from tests.test_retrying import SERVER_ERROR, posts
from tests.test_sending import pushed_arguments

pytestmark = pytest.mark.django_db

SEND_AGAIN, CHECK, STOP = Operation
UNDER_WAY = "An attempt to send it is under way, or has just been. Try again in a minute or two."
MAILBOX_FULL = "temp-fail@simulator.notify"


def new_email(address: str = ADDRESS, **arguments: Any) -> EmailMessage:
    return send_email_notification(address, defaults.TEMPLATE_ID, {"name": "Amala"}, **arguments)


def refused_email() -> EmailMessage:
    """An email that Notify has refused, for want of its personalisation."""
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID)
    delivery.deliver(email.pk)
    EmailMessage.objects.filter(pk=email.pk).update(personalisation={"name": "Amala"})
    email.refresh_from_db()
    assert email.status == Status.FAILED_SEND_TO_NOTIFY
    return email


def bounced_email(clock: Clock, **arguments: Any) -> EmailMessage:
    """An email that Notify could not deliver, since the mailbox is full."""
    email = new_email(MAILBOX_FULL, **arguments)
    delivery.deliver(email.pk)
    clock.move(5)
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.NOTIFY_TEMPORARY_FAILURE
    return email


def perform(operation: Operation, email: EmailMessage) -> Result:
    (result,) = operations.perform(operation, [email.pk], person="ann")
    email.refresh_from_db()
    return result


def go_on(email: EmailMessage, clock: Clock) -> None:
    """Let the next due moment come, and sync with it."""
    clock.move_to(email.due_at)
    sync.run()
    email.refresh_from_db()


def story(email: EmailMessage) -> list[str]:
    return [f"{event.kind} {event.outcome or event.notify_status}".rstrip() for event in email.events.all()]


# --- What would be done -------------------------------------------------------------------------------------------

YES = {
    SEND_AGAIN: {
        Status.SENDING_TO_NOTIFY: "It is tried at once instead of waiting.",
        Status.RETRYING_SEND_TO_NOTIFY: "It is tried at once instead of waiting.",
        Status.FAILED_SEND_TO_NOTIFY: "It is sent again, with all its retries.",
        Status.NOTIFY_TEMPORARY_FAILURE: "It is sent again, with all its retries. To Notify it is a new email.",
        Status.NOTIFY_TECHNICAL_FAILURE: "It is sent again, with all its retries. To Notify it is a new email.",
    },
    CHECK: dict.fromkeys(TO_TRACK, "Notify is asked what became of it, within seconds."),
    STOP: dict.fromkeys(TO_SEND, "It will not be sent."),
}
NO = {
    SEND_AGAIN: {
        **dict.fromkeys(TO_TRACK, "Notify has it, and has not said that it failed."),
        Status.NOTIFY_DELIVERED: "It was delivered.",
        Status.NOTIFY_PERMANENT_FAILURE: (
            "Its address probably does not exist. Correct it where it comes from, and have a new email sent."
        ),
    },
    CHECK: {
        **dict.fromkeys(TO_SEND, "Notify does not have it yet."),
        **dict.fromkeys(FINAL, "What became of it is known."),
    },
    STOP: {
        **dict.fromkeys(TO_TRACK | FINAL, "Notify has it, and takes nothing back."),
        Status.FAILED_SEND_TO_NOTIFY: "It is not being sent any more.",
    },
}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("operation", Operation)
def test_each_operation_acts_on_the_statuses_that_it_is_for_and_says_why_not_on_others(
    make_email: MakeEmail, clock: Clock, operation: Operation, status: Status
) -> None:
    email = make_email(status)
    clock.move(3600)
    before = EmailMessage.objects.values().get()
    will_act = status in YES[operation]
    text = (YES if will_act else NO)[operation][status]
    assert operations.prospect(operation, email) == Prospect(will_act, text)
    assert EmailMessage.objects.values().get() == before
    assert perform(operation, email) == Result(email.pk, will_act, text)
    events = list(email.events.values_list("kind", "person", "source", "previous_status"))
    if will_act:
        kind = {SEND_AGAIN: "sent-again", CHECK: "checked", STOP: "stopped"}[operation]
        assert events == [(kind, "ann", "person", status)]
    else:
        assert events == []
        assert EmailMessage.objects.values().get() == before


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (SEND_AGAIN, "Notify is asked whether it has it. Only if not, it is sent."),
        (CHECK, "Notify is asked whether it has it."),
        (STOP, "Notify may have it already, and is asked. If not, it is not sent."),
    ],
)
def test_an_unclear_email_is_asked_about_first_whatever_is_wanted(
    make_email: MakeEmail, clock: Clock, operation: Operation, text: str
) -> None:
    email = make_email(Status.RETRYING_SEND_TO_NOTIFY, unclear_until=clock.now)
    clock.move(70)
    assert operations.prospect(operation, email) == Prospect(will_act=True, text=text)


@pytest.mark.parametrize("operation", [SEND_AGAIN, CHECK])
def test_nobody_gets_in_the_way_of_an_attempt_that_is_under_way(
    make_email: MakeEmail, clock: Clock, operation: Operation
) -> None:
    email = make_email()
    assert claims.claim_attempt(email) is not None
    clock.move(69)
    email.refresh_from_db()
    before = EmailMessage.objects.values().get()
    assert perform(operation, email) == Result(email.pk, is_done=False, text=UNDER_WAY)
    assert EmailMessage.objects.values().get() == before
    clock.move(1)
    assert operations.prospect(operation, email).will_act


def test_of_many_each_is_acted_on_once_and_the_rest_is_told(make_email: MakeEmail) -> None:
    waiting, delivered = make_email(), make_email(Status.NOTIFY_DELIVERED)
    gone = delivered.pk + 1
    assert operations.perform(STOP, [waiting.pk, delivered.pk, gone, waiting.pk], person="ann") == [
        Result(waiting.pk, is_done=True, text="It will not be sent."),
        Result(delivered.pk, is_done=False, text="Notify has it, and takes nothing back."),
        Result(gone, is_done=False, text="There is no such email."),
    ]
    assert EmailMessageEvent.objects.count() == 1


def test_an_email_that_changes_between_the_look_and_the_act_is_left_alone(
    make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = make_email(Status.FAILED_SEND_TO_NOTIFY)
    look = operations.prospect

    def somebody_is_quicker(operation: Operation, read: EmailMessage) -> Prospect:
        prospect = look(operation, read)
        assert transitions.start_anew(read, "ben")
        return prospect

    monkeypatch.setattr(operations, "prospect", somebody_is_quicker)
    assert perform(SEND_AGAIN, email) == Result(email.pk, is_done=False, text="It has just changed. Look at it again.")
    assert [event.person for event in email.events.all()] == ["ben"]


def test_a_name_that_is_longer_than_its_column_is_cut(make_email: MakeEmail) -> None:
    email = make_email()
    assert operations.perform(STOP, [email.pk], person="ann" * 100)[0].is_done
    assert email.events.get().person == "ann" * 85


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_two_people_who_act_on_the_same_emails_in_transactions_are_not_each_others_victims(
    make_email: MakeEmail,
) -> None:
    pks = [make_email().pk for _ in range(2)]
    results: list[list[bool]] = []
    both_began = threading.Barrier(2)

    def act(person: str, order: list[int]) -> None:
        def hold_first(execute: Any, sql: str, *args: Any) -> Any:
            result = execute(sql, *args)
            if sql.startswith("INSERT") and not both_began.broken:
                # The first email is locked. The other may be, by the other person
                with contextlib.suppress(threading.BrokenBarrierError):
                    both_began.wait(timeout=2)
            return result

        try:
            with connection.execute_wrapper(hold_first), transaction.atomic():
                results.append([each.is_done for each in operations.perform(STOP, order, person=person)])
        finally:
            connection.close()

    people = [
        threading.Thread(target=act, args=(person, order)) for person, order in (("ann", pks), ("ben", pks[::-1]))
    ]
    for each in people:
        each.start()
    for each in people:
        each.join()
    assert sorted(results) == [[False, False], [True, True]]


# --- Sending again ------------------------------------------------------------------------------------------------


def test_an_email_that_failed_is_sent_again_with_all_its_retries(clock: Clock, sandbox: Sandbox) -> None:
    email = refused_email()
    clock.move(7200)
    assert perform(SEND_AGAIN, email).is_done
    assert (email.status, email.attempts, email.due_at) == (Status.SENDING_TO_NOTIFY, 0, clock.now)
    sandbox.add_fault(times=2, **SERVER_ERROR)
    for _ in range(4):
        go_on(email, clock)
    assert email.status == Status.NOTIFY_DELIVERED
    assert story(email) == [
        "attempt refused",
        "sent-again",
        "attempt unclear",
        "question not-found",
        "attempt unclear",
        "question not-found",
        "attempt accepted",
        "report delivered",
    ]
    assert len(sandbox.emails()) == 1


def test_the_time_of_an_email_that_is_sent_again_begins_anew(
    clock: Clock, sandbox: Sandbox, settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_ABANDON_AFTER = 60
    email = refused_email()
    clock.move(7200)
    perform(SEND_AGAIN, email)
    sandbox.add_fault(times=1000, status=429)
    began = clock.now
    while email.status not in FINAL:
        go_on(email, clock)
    assert clock.now == began + dt.timedelta(seconds=60)
    assert story(email)[-1] == "abandoned"


def test_an_email_that_failed_at_notify_is_a_new_email_to_notify(clock: Clock, sandbox: Sandbox) -> None:
    email = bounced_email(clock)
    first = email.notify_id
    clock.move(115)
    assert perform(SEND_AGAIN, email).is_done
    assert (email.notify_id, email.sent_at, email.attempt_started_at) == (None, None, None)
    event = email.events.get(kind="sent-again")
    assert event.former_notify_id == first
    assert wording.describe(event) == f"ann had it sent again. Notify knew it as {first}."
    go_on(email, clock)
    assert email.status == Status.SENT_TO_NOTIFY
    assert sorted(accepted["id"] for accepted in sandbox.emails()) == sorted([str(first), str(email.notify_id)])


def test_an_email_that_notify_has_only_just_taken_is_not_sent_again(clock: Clock, sandbox: Sandbox) -> None:
    email = bounced_email(clock)
    assert perform(SEND_AGAIN, email) == Result(
        email.pk, is_done=False, text="Notify has only just taken it. Try again in two minutes."
    )
    assert email.status == Status.NOTIFY_TEMPORARY_FAILURE
    assert posts(sandbox) == 1


@pytest.mark.parametrize("reference", [None, "case 17"])
@pytest.mark.parametrize("arrived", [True, False])
def test_what_notify_has_of_the_first_time_is_not_taken_for_the_second(
    clock: Clock, sandbox: Sandbox, reference: str | None, arrived: bool
) -> None:
    email = bounced_email(clock, reference=reference)
    first = email.notify_id
    clock.move(115)
    perform(SEND_AGAIN, email)
    sandbox.add_fault(cut=True, accept=arrived)
    go_on(email, clock)
    assert story(email)[-1] == "attempt unclear"
    while email.status in TO_SEND:
        go_on(email, clock)
    assert ("question found" in story(email)) is arrived
    assert email.notify_id not in (None, first)
    assert posts(sandbox) == (2 if arrived else 3)
    assert len(sandbox.emails()) == 2


def test_an_email_that_waits_for_its_retry_is_tried_at_once(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(**SERVER_ERROR)
    email = new_email()
    delivery.deliver(email.pk)
    EmailMessage.objects.update(due_at=clock.now + dt.timedelta(seconds=1920))
    clock.move(70)
    assert perform(SEND_AGAIN, email).is_done
    assert (email.due_at, email.attempts) == (clock.now, 1)
    sync.run()
    assert story(email) == ["attempt unclear", "sent-again", "question not-found", "attempt accepted"]


def test_an_unclear_email_that_notify_has_is_not_sent_again(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(accept=True, cut=True)
    email = new_email()
    delivery.deliver(email.pk)
    clock.move(70)
    perform(SEND_AGAIN, email)
    sync.run()
    assert story(email) == ["attempt unclear", "sent-again", "question found"]
    assert posts(sandbox) == 1


def test_what_is_sent_again_is_pushed_after_the_commit_and_the_rest_is_left_to_sync(
    make_email: MakeEmail, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    failed, delivered = make_email(Status.FAILED_SEND_TO_NOTIFY), make_email(Status.NOTIFY_DELIVERED)
    sent, waiting = make_email(Status.SENT_TO_NOTIFY), make_email()
    with django_capture_on_commit_callbacks(execute=True):
        operations.perform(SEND_AGAIN, [failed.pk, delivered.pk], person="ann")
        assert pushed() == []
    assert pushed_arguments() == [[failed.pk]]
    with django_capture_on_commit_callbacks(execute=True):
        operations.perform(CHECK, [sent.pk], person="ann")
        operations.perform(STOP, [waiting.pk], person="ann")
    assert pushed() == []


# --- Checking -----------------------------------------------------------------------------------------------------


def test_a_check_has_notify_asked_by_the_next_sync(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email()
    delivery.deliver(email.pk)
    clock.move(3)
    EmailMessage.objects.update(due_at=clock.now + dt.timedelta(hours=6))
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.SENT_TO_NOTIFY
    perform(CHECK, email)
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.NOTIFY_DELIVERED
    assert story(email) == ["attempt accepted", "checked", "report delivered"]


def test_a_check_looks_once_more_at_an_email_that_is_not_looked_at_any_more(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email()
    delivery.deliver(email.pk)
    EmailMessage.objects.update(due_at=None)
    clock.move(3600)
    perform(CHECK, email)
    go_on(email, clock)
    assert email.status == Status.NOTIFY_DELIVERED


def test_a_check_does_not_put_off_what_is_overdue(make_email: MakeEmail, clock: Clock) -> None:
    email = make_email(Status.SENT_TO_NOTIFY)
    due_at = email.due_at
    clock.move(60)
    perform(CHECK, email)
    assert email.due_at == due_at


# --- Stopping -----------------------------------------------------------------------------------------------------


def test_a_stopped_email_is_not_sent(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email()
    perform(STOP, email)
    assert (email.status, email.due_at, email.is_stopped) == (Status.FAILED_SEND_TO_NOTIFY, None, True)
    delivery.deliver(email.pk)
    clock.move(3600)
    sync.run()
    assert sandbox.requests() == []
    assert story(email) == ["stopped"]


@pytest.mark.parametrize("arrived", [True, False])
def test_a_stopped_email_that_may_be_at_notify_has_failed_only_if_it_is_not(
    clock: Clock, sandbox: Sandbox, arrived: bool
) -> None:
    sandbox.add_fault(cut=True, accept=arrived)
    email = new_email()
    delivery.deliver(email.pk)
    perform(STOP, email)
    assert (email.status, email.is_stopped) == (Status.RETRYING_SEND_TO_NOTIFY, True)
    assert perform(STOP, email) == Result(email.pk, is_done=False, text="It was stopped before.")
    while email.status in TO_SEND:
        go_on(email, clock)
    assert email.status == (Status.NOTIFY_DELIVERED if arrived else Status.FAILED_SEND_TO_NOTIFY)
    assert story(email)[:2] == ["attempt unclear", "stopped"]
    assert story(email)[-1] == ("question found" if arrived else "question not-found")
    assert posts(sandbox) == 1


def test_a_stop_in_the_middle_of_an_attempt_does_not_lose_its_outcome(make_email: MakeEmail, sandbox: Sandbox) -> None:
    email = make_email()
    claim = claims.claim_attempt(email)
    assert claim is not None
    email.refresh_from_db()
    # The request has yet to be made, and nothing holds it back
    assert perform(STOP, email).text == (
        "An attempt to send it is under way, or has just been, and may reach Notify. No other begins."
    )
    delivery.post(claim)
    email.refresh_from_db()
    assert email.status == Status.SENT_TO_NOTIFY
    assert story(email) == ["stopped", "attempt accepted"]


def test_after_a_stop_in_the_middle_of_an_attempt_that_fails_there_is_no_other(
    make_email: MakeEmail, clock: Clock, sandbox: Sandbox
) -> None:
    email = make_email()
    claim = claims.claim_attempt(email)
    assert claim is not None
    email.refresh_from_db()
    perform(STOP, email)
    transitions.record_try_later(claim, Exchange())
    email.refresh_from_db()
    assert email.status == Status.RETRYING_SEND_TO_NOTIFY
    go_on(email, clock)
    assert email.status == Status.FAILED_SEND_TO_NOTIFY
    assert posts(sandbox) == 0
    last = email.events.last()
    assert last is not None
    assert (last.kind, last.person, last.source) == ("stopped", "", "clock")


def test_a_worker_that_read_the_email_before_it_was_stopped_cannot_begin_an_attempt(make_email: MakeEmail) -> None:
    for unclear_until in (None, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)):
        email = make_email(Status.RETRYING_SEND_TO_NOTIFY, unclear_until=unclear_until)
        as_read = EmailMessage.objects.get(pk=email.pk)
        perform(STOP, email)
        assert claims.claim_attempt(as_read) is None


def test_a_worker_that_asked_before_the_email_was_stopped_does_not_send_it_after(
    make_email: MakeEmail, clock: Clock
) -> None:
    email = make_email(Status.RETRYING_SEND_TO_NOTIFY, unclear_until=clock.now)
    claim = claims.claim_question(email)
    assert claim is not None
    email.refresh_from_db()
    perform(STOP, email)
    assert transitions.claim_new_attempt(claim, Exchange()) is None
    email.refresh_from_db()
    assert (email.attempts, email.is_stopped) == (1, True)


def test_a_stopped_email_can_be_sent_again(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email()
    perform(STOP, email)
    perform(SEND_AGAIN, email)
    assert email.is_stopped is False
    go_on(email, clock)
    assert email.status == Status.SENT_TO_NOTIFY


@pytest.mark.parametrize("arrived", [True, False])
def test_an_unclear_email_that_was_stopped_and_is_sent_again_is_sent_if_notify_does_not_have_it(
    clock: Clock, sandbox: Sandbox, arrived: bool
) -> None:
    sandbox.add_fault(cut=True, accept=arrived)
    email = new_email()
    delivery.deliver(email.pk)
    perform(STOP, email)
    clock.move(70)
    assert perform(SEND_AGAIN, email).text == "Notify is asked whether it has it. Only if not, it is sent."
    assert email.is_stopped is False
    while email.status in TO_SEND:
        go_on(email, clock)
    assert email.status in (Status.SENT_TO_NOTIFY, Status.NOTIFY_DELIVERED)
    assert posts(sandbox) == (1 if arrived else 2)
    assert len(sandbox.emails()) == 1


def test_an_email_that_was_stopped_and_has_yet_to_be_given_up_can_be_sent_again(
    make_email: MakeEmail, clock: Clock, sandbox: Sandbox
) -> None:
    email = make_email()
    claim = claims.claim_attempt(email)
    assert claim is not None
    email.refresh_from_db()
    perform(STOP, email)
    transitions.record_try_later(claim, Exchange())
    assert perform(SEND_AGAIN, email).text == "It is tried at once instead of waiting."
    go_on(email, clock)
    assert email.status == Status.SENT_TO_NOTIFY


@pytest.mark.parametrize("unclear", [True, False])
def test_a_worker_that_read_the_email_before_it_was_sent_again_does_not_give_it_up_after(
    make_email: MakeEmail, clock: Clock, unclear: bool
) -> None:
    email = make_email(Status.RETRYING_SEND_TO_NOTIFY, unclear_until=clock.now if unclear else None, is_stopped=True)
    clock.move(100)
    claim = claims.claim_question(email)
    assert claim is not None
    email.refresh_from_db()
    # Stood still for longer than its lease
    clock.move(100)
    as_read = EmailMessage.objects.get(pk=email.pk)
    perform(SEND_AGAIN, email)
    assert not (transitions.record_given_up(claim, Exchange()) if unclear else transitions.abandon(as_read))
    email.refresh_from_db()
    assert (email.status, email.is_stopped) == (Status.RETRYING_SEND_TO_NOTIFY, False)


def test_somebody_who_stops_an_email_that_another_has_looked_at_to_send_it_again_is_heeded(
    make_email: MakeEmail, clock: Clock
) -> None:
    email = make_email(Status.RETRYING_SEND_TO_NOTIFY, unclear_until=clock.now)
    clock.move(100)
    assert transitions.stop(email, "ann")
    assert not transitions.bring_forward(email, EmailMessageEvent.Kind.SENT_AGAIN, "ben")
    email.refresh_from_db()
    assert email.is_stopped is True


@pytest.mark.parametrize("unclear", [True, False])
def test_an_email_whose_time_is_over_and_that_is_sent_again_before_it_is_given_up_is_sent(
    clock: Clock, sandbox: Sandbox, settings: Settings, unclear: bool
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_ABANDON_AFTER = 60
    email = new_email()
    if unclear:
        sandbox.add_fault(cut=True)
        delivery.deliver(email.pk)
    # Nothing ran meanwhile
    clock.move(7200)
    assert perform(SEND_AGAIN, email).is_done
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.SENT_TO_NOTIFY


def test_an_unclear_email_without_retries_is_said_to_have_failed_if_it_is_not_at_notify(
    clock: Clock, sandbox: Sandbox, settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = []
    sandbox.add_fault(cut=True)
    email = new_email()
    delivery.deliver(email.pk)
    clock.move(130)
    result = perform(SEND_AGAIN, email)
    assert result.text == "Notify is asked whether it has it. If not, it has failed, and can be sent again then."
    go_on(email, clock)
    assert email.status == Status.FAILED_SEND_TO_NOTIFY
    assert perform(SEND_AGAIN, email).is_done
    go_on(email, clock)
    assert email.status == Status.SENT_TO_NOTIFY


# --- Traces -------------------------------------------------------------------------------------------------------


def test_what_people_do_is_logged_without_their_names_and_raises_no_alert(
    make_email: MakeEmail, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    failed, sent, waiting = (
        make_email(status) for status in (Status.FAILED_SEND_TO_NOTIFY, Status.SENT_TO_NOTIFY, Status.SENDING_TO_NOTIFY)
    )
    for operation, email in ((SEND_AGAIN, failed), (CHECK, sent), (STOP, waiting)):
        operations.perform(operation, [email.pk], person="ann.example")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", f"Email {failed.pk}: sent-again, status sending-to-notify"),
        ("INFO", f"Email {sent.pk}: checked, status sent-to-notify"),
        ("INFO", f"Email {waiting.pk}: stopped, status failed-send-to-notify"),
    ]
    assert "ann.example" not in repr([vars(record) for record in caplog.records])


def test_the_subject_that_notify_filled_in_is_kept(clock: Clock, sandbox: Sandbox) -> None:
    accepted, found = new_email(), new_email()
    delivery.deliver(accepted.pk)
    sandbox.add_fault(accept=True, cut=True)
    delivery.deliver(found.pk)
    clock.move(5)
    sync.run()
    subjects = set(EmailMessage.objects.values_list("subject", flat=True))
    assert subjects == {sandbox.emails()[0]["subject"]}
    assert subjects != {""}


def test_an_answer_without_a_subject_is_an_acceptance_all_the_same(sandbox: Sandbox) -> None:
    email = new_email()
    body = {"id": "6f1d2c3b-0000-4000-8000-000000000000", "reference": email.reference, "content": None}
    sandbox.add_fault(status=201, body=body)
    delivery.deliver(email.pk)
    email.refresh_from_db()
    assert (email.status, email.subject) == (Status.SENT_TO_NOTIFY, "")
