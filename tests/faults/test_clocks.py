"""Clocks that differ from host to host, are set back or forward, or jump with daylight saving."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from django.test import override_settings
from django.utils import timezone
from freezegun import freeze_time
from pytest_django import Settings

from django_govuk_notify_outbox import claims, delivery, holds, moments, notify, sync
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import Clock
from tests.faults.conftest import LEASE, SYNC_INTERVAL, Aftermath, story
from tests.faults.test_answers import assert_delivered_once, new_email
from tests.test_limits import error
from tests.test_retrying import posts

pytestmark = pytest.mark.django_db

Host = Callable[[float], AbstractContextManager[None]]


@pytest.fixture
def host(clock: Clock) -> Host:
    """A host whose clock is off by some seconds; ``clock`` is the right one, and Notify's."""

    @contextmanager
    def host(off_by: float) -> Iterator[None]:
        with freeze_time(clock.now + dt.timedelta(seconds=off_by)):
            yield

    return host


@pytest.mark.parametrize(("one", "other"), [(-30, 30), (-15, 15), (0, 0), (30, -30)])
def test_hosts_whose_clocks_differ_by_a_minute_send_an_email_once_though_notify_takes_its_time(
    host: Host, clock: Clock, sandbox: Sandbox, one: int, other: int
) -> None:
    with host(one):
        email = new_email()
        assert claims.claim_attempt(email) is not None
    # Its request is under way for as long as one can be, while the other host syncs every few seconds
    for _ in range(LEASE // SYNC_INTERVAL - 1):
        clock.move(SYNC_INTERVAL)
        with host(other):
            sync.run()
    assert posts(sandbox) == 0
    notify.send(email.payload())
    for _ in range(60):
        clock.move(SYNC_INTERVAL)
        with host(other):
            sync.run()
    assert posts(sandbox) == 1
    assert_delivered_once(email, sandbox)


def test_a_host_whose_clock_is_a_minute_off_is_refused_by_notify_and_the_others_send(
    host: Host, clock: Clock, sandbox: Sandbox
) -> None:
    email = new_email()
    with host(61):
        delivery.deliver(email.pk)
    email.refresh_from_db()
    assert (email.status, email.events.get().outcome) == (Status.RETRYING_SEND_TO_NOTIFY, "try-later")
    assert "system clock" in email.events.get().message
    # That is no reason for others to wait
    assert not holds.is_sending_held()
    Aftermath(clock).settle()
    assert posts(sandbox) == 2
    assert_delivered_once(email, sandbox)


def test_a_host_whose_clock_is_off_holds_the_others_up_for_a_minute_and_no_longer(
    host: Host, clock: Clock, sandbox: Sandbox
) -> None:
    with host(50):
        holds.hold_sending()
    assert holds.is_sending_held()
    clock.move(55)
    assert not holds.is_sending_held()
    with host(600):
        holds.hold_sending()
    # Longer than a hold can last, so it is not heeded
    assert not holds.is_sending_held()


def test_a_clock_that_is_set_back_during_an_attempt_does_not_let_it_be_posted_late(
    clock: Clock, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = claims.claim_attempt(new_email())
    assert claim is not None
    began = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began + 9.9)
    with freeze_time(clock.now - dt.timedelta(hours=1)):
        assert claim.may_post()
        monkeypatch.setattr(time, "monotonic", lambda: began + 10)
        assert not claim.may_post()


def test_a_machine_that_was_suspended_during_an_attempt_does_not_post_it_late(
    clock: Clock, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    claim = claims.claim_attempt(new_email())
    assert claim is not None
    # While a machine is suspended, its monotonic clock stands still
    began = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began)
    clock.move(9.9)
    assert claim.may_post()
    clock.move(0.1)
    # Its only attempt is not used up by that
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = []
    assert delivery.post(claim) is delivery.Progress.GO_ON
    assert sandbox.requests() == []
    monkeypatch.undo()
    Aftermath(clock).settle()
    assert_delivered_once(claim.email, sandbox)


@pytest.mark.parametrize("hours", [1, 24])
def test_a_clock_that_is_set_back_delays_what_waits_and_nothing_else(
    clock: Clock, sandbox: Sandbox, hours: int
) -> None:
    waiting, under_way = new_email(), new_email()
    sandbox.add_fault(accept=True, **error(500, "OperationalError"))
    delivery.deliver(waiting.pk)
    assert claims.claim_attempt(under_way) is not None
    assert holds.Lease(holds.SYNC, seconds=70).take()
    holds.hold_sending()
    clock.move(-3600 * hours)
    # The lease of a run that ended before, and the hold, count no more: what is new is sent, and followed
    new = new_email()
    delivery.deliver(new.pk)
    clock.move(60)
    sync.run()
    new.refresh_from_db()
    assert new.status == Status.NOTIFY_DELIVERED
    waiting.refresh_from_db()
    assert waiting.status == Status.RETRYING_SEND_TO_NOTIFY
    Aftermath(clock).settle()
    for email in (waiting, under_way):
        email.refresh_from_db()
        assert email.status == Status.NOTIFY_DELIVERED
    assert len(sandbox.emails()) == 3
    assert posts(sandbox) == 3


def test_a_clock_that_is_set_forward_after_an_attempt_decides_nothing_too_soon(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(cut=True, hidden_for=20)
    email = new_email()
    delivery.deliver(email.pk)
    clock.move(60)
    sync.run()
    assert posts(sandbox) == 1
    Aftermath(clock).settle()
    assert story(email, email.created_at)[0] == (0, "unclear")
    assert_delivered_once(email, sandbox)


@contextmanager
def london(moment: str, *, summer: bool) -> Iterator[None]:
    """A project with USE_TZ = False, in London, at a moment."""
    with override_settings(USE_TZ=False), freeze_time(moment, tz_offset=1 if summer else 0):
        yield


def test_a_lease_outlasts_the_night_when_clocks_go_forward() -> None:
    with london("2027-03-28T00:59:50Z", summer=False):
        lease_until = moments.after(70)
    with london("2027-03-28T01:00:59Z", summer=True):
        assert timezone.now() == dt.datetime(2027, 3, 28, 2, 0, 59)  # noqa: DTZ001  # as Django has it here
        assert timezone.now() < lease_until
    with london("2027-03-28T01:01:00Z", summer=True):
        assert timezone.now() >= lease_until


def test_a_lease_outlasts_the_night_when_clocks_go_back() -> None:
    with london("2027-10-31T00:59:50Z", summer=True):
        lease_until = moments.after(70)
    with london("2027-10-31T01:00:00Z", summer=False):
        assert timezone.now() < lease_until
    with london("2027-10-31T01:59:59Z", summer=False):
        assert timezone.now() < lease_until
    # An hour late, which is what local times cost
    with london("2027-10-31T02:01:00Z", summer=False):
        assert timezone.now() >= lease_until


@pytest.mark.parametrize(
    ("before", "after", "spring"),
    [
        pytest.param("2027-03-28T00:59:50Z", "2027-03-28T01:00:50Z", True, id="clocks go forward"),
        pytest.param("2027-10-31T00:59:50Z", "2027-10-31T01:00:50Z", False, id="clocks go back"),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_an_email_under_way_when_local_time_jumps_is_not_sent_again(
    sandbox: Sandbox, before: str, after: str, spring: bool
) -> None:
    with london(before, summer=not spring):
        sandbox.set_clock(dt.datetime.fromisoformat(before))
        email = new_email()
        assert claims.claim_attempt(email) is not None
    with london(after, summer=spring):
        # A minute later its request is still under way, and nobody else may touch it
        sandbox.set_clock(dt.datetime.fromisoformat(after))
        sync.run()
        delivery.deliver(email.pk)
        assert sandbox.requests() == []
        notify.send(email.payload())
    noon = after[:11] + "12:00:00Z"
    with london(noon, summer=spring):
        sandbox.set_clock(dt.datetime.fromisoformat(noon))
        sync.run()
    assert posts(sandbox) == 1
    row = EmailMessage.objects.get()
    assert [str(row.notify_id)] == [each["id"] for each in sandbox.emails()]


@pytest.mark.django_db(transaction=True)
def test_an_email_that_waits_when_clocks_go_forward_is_not_abandoned_for_it(sandbox: Sandbox) -> None:
    with london("2027-03-28T00:59:58Z", summer=False):
        emails = [new_email(), new_email()]
    with london("2027-03-28T01:00:02Z", summer=True):
        sandbox.set_clock(dt.datetime.fromisoformat("2027-03-28T01:00:02Z"))
        sandbox.add_fault(**error(500, "OperationalError"))
        for email in emails:
            delivery.deliver(email.pk)
    assert [row.status for row in EmailMessage.objects.order_by("pk")] == [
        Status.RETRYING_SEND_TO_NOTIFY,
        Status.SENT_TO_NOTIFY,
    ]
    assert EmailMessage.objects.order_by("pk")[0].due_at is not None
    assert posts(sandbox) == 2


@pytest.mark.django_db(transaction=True)
def test_a_project_without_time_zones_sends_retries_and_follows_as_any_other(sandbox: Sandbox) -> None:
    sandbox.add_fault(cut=True)
    with override_settings(USE_TZ=False), freeze_time("2027-01-15T12:00:00Z") as frozen:
        clock = Clock(frozen, sandbox)
        email = new_email()
        delivery.deliver(email.pk)
        Aftermath(clock).settle()
        assert [outcome for _, outcome in story(email, email.created_at)] == [
            "unclear",
            "not-found-yet",
            "not-found-yet",
            "not-found",
            "accepted",
        ]
        assert_delivered_once(email, sandbox)
    assert posts(sandbox) == 2
