"""A probe learns whether emails go out, and if not why: from the function, the command and its exit status."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.models import F
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from health_check.exceptions import ServiceUnavailable
from health_check.views import HealthCheckView
from pytest_django import DjangoAssertNumQueries, Settings

from django_govuk_notify_outbox import delivery, figures, health, holds, operations, sync
from django_govuk_notify_outbox.events import Cause
from django_govuk_notify_outbox.health import Thresholds
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock, MakeEmail
from tests.test_logging import WRONG_CLOCK, WRONG_KEY, forbidden
from tests.test_sync import finished_rows

pytestmark = pytest.mark.django_db

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "operating.md").read_text()
COMMAND = "govuk_notify_outbox_health"


def new_email() -> EmailMessage:
    return send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})


def problems(**thresholds: float) -> list[str]:
    return [problem.id for problem in health.report(Thresholds(**thresholds)).problems]


def ran(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    """Exit status and output of the command."""
    status = 0
    try:
        call_command(COMMAND, *options)
    except SystemExit as ended:
        status = int(ended.code or 0)
    return status, capsys.readouterr().out


def test_an_outbox_without_emails_is_well() -> None:
    report = health.report()
    nothing = {"number": 0, "or_more": False, "oldest_seconds": None}
    assert report.is_healthy
    assert report.as_json() == {
        "healthy": True,
        "problems": [],
        "waiting": nothing,
        "overdue": {"send": nothing, "look_up": nothing},
        "sync": {"running": False, "worked_seconds_ago": None},
        "sending": {"held": False, "refused_for_seconds": None},
        "refusals": [],
    }


def test_an_email_that_notify_does_not_take_for_five_minutes_is_a_problem(clock: Clock, make_email: MakeEmail) -> None:
    made_at, due_at = clock.now, clock.now + dt.timedelta(hours=1)
    make_email(due_at=due_at)
    make_email(Status.RETRYING_SEND_TO_NOTIFY, created_at=made_at + dt.timedelta(seconds=100), due_at=due_at)
    clock.move(300)
    assert problems() == []
    clock.move(1)
    report = health.report()
    assert [(problem.id, problem.message) for problem in report.problems] == [
        ("waiting", "The oldest email that Notify has not accepted has waited for 301 seconds.")
    ]
    assert report.as_json()["waiting"] == {"number": 2, "or_more": False, "oldest_seconds": 301.0}
    assert problems(waiting=301) == []


def test_an_old_email_waits_from_the_moment_on_at_which_it_was_sent_again(clock: Clock, make_email: MakeEmail) -> None:
    due_at = clock.now + dt.timedelta(days=2)
    old, waiting = make_email(Status.FAILED_SEND_TO_NOTIFY), make_email(due_at=due_at)
    clock.move(24 * 3600)
    EmailMessage.objects.filter(pk=waiting.pk).update(requested_at=clock.now)
    clock.move(100)
    operations.perform(operations.Operation.SEND_AGAIN, [old.pk], person="ann")
    clock.move(200)
    report = health.report()
    assert (report.waiting.number, report.waiting.oldest, report.problems) == (2, 300, [])
    clock.move(1)
    assert [problem.message for problem in health.report().problems] == [
        "The oldest email that Notify has not accepted has waited for 301 seconds."
    ]


def test_emails_that_notify_has_do_not_wait(clock: Clock, make_email: MakeEmail) -> None:
    for status in set(Status) - {Status.SENDING_TO_NOTIFY, Status.RETRYING_SEND_TO_NOTIFY}:
        make_email(status, due_at=None)
    clock.move(3600)
    assert health.report().waiting.number == 0
    assert problems() == []


def test_what_nobody_takes_up_tells_that_sync_does_not_run(clock: Clock, make_email: MakeEmail) -> None:
    make_email(Status.SENT_TO_NOTIFY)
    make_email(created_at=clock.now, due_at=clock.now + dt.timedelta(seconds=30))
    clock.move(300)
    assert problems(waiting=1000) == []
    clock.move(1)
    report = health.report(Thresholds(waiting=1000))
    assert [(problem.id, problem.message) for problem in report.problems] == [
        ("sync-not-running", "The oldest overdue email has been overdue for 301 seconds. Sync has never worked.")
    ]
    assert report.as_json()["overdue"] == {
        "send": {"number": 1, "or_more": False, "oldest_seconds": 271.0},
        "look_up": {"number": 1, "or_more": False, "oldest_seconds": 301.0},
    }
    assert problems(waiting=1000, overdue=301) == []


def test_how_long_ago_sync_worked_is_known(clock: Clock, sandbox: Sandbox, make_email: MakeEmail) -> None:
    make_email(Status.SENT_TO_NOTIFY)
    sync.run()
    clock.move(12)
    assert health.report().as_json()["sync"] == {"running": False, "worked_seconds_ago": 12.0}
    make_email(Status.SENT_TO_NOTIFY)
    clock.move(301)
    (problem,) = health.report().problems
    assert problem.id == "sync-not-running"
    assert problem.message.endswith("Sync last worked 313 seconds ago.")


def test_a_sync_that_works_and_leaves_emails_overdue_is_behind(clock: Clock, make_email: MakeEmail) -> None:
    make_email(Status.SENT_TO_NOTIFY)
    clock.move(400)
    lease = holds.Lease(holds.SYNC, seconds=70)
    assert lease.take()
    report = health.report()
    assert report.as_json()["sync"] == {"running": True, "worked_seconds_ago": 0.0}
    assert [problem.id for problem in report.problems] == ["sync-behind"]
    assert report.problems[0].message.endswith("Sync is at work, and does not keep up.")
    lease.release()
    clock.move(20)
    assert [problem.message.partition(". ")[2] for problem in health.report().problems] == [
        "Sync last worked 20 seconds ago."
    ]
    assert problems() == ["sync-behind"]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (forbidden(WRONG_KEY), "key"),
        (forbidden(WRONG_CLOCK), "clock"),
        ({"status": 404}, "address"),
    ],
)
def test_a_refusal_that_concerns_every_email_is_a_problem_for_ten_minutes(
    clock: Clock, sandbox: Sandbox, fault: dict[str, Any], cause: str
) -> None:
    sandbox.add_fault(times=2, **fault)
    for _ in range(2):
        delivery.deliver(new_email().pk)
        clock.move(10)
    report = health.report()
    assert [problem.id for problem in report.problems] == [f"refused-{cause}"]
    assert report.problems[0].message.endswith(": 2 times lately, last 10 seconds ago.")
    told = report.as_json()
    assert told["refusals"] == [{"cause": cause, "number": 2, "newest_seconds_ago": 10.0}]
    assert told["sending"] == {"held": False, "refused_for_seconds": 20.0}
    assert problems(refused=9) == []
    EmailMessage.objects.all().delete()
    clock.move(590)
    assert problems() == []


def test_a_key_that_is_missing_is_a_problem(clock: Clock, settings: Settings) -> None:
    email = new_email()
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = None
    delivery.deliver(email.pk)
    report = health.report()
    assert [problem.id for problem in report.problems] == ["refused-settings"]
    assert report.as_json()["sending"] == {"held": True, "refused_for_seconds": 0.0}


def test_an_email_that_notify_refuses_for_its_own_sake_is_no_problem_of_the_outbox(
    clock: Clock, sandbox: Sandbox
) -> None:
    delivery.deliver(send_email_notification(ADDRESS, defaults.TEMPLATE_ID).pk)
    assert EmailMessageEvent.objects.get().outcome == EmailMessageEvent.Outcome.REFUSED
    assert health.report().is_healthy


def test_a_network_that_fails_is_no_refusal(clock: Clock, settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://127.0.0.1:9"
    delivery.deliver(new_email().pk)
    report = health.report()
    assert (report.refusals, report.refused_for) == ([], None)


def test_a_limit_holds_sending_and_is_told_until_notify_accepts_again(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(status=429, times=2)
    email = new_email()
    delivery.deliver(email.pk)
    assert health.report().as_json()["sending"] == {"held": True, "refused_for_seconds": 0.0}
    clock.move(6)
    delivery.deliver(email.pk)
    clock.move(6)
    assert health.report().as_json()["sending"] == {"held": False, "refused_for_seconds": 12.0}
    assert health.report().is_healthy
    delivery.deliver(email.pk)
    assert EmailMessage.objects.get().status == Status.SENT_TO_NOTIFY
    assert health.report().as_json()["sending"] == {"held": False, "refused_for_seconds": None}


def test_a_project_without_time_zones_is_told_the_same(
    sandbox: Sandbox, make_email: MakeEmail, settings: Settings
) -> None:
    settings.USE_TZ = False
    sandbox.add_fault(**forbidden(WRONG_KEY))
    delivery.deliver(new_email().pk)
    long_ago = timezone.now() - dt.timedelta(seconds=400)
    email = make_email(created_at=long_ago, due_at=long_ago)
    assert timezone.is_naive(email.created_at)
    report = health.report()
    assert [problem.id for problem in report.problems] == ["waiting", "sync-not-running", "refused-key"]
    assert report.waiting.oldest == pytest.approx(400, abs=60)


def test_the_page_says_what_to_do_about_each_problem() -> None:
    ids = {"database", "waiting", "sync-not-running", "sync-behind", *(f"refused-{cause}" for cause in Cause)}
    assert set(re.findall(r"^\| `([a-z-]+)` \| [A-Z]", PAGE, flags=re.MULTILINE)) >= ids
    table = PAGE.split("## What each problem means")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)`", table, flags=re.MULTILINE)) == ids


def test_the_page_names_the_thresholds_with_their_defaults() -> None:
    told = dict(re.findall(r"^\| `--(\w+)` \| `(\d+)`", PAGE, flags=re.MULTILINE))
    assert {name: float(seconds) for name, seconds in told.items()} == asdict(health.DEFAULTS)


# --- What it costs --------------------------------------------------------------------------------------------------


def test_counting_ends(clock: Clock, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MOST_COUNTED", 3)
    for _ in range(4):
        make_email(Status.SENT_TO_NOTIFY, due_at=clock.now - dt.timedelta(seconds=10))
    make_email()
    told = health.report().as_json()
    assert told["overdue"] == {
        "send": {"number": 0, "or_more": True, "oldest_seconds": None},
        "look_up": {"number": 3, "or_more": True, "oldest_seconds": 10.0},
    }
    assert told["waiting"] == {"number": 1, "or_more": False, "oldest_seconds": 0.0}
    assert figures.in_status(Status.SENT_TO_NOTIFY).number == 3
    assert figures.in_status(Status.SENT_TO_NOTIFY).is_more


def test_of_very_many_recent_events_the_newest_are_read(
    clock: Clock, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_EVENTS", 4)
    # The numbers of events go on from test to test, where a table is not new
    skipped = figures.recently(600)
    assert skipped.happenings == []
    sandbox.add_fault(**forbidden(WRONG_KEY))
    delivery.deliver(new_email().pk)
    assert problems() == ["refused-key"]
    for _ in range(4):
        clock.move(10)
        delivery.deliver(new_email().pk)
    recent = figures.recently(600)
    assert [(each.outcome, each.number) for each in recent.happenings] == [("accepted", 4)]
    assert recent.seconds == 30
    assert problems() == []


def test_the_statements_are_as_many_with_thousands_of_emails_as_with_none(
    sandbox: Sandbox, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with CaptureQueriesContext(connection) as queries:
        health.report()
    finished_rows(2000)
    with django_assert_num_queries(len(queries)):
        health.report()
    assert len(queries) <= 10
    assert sandbox.requests() == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="reads PostgreSQL's plan")
def test_on_postgresql_every_statement_reads_the_start_of_an_index_though_all_that_wait_are_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(figures, "MOST_COUNTED", 100)
    finished_rows(20_000)
    waiting = EmailMessage.objects.order_by("-pk")[9_999].pk
    EmailMessage.objects.filter(pk__gte=waiting).update(
        status=Status.SENDING_TO_NOTIFY, due_at=F("created_at") - dt.timedelta(hours=1)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE django_govuk_notify_outbox_emailmessage")
    with CaptureQueriesContext(connection) as queries:
        health.report()
    for query in queries:
        if 'outbox_emailmessage"' in query["sql"]:
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, FORMAT TEXT) " + query["sql"])
                plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "Seq Scan" not in plan
            assert "Sort" not in plan
            assert "Rows Removed by Filter" not in plan


# --- The command ----------------------------------------------------------------------------------------------------


def test_the_command_ends_with_0_when_all_is_well_and_prints_the_figures(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, capsys: pytest.CaptureFixture[str]
) -> None:
    make_email(Status.SENT_TO_NOTIFY)
    sync.run()
    make_email()
    clock.move(4)
    status, told = ran(capsys)
    assert status == 0
    assert told.splitlines() == [
        "All is well.",
        "",
        "Waiting to be accepted by Notify: 1, the oldest for 4 seconds",
        "Overdue to be sent:               1, the oldest for 4 seconds",
        "Overdue to be looked up:          none",
        "Sync:                             last worked 4 seconds ago",
        "Sending:                          not held",
    ]


def test_the_command_ends_with_1_when_there_is_a_problem_and_says_so_first(
    clock: Clock, sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_COUNTED", 1)
    sandbox.add_fault(**forbidden(WRONG_KEY))
    delivery.deliver(new_email().pk)
    assert holds.Lease(holds.SYNC, seconds=70).take()
    status, told = ran(capsys)
    held = "held for some seconds; Notify has accepted nothing since it refused 0 seconds ago"
    assert status == 1
    assert told.splitlines() == [
        "Notify does not take our API key: once lately, last 0 seconds ago.",
        "",
        "Waiting to be accepted by Notify: 1 or more, the oldest for 0 seconds",
        "Overdue to be sent:               none",
        "Overdue to be looked up:          none",
        "Sync:                             is at work",
        "Sending:                          " + held,
    ]


def test_the_command_prints_json_for_scripts(
    clock: Clock, make_email: MakeEmail, capsys: pytest.CaptureFixture[str]
) -> None:
    make_email()
    clock.move(400)
    status, told = ran(capsys, "--json")
    assert status == 1
    assert json.loads(told) == health.report().as_json()
    assert [problem["id"] for problem in json.loads(told)["problems"]] == ["waiting", "sync-not-running"]
    assert ADDRESS not in told


def test_the_thresholds_are_options_of_the_command(
    clock: Clock, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.add_fault(**forbidden(WRONG_KEY))
    delivery.deliver(new_email().pk)
    clock.move(400)
    assert ran(capsys)[0] == 1
    assert ran(capsys, "--waiting", "500", "--overdue", "500", "--refused", "300")[0] == 0
    for option in ("--waiting=300", "--overdue=300", "--refused=500"):
        others = {"--waiting": 500, "--overdue": 500, "--refused": 300}
        del others[option.partition("=")[0]]
        assert ran(capsys, option, *(f"{name}={value}" for name, value in others.items()))[0] == 1


def test_a_sync_that_has_never_worked_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Sync:                             has not worked yet" in ran(capsys)[1]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_database_that_does_not_answer_is_a_problem_told_without_its_address(
    capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    host = f"db-{uuid.uuid4()}.example.com"

    def fail(*args: Any) -> None:
        raise OperationalError(f"could not connect to {host}")

    with connection.execute_wrapper(fail):
        status, told = ran(capsys, *options)
    assert status == 1
    assert host not in told
    if options:
        problem = {"id": "database", "message": "The database did not answer: OperationalError."}
        assert json.loads(told) == {"healthy": False, "problems": [problem]}
    else:
        assert told == "The database did not answer: OperationalError.\n"


# --- django-health-check --------------------------------------------------------------------------------------------


def served(**thresholds: float) -> tuple[int, dict[str, str]]:
    """Status and body of a page of django-health-check with our check alone, named as in docs/operating.md."""
    name = "django_govuk_notify_outbox.health_checks.OutboxHealthCheck"
    # In this thread: others do not see what a test's transaction has not committed
    (check,) = HealthCheckView(checks=[(name, thresholds)]).get_checks()
    try:
        check.run()
    except ServiceUnavailable as error:
        return 500, {"error": str(error)}
    return 200, {}


def test_the_check_of_django_health_check_fails_with_the_problems_and_takes_the_thresholds(
    clock: Clock, make_email: MakeEmail
) -> None:
    assert served() == (200, {})
    make_email()
    clock.move(400)
    assert served() == (
        500,
        {
            "error": "Unavailable: The oldest email that Notify has not accepted has waited for 400 seconds. "
            "The oldest overdue email has been overdue for 400 seconds. Sync has never worked."
        },
    )
    assert served(waiting=400, overdue=400) == (200, {})


def test_the_check_of_django_health_check_does_not_tell_where_the_database_is() -> None:
    def fail(*args: Any) -> None:
        raise OperationalError("could not connect to db.example.com")

    with connection.execute_wrapper(fail):
        assert served() == (500, {"error": "Unavailable: The database did not answer."})


@pytest.mark.django_db(transaction=True)
def test_the_check_of_django_health_check_runs_in_its_view(make_email: MakeEmail) -> None:
    long_ago = timezone.now() - dt.timedelta(days=1)
    view = HealthCheckView.as_view(checks=["django_govuk_notify_outbox.health_checks.OutboxHealthCheck"])
    request = RequestFactory().get("/", {"format": "json"})
    assert async_to_sync(view)(request).status_code == 200
    make_email(created_at=long_ago, due_at=long_ago)
    answer = async_to_sync(view)(request)
    assert answer.status_code == 500
    ((name, told),) = json.loads(answer.content).items()
    assert name.startswith("OutboxHealthCheck(")
    assert told.endswith("Sync has never worked.")
