"""Break everything at random for a while, and count.

    python -m tests.storm --seed 7 --emails 1000 --seconds 120

DATABASE_URL and CELERY_BROKER_URL choose the database and the broker. Without them these are files in a temporary
folder. The last line has the figures. The exit code is 0 if every email fared as promised.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import uuid
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

from tests.storm import plan

#: Seconds to settle: so many in any case, and more for each email.
LEAST_DEADLINE = 180.0
DEADLINE_PER_EMAIL = 0.1


def main(arguments: list[str] | None = None) -> int:
    """Run a storm; the exit code."""
    options = _parse(arguments)
    database = urlsplit(os.environ.get("DATABASE_URL", "sqlite")).scheme or "sqlite"
    broker = os.environ.get("CELERY_BROKER_URL") or "folder://localhost"
    kind_of_broker = urlsplit(broker).scheme
    schedule = plan.strikes(
        options.seed, seconds=options.seconds, rate=options.rate, database=database, broker=kind_of_broker
    )
    if options.plan:
        sys.stdout.write("".join(f"{line}\n" for line in [*schedule, plan.summary(schedule)]))
        return 0
    signal.signal(signal.SIGTERM, _end)
    folder = Path(tempfile.mkdtemp(prefix="storm-"))
    _prepare(folder, broker)
    from tests.storm import storm

    return storm.run(options, schedule, folder)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description="Break everything at random, and count.")
    parser.add_argument("--seed", type=int, help="replays the storm of this number; otherwise one is drawn")
    parser.add_argument("--emails", type=int, default=300, help="emails to commit, at least (%(default)s)")
    parser.add_argument("--seconds", type=float, default=25, help="how long the faults last (%(default)s)")
    parser.add_argument("--rate", type=float, default=1.5, help="faults in a second (%(default)s)")
    parser.add_argument("--workers", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--beats", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--callers", type=int, default=3, help="processes that send emails (%(default)s)")
    parser.add_argument("--deadline", type=float, help="seconds to settle; otherwise by the number of emails")
    parser.add_argument("--plan", action="store_true", help="print the faults, and do nothing")
    parser.add_argument("--quiet", action="store_true", help="print the last line alone")
    parser.add_argument("--keep", action="store_true", help="keep the logs, however it ends")
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    if options.deadline is None:
        options.deadline = LEAST_DEADLINE + options.emails * DEADLINE_PER_EMAIL
    return options


def _prepare(folder: Path, broker: str) -> None:
    """Set up Django for this process. It reaches everything directly, and no fault is meant for it."""
    name = f"storm_{uuid.uuid4().hex[:12]}"
    is_sqlite = "DATABASE_URL" not in os.environ or os.environ["DATABASE_URL"].startswith("sqlite")
    # Celery would take it for the broker of all processes, and go past the proxy
    os.environ.pop("CELERY_BROKER_URL", None)
    os.environ |= {
        # Other settings are for the test that a storm finds what is broken
        "DJANGO_SETTINGS_MODULE": os.environ.get("STORM_SETTINGS", "tests.storm.settings"),
        "STORM_DATABASE": str(folder / "storm.sqlite3") if is_sqlite else name,
        "TESTS_BROKER_URL": broker,
        "TESTS_BROKER_FOLDER": str(folder / "broker"),
        "TESTS_QUEUE": name,
    }
    import django

    django.setup()


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
