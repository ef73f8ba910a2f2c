"""What was sent is followed: quickly at first, ever less, and not for ever."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from django_govuk_notify_outbox import cadence, delivery, notify, sync, tracking, transitions
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock, MakeEmail

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
HOUR = 3600.0
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("age", "wait"),
    [(0, 5), (20, 5), (60, 15), (HOUR, 900), (DAY, 6 * HOUR), (4 * DAY, 6 * HOUR), (5 * DAY - 1, 6 * HOUR)],
)
def test_the_next_look_waits_for_a_quarter_of_the_age_within_bounds(age: float, wait: float) -> None:
    accepted_at = NOW - dt.timedelta(seconds=age)
    assert cadence.next_look(accepted_at=accepted_at, now=NOW) == NOW + dt.timedelta(seconds=wait)


def test_after_five_days_there_is_no_next_look() -> None:
    assert cadence.next_look(accepted_at=NOW - dt.timedelta(days=5), now=NOW) is None


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["simulate-delivered@notifications.service.gov.uk", ADDRESS])
def test_an_email_that_notify_does_not_know_keeps_its_status_and_is_looked_up_ever_less_and_in_the_end_no_more(
    clock: Clock, sandbox: Sandbox, address: str
) -> None:
    email = send_email_notification(address, defaults.TEMPLATE_ID, {"name": "Amala"})
    delivery.deliver(email.pk)
    # Notify forgets it, as it does after the retention; it never knew the first
    sandbox.reset()
    sandbox.set_clock(clock.now)
    waits = []
    while True:
        email.refresh_from_db()
        if email.due_at is None:
            break
        waits.append((email.due_at - clock.now).total_seconds())
        clock.move_to(email.due_at)
        sync.run()
    assert email.status == Status.SENT_TO_NOTIFY
    assert waits == sorted(waits)
    assert 40 < len(waits) < 70
    assert dt.timedelta(days=5) <= clock.now - email.created_at < dt.timedelta(days=5, hours=6)
    assert [event.kind for event in email.events.all()] == ["attempt"]
    assert {request["status"] for request in sandbox.requests()} == {404}


@pytest.mark.django_db
def test_a_look_that_finds_nothing_new_leaves_no_event(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.set_timing(sending_after=1000, final_after=2000)
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
    delivery.deliver(email.pk)
    for _ in range(5):
        clock.move(60)
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
    assert email.due_at == clock.now + dt.timedelta(seconds=cadence.SHORTEST)
    clock.move(cadence.SHORTEST)
    sync.run()
    assert len(sandbox.requests()) == 1


@pytest.mark.django_db
def test_only_one_of_two_workers_looks_an_email_up(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = make_email(Status.SENT_TO_NOTIFY)
    schedule = transitions.schedule_next_look
    # The other worker is quicker between this one's reading and its claim
    monkeypatch.setattr(transitions, "schedule_next_look", lambda email: schedule(email) and schedule(email))
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
