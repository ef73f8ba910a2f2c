"""What was sent is followed: quickly at first, ever less, and not for ever."""

from __future__ import annotations

import datetime as dt
import uuid
from itertools import pairwise

import pytest
from pytest_django import Settings

from django_govuk_notify_outbox import cadence, delivery, notify, reports, sync, tracking
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock, MakeEmail

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
HOUR = 3600.0
DAY = 24 * HOUR


def looks(*, receipts: bool) -> list[float]:
    """The ages, in seconds, at which an email is looked up that nothing becomes of."""
    ages, now = [], NOW
    while moment := cadence.next_look(accepted_at=NOW, now=now, receipts=receipts):
        now = moment
        ages.append((now - NOW).total_seconds())
    return ages


def test_an_email_is_looked_up_after_five_seconds_and_then_before_it_is_three_times_as_old() -> None:
    ages = looks(receipts=False)
    assert ages[:9] == [5, 12, 32, 96, 256, 704, 1728, 4800, 14016]
    for before, age in pairwise(age for age in ages if age < 3 * HOUR):
        assert 2 * before <= age <= 3 * before
    for before, age in pairwise(age for age in ages if age > DAY):
        assert 3 * HOUR <= age - before <= 6 * HOUR
    assert 5 * DAY <= ages[-1] <= 5 * DAY + 6 * HOUR


def test_emails_of_about_the_same_age_are_looked_up_at_the_same_moments() -> None:
    moments = {cadence.next_look(accepted_at=NOW - dt.timedelta(seconds=100 + n), now=NOW) for n in range(15)}
    assert len(moments) <= 2
    later = {
        cadence.next_look(accepted_at=NOW - dt.timedelta(seconds=100 - n / 10), now=NOW + dt.timedelta(seconds=n / 10))
        for n in range(150)
    }
    assert len(later) <= 2


def test_with_receipts_an_email_is_looked_up_when_notify_has_stopped_trying_to_post_one() -> None:
    with_receipts, without = looks(receipts=True), looks(receipts=False)
    assert with_receipts[0] == 1800
    assert 3600 <= with_receipts[1] <= 5400
    assert len(with_receipts) < len(without)
    assert with_receipts[-1] >= 5 * DAY


@pytest.mark.django_db
def test_with_receipts_notify_is_asked_more_rarely_yet_it_is_asked(
    clock: Clock, sandbox: Sandbox, settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS = ["a-token-of-the-tests"]
    sandbox.set_timing(sending_after=1, final_after=3000)
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
    delivery.deliver(email.pk)
    dues = []
    email.refresh_from_db()
    while email.due_at is not None:
        dues.append((email.due_at - email.created_at).total_seconds())
        clock.move_to(email.due_at)
        sync.run()
        email.refresh_from_db()
    # No receipt came
    assert dues == [1800, 4800]
    assert email.status == Status.NOTIFY_DELIVERED


@pytest.mark.parametrize(("age", "is_asked_again"), [(0, True), (HOUR - 1, True), (HOUR, False), (DAY, False)])
def test_an_email_that_notify_does_not_know_is_asked_about_for_an_hour(age: float, is_asked_again: bool) -> None:
    moment = cadence.next_look(accepted_at=NOW - dt.timedelta(seconds=age), now=NOW, unknown=True)
    assert (moment is not None) == is_asked_again


@pytest.mark.django_db
def test_an_email_to_an_address_that_simulates_is_looked_up_once(clock: Clock, sandbox: Sandbox) -> None:
    for number in ("", "-2", "-3"):
        address = f"Simulate-delivered{number}@notifications.service.gov.uk "
        email = send_email_notification(address, defaults.TEMPLATE_ID, {"name": "Amala"})
        delivery.deliver(email.pk)
        clock.move(5)
        sync.run()
        email.refresh_from_db()
        assert (email.status, email.due_at) == (Status.SENT_TO_NOTIFY, None)
        assert [event.kind for event in email.events.all()] == ["attempt"]
    assert [request["status"] for request in sandbox.requests()] == [201, 404] * 3


@pytest.mark.django_db
def test_an_email_that_notify_does_not_know_keeps_its_status_and_is_looked_up_for_an_hour(
    clock: Clock, sandbox: Sandbox
) -> None:
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
    delivery.deliver(email.pk)
    # Notify forgets it, as it does after the retention
    sandbox.reset()
    sandbox.set_clock(clock.now)
    ages = []
    email.refresh_from_db()
    while email.due_at is not None:
        clock.move_to(email.due_at)
        sync.run()
        ages.append((clock.now - email.created_at).total_seconds())
        email.refresh_from_db()
    assert email.status == Status.SENT_TO_NOTIFY
    assert ages == [5, 12, 32, 96, 256, 704, 1728, 4800]
    assert [event.kind for event in email.events.all()] == ["attempt"]
    assert {request["status"] for request in sandbox.requests()} == {404}


@pytest.mark.django_db
def test_a_look_that_finds_nothing_new_leaves_no_event(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.set_timing(sending_after=1000, final_after=2000)
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
    delivery.deliver(email.pk)
    for _ in range(5):
        email.refresh_from_db()
        clock.move_to(email.due_at)
        sync.run()
    assert [event.status for event in email.events.all()] == ["sent-to-notify", "notify-created"]
    assert sum(request["method"] == "GET" for request in sandbox.requests()) == 5


@pytest.mark.django_db
def test_a_worker_that_dies_while_it_looks_costs_one_look(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = make_email(Status.SENT_TO_NOTIFY)

    def die(notify_id: uuid.UUID) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(notify, "look_up", die)
        with pytest.raises(SystemExit):
            tracking.look_up(email.pk)
    email.refresh_from_db()
    assert email.due_at == clock.now + dt.timedelta(seconds=cadence.FIRST)
    clock.move(cadence.FIRST)
    sync.run()
    assert len(sandbox.requests()) == 1


@pytest.mark.django_db
def test_only_one_of_two_workers_looks_an_email_up(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = make_email(Status.SENT_TO_NOTIFY)
    schedule = reports.schedule_next_look
    # The other worker is quicker between this one's reading and its claim
    monkeypatch.setattr(reports, "schedule_next_look", lambda email: schedule(email) and schedule(email))
    tracking.look_up(email.pk)
    assert sandbox.requests() == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body", ["garbage", {}, [], {"id": "x", "status": "delivered"}], ids=["no JSON", "empty", "a list", "no id"]
)
def test_an_answer_that_cannot_be_read_changes_nothing(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, body: object
) -> None:
    email = make_email(Status.SENT_TO_NOTIFY)
    sandbox.add_fault(on="GET", status=200, body=body)
    sync.run()
    email.refresh_from_db()
    assert (email.status, email.events.count()) == (Status.SENT_TO_NOTIFY, 0)


@pytest.mark.django_db
def test_a_404_that_is_not_notifys_own_is_no_answer(clock: Clock, sandbox: Sandbox, make_email: MakeEmail) -> None:
    email = make_email(Status.SENT_TO_NOTIFY)
    sandbox.add_fault(on="GET", status=404, body="<h1>Not found</h1>")
    assert tracking.look_up(email.pk) is delivery.Progress.STOP


@pytest.mark.django_db
def test_the_last_look_at_an_email_is_the_last_that_notify_answered(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail
) -> None:
    sandbox.set_timing(sending_after=0, final_after=10**7)
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
    delivery.deliver(email.pk)
    clock.move(5 * DAY + 10)
    sandbox.add_fault(on="GET", status=500)
    sync.run()
    email.refresh_from_db()
    assert (email.status, email.due_at) == (Status.SENT_TO_NOTIFY, clock.now + dt.timedelta(hours=6))
    clock.move(6 * HOUR)
    sync.run()
    email.refresh_from_db()
    assert (email.status, email.due_at) == (Status.NOTIFY_SENDING, None)
