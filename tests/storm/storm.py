"""A storm from its first process to its last line."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from django.db.models import Count

from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.sandbox.process import running_sandbox
from django_govuk_notify_outbox.statuses import FINAL
from tests.storm import counting, ledger, plan, settling
from tests.storm.brokers import own_broker
from tests.storm.counting import OFFENCES, Tally
from tests.storm.databases import own_database
from tests.storm.monkey import Monkey
from tests.storm.notify_faults import LATEST
from tests.storm.plan import Strike
from tests.storm.processes import Crew
from tests.storm.proxy import running_proxy

#: The part of the storm in which callers send; the rest is for faults that hit what they have sent.
CALLING = 0.85
#: Lines about offences that are shown. The file has all of them.
SHOWN = 60


def run(options: argparse.Namespace, schedule: list[Strike], folder: Path) -> int:
    """Run the storm; the exit code, which is 0 if every email fared as promised."""

    def tell(line: str) -> None:
        if not options.quiet:
            say(line)

    started_at = time.monotonic()
    tell(f"Storm {options.seed}: {options.emails} emails, {len(schedule)} faults in {options.seconds:g} s; {folder}")
    with ExitStack() as stack:
        database = stack.enter_context(own_database())
        broker = stack.enter_context(
            own_broker(os.environ["TESTS_QUEUE"], os.environ["TESTS_BROKER_URL"], folder / "broker")
        )
        sandbox = stack.enter_context(running_sandbox(rate_limit=0))
        notify = stack.enter_context(running_proxy("127.0.0.1", int(sandbox.base_url.rpartition(":")[2])))
        environment = os.environ | {
            "TESTS_DATABASE_NAME": database,
            "TESTS_BROKER_URL": broker.url,
            "NOTIFY_BASE_URL": f"http://127.0.0.1:{notify.port}",
        }
        crew = Crew(folder, environment)
        stack.callback(crew.clear_away)
        crew.start(workers=options.workers, beats=options.beats, callers=_callers(options, folder))
        settling.wait_for_first(sandbox)
        monkey = Monkey(crew, broker, sandbox, notify, tell)
        monkey.play(schedule, seconds=options.seconds)
        over_at = time.monotonic()
        tell(f"{over_at - started_at:7.2f} s  The faults are over. Up to {options.deadline:.0f} s to settle")
        is_settled = settling.wait(crew, seconds=options.deadline, tell=tell)
        # Nobody may send any more while we count, not even a request that Notify was slow with
        crew.end()
        time.sleep(max(0.0, over_at + LATEST + 1 - time.monotonic()))
        tell(f"           {settling.progress(crew)}")
        tell(f"           {crew.restarts} processes started again; {_happenings()}")
        tally = _count(folder, sandbox, is_settled=is_settled, keep=options.keep)
    seconds = time.monotonic() - started_at
    code = exit_code(tally, is_settled=is_settled)
    if code == 0 and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        tell(f"Logs and offences are in {folder}")
    faults = f"{plan.summary(monkey.played)}; {seconds:.0f} s"
    say(last_line(options.seed, options.emails, tally, faults=faults, is_settled=is_settled))
    return code


def exit_code(tally: Tally, *, is_settled: bool) -> int:
    """0 if every email fared as promised."""
    return 0 if is_settled and tally.is_clean else 1


def last_line(seed: int, emails: int, tally: Tally, *, faults: str, is_settled: bool) -> str:
    """The figures."""
    counts = " ".join(f"{kind}={tally.counts[kind]}" for kind in OFFENCES)
    settled = "" if is_settled else " NOT SETTLED"
    return (
        f"storm seed={seed} emails={emails} committed={tally.committed} rolled_back={tally.rolled_back} "
        f"{counts}{settled} (faults: {faults})"
    )


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _callers(options: argparse.Namespace, folder: Path) -> list[list[str]]:
    began = str(time.time())
    shares = [options.emails * (each + 1) // options.callers for each in range(options.callers)]
    arguments = []
    for number, (least, most) in enumerate(pairwise([0, *shares])):
        values = {
            "seed": options.seed,
            "number": number,
            "share": most - least,
            "seconds": options.seconds * CALLING,
            "started-at": began,
            "ledger": _ledger(folder, number),
        }
        arguments.append([each for name, value in values.items() for each in (f"--{name}", str(value))])
    return arguments


def _ledger(folder: Path, number: int | str) -> Path:
    return folder / f"ledger-{number}"


def _happenings() -> str:
    """What the storm did to the emails, to show that it was one."""
    events = EmailMessageEvent.objects.exclude(outcome="").order_by("outcome")
    counts = events.values_list("outcome").annotate(number=Count("pk"))
    return "events: " + ", ".join(f"{number} {outcome}" for outcome, number in counts)


def _count(folder: Path, sandbox: Sandbox, *, is_settled: bool, keep: bool) -> Tally:
    """Count, and write all that is known of every offence into a file; of every row into another, if logs are kept."""
    entries = [entry for path in sorted(folder.glob("ledger-*")) for entry in ledger.read(path)]
    rows = list(EmailMessage.objects.order_by("pk"))
    accepted = sandbox.emails()
    tally = counting.count(entries, rows, accepted)
    told = [line for offence in tally.offences for line in counting.describe(offence, accepted)]
    if not is_settled:
        unsettled = [row for row in rows if row.status not in FINAL]
        for row in unsettled:
            told += ["not settled:", *counting.describe_row(row)]
    if keep:
        histories = (line for row in rows for line in counting.describe_row(row))
        (folder / "rows").write_text("\n".join(histories), encoding="utf-8")
    if told:
        (folder / "offences").write_text("\n".join(told), encoding="utf-8")
        say("\n".join(told[:SHOWN]))
    return tally
