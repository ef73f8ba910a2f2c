"""How long a sync run takes that finds nothing due, by the number of emails that are finished.

python benchmarks/idle_sync.py --at-most 1.2

Each number of emails has a database of its own, and the runs take turns.
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from sys import path

path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import Goals, say_table
from benchmarks.support import Router, Statements, databases, make_email, own_database, say_where, store

# isort: split
from django.db import connections
from django.test import override_settings
from django.utils import timezone

from django_govuk_notify_outbox import sync
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.statuses import Status

#: What is another text in each row. Of the others there are as many as there were calls.
_OWN = {
    "id": "n",
    "email_address": "'person-' || n || '@example.com'",
    "address_digest": "md5('person-' || n || '@example.com')",
    "reference": "'outbox-' || gen_random_uuid()",
    "reference_digest": "md5(n::text)",
    "notify_id": "gen_random_uuid()",
    **dict.fromkeys(
        ("created_at", "attempt_started_at", "sent_at", "status_changed_at"), "{name} + n * interval '1 s'"
    ),
}


def _fill(alias: str, emails: int) -> None:
    """Store so many emails that were delivered, as if one had been sent each second of the last days."""
    long_ago = timezone.now() - dt.timedelta(seconds=emails + 3600)
    database = connections[alias]
    if database.vendor != "postgresql":
        moments = (long_ago + dt.timedelta(seconds=number) for number in range(emails))
        store(map(_delivered, moments))
        return
    store([_delivered(long_ago)])
    fields = [str(field.column) for field in EmailMessage._meta.concrete_fields]  # noqa: SLF001  # documented
    values = ", ".join(_OWN.get(name, name).format(name=name) for name in fields)
    table = EmailMessage._meta.db_table  # noqa: SLF001  # as above
    with database.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(fields)}) "  # noqa: S608  # names of columns
            f"SELECT {values} FROM {table}, generate_series(2, %s) AS n WHERE id = 1",
            [emails],
        )
        # Otherwise the server would do it by itself in the middle of the measurement
        cursor.execute(f"VACUUM ANALYZE {table}")


def _delivered(moment: dt.datetime) -> EmailMessage:
    return make_email(
        status=Status.NOTIFY_DELIVERED,
        notify_id=uuid.uuid4(),
        attempts=1,
        created_at=moment,
        attempt_started_at=moment,
        sent_at=moment,
        status_changed_at=moment + dt.timedelta(seconds=30),
    )


def _time_runs(router: Router, aliases: Sequence[str], *, rounds: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {alias: [] for alias in aliases}
    for number in range(rounds):
        # Another one begins each round: whoever comes second finds the processor awake
        turn = number % len(aliases)
        for alias in (*aliases[turn:], *aliases[:turn]):
            router.alias = alias
            started_at = time.perf_counter()
            sync.run()
            taken[alias].append(time.perf_counter() - started_at)
    return taken


def _statements(router: Router, alias: str) -> int:
    router.alias = alias
    counter = Statements()
    with counter.counted():
        sync.run()
    return counter.count


def main() -> None:
    """Measure, print a table, and fail if a run takes more than one statement or the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--emails", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help="finished emails (%(default)s)")
    add("--rounds", type=int, default=1_000, help="runs with each number of them (%(default)s)")
    add("--at-most", type=float, help="fail above this ratio to the first number of emails")
    options = parser.parse_args()
    sizes = {f"idle_{number}": emails for number, emails in enumerate(options.emails)}
    aliases, router, goals = list(sizes), Router(), Goals()
    with ExitStack() as stack:
        stack.enter_context(own_database())
        stack.enter_context(databases(aliases))
        stack.enter_context(override_settings(DATABASE_ROUTERS=[router]))
        say_where()
        for alias, emails in sizes.items():
            router.alias = alias
            _fill(alias, emails)
        counts = {alias: _statements(router, alias) for alias in aliases}
        taken = _time_runs(router, aliases, rounds=options.rounds)
        router.alias = "default"
    medians = {alias: statistics.median(each) for alias, each in taken.items()}
    ratios = {alias: median / medians[aliases[0]] for alias, median in medians.items()}
    say_table(
        ("finished emails", "statements", "median ms", "ratio"),
        [(sizes[alias], counts[alias], f"{medians[alias] * 1000:.3f}", f"{ratios[alias]:.2f}") for alias in aliases],
    )
    if set(counts.values()) != {1}:
        goals.hold("An idle run takes more than one statement.")
    goals.at_most("Ratio", max(ratios.values()), options.at_most)
    goals.settle()


if __name__ == "__main__":
    main()
