"""What comes late of an email that a person has had sent again: it is not taken for news of the second time."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest

from django_govuk_notify_outbox import claims, delivery, notify, reports, sync, tracking, transitions
from django_govuk_notify_outbox.events import Source
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.operations import Operation
from django_govuk_notify_outbox.outcomes import Exchange, Notification
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import TO_SEND, Status
from tests.conftest import Clock
from tests.test_operations import MAILBOX_FULL, bounced_email, go_on, new_email, perform, story
from tests.test_receipts import post, receipt_of, receipts_on
from tests.test_retrying import posts

__all__ = ["receipts_on"]

pytestmark = pytest.mark.django_db

SEND_AGAIN = Operation.SEND_AGAIN


def sent_again(email: EmailMessage) -> uuid.UUID:
    """Have a bounced email sent again; the id that Notify knew it by."""
    first = email.notify_id
    assert first is not None
    assert perform(SEND_AGAIN, email).is_done
    return first


# --- A notification that an email had -----------------------------------------------------------------------------


def test_the_acceptance_of_the_first_time_that_is_told_after_the_email_was_sent_again_changes_nothing(
    clock: Clock, sandbox: Sandbox
) -> None:
    email = new_email(MAILBOX_FULL)
    claim = claims.claim_attempt(email)
    assert claim is not None
    # The worker stands still with the answer in its hand, and another finds the email at Notify
    outcome = notify.send(email.payload())
    clock.move(70)
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.NOTIFY_TEMPORARY_FAILURE
    clock.move(120)
    first = sent_again(email)
    before = EmailMessage.objects.values().get()
    assert transitions.record_accepted(claim, first, outcome.exchange) is False
    assert EmailMessage.objects.values().get() == before
    go_on(email, clock)
    assert (email.status, email.notify_id == first) == (Status.SENT_TO_NOTIFY, False)
    assert posts(sandbox) == 2


@pytest.mark.parametrize("arrived", [True, False])
def test_another_email_of_the_batch_does_not_take_the_notification_that_a_bounced_one_had(
    clock: Clock, sandbox: Sandbox, arrived: bool
) -> None:
    bounced = bounced_email(clock, reference="batch")
    sandbox.add_fault(cut=True, accept=arrived)
    twin = new_email(MAILBOX_FULL, reference="batch")
    delivery.deliver(twin.pk)
    clock.move(115)
    first = sent_again(bounced)
    while twin.status in TO_SEND:
        clock.move(5)
        sync.run()
        twin.refresh_from_db()
    bounced.refresh_from_db()
    assert len({first, bounced.notify_id, twin.notify_id, None}) == 4
    assert len(sandbox.emails()) == 3
    assert posts(sandbox) == (3 if arrived else 4)


@pytest.mark.urls("tests.receipt_urls")
@pytest.mark.usefixtures("receipts_on")
def test_a_receipt_about_the_notification_that_a_bounced_email_had_settles_no_other_of_the_batch(
    clock: Clock, sandbox: Sandbox
) -> None:
    bounced = new_email(MAILBOX_FULL, reference="batch")
    delivery.deliver(bounced.pk)
    bounced.refresh_from_db()
    values = receipt_of(bounced, status="temporary-failure", id=str(bounced.notify_id))
    post(values)
    bounced.refresh_from_db()
    assert bounced.status == Status.NOTIFY_TEMPORARY_FAILURE
    sandbox.add_fault(cut=True)
    twin = new_email(MAILBOX_FULL, reference="batch")
    delivery.deliver(twin.pk)
    clock.move(120)
    sent_again(bounced)
    before = list(EmailMessage.objects.order_by("pk").values())
    assert post(values).status_code == 204
    assert list(EmailMessage.objects.order_by("pk").values()) == before


def test_what_notify_has_of_the_first_time_is_not_taken_for_the_second_by_a_worker_whose_clock_is_slow(
    clock: Clock, sandbox: Sandbox
) -> None:
    email = bounced_email(clock)
    clock.move(115)
    first = sent_again(email)
    # The one who had it sent again is up to a minute ahead of the one who sends it
    clock.move(-65)
    sandbox.add_fault(cut=True)
    delivery.deliver(email.pk)
    while email.status in TO_SEND:
        clock.move(5)
        sync.run()
        email.refresh_from_db()
    assert email.notify_id not in (None, first)
    assert posts(sandbox) == 3


# --- A look at a notification that an email had -------------------------------------------------------------------


def send_again_meanwhile(email: EmailMessage) -> None:
    """A receipt tells that the email bounced, and somebody has it sent again, which is done when this returns."""
    before = EmailMessage.objects.get(pk=email.pk)
    assert before.notify_id is not None
    bounced = Notification(
        id=before.notify_id,
        status="temporary-failure",
        email_address=before.email_address,
        template_id=before.template_id,
        created_at=dt.datetime(2026, 11, 22, tzinfo=dt.UTC),
    )
    assert reports.record_report(before, bounced, Exchange(), Source.RECEIPT)
    assert perform(SEND_AGAIN, email).is_done
    delivery.deliver(email.pk)
    email.refresh_from_db()
    assert email.status == Status.SENT_TO_NOTIFY


@pytest.mark.parametrize("age", [120, 6 * 24 * 3600], ids=["young", "old"])
@pytest.mark.parametrize("asks", ["one by one", "by the page"])
def test_a_look_at_the_first_time_that_ends_after_the_email_was_sent_again_changes_nothing(
    clock: Clock, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, asks: str, age: int
) -> None:
    email, *others = (new_email(MAILBOX_FULL) for _ in range(4))
    for each in (email, *others):
        delivery.deliver(each.pk)
        clock.move(0.1)
    clock.move(age)
    # The look has its answer, and the email of that time in hand, when it stands still
    name = "record_page" if asks == "by the page" else "record_report"
    record = getattr(reports, name)

    def late(*args: Any) -> Any:
        monkeypatch.setattr(reports, name, record)
        send_again_meanwhile(email)
        return record(*args)

    monkeypatch.setattr(reports, name, late)
    if asks == "by the page":
        sync.run()
    else:
        tracking.look_up(email.pk)
    due_at, second = email.due_at, email.notify_id
    email.refresh_from_db()
    assert (email.status, email.notify_id, email.due_at) == (Status.SENT_TO_NOTIFY, second, due_at)
    assert story(email)[-2:] == ["sent-again", "attempt accepted"]
    if asks == "by the page":
        assert {other.status for other in EmailMessage.objects.exclude(pk=email.pk)} == {
            Status.NOTIFY_TEMPORARY_FAILURE
        }
    go_on(email, clock)
    assert email.status == Status.NOTIFY_TEMPORARY_FAILURE
