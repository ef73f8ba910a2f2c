"""An attempt without a clear answer: Notify is asked before anything is sent again."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from pytest_django import Settings

from django_govuk_notify_outbox import claims, delivery, holds, matching, moments, notify, sync
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.outcomes import Accepted, NoAnswer
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock
from tests.test_retrying import SERVER_ERROR, posts

pytestmark = pytest.mark.django_db

HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"


def new_email(**arguments: Any) -> EmailMessage:
    values = {"email_address": ADDRESS, "template_id": defaults.TEMPLATE_ID, "personalisation": {"name": "Amala"}}
    return send_email_notification(**{**values, **arguments})


def outcomes(email: EmailMessage) -> list[str]:
    return [event.outcome or event.notify_status for event in email.events.all()]


def go_on(email: EmailMessage, clock: Clock) -> None:
    """Let the next due moment come, and sync with it."""
    email.refresh_from_db()
    clock.move_to(email.due_at)
    sync.run()
    email.refresh_from_db()


@pytest.mark.parametrize(
    "fault",
    [
        {"cut": True},
        {"status": 500, "body": HTML},
        {"status": 502, "body": HTML},
        {"status": 503, "body": HTML},
        {"status": 504, "body": HTML},
        {"status": 408, "body": HTML},
        {"status": 201, "body": "garbage"},
        {"status": 201, "body": {"id": "not-an-id", "reference": None}},
        {"status": 201, "body": []},
        SERVER_ERROR,
    ],
    ids=["cut", "500", "502", "503", "504", "408", "garbage", "no id", "a list", "500 of Notify's"],
)
def test_an_email_that_notify_accepted_without_a_clear_answer_is_found_and_not_sent_again(
    clock: Clock, sandbox: Sandbox, fault: dict[str, Any]
) -> None:
    sandbox.add_fault(accept=True, **fault)
    email = new_email()
    delivery.deliver(email.pk)
    email.refresh_from_db()
    assert email.status == Status.RETRYING_SEND_TO_NOTIFY
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "found"]
    assert email.status == Status.NOTIFY_DELIVERED
    assert [str(email.notify_id)] == [accepted["id"] for accepted in sandbox.emails()]
    assert posts(sandbox) == 1


def test_a_redirect_is_followed_to_an_answer_that_is_not_taken_for_an_acceptance(
    clock: Clock, sandbox: Sandbox
) -> None:
    sandbox.add_fault(status=302, location="/v2/notifications")
    email = new_email()
    delivery.deliver(email.pk)
    assert outcomes(email) == ["unclear"]
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "not-found-yet"]


def test_a_read_timeout_is_unclear_not_refused(clock: Clock, sandbox: Sandbox, settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__TIMEOUT = 0.3
    sandbox.add_fault(accept=True, delay=1.0)
    email = new_email()
    delivery.deliver(email.pk)
    assert outcomes(email) == ["unclear"]
    event = email.events.get()
    assert (event.http_status, event.message) == (None, "No answer came in time.")
    assert "Read timed out" in event.traceback
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__TIMEOUT = 30
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "found"]
    assert posts(sandbox) == 1


def test_that_notify_does_not_have_it_is_not_believed_while_the_request_may_be_under_way(
    clock: Clock, sandbox: Sandbox
) -> None:
    sandbox.add_fault(cut=True)
    email = new_email()
    delivery.deliver(email.pk)
    go_on(email, clock)
    assert clock.now == email.created_at + dt.timedelta(seconds=5)
    assert outcomes(email) == ["unclear", "not-found-yet"]
    # Twice TIMEOUT and ten seconds; then two more TIMEOUTs, since the clocks of two workers may differ
    assert email.due_at == email.created_at + dt.timedelta(seconds=70)
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "not-found-yet", "not-found-yet"]
    assert email.due_at == email.created_at + dt.timedelta(seconds=130)
    assert posts(sandbox) == 1
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "not-found-yet", "not-found-yet", "not-found", "accepted"]
    assert (email.attempts, email.status) == (2, Status.SENT_TO_NOTIFY)
    assert posts(sandbox) == 2
    assert len(sandbox.emails()) == 1


def test_an_email_that_becomes_visible_late_is_not_sent_again(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(accept=True, cut=True, hidden_for=20)
    email = new_email()
    delivery.deliver(email.pk)
    go_on(email, clock)
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "not-found-yet", "found"]
    assert posts(sandbox) == 1


def test_a_question_without_an_answer_leaves_everything_open(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(accept=True, cut=True)
    sandbox.add_fault(on="GET", times=2, **SERVER_ERROR)
    email = new_email()
    delivery.deliver(email.pk)
    go_on(email, clock)
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "no-answer", "no-answer"]
    assert email.status == Status.RETRYING_SEND_TO_NOTIFY
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "no-answer", "no-answer", "found"]
    assert posts(sandbox) == 1


def test_a_question_without_an_answer_is_asked_ever_less_but_without_end(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(cut=True)
    sandbox.add_fault(on="GET", times=1000, **SERVER_ERROR)
    email = new_email()
    delivery.deliver(email.pk)
    waits = []
    while clock.now < email.created_at + dt.timedelta(hours=3):
        go_on(email, clock)
        assert email.due_at is not None
        waits.append((email.due_at - clock.now).total_seconds())
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (5, 600)
    assert 20 < len(waits) < 50
    assert email.status == Status.RETRYING_SEND_TO_NOTIFY


def test_a_worker_that_died_after_its_claim_leaves_a_row_that_is_asked_about(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email()
    claim = claims.claim_attempt(email)
    assert claim is not None
    # The worker posts, and is gone before it can record the answer
    notify.send(email.payload())
    clock.move_to(claim.lease_until - dt.timedelta(seconds=1))
    sync.run()
    assert outcomes(email) == []
    go_on(email, clock)
    assert outcomes(email) == ["found"]
    assert posts(sandbox) == 1


def test_an_email_whose_worker_died_before_it_posted_is_sent_when_nothing_can_be_under_way(
    clock: Clock, sandbox: Sandbox
) -> None:
    email = new_email()
    assert claims.claim_attempt(email) is not None
    go_on(email, clock)
    assert clock.now == email.created_at + dt.timedelta(seconds=70)
    assert outcomes(email) == ["not-found-yet"]
    go_on(email, clock)
    assert clock.now == email.created_at + dt.timedelta(seconds=130)
    assert outcomes(email) == ["not-found-yet", "not-found", "accepted"]
    assert (email.attempts, email.status) == (2, Status.SENT_TO_NOTIFY)


def test_a_worker_that_was_held_up_beyond_its_lease_does_not_post(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email()
    claim = claims.claim_attempt(email)
    assert claim is not None
    clock.move_to(claim.lease_until)
    assert delivery.post(claim) is delivery.Progress.GO_ON
    assert posts(sandbox) == 0


def test_two_like_emails_of_a_batch_are_matched_to_one_notification_each(clock: Clock, sandbox: Sandbox) -> None:
    first, second = new_email(reference="batch"), new_email(reference="batch")
    sandbox.add_fault(accept=True, cut=True)
    delivery.deliver(first.pk)
    delivery.deliver(second.pk)
    second.refresh_from_db()
    assert second.status == Status.SENT_TO_NOTIFY
    go_on(first, clock)
    assert outcomes(first) == ["unclear", "found"]
    assert {str(first.notify_id), str(second.notify_id)} == {accepted["id"] for accepted in sandbox.emails()}
    assert posts(sandbox) == 2


def test_a_notification_that_may_be_anothers_is_left_until_that_one_is_clear(clock: Clock, sandbox: Sandbox) -> None:
    first, second = new_email(reference="batch"), new_email(reference="batch")
    sandbox.add_fault(accept=True, cut=True)
    sandbox.add_fault(cut=True)
    delivery.deliver(first.pk)
    clock.move(1)
    delivery.deliver(second.pk)
    go_on(first, clock)
    second.refresh_from_db()
    # One notification, two emails that may own it
    assert outcomes(first) == ["unclear", "not-found-yet"]
    assert first.due_at == first.created_at + dt.timedelta(seconds=70)
    go_on(first, clock)
    assert outcomes(first) == ["unclear", "not-found-yet", "not-found-yet"]
    second.refresh_from_db()
    assert first.due_at == second.unclear_until
    go_on(second, clock)
    go_on(first, clock)
    clock.move(120)
    sync.run()
    first.refresh_from_db()
    second.refresh_from_db()
    # Which of the two holds which is all the same: they are alike. Each has been accepted once
    assert {str(first.notify_id), str(second.notify_id)} == {accepted["id"] for accepted in sandbox.emails()}
    assert len(sandbox.emails()) == 2
    assert posts(sandbox) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"email_address": "other@example.com"},
        {"template_id": defaults.PLAIN_TEMPLATE_ID},
    ],
    ids=["to another address", "of another template"],
)
def test_a_notification_with_the_same_reference_is_not_taken_for_ours(
    clock: Clock, sandbox: Sandbox, other: dict[str, Any]
) -> None:
    # Sent by another system, so that no row of ours holds it
    another = new_email(reference="batch", **other)
    delivery.deliver(another.pk)
    EmailMessage.objects.filter(pk=another.pk).delete()
    email = new_email(reference="batch")
    sandbox.add_fault(cut=True)
    delivery.deliver(email.pk)
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "not-found-yet"]


def test_a_notification_from_before_the_attempt_is_not_taken_for_ours(clock: Clock, sandbox: Sandbox) -> None:
    earlier = new_email(reference="batch")
    delivery.deliver(earlier.pk)
    EmailMessage.objects.filter(pk=earlier.pk).delete()
    clock.move(moments.CLOCK_TOLERANCE + 1)
    email = new_email(reference="batch")
    sandbox.add_fault(cut=True)
    delivery.deliver(email.pk)
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "not-found-yet"]


def test_an_address_and_a_template_id_written_differently_still_match(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email(
        email_address=" \u200bAmala@Example.COM ",
        template_id="{" + defaults.TEMPLATE_ID.upper() + "}",
        reference="batch",
    )
    sandbox.add_fault(accept=True, cut=True)
    delivery.deliver(email.pk)
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "found"]
    assert posts(sandbox) == 1


def test_a_template_id_that_is_none_matches_nothing_and_stops_nothing(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email(template_id="no-uuid")
    sandbox.add_fault(cut=True)
    delivery.deliver(email.pk)
    go_on(email, clock)
    go_on(email, clock)
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "not-found-yet", "not-found-yet", "not-found", "refused"]
    assert email.status == Status.FAILED_SEND_TO_NOTIFY


def test_a_reference_with_more_than_a_page_of_notifications_is_read_to_its_end(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email(reference="batch")
    sandbox.add_fault(accept=True, cut=True)
    delivery.deliver(email.pk)
    for number in range(notify.PAGE_SIZE):
        body = {**email.payload(), "email_address": f"other-{number}@example.com"}
        clock.move(0.001)
        assert isinstance(notify.send(body), Accepted)
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "found"]


def test_a_new_attempt_waits_while_sending_is_held(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(**SERVER_ERROR)
    email = new_email()
    delivery.deliver(email.pk)
    email.refresh_from_db()
    clock.move_to(email.due_at)
    holds.hold_sending()
    delivery.deliver(email.pk)
    email.refresh_from_db()
    assert outcomes(email) == ["unclear", "not-found-yet"]
    assert email.due_at == clock.now + dt.timedelta(seconds=holds.SENDING_HOLD)
    assert posts(sandbox) == 1
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "not-found-yet", "not-found", "accepted"]


def test_a_new_attempt_is_not_made_by_a_worker_that_lost_its_claim_while_it_asked(
    clock: Clock, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.add_fault(**SERVER_ERROR)
    email = new_email()
    delivery.deliver(email.pk)
    email.refresh_from_db()
    clock.move_to(email.due_at)
    find = notify.find

    def slowly(reference: str, *, since: dt.datetime) -> object:
        answer = find(reference, since=since)
        with monkeypatch.context() as patch:
            patch.setattr(notify, "find", find)
            clock.move(70)
            delivery.deliver(email.pk)
        return answer

    monkeypatch.setattr(notify, "find", slowly)
    delivery.deliver(email.pk)
    assert outcomes(email) == ["unclear", "not-found", "accepted"]
    assert posts(sandbox) == 2


def test_that_notify_did_not_have_it_is_judged_by_the_time_of_the_question(
    clock: Clock, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.add_fault(cut=True)
    email = new_email()
    delivery.deliver(email.pk)
    find = notify.find

    def slowly(reference: str, *, since: dt.datetime) -> object:
        answer = find(reference, since=since)
        clock.move(60)
        return answer

    monkeypatch.setattr(notify, "find", slowly)
    # Asked 5 seconds after the attempt, answered 65 seconds after it
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "not-found-yet"]
    assert posts(sandbox) == 1


def test_of_two_unclear_emails_of_a_batch_each_gets_its_own_notification(clock: Clock, sandbox: Sandbox) -> None:
    first = new_email(reference="batch", personalisation={"name": "Ann"})
    second = new_email(reference="batch", personalisation={"name": "Anna", "more": ["x", {"y": 1}]})
    sandbox.add_fault(cut=True)
    sandbox.add_fault(accept=True, cut=True)
    delivery.deliver(first.pk)
    delivery.deliver(second.pk)
    # Both are due, and nobody is under way any more
    clock.move(3000)
    sync.run()
    first.refresh_from_db()
    second.refresh_from_db()
    assert outcomes(first) == ["unclear", "not-found", "accepted"]
    assert outcomes(second) == ["unclear", "found"]
    assert [accepted["personalisation"]["name"] for accepted in sandbox.emails()] == ["Anna", "Ann"]


@pytest.mark.parametrize("moment", ["free_for", "unclear_others"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_twin_that_is_settled_while_an_email_is_asked_about_does_not_have_it_sent_again(
    clock: Clock, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, moment: str, after: bool
) -> None:
    twin, email = new_email(reference="batch"), new_email(reference="batch")
    for each in (twin, email):
        sandbox.add_fault(accept=True, cut=True)
        delivery.deliver(each.pk)
    # Nothing is under way any more, and both are due: two workers ask at the same time
    clock.move(200)
    look, other_worker = getattr(matching, moment), iter([lambda: delivery.deliver(twin.pk)])

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        act = next(other_worker, None)
        if act and not after:
            act()
        seen = look(*args, **kwargs)
        if act and after:
            act()
        return seen

    monkeypatch.setattr(matching, moment, interrupted)
    delivery.deliver(email.pk)
    for _ in range(3):
        clock.move(100)
        sync.run()
    assert posts(sandbox) == 2
    assert {str(each.notify_id) for each in EmailMessage.objects.all()} == {each["id"] for each in sandbox.emails()}


def test_an_unclear_email_of_another_template_delays_nothing(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email(reference="batch")
    other = new_email(reference="batch", template_id=defaults.PLAIN_TEMPLATE_ID)
    sandbox.add_fault(accept=True, cut=True)
    sandbox.add_fault(cut=True)
    delivery.deliver(email.pk)
    delivery.deliver(other.pk)
    go_on(email, clock)
    assert outcomes(email) == ["unclear", "found"]


def test_a_server_that_gives_the_same_page_again_and_again_has_not_answered(clock: Clock, sandbox: Sandbox) -> None:
    page = [
        {
            "id": str(uuid.uuid4()),
            "status": "created",
            "email_address": "other@example.com",
            "template": {"id": defaults.TEMPLATE_ID},
            "created_at": clock.now.isoformat(),
        }
    ] * notify.PAGE_SIZE
    sandbox.add_fault(on="GET", times=5, status=200, body={"notifications": page})
    answer = notify.find("ours", since=clock.now)
    assert isinstance(answer, NoAnswer)
    assert answer.exchange.message == "The same page came twice."
    assert len(sandbox.requests()) == 2
