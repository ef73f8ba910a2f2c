"""How quickly sync sends a backlog, beside what Notify's limit allows and what the bare Python client reaches.

python benchmarks/draining.py --at-least-of-limit 0.9 --at-most-limited 0.02 --at-least-of-client 0.7

The emails are due, as after an outage. One Celery worker process runs ``tasks.sync``, which beat sends every 5 seconds.
The sandbox takes a while for each request to send. First it has Notify's rate limit, and a token bucket that has just
been emptied: what counts is what was accepted from that moment on. Then it has none, and the worker takes turns with
the bare client in as many threads as sync has, which sends the same.
"""

from __future__ import annotations

import argparse
import datetime as dt
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from sys import path

path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import Goals, say, say_table
from benchmarks.support import (
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
from notifications_python_client import NotificationsAPIClient
from notifications_python_client.errors import HTTPError

from benchmarks.sent import Sent, check_each_once, rate, sent_to, since_dry
from django_govuk_notify_outbox import conf
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.sandbox.process import running_sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.project import Project

_WORKER = ("worker", "--pool", "prefork", "--concurrency", "1", "--without-gossip", "--without-mingle")
_TURNS = 2


class _Bench:
    def __init__(self, options: argparse.Namespace, sandbox: Sandbox, project: Project) -> None:
        self.options = options
        self.sandbox = sandbox
        self.project = project
        self.goals = Goals()

    def library(self, emails: int, *, rate_limit: int) -> Sent:
        """Have a worker send a backlog. It is stopped at the end: what it goes on to track is nobody's concern here."""
        self._prepare(rate_limit)
        if rate_limit:
            self._empty_bucket()
        self._slow_down()
        rows = _backlog(emails)
        store(rows)
        with self.project.running(*_WORKER), self.project.running("beat"):
            if not wait_until_sent(seconds=self.options.deadline):
                self.goals.hold(f"Not everything was sent within {self.options.deadline:g} seconds.")
        sent = sent_to(self.sandbox)
        check_each_once(self.goals, sent, [row.reference for row in rows])
        return sent

    def bare_client(self, emails: int, *, threads: int) -> Sent:
        """Send as many with the client alone."""
        self._prepare(0)
        self._slow_down()
        shares = [range(number, emails, threads) for number in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(self._send, shares))
        return sent_to(self.sandbox)

    def _send(self, share: Sequence[int]) -> None:
        client = NotificationsAPIClient(self.sandbox.api_key, base_url=self.sandbox.base_url)
        for _ in share:
            client.send_email_notification(**make_email().payload())

    def _prepare(self, rate_limit: int) -> None:
        forget_emails()
        self.sandbox.reset()
        self.sandbox.set_limits(rate_limit=rate_limit, daily_limit=0)

    def _empty_bucket(self) -> None:
        """Send until Notify limits us."""
        client = NotificationsAPIClient(self.sandbox.api_key, base_url=self.sandbox.base_url)
        # The client logs what it is refused, and that is what it is for
        logging.getLogger("notifications_python_client").setLevel(logging.CRITICAL)
        with suppress(HTTPError):
            while True:
                client.send_email_notification(**make_email().payload())

    def _slow_down(self) -> None:
        # For as long as it takes: a fault for a number of requests would be counted down by each
        self.sandbox.add_fault(on="POST", delay=self.options.latency, lasting=24 * 3600)


def _backlog(emails: int) -> list[EmailMessage]:
    """Emails that could not be sent ten minutes ago, a millisecond apart."""
    start = timezone.now() - dt.timedelta(minutes=10)
    moments = (start + dt.timedelta(milliseconds=number) for number in range(emails))
    return [
        make_email(
            status=Status.RETRYING_SEND_TO_NOTIFY,
            attempts=1,
            created_at=moment,
            attempt_started_at=moment,
            status_changed_at=moment,
            due_at=moment + dt.timedelta(seconds=5),
        )
        for moment in moments
    ]


def _with_limit(bench: _Bench) -> None:
    options = bench.options
    sent = bench.library(options.emails, rate_limit=options.rate_limit)
    moments = since_dry(sent.accepted_at, per_minute=options.rate_limit)
    share = rate(moments) / (options.rate_limit / 60)
    say_table(
        (f"{options.emails} emails, {options.rate_limit} a minute", "since dry", "a second", "of limit", "refused"),
        [("library", len(moments), f"{rate(moments):.1f}", f"{share:.2f}", f"{sent.limited_share:.2%}")],
    )
    if not moments:
        say("The bucket was never empty: there is nothing to judge by.")
    bench.goals.at_least("Share of the limit", share, options.at_least_of_limit)
    bench.goals.at_most("Share of requests refused", sent.limited_share, options.at_most_limited)


def _without_limit(bench: _Bench) -> None:
    options = bench.options
    threads = conf.sync_threads()
    share = options.emails // _TURNS
    library: list[float] = []
    client: list[float] = []
    for _ in range(_TURNS):
        library.append(bench.library(share, rate_limit=0).per_second)
        client.append(bench.bare_client(share, threads=threads).per_second)
    # Rates over equal numbers of emails: their harmonic mean
    ours, theirs = (_TURNS / sum(1 / each for each in rates) for rates in (library, client))
    say_table(
        (f"{options.emails} emails, no limit, {threads} threads", "a second", "ratio"),
        [("bare client", f"{theirs:.1f}", "1.00"), ("library", f"{ours:.1f}", f"{ours / theirs:.2f}")],
    )
    bench.goals.at_least("Share of the bare client's rate", ours / theirs, options.at_least_of_client)


def main() -> None:
    """Measure, print two tables, and fail if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--emails", type=int, default=5000, help="in each of the two parts (%(default)s)")
    add("--rate-limit", type=int, default=3000, help="requests a minute in the first part (%(default)s)")
    add("--latency", type=float, default=0.1, help="seconds that a request to send takes (%(default)s)")
    add("--deadline", type=float, default=600, help="seconds after which a part is given up (%(default)s)")
    add("--at-least-of-limit", type=float, help="fail below this share of what the limit allows")
    add("--at-most-limited", type=float, help="fail above this share of requests refused with 429")
    add("--at-least-of-client", type=float, help="fail below this share of the bare client's rate")
    options = parser.parse_args()
    with ExitStack() as stack:
        stack.enter_context(own_database())
        sandbox = stack.enter_context(running_sandbox())
        stack.enter_context(pointed_at(sandbox))
        bench = _Bench(options, sandbox, stack.enter_context(joined_project(sandbox)))
        say_where()
        _with_limit(bench)
        _without_limit(bench)
    bench.goals.settle()


if __name__ == "__main__":
    main()
