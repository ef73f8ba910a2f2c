"""Metrics for Prometheus, read from the database when they are asked for.

So they are the same whichever process is asked, and need no file that processes share. Install
``django-govuk-notify-outbox[prometheus]``, and register the collector once:
``prometheus_client.REGISTRY.register(OutboxCollector())``. docs/operating.md has the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from django.db import Error
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from django_govuk_notify_outbox import durability, figures, holds
from django_govuk_notify_outbox.events import Cause, Kind
from django_govuk_notify_outbox.figures import Recent
from django_govuk_notify_outbox.statuses import FINAL, Status

_PREFIX = "govuk_notify_outbox_"
#: Seconds that the recent figures look back: longer than any usual scrape interval.
WINDOW = 300.0

#: The names, what they mean, and their labels. The numbers of emails end at ``figures.MOST_COUNTED``.
_GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "up": ("1 if the database answered.", ()),
    "open_emails": ("Emails whose fate is open; counting ends at 10000.", ("status",)),
    "open_oldest_seconds": (
        "Seconds since the oldest of these emails was made or sent again by hand; 0 if there is none.",
        ("status",),
    ),
    "overdue_emails": ("Emails whose next step should have been taken; counting ends at 10000.", ("next_step",)),
    "overdue_oldest_seconds": ("Seconds since the oldest of these should have been taken.", ("next_step",)),
    "sending_held": ("1 while nobody may send, after Notify limited us or did not take our key.", ()),
    "refused_seconds": ("Seconds since Notify first refused, if it has accepted nothing after that; else 0.", ()),
    "sync_running": ("1 while a run of sync is at work.", ()),
    "sync_worked_seconds": ("Seconds since the last run of sync that had work. Missing before the first.", ()),
    "recent_seconds": ("How far back the recent figures reach. To have rates, divide by this.", ()),
    "recent_attempts": ("Recent attempts to send, by what came of them.", ("outcome",)),
    "recent_attempts_duration_seconds": ("How long these took on average.", ("outcome",)),
    "recent_refusals": ("Recent attempts that failed for a reason that stops every email.", ("cause",)),
    "recent_changes": ("Recent changes of an email's status, by the new status.", ("status",)),
}


class OutboxCollector(Collector):
    """How the outbox is doing, as Prometheus asks for it. It takes some twenty statements, all of them cheap."""

    def describe(self) -> Iterable[Metric]:
        """The metrics without values. With this, registering reads no database."""
        return _families().values()

    def collect(self) -> Iterable[Metric]:
        """The metrics. Without the database there is one, ``govuk_notify_outbox_up``: 0."""
        try:
            return list(_collect())
        except Error:
            # The rest of what the process has to tell must not be lost with ours
            up = _families()["up"]
            up.add_metric((), 0)
            return [up]
        finally:
            # This may be a thread of prometheus_client's own
            durability.drop_old_connection()


def _families() -> dict[str, GaugeMetricFamily]:
    return {
        name: GaugeMetricFamily(_PREFIX + name, meaning, labels=labels) for name, (meaning, labels) in _GAUGES.items()
    }


def _collect() -> Iterator[Metric]:
    families = _families()

    def add(name: str, value: float, *labels: str) -> None:
        families[name].add_metric(labels, value)

    for status in sorted(set(Status) - FINAL):
        backlog = figures.in_status(status)
        add("open_emails", backlog.number, status)
        add("open_oldest_seconds", backlog.oldest or 0.0, status)
    overdue = figures.overdue()
    for step, backlog in (("send", overdue.to_send), ("look_up", overdue.to_look_up)):
        add("overdue_emails", backlog.number, step)
        add("overdue_oldest_seconds", backlog.oldest or 0.0, step)
    sync = figures.sync_runs()
    add("sync_running", sync.is_running)
    if sync.worked is not None:
        add("sync_worked_seconds", sync.worked)
    add("sending_held", holds.is_sending_held())
    recent = figures.recently(WINDOW)
    add("refused_seconds", recent.refused or 0.0)
    add("recent_seconds", recent.seconds)
    for name, values in _recent(recent).items():
        for label, value in values.items():
            add(name, value, label)
    add("up", 1)
    yield from families.values()


def _recent(recent: Recent) -> dict[str, dict[str, float]]:
    attempts: defaultdict[str, float] = defaultdict(float)
    took: defaultdict[str, float] = defaultdict(float)
    # Those that are always there: what is missing raises no alert
    refusals: dict[str, float] = {cause.value: 0 for cause in Cause}
    changes: dict[str, float] = {status.value: 0 for status in Status}
    for each in recent.happenings:
        if each.kind == Kind.ATTEMPT:
            attempts[each.outcome] += each.number
            took[each.outcome] += each.number * (each.duration or 0.0)
        if each.cause:
            refusals[each.cause.value] += each.number
        if each.is_change:
            changes[each.status] += each.number
    return {
        "recent_attempts": attempts,
        "recent_attempts_duration_seconds": {outcome: took[outcome] / attempts[outcome] for outcome in attempts},
        "recent_refusals": refusals,
        "recent_changes": changes,
    }
