"""How a burst of pushes fares against Notify's rate limit, with the hold on sending and without it.

python benchmarks/burst.py --at-least-of-limit 0.9 --at-most-limited 0.02

Emails are stored and pushed, all at once, to a Celery worker with 8 threads; beat sends ``tasks.sync`` every 5 seconds.
The sandbox has Notify's token bucket, which takes a token for a refused request too. What counts is what was accepted
from the moment at which the bucket was first empty. Then the same burst without the hold, for as long as the first
one took.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from sys import path

path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import Goals, say, say_table
from benchmarks.support import (
    ADDRESS,
    PERSONALISATION,
    TEMPLATE_ID,
    forget_emails,
    joined_project,
    make_email,
    own_database,
    pointed_at,
    say_where,
    store,
    wait_until_sent,
)

# isort: split
from django.utils import timezone

from benchmarks.sent import Sent, check_each_once, sent_to, since_dry
from django_govuk_notify_outbox import tasks, utils
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.sandbox.process import running_sandbox
from tests.project import Project

_WORKER = ("worker", "--pool", "threads", "--without-gossip", "--without-mingle")
_WITHOUT_HOLD = ("--include", "benchmarks.no_hold")
#: Seconds that a worker has to start.
_PATIENCE = 60.0


@dataclass(frozen=True)
class _Burst:
    sent: Sent
    #: From the first push to the end.
    seconds: float
    ended_at: float
    #: Whether everything had been sent by then.
    is_done: bool

    def share_of_limit(self, per_minute: int) -> float:
        """What was accepted since the bucket was first empty, as a share of what the limit allows in that time."""
        moments = since_dry(self.sent.accepted_at, per_minute=per_minute)
        until = moments[-1] if moments and self.is_done else self.ended_at
        return (len(moments) - 1) / (until - moments[0]) / per_minute * 60 if len(moments) > 1 else math.nan


class _Bench:
    def __init__(self, options: argparse.Namespace, sandbox: Sandbox, project: Project) -> None:
        self.options = options
        self.sandbox = sandbox
        self.project = project
        self.rows: list[EmailMessage] = []

    def burst(self, *arguments: str, seconds: float) -> _Burst:
        """Push everything, and wait for so many seconds at most."""
        worker = (*_WORKER, "--concurrency", str(self.options.threads), *arguments)
        with self.project.running(*worker), self.project.running("beat"):
            self._warm_up()
            self.rows = _new_emails(self.options.emails)
            store(self.rows)
            started_at = time.monotonic()
            for row in self.rows:
                tasks.push(row.pk)
            is_done = wait_until_sent(seconds=seconds - (time.monotonic() - started_at))
            passed, ended_at = time.monotonic() - started_at, time.time()
            return _Burst(sent_to(self.sandbox), passed, ended_at, is_done)

    def _warm_up(self) -> None:
        """Wait until the worker works, and forget how it was known."""
        self.sandbox.reset()
        utils.send_email_notification(ADDRESS, TEMPLATE_ID, PERSONALISATION)
        if not wait_until_sent(seconds=_PATIENCE):
            raise SystemExit(f"The worker did not start.\n{self.project.log('worker')}")
        forget_emails()
        self.sandbox.reset()
        self.sandbox.set_limits(rate_limit=self.options.rate_limit, daily_limit=0)


def _new_emails(emails: int) -> list[EmailMessage]:
    now = timezone.now()
    due_at = now + dt.timedelta(seconds=utils.PUSH_HEAD_START)
    return [make_email(created_at=now, status_changed_at=now, due_at=due_at) for _ in range(emails)]


def _compare(bench: _Bench, goals: Goals) -> None:
    options = bench.options
    held = bench.burst(seconds=options.deadline)
    if not held.is_done:
        goals.hold(f"Not everything was sent within {options.deadline:g} seconds.")
    check_each_once(goals, held.sent, [row.reference for row in bench.rows])
    say(f"With the hold: {held.seconds:.0f} seconds. Now as long without it.")
    free = bench.burst(*_WITHOUT_HOLD, seconds=held.seconds)
    bursts = {"with the hold": held, "without the hold": free}
    shares = {name: each.share_of_limit(options.rate_limit) for name, each in bursts.items()}
    say_table(
        (f"{options.emails} pushes, {options.threads} threads", "accepted", "posted", "refused", "of limit"),
        [
            (
                name,
                len(each.sent.accepted_at),
                each.sent.posted,
                f"{each.sent.limited_share:.2%}",
                f"{shares[name]:.2f}",
            )
            for name, each in bursts.items()
        ],
    )
    goals.at_least("Share of the limit", shares["with the hold"], options.at_least_of_limit)
    goals.at_most("Share of requests refused", held.sent.limited_share, options.at_most_limited)


def main() -> None:
    """Measure, print a table, and fail if a goal is missed or an email was not accepted exactly once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--emails", type=int, default=10_000, help="(%(default)s)")
    add("--threads", type=int, default=8, help="of the worker (%(default)s)")
    add("--rate-limit", type=int, default=3000, help="requests a minute (%(default)s)")
    add("--deadline", type=float, default=900, help="seconds after which the first burst is given up (%(default)s)")
    add("--at-least-of-limit", type=float, help="fail below this share of what the limit allows")
    add("--at-most-limited", type=float, help="fail above this share of requests refused with 429")
    options = parser.parse_args()
    goals = Goals()
    with ExitStack() as stack:
        stack.enter_context(own_database())
        sandbox = stack.enter_context(running_sandbox())
        stack.enter_context(pointed_at(sandbox))
        bench = _Bench(options, sandbox, stack.enter_context(joined_project(sandbox)))
        say_where()
        _compare(bench, goals)
    goals.settle()


if __name__ == "__main__":
    main()
