"""The benchmarks run, and say what they measured. How much that is, is for people to judge."""

from __future__ import annotations

import math
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from notifications_python_client import NotificationsAPIClient
from notifications_python_client.errors import HTTPError

from benchmarks import history, sent
from benchmarks.report import Goals
from benchmarks.sent import Sent
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import FINAL, Status
from tests.conftest import ADDRESS, BROKER_OF_WORKERS, Clock
from tests.project import ROOT

_PAGE = (ROOT / "docs" / "benchmarks.md").read_text()
_COMMANDS = re.findall(r"^python (benchmarks/\S+) (.+)$", _PAGE, re.MULTILINE)
_PARTS = {"__init__", "history", "places", "report", "sent", "support", "no_hold"}


def run(tmp_path: Path, command: str, **places: str) -> subprocess.CompletedProcess[str]:
    """Run a benchmark on the places that the tests have."""
    database = os.environ.get("DATABASE_URL") or f"sqlite:///{tmp_path / 'benchmark.sqlite3'}"
    environment = {"DATABASE_URL": database, "CELERY_BROKER_URL": BROKER_OF_WORKERS or "folder://localhost"}
    name, *options = shlex.split(command)
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / name), *options],
        env=os.environ | environment | places,
        capture_output=True,
        text=True,
        check=False,
    )


def table(done: subprocess.CompletedProcess[str], head: str) -> dict[str, list[str]]:
    """The rows, by their names, of the table whose head begins with these words."""
    (found,) = re.findall(rf"^{re.escape(head)}.*\n((?:.+\n)+)", done.stdout, re.MULTILINE)
    rows = (re.split(r"  +", line) for line in found.splitlines())
    return {name: cells for name, *cells in rows}


def test_tracking_counts_the_requests_for_each_email_and_the_statements_of_a_page(tmp_path: Path) -> None:
    done = run(tmp_path, "tracking.py --emails 4 --sample 2 --foreign 1")

    assert (done.returncode, done.stderr) == (0, ""), done
    assert list(table(done, "emails on the page")) == ["10", "100", "250"]
    costs = table(done, "requests")
    assert {name: cells[:2] for name, cells in costs.items()} == {
        "one by one": ["2", "2"],
        "pages": ["4", "4"],
        "pages, 1 in 2 emails foreign": ["4", "4"],
    }
    pages, look_ups = map(int, costs["one by one"][2:4])
    assert pages == 0
    assert costs["one by one"][4:] == [f"{look_ups / 2:.4f}", "1.0000"]


def test_tracking_fails_above_what_is_asked_for(tmp_path: Path) -> None:
    done = run(tmp_path, "tracking.py --emails 1 --sample 1 --foreign 1 --at-most 0.001 --at-most-shared 0.001")

    assert done.returncode == 1
    assert "Requests per email: " in done.stderr
    assert "Ratio to one by one, shared: " in done.stderr


def test_memory_is_that_of_a_process_for_each_run(tmp_path: Path) -> None:
    done = run(tmp_path, "memory.py --few 1 --many 3 --at-most -1000")

    assert done.returncode == 1
    assert done.stderr.startswith("Megabytes more: ")
    assert {name: cells[0] for name, cells in table(done, "emails in flight").items()} == {"1": "1", "3": "3"}


def test_idle_sync_takes_one_statement_however_many_emails_are_finished(tmp_path: Path) -> None:
    done = run(tmp_path, "idle_sync.py --emails 10 100 --rounds 3 --at-most 0.5")

    assert done.returncode == 1
    assert done.stderr.startswith("Ratio: ")
    assert {name: cells[0] for name, cells in table(done, "finished emails").items()} == {"10": "1", "100": "1"}


def test_the_admin_answers_for_each_page_with_few_emails_and_with_many(tmp_path: Path) -> None:
    done = run(tmp_path, "admin.py --few 8 --many 200 --requests 1 --at-most 0.001 --at-most-summary 0.001")

    assert done.returncode == 1, done
    pages = list(table(done, "page  "))
    assert pages == ["list", "list of delivered", "search for an address", "one email", "summary"]
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [f"Ratio, {page}" for page in pages]


@pytest.mark.django_db(transaction=True)  # PostgreSQL's VACUUM takes place in none
def test_the_history_that_is_written_in_bulk_is_like_one_that_took_place() -> None:
    key, address = history.fill("default", 1000)

    counted = Counter(EmailMessage.objects.values_list("status", flat=True))
    assert counted[Status.NOTIFY_DELIVERED] == 960
    assert sum(counted[status] for status in FINAL) == 990
    assert set(counted) == set(Status)
    assert EmailMessageEvent.objects.count() == 3981
    emails = EmailMessage.objects.order_by("created_at")
    assert list(emails) == list(EmailMessage.objects.order_by("pk"))
    assert [email.pk for email in EmailMessage.objects.with_address(address)].count(key) == 1
    assert EmailMessage.objects.with_address(address).count() == history.EMAILS_EACH
    first, last = emails[0], emails[999]
    assert (last.created_at - first.created_at).total_seconds() == pytest.approx(history.DAYS * 86_400 * 0.999)
    assert {email.is_final for email in emails if email.due_at is None} == {True}
    for email in emails.prefetch_related("events"):
        events = list(email.events.all())
        assert [event.created_at for event in events] == sorted(event.created_at for event in events)
        assert (events[-1].status if events else Status.SENDING_TO_NOTIFY) == email.status
        assert all(event.created_at >= email.created_at for event in events)
        assert (email.notify_id is None) == (email.sent_at is None)


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_draining_sends_everything_once_with_a_limit_and_without(tmp_path: Path) -> None:
    options = "--emails 14 --rate-limit 30 --latency 0.01 --deadline 120"
    done = run(tmp_path, f"draining.py {options} --at-least-of-limit 99 --at-most-limited -1 --at-least-of-client 99")

    assert done.returncode == 1
    # Nothing but the three goals, which nobody can reach: each email was accepted, and once
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        "Share of the limit",
        "Share of requests refused",
        "Share of the bare client's rate",
    ]
    # The bucket was emptied before
    assert int(table(done, "14 emails, 30 a minute")["library"][0]) >= 14
    assert list(table(done, "14 emails, no limit")) == ["bare client", "library"]


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_burst_is_sent_once_and_shown_beside_one_without_the_hold(tmp_path: Path) -> None:
    options = "--emails 14 --threads 2 --rate-limit 30 --deadline 120"
    done = run(tmp_path, f"burst.py {options} --at-least-of-limit 99 --at-most-limited -1")

    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        "Share of the limit",
        "Share of requests refused",
    ]
    bursts = table(done, "14 pushes, 2 threads")
    assert list(bursts) == ["with the hold", "without the hold"]
    assert bursts["with the hold"][0] == "14"


def test_a_missing_database_or_broker_is_told(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")

    no_database = run(tmp_path, "idle_sync.py", DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    no_broker = run(tmp_path, "burst.py", CELERY_BROKER_URL="amqp://127.0.0.1:9//")

    assert no_database.returncode == no_broker.returncode == 1
    assert "There is no database at DATABASE_URL." in no_database.stderr
    assert "There is no broker at CELERY_BROKER_URL." in no_broker.stderr


def test_the_bucket_is_dry_when_the_next_request_would_be_refused(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.set_limits(rate_limit=30)
    client = NotificationsAPIClient(sandbox.api_key, base_url=sandbox.base_url)

    def send(emails: int) -> None:
        for _ in range(emails):
            client.send_email_notification(ADDRESS, defaults.PLAIN_TEMPLATE_ID)

    send(5)
    clock.move(4)  # two more tokens
    send(6)
    before = sent.sent_to(sandbox)
    send(1)
    with pytest.raises(HTTPError, match="RateLimitError"):
        send(1)
    after = sent.sent_to(sandbox)

    assert sent.since_dry(before.accepted_at, per_minute=30) == []
    assert sent.since_dry(after.accepted_at, per_minute=30) == after.accepted_at[-1:]
    assert sent.since_dry([], per_minute=30) == []
    assert (before.posted, before.limited, before.limited_share) == (11, 0, 0.0)
    assert (after.posted, after.limited, after.limited_share) == (13, 1, 1 / 13)
    assert before.per_second == 10 / 4


def test_rates_are_counted_between_the_first_and_the_last() -> None:
    assert sent.rate([10.0, 11.0, 14.0]) == 0.5
    assert math.isnan(sent.rate([10.0]))
    assert Sent([], Counter(), posted=0, limited=0).limited_share == 0.0


def test_emails_that_are_missing_or_sent_twice_are_told() -> None:
    goals = Goals()
    sent.check_each_once(goals, Sent([], Counter(["a", "b"]), posted=2, limited=0), ["a", "b"])
    goals.settle()

    sent.check_each_once(goals, Sent([], Counter(["a", "b", "b"]), posted=3, limited=0), ["a", "b", "c"])
    with pytest.raises(SystemExit, match=r"^1 emails were not accepted, and 1 more than once\.$"):
        goals.settle()


def test_what_could_not_be_measured_misses_its_goal() -> None:
    goals = Goals()
    goals.at_least("No goal", math.nan, None)
    goals.at_most("No goal", math.nan, None)
    goals.at_least("Met", 1.0, 1.0)
    goals.at_most("Met", 1.0, 1.0)
    goals.settle()

    goals.at_least("Share", math.nan, 0.9)
    goals.at_most("Requests", 0.06, 0.05)
    with pytest.raises(SystemExit) as raised:
        goals.settle()
    assert str(raised.value) == (
        "Share: nan, and at least 0.9 was asked for.\nRequests: 0.060, and at most 0.05 was asked for."
    )


def test_the_page_names_every_benchmark_with_the_goals_that_it_knows() -> None:
    scripts = {f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("*.py") if path.stem not in _PARTS}

    assert {script for script, _ in _COMMANDS} == scripts
    for script, options in _COMMANDS:
        source = (ROOT / script).read_text()
        assert f"python {script} {options}\n" in source or script.endswith("sandbox_throughput.py")
        for option in re.findall(r"--[a-z-]+", options):
            assert f'"{option}"' in source
