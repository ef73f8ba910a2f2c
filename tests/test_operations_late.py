"""What comes late of an email that a person has had sent again: it is not taken for news of the second time."""

from __future__ import annotations

import uuid

import pytest

from django_govuk_notify_outbox import claims, delivery, notify, sync, transitions
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.operations import Operation
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import TO_SEND, Status
from tests.conftest import Clock
from tests.test_operations import MAILBOX_FULL, bounced_email, go_on, new_email, perform
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
