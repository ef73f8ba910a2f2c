"""How many requests it takes to follow emails until they are delivered, and how many SQL statements a page takes.

python benchmarks/tracking.py --at-most 0.05 --at-most-shared 1 --same-statements

Emails are sent within ten minutes, and each is delivered at some moment of the hour after that. ``sync.run()`` runs
every five seconds of a clock that is moved, in this process and in the sandbox, until all are settled. Beside it, the
same with every email looked up on its own, which costs each as much however many there are: a sample of them will do.
Then the library again, with most of the service's notifications sent by other systems. What is counted is the requests
that the sandbox got.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from sys import path
from unittest import mock

path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import Goals, say_table
from benchmarks.support import Statements, add_sent_emails, forget_emails, own_database, pointed_at, say_where

# isort: split
from django.db.models import Min
from django.utils import timezone
from freezegun import freeze_time

from django_govuk_notify_outbox import sync, tracking
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.sandbox.process import running_sandbox
from django_govuk_notify_outbox.statuses import FINAL

_START = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
_PAGE_SIZES = (10, 100, 250)
#: In seconds: between two runs of sync, within which all emails are sent, over which they are delivered, and after
#: which an email that is not settled is a loss.
_INTERVAL = 5
_SENDING = 600.0
_DELIVERY = 3600.0
_END = 6 * 3600
#: More rows than are ever due at once: no page is worth asking for.
_NEVER = 10**9


@dataclass(frozen=True)
class _Cost:
    emails: int
    settled: int
    pages: int
    look_ups: int

    @property
    def per_email(self) -> float:
        return (self.pages + self.look_ups) / self.emails


class _Bench:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def follow(self, emails: int, *, foreign: int = 0, page_worth: int | None = None) -> _Cost:
        """Send emails, each with so many of other systems, and run sync until all are settled."""
        waiting = _Arrivals(emails, foreign=foreign)
        self._prepare(final_spread=_DELIVERY)
        seconds = 0
        with freeze_time(_START) as frozen, _paging(page_worth):
            while (waiting or not _are_settled()) and seconds < _END:
                frozen.move_to(_START + dt.timedelta(seconds=seconds))
                self.sandbox.set_clock(timezone.now())
                add_sent_emails(self.sandbox, waiting.until(seconds))
                if EmailMessage.objects.due(timezone.now()).exists():
                    sync.run()
                seconds = max(seconds + _INTERVAL, _round_up(min(waiting.next_at, _next_due_at())))
        return self._cost(emails)

    def statements(self, emails: int) -> tuple[int, _Cost]:
        """How many statements one run takes that finds so many emails delivered, all on one page."""
        self._prepare(final_spread=0.0)
        counter = Statements()
        with freeze_time(_START) as frozen, _paging(1):
            moments = (_START + dt.timedelta(milliseconds=number) for number in range(emails))
            self.sandbox.set_clock(_START)
            add_sent_emails(self.sandbox, ((moment, True) for moment in moments))
            frozen.move_to(_START + dt.timedelta(seconds=60))
            self.sandbox.set_clock(timezone.now())
            with counter.counted():
                sync.run()
        return counter.count, self._cost(emails)

    def _prepare(self, *, final_spread: float) -> None:
        forget_emails()
        self.sandbox.reset()
        self.sandbox.set_timing(sending_after=1, final_after=1, final_spread=final_spread)

    def _cost(self, emails: int) -> _Cost:
        paths = [request["path"] for request in self.sandbox.requests() if request["method"] == "GET"]
        pages = paths.count("/v2/notifications")
        settled = EmailMessage.objects.filter(status__in=FINAL).count()
        return _Cost(emails, settled, pages=pages, look_ups=len(paths) - pages)


class _Arrivals:
    """Emails on their way to Notify, evenly over the time in which they are sent: ours, and others between them."""

    def __init__(self, emails: int, *, foreign: int) -> None:
        self._ratio = foreign + 1
        self._total = emails * self._ratio
        self._gone = 0

    def __bool__(self) -> bool:
        return self._gone < self._total

    @property
    def next_at(self) -> float:
        """Seconds from the start to the next one."""
        return _SENDING * self._gone / self._total if self else math.inf

    def until(self, seconds: float) -> Iterator[tuple[dt.datetime, bool]]:
        """The moments of those that have arrived by now, and whether they are ours."""
        while self.next_at <= seconds:
            yield _START + dt.timedelta(seconds=self.next_at), self._gone % self._ratio == 0
            self._gone += 1


def _paging(page_worth: int | None) -> mock._patch[int] | ExitStack:
    """Have pages tried from so many due rows on; as the library does, if None."""
    if page_worth is None:
        return ExitStack()
    return mock.patch.object(tracking, "PAGE_WORTH", page_worth)


def _are_settled() -> bool:
    return not EmailMessage.objects.exclude(status__in=FINAL).exists()


def _next_due_at() -> float:
    due_at = EmailMessage.objects.aggregate(first=Min("due_at"))["first"]
    return math.inf if due_at is None else (due_at - _START).total_seconds()


def _round_up(seconds: float) -> int:
    """The next run of sync. Those in between would find nothing due."""
    return _END if seconds > _END else math.ceil(seconds / _INTERVAL) * _INTERVAL


def _compare_requests(bench: _Bench, options: argparse.Namespace, goals: Goals) -> None:
    shared = f"pages, {options.foreign} in {options.foreign + 1} emails foreign"
    costs = {
        "one by one": bench.follow(min(options.sample, options.emails), page_worth=_NEVER),
        "pages": bench.follow(options.emails),
        shared: bench.follow(options.emails, foreign=options.foreign),
    }
    alone = costs["one by one"].per_email
    say_table(
        ("requests", "emails", "settled", "pages", "look-ups", "per email", "ratio"),
        [
            (
                name,
                cost.emails,
                cost.settled,
                cost.pages,
                cost.look_ups,
                f"{cost.per_email:.4f}",
                f"{cost.per_email / alone:.4f}",
            )
            for name, cost in costs.items()
        ],
    )
    for name, cost in costs.items():
        if cost.settled < cost.emails:
            goals.hold(f"{name}: {cost.emails - cost.settled} emails were not settled in {_END / 3600:g} hours.")
    goals.at_most("Requests per email", costs["pages"].per_email, options.at_most)
    goals.at_most("Ratio to one by one, shared", costs[shared].per_email / alone, options.at_most_shared)


def _compare_statements(bench: _Bench, options: argparse.Namespace, goals: Goals) -> None:
    counts = {size: bench.statements(size) for size in _PAGE_SIZES}
    say_table(
        ("emails on the page", "pages", "look-ups", "statements of the run"),
        [(size, cost.pages, cost.look_ups, statements) for size, (statements, cost) in counts.items()],
    )
    if options.same_statements and len({statements for statements, _ in counts.values()}) > 1:
        goals.hold("The statements depend on how many emails are on the page.")


def main() -> None:
    """Measure, print two tables, and fail if a goal is missed or an email is not settled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--emails", type=int, default=10_000, help="(%(default)s)")
    add("--sample", type=int, default=1_000, help="emails that are looked up one by one (%(default)s)")
    add("--foreign", type=int, default=9, help="other systems' emails for each of ours (%(default)s)")
    add("--at-most", type=float, help="fail above so many requests per email")
    add("--at-most-shared", type=float, help="fail above this ratio to one by one, shared with other systems")
    add("--same-statements", action="store_true", help="fail unless each size of page takes as many statements")
    options = parser.parse_args()
    goals = Goals()
    with ExitStack() as stack:
        stack.enter_context(own_database())
        sandbox = stack.enter_context(running_sandbox(rate_limit=0))
        stack.enter_context(pointed_at(sandbox))
        say_where()
        bench = _Bench(sandbox)
        _compare_statements(bench, options, goals)
        _compare_requests(bench, options, goals)
    goals.settle()


if __name__ == "__main__":
    main()
