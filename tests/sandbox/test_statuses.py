"""Statuses move with the sandbox's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from freezegun import freeze_time
from pytest_django import Settings

from django_govuk_notify_outbox.sandbox import clock
from django_govuk_notify_outbox.sandbox.models import SandboxState

from .conftest import ADDRESS, Api

START = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
ALL = ("created", "sending", "delivered", "temporary-failure", "permanent-failure", "technical-failure")


class Timeline:
    """Asks the sandbox at chosen moments."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.go_to(0)

    def go_to(self, seconds: float) -> None:
        """Stop the sandbox's clock so many seconds after the start."""
        self.now = START + timedelta(seconds=seconds)
        self.api.control("clock", now=self.now.isoformat())

    def send(self, address: str = ADDRESS) -> str:
        """Send an email now."""
        with freeze_time(self.now):
            return self.api.send(email_address=address)

    def times(self, notification_id: str) -> tuple[str, str | None, str | None]:
        """Return status, sent_at and completed_at, as seen now."""
        with freeze_time(self.now):
            seen = self.api.look_up(notification_id)
        return seen["status"], seen["sent_at"], seen["completed_at"]

    def listed(self, status: str) -> list[str]:
        """Return what is listed with a status now."""
        with freeze_time(self.now):
            return self.api.listed(f"?status={status}")


@pytest.fixture
def timeline(api: Api) -> Timeline:
    """A sandbox whose clock stands still at the start."""
    return Timeline(api)


@pytest.mark.parametrize(
    ("address", "final"),
    [
        (ADDRESS, "delivered"),
        ("delivered@simulator.notify", "delivered"),
        ("temp-fail@simulator.notify", "temporary-failure"),
        (" perm-fail@simulator.notify ", "permanent-failure"),
        ("PERM-FAIL@simulator.notify", "delivered"),
    ],
)
def test_e_mail_is_created_then_sending_then_final(timeline: Timeline, address: str, final: str) -> None:
    notification_id = timeline.send(address)
    sent_at, completed_at = "2026-11-22T12:00:01.123456Z", "2026-11-22T12:00:02.123456Z"

    for seconds, expected in [
        (0, ("created", None, None)),
        (0.999999, ("created", None, None)),
        (1, ("sending", sent_at, None)),
        (1.999999, ("sending", sent_at, None)),
        (2, (final, sent_at, completed_at)),
        (1000, (final, sent_at, completed_at)),
        (1.5, ("sending", sent_at, None)),
    ]:
        timeline.go_to(seconds)
        assert timeline.times(notification_id) == expected
        for status in ALL:
            assert timeline.listed(status) == ([notification_id] if status == expected[0] else [])


def test_technical_failure_was_never_sent(timeline: Timeline) -> None:
    notification_id = timeline.send("technical-fail@simulator.notify")

    timeline.go_to(2)

    assert timeline.times(notification_id) == ("technical-failure", None, "2026-11-22T12:00:02.123456Z")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("accepted", {"created", "sending"}),
        ("received", {"delivered"}),
        ("failed", {"temporary-failure", "permanent-failure", "technical-failure"}),
        ("created&status=delivered", {"created", "delivered"}),
        ("pending", set()),
    ],
)
def test_names_for_several_statuses_find_them(timeline: Timeline, asked: str, found: set[str]) -> None:
    ids = {timeline.send(): status for status in ALL}
    for notification_id, status in ids.items():
        timeline.api.control(f"emails/{notification_id}/status", status=status)

    assert {ids[notification_id] for notification_id in timeline.listed(asked)} == found


@pytest.mark.parametrize("forced", [*ALL, "brand-new"])
@pytest.mark.parametrize("seconds", [0, 1, 2])
def test_forced_status_holds_from_now_on(timeline: Timeline, seconds: int, forced: str) -> None:
    notification_id = timeline.send()
    timeline.go_to(seconds)

    timeline.api.control(f"emails/{notification_id}/status", status=forced)

    for later in (seconds, 200_000):
        timeline.go_to(later)
        assert timeline.times(notification_id)[0] == forced
        assert timeline.api.asked("emails")[0]["status"] == forced
    completed = None if forced in ("created", "sending", "brand-new") else START + timedelta(seconds=seconds)
    assert timeline.times(notification_id)[2] == (completed and clock.to_text(clock.from_datetime(completed)))


def test_email_that_is_sending_for_three_days_has_failed_the_night_after(timeline: Timeline) -> None:
    notification_id, created = timeline.send(), timeline.send()
    timeline.api.control(f"emails/{notification_id}/status", status="sending")
    timeline.api.control(f"emails/{created}/status", status="created")

    timeline.go_to(3 * 24 * 3600)
    assert timeline.times(notification_id)[0] == "sending"
    # Three days after noon is noon, and the job runs at five past midnight
    timeline.go_to(3.5 * 24 * 3600 + 299)
    assert timeline.times(notification_id)[0] == "sending"
    timeline.go_to(3.5 * 24 * 3600 + 300)
    assert timeline.times(notification_id)[::2] == ("temporary-failure", "2026-11-26T00:05:00.000000Z")
    assert timeline.listed("temporary-failure") == [notification_id]
    assert timeline.times(created)[0] == "created"


def test_email_is_gone_after_the_retention(timeline: Timeline, settings: Settings) -> None:
    notification_id = timeline.send()
    path = f"/v2/notifications/{notification_id}"

    def is_found() -> bool:
        with freeze_time(timeline.now):
            listed = timeline.api.listed()
            assert listed == ([notification_id] if timeline.api.get(path).status_code == 200 else [])
        return listed != []

    timeline.go_to(7 * 24 * 3600 - 1)
    assert is_found()
    timeline.go_to(7 * 24 * 3600)
    assert not is_found()
    settings.GOVUK_NOTIFY_SANDBOX_RETENTION_DAYS = 90
    assert is_found()


def test_timing_applies_to_later_e_mails(timeline: Timeline) -> None:
    before = timeline.send()
    timeline.api.control("timing", sending_after=0, final_after=0)
    after = timeline.send()

    assert timeline.times(before)[0] == "created"
    assert timeline.times(after)[0] == "delivered"


def test_final_statuses_are_spread_evenly_and_each_email_keeps_its_moment(timeline: Timeline) -> None:
    timeline.api.control("timing", sending_after=1, final_after=100, final_spread=1000)
    created_at = clock.from_datetime(START)
    plan = SandboxState.load().plan
    moments = sorted(plan(UUID(int=number), created_at) for number in range(0, 1_000_000, 100_000))
    notification_id = timeline.send()
    sending_at, final_at = plan(UUID(notification_id), created_at)

    assert moments == [(created_at + 10**6, created_at + (100 + share * 100) * 10**6) for share in range(10)]
    timeline.go_to(100 - 0.000001)
    assert timeline.times(notification_id)[0] == "sending"
    timeline.go_to((final_at - created_at) / 10**6)
    assert timeline.times(notification_id) == ("delivered", clock.to_text(sending_at), clock.to_text(final_at))
    timeline.api.control("timing", sending_after=1, final_after=100)
    assert SandboxState.load().plan(UUID(notification_id), created_at) == (sending_at, created_at + 100 * 10**6)


def test_final_status_never_comes_before_sending(timeline: Timeline) -> None:
    timeline.api.control("timing", sending_after=5, final_after=1)
    notification_id = timeline.send()

    timeline.go_to(4)
    assert timeline.times(notification_id)[0] == "created"
    timeline.go_to(5)
    assert timeline.times(notification_id)[0] == "delivered"


def test_tokens_are_checked_by_the_sandboxs_clock(timeline: Timeline) -> None:
    response = timeline.api.get("/v2/notifications")

    assert response.status_code == 403
    assert response.json()["errors"][0]["message"] == "Error: Your system clock must be accurate to within 30 seconds"


def test_real_time_runs_unless_the_clock_is_set(api: Api) -> None:
    api.control("clock", now=START.isoformat())
    api.control("clock", now=None)
    before = clock.real_now()

    api.send()

    created_at = datetime.fromisoformat(api.asked("emails")[0]["created_at"])
    assert before <= clock.from_datetime(created_at) <= clock.real_now()


def test_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="The moment has no time zone"):
        clock.from_datetime(datetime(2026, 11, 22, 12, 0))  # noqa: DTZ001  that's the point
