"""How much memory a sync run takes with many emails in flight, beside one with few.

python benchmarks/memory.py --at-most 20

Each run is measured in a process of its own: its peak, which everything that a process loads is part of. All emails are
due for a look, and the sandbox says of each that it is delivered.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import re
import resource
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import Goals, say_table
from benchmarks.support import ROOT, add_sent_emails, forget_emails, own_database, pointed_at, say_where

# isort: split
from django.db import connection
from django.utils import timezone

from django_govuk_notify_outbox import sync
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.sandbox.process import running_sandbox
from django_govuk_notify_outbox.statuses import FINAL


@dataclass(frozen=True)
class _Run:
    emails: int
    settled: int
    seconds: float
    megabytes: float


def _measure(sandbox: Sandbox, emails: int, *, budget: float) -> _Run:
    """Run sync once, in a process of its own, with so many emails in flight."""
    forget_emails()
    sandbox.reset()
    _send(sandbox, emails)
    database = str(connection.settings_dict["NAME"])
    done = subprocess.run(
        [sys.executable, __file__, "--run", "--budget", str(budget)],
        env=os.environ | {"TESTS_DATABASE_NAME": database, "NOTIFY_BASE_URL": sandbox.base_url},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    settled = EmailMessage.objects.filter(status__in=FINAL).count()
    return _Run(emails, settled, told["seconds"], told["megabytes"])


def _send(sandbox: Sandbox, emails: int) -> None:
    """Let emails be sent over ten minutes that end a minute ago, and be delivered at once."""
    sandbox.set_timing(sending_after=0, final_after=0)
    start = timezone.now() - dt.timedelta(minutes=11)
    moments = [start + dt.timedelta(minutes=10) * (number / emails) for number in range(emails)]
    # So many at a time that this process does not hold them all
    for first in range(0, emails, 5_000):
        add_sent_emails(sandbox, ((moment, True) for moment in moments[first : first + 5_000]))


def _run(budget: float) -> None:
    """Run sync once, and tell what it took."""
    sync.TRACKING_BUDGET = budget
    started_at = time.monotonic()
    sync.run()
    print(json.dumps({"seconds": time.monotonic() - started_at, "megabytes": _peak()}))


def _peak() -> float:
    """The most memory that this process has ever held."""
    try:
        # Not ru_maxrss: Linux has that begin with the peak of the process that started this one
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found is not None:
        return int(found[1]) / 1024
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    """Measure, print a table, and fail if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--few", type=int, default=100, help="(%(default)s)")
    add("--many", type=int, default=100_000, help="(%(default)s)")
    add("--budget", type=float, default=600, help="seconds that a run may spend on tracking (%(default)s)")
    add("--at-most", type=float, help="fail above so many megabytes more")
    add("--run", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        _run(options.budget)
        return
    goals = Goals()
    with ExitStack() as stack:
        stack.enter_context(own_database())
        sandbox = stack.enter_context(running_sandbox(rate_limit=0))
        stack.enter_context(pointed_at(sandbox))
        say_where()
        runs = [_measure(sandbox, emails, budget=options.budget) for emails in (options.few, options.many)]
    more = runs[1].megabytes - runs[0].megabytes
    say_table(
        ("emails in flight", "settled", "seconds", "peak MB", "more MB"),
        [
            (run.emails, run.settled, f"{run.seconds:.1f}", f"{run.megabytes:.1f}", f"{extra:.1f}")
            for run, extra in zip(runs, (0.0, more), strict=True)
        ],
    )
    goals.at_most("Megabytes more", more, options.at_most)
    goals.settle()


if __name__ == "__main__":
    main()
