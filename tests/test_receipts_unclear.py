"""A delivery receipt about an email whose answer was lost, or is still on its way, settles it and disturbs nobody."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from django.utils import timezone

from django_govuk_notify_outbox import claims, delivery, matching, receipts, transitions
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.outcomes import Exchange
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import Clock, MakeEmail
from tests.test_receipts import DELIVERED, SENT, events, post, receipt_of, receipts_on, row, unclear

__all__ = ["receipts_on"]

pytestmark = [pytest.mark.urls("tests.receipt_urls"), pytest.mark.usefixtures("receipts_on")]

NOTHING = Exchange()
RETRYING, FAILED = Status.RETRYING_SEND_TO_NOTIFY, Status.FAILED_SEND_TO_NOTIFY


# --- A receipt whose answer was lost, or is on its way -------------------------------------------------------------


def with_reference(reference: str | None) -> dict[str, Any]:
    """The caller's reference, or none: the email then has one of its own."""
    return {"reference": reference} if reference else {}


#: The same in all processes that share out the tests, for it is part of their names.
SOME_ID = "6744de5a-af32-4f9a-b8c2-a6af4af30ce6"


@pytest.mark.parametrize("reference", ["the caller's", None], ids=["caller's reference", "own reference"])
@pytest.mark.parametrize("status", [Status.SENDING_TO_NOTIFY, RETRYING])
def test_a_receipt_settles_an_email_whose_attempt_is_unclear(
    make_email: MakeEmail, status: Status, reference: str | None
) -> None:
    email = unclear(make_email, status, **with_reference(reference))
    values = receipt_of(email)
    assert post(values).status_code == 204
    assert events(email) == [("report", "found", "receipt", status, "notify-delivered")]
    email.refresh_from_db()
    assert (email.status, str(email.notify_id)) == (DELIVERED, values["id"])
    assert (email.due_at, email.unclear_until, email.sent_at is not None) == (None, None, True)


def test_one_with_a_status_that_is_not_known_is_followed_from_then_on(make_email: MakeEmail, clock: Clock) -> None:
    email = unclear(make_email)
    assert post(receipt_of(email, status="teleported")).status_code == 204
    email.refresh_from_db()
    assert (email.status, email.unclear_until) == (SENT, None)
    assert email.due_at == clock.now + dt.timedelta(minutes=30)
    assert list(email.events.values_list("outcome", "notify_status")) == [("found", "teleported")]


@pytest.mark.parametrize("status", [RETRYING, FAILED])
def test_a_late_acceptance_is_recorded_where_the_reference_stands_for_one_email_alone(
    make_email: MakeEmail, status: Status
) -> None:
    ours, callers = make_email(status), make_email(status, reference="the caller's")
    before = row(callers)
    for email in (ours, callers):
        assert post(receipt_of(email)).status_code == 204
    assert events(ours) == [("report", "found", "receipt", status, "notify-delivered")]
    assert row(callers) == before


@pytest.mark.parametrize("reference", ["outbox-2026", f"outbox-{SOME_ID}-b", f"x-outbox-{SOME_ID}"])
def test_a_reference_that_only_looks_like_our_own_is_the_callers(make_email: MakeEmail, reference: str) -> None:
    email = make_email(FAILED, reference=reference)
    assert post(receipt_of(email)).status_code == 204
    assert row(email)["status"] == FAILED


def test_an_email_that_nobody_has_posted_yet_takes_no_notification(make_email: MakeEmail) -> None:
    email = make_email()
    before = row(email)
    assert post(receipt_of(email)).status_code == 204
    assert row(email) == before


@pytest.mark.parametrize("reference", ["the caller's", None], ids=["caller's reference", "own reference"])
@pytest.mark.parametrize(
    "difference",
    [
        {"to": "bertrand@example.com"},
        {"template_id": SOME_ID},
        {"reference": "another"},
        {"reference": "The Caller's"},
        {"reference": None},
        {"created_at": "2026-11-22T11:58:59.999999Z"},
        {"created_at": "2026-11-22T11:58:59.999999"},
        {"created_at": "0001-01-01T00:00:00+23:59"},
    ],
    ids=str,
)
def test_a_notification_that_does_not_fit_is_not_taken(
    make_email: MakeEmail, clock: Clock, difference: dict[str, Any], reference: str | None
) -> None:
    email = unclear(make_email, **with_reference(reference))
    before = row(email)
    assert post(receipt_of(email, **difference)).status_code == 204
    assert row(email) == before
    assert events(email) == []


@pytest.mark.parametrize(
    "way",
    [
        {"to": "Amala.O'Neill@Example.COM"},
        {"template_id": defaults.TEMPLATE_ID.upper()},
        # Notify's clock is behind ours by as much as it can be
        {"created_at": "2026-11-22T11:59:00.000000Z"},
        {"created_at": "2026-11-22T12:59:00.000000+01:00"},
        {"reference": "the caller's"},
    ],
    ids=str,
)
def test_a_notification_fits_as_notify_writes_it(make_email: MakeEmail, clock: Clock, way: dict[str, Any]) -> None:
    email = unclear(make_email, reference="the caller's", email_address="\u200b amala.o'neill@example.com ")
    values = receipt_of(email, **({"to": "amala.o'neill@example.com"} | way))
    assert post(values).status_code == 204
    assert row(email)["status"] == DELIVERED


def test_of_two_emails_that_a_notification_may_belong_to_neither_takes_it(make_email: MakeEmail) -> None:
    twins = [unclear(make_email, reference="batch") for _ in range(2)]
    before = [row(email) for email in twins]
    assert post(receipt_of(twins[0])).status_code == 204
    assert [row(email) for email in twins] == before
    # Once one of them is settled, the other is the only one left
    EmailMessage.objects.filter(pk=twins[0].pk).update(status=SENT, notify_id=uuid.uuid4(), unclear_until=None)
    assert post(receipt_of(twins[1])).status_code == 204
    assert [row(email)["status"] for email in twins] == [SENT, DELIVERED]


def test_a_notification_that_another_email_holds_is_that_ones(make_email: MakeEmail) -> None:
    holder, other = make_email(SENT, reference="batch"), unclear(make_email, reference="batch")
    before = row(other)
    assert post(receipt_of(holder)).status_code == 204
    assert row(holder)["status"] == DELIVERED
    assert row(other) == before


def test_a_notification_that_another_email_takes_meanwhile_is_that_ones(
    make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    email, quicker = unclear(make_email, reference="batch"), make_email(SENT, notify_id=None)
    before = row(email)
    values = receipt_of(email)
    record = transitions.record_found_by_receipt

    def overtaken(*args: Any) -> bool:
        EmailMessage.objects.filter(pk=quicker.pk).update(notify_id=values["id"])
        return record(*args)

    monkeypatch.setattr(transitions, "record_found_by_receipt", overtaken)
    assert post(values).status_code == 204
    assert row(email) == before
    assert row(quicker)["status"] == DELIVERED


def test_an_email_whose_status_changes_meanwhile_is_settled_from_that_one(
    make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = unclear(make_email, Status.SENDING_TO_NOTIFY, reference="the caller's")
    record = transitions.record_found_by_receipt

    def overtaken(*args: Any) -> bool:
        EmailMessage.objects.filter(status=Status.SENDING_TO_NOTIFY).update(status=RETRYING)
        return record(*args)

    monkeypatch.setattr(transitions, "record_found_by_receipt", overtaken)
    assert post(receipt_of(email)).status_code == 204
    assert events(email) == [("report", "found", "receipt", RETRYING, "notify-delivered")]


def test_the_answer_that_is_recorded_between_two_looks_is_seen(
    make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = claims.claim_attempt(make_email())
    assert claim is not None
    values = receipt_of(EmailMessage.objects.get())
    match = matching.only_owner

    def overtaken(*args: Any, **kwargs: Any) -> EmailMessage | None:
        assert transitions.record_accepted(claim, uuid.UUID(values["id"]), NOTHING) is True
        return match(*args, **kwargs)

    monkeypatch.setattr(matching, "only_owner", overtaken)
    assert post(values).status_code == 204
    assert [event[:3] for event in events(claim.email)] == [
        ("attempt", "accepted", "sending"),
        ("report", "", "receipt"),
    ]
    assert row(claim.email)["status"] == DELIVERED


def test_an_email_that_holds_another_notification_takes_no_second_one(make_email: MakeEmail) -> None:
    # It was accepted twice: its status is that of the notification that it holds
    email = make_email(SENT)
    before = row(email)
    assert post(receipt_of(email, id=str(uuid.uuid4()), status="permanent-failure")).status_code == 204
    assert row(email) == before
    assert events(email) == []


@pytest.mark.parametrize(
    "change",
    [{"unclear_until": None}, {"attempt_started_at": timezone.now() + dt.timedelta(hours=1)}],
    ids=["the attempt has failed", "another attempt has begun"],
)
def test_an_email_whose_attempt_is_another_one_meanwhile_is_not_settled(
    make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    email = unclear(make_email, reference="the caller's")
    record = transitions.record_found_by_receipt

    def overtaken(*args: Any) -> bool:
        EmailMessage.objects.update(**change)
        return record(*args)

    monkeypatch.setattr(transitions, "record_found_by_receipt", overtaken)
    assert post(receipt_of(email)).status_code == 204
    assert row(email)["status"] == RETRYING
    assert events(email) == []


# --- Whoever is at the email meanwhile -----------------------------------------------------------------------------


def test_the_answer_that_comes_after_the_receipt_changes_nothing(make_email: MakeEmail) -> None:
    claim = claims.claim_attempt(make_email())
    assert claim is not None
    values = receipt_of(EmailMessage.objects.get())
    assert post(values).status_code == 204
    before = row(claim.email)
    assert transitions.record_accepted(claim, uuid.UUID(values["id"]), NOTHING) is False
    assert transitions.record_refused(claim, NOTHING) is False
    assert transitions.record_try_later(claim, NOTHING) is False
    assert transitions.record_limited(claim, NOTHING, until=timezone.now()) is False
    assert transitions.record_not_sent(claim, NOTHING) is False
    assert transitions.record_unclear(claim, NOTHING, finished=True) is False
    assert row(claim.email) == before
    assert [event[:3] for event in events(claim.email)] == [("report", "found", "receipt")]


def test_a_question_that_is_under_way_changes_nothing_and_nothing_is_posted_after_it(
    make_email: MakeEmail, sandbox: Sandbox
) -> None:
    claim = claims.claim_question(unclear(make_email))
    assert claim is not None
    values = receipt_of(claim.email)
    assert post(values).status_code == 204
    before = row(claim.email)
    found = receipts.parse(json.dumps(values).encode())
    assert found is not None
    assert transitions.record_found(claim, found.notification, NOTHING) is False
    assert transitions.record_given_up(claim, NOTHING) is False
    assert transitions.record_no_answer(claim, NOTHING) is False
    assert transitions.claim_new_attempt(claim, NOTHING) is None
    delivery.deliver(claim.email.pk)
    assert row(claim.email) == before
    assert len(events(claim.email)) == 1
    assert sandbox.requests() == []


def test_a_worker_that_read_the_email_before_the_receipt_cannot_claim_it(make_email: MakeEmail) -> None:
    email = unclear(make_email)
    assert post(receipt_of(email)).status_code == 204
    before = row(email)
    assert claims.claim_attempt(email) is None
    assert claims.claim_question(email) is None
    assert transitions.abandon(email) is False
    assert row(email) == before


def test_an_email_that_was_accepted_twice_says_so_though_one_acceptance_came_by_receipt(make_email: MakeEmail) -> None:
    claim = claims.claim_attempt(make_email())
    assert claim is not None
    assert post(receipt_of(EmailMessage.objects.get())).status_code == 204
    assert transitions.record_accepted(claim, uuid.uuid4(), NOTHING) is False
    assert [event[1] for event in events(claim.email)] == ["found", "accepted-again"]
