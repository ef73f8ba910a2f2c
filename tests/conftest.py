"""What the tests share: a sandbox over real HTTP, a clock to move, emails in any status."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory, StepTickTimeFactory, TickingDateTimeFactory
from pytest_django import DjangoDbBlocker, Settings

from django_govuk_notify_outbox import models, moments, tasks
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.sandbox.process import running_sandbox
from django_govuk_notify_outbox.statuses import FINAL, TO_SEND, Status
from tests.celery_app import app
from tests.project import Project, joined
from tests.sandbox import accounts, recorded

#: Celery would take it for the broker of this process too. It is that of the tests that start workers.
#: The processes that share out the tests inherit it under the other name.
BROKER_OF_WORKERS = os.environ.pop("CELERY_BROKER_URL", "") or os.environ.get("TESTS_BROKER_OF_WORKERS", "")
os.environ["TESTS_BROKER_OF_WORKERS"] = BROKER_OF_WORKERS

Frozen = FrozenDateTimeFactory | StepTickTimeFactory | TickingDateTimeFactory
MakeEmail = Callable[..., EmailMessage]

ADDRESS = "amala@example.com"
PERSONALISATION = {"name": "Amala"}


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    """One sandbox for the whole session, without a rate limit unless a test sets one; tests use ``sandbox``."""
    with running_sandbox(sending_after=1.0, final_after=2.0, rate_limit=0) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(sandbox_process: Sandbox, settings: Settings) -> Sandbox:
    """A running sandbox without emails or faults, to which the settings point."""
    sandbox_process.reset()
    sandbox_process.set_timing(sending_after=1.0, final_after=2.0)
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = sandbox_process.api_key
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = sandbox_process.base_url
    return sandbox_process


class Clock:
    """The time of this process and of the sandbox, which stands still unless moved."""

    def __init__(self, frozen: Frozen, sandbox: Sandbox) -> None:
        self._frozen = frozen
        self._sandbox = sandbox
        self._sandbox.set_clock(moments.aware(self.now))

    @property
    def now(self) -> dt.datetime:
        """The present moment."""
        return timezone.now()

    def move(self, seconds: float) -> None:
        """Let some seconds pass."""
        self._frozen.tick(dt.timedelta(seconds=seconds))
        self._sandbox.set_clock(moments.aware(self.now))

    def move_to(self, moment: dt.datetime | None) -> None:
        """Go to a moment."""
        assert moment is not None
        self.move((moment - self.now).total_seconds())


@pytest.fixture
def clock(sandbox: Sandbox) -> Iterator[Clock]:
    """A clock that stands still at a round moment, for this process and the sandbox."""
    with freeze_time("2026-11-22T12:00:00Z") as frozen:
        yield Clock(frozen, sandbox)


@pytest.fixture
def make_email(db: None) -> MakeEmail:
    """Make an email in a status, with everything else as it would be in that status."""

    def make(status: Status = Status.SENDING_TO_NOTIFY, **overrides: Any) -> EmailMessage:
        now = timezone.now()
        values: dict[str, Any] = {
            "email_address": ADDRESS,
            "template_id": defaults.TEMPLATE_ID,
            "personalisation": PERSONALISATION,
            "reference": models.new_reference(),
            "status": status,
            "created_at": now,
            "requested_at": overrides.get("created_at", now),
            "status_changed_at": now,
            "due_at": None if status in FINAL else now,
        }
        if status is Status.RETRYING_SEND_TO_NOTIFY or status is Status.FAILED_SEND_TO_NOTIFY:
            values |= {"attempts": 1, "attempt_started_at": now}
        elif status not in TO_SEND:
            values |= {"attempts": 1, "attempt_started_at": now, "notify_id": uuid.uuid4(), "sent_at": now}
        values |= overrides
        values["address_digest"] = models.digest(models.normalise_address(values["email_address"]))
        values["reference_digest"] = models.digest(values["reference"])
        return EmailMessage.objects.create(**values)

    return make


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The test database, which can be dropped in the end though processes that tests killed seem to use it still."""
    yield
    if connection.vendor == "postgresql":
        name = connection.settings_dict["NAME"]
        with django_db_blocker.unblock():
            connection.close()
            with connection._nodb_cursor() as cursor:
                # Orphans of a worker that was killed would connect again
                cursor.execute(f"ALTER DATABASE {connection.ops.quote_name(name)} ALLOW_CONNECTIONS false")
                cursor.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [name]
                )


@pytest.fixture
def eager_tasks(settings: Settings) -> None:
    """Celery tasks run where they are sent from, through the same push as ever."""
    settings.CELERY_TASK_ALWAYS_EAGER = True


@pytest.fixture(autouse=True)
def fresh_push(monkeypatch: pytest.MonkeyPatch) -> None:
    """A push that has not failed yet, and a broker without messages of earlier tests."""
    monkeypatch.setattr(tasks, "_pusher", tasks._Pusher())
    pushed()


def pushed() -> list[Any]:
    """The messages that wait in the broker, which is in memory, taken out of it."""
    messages = []
    with app.connection_for_read() as broker:
        channel: Any = broker.default_channel
        while message := channel.basic_get("celery", no_ack=True):
            messages.append(message)
    return messages


@pytest.fixture
def project(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The tests' project, ready to start workers, with this process on its broker too."""
    project = Project(tmp_path, sandbox, broker=BROKER_OF_WORKERS)
    with joined(project, monkeypatch):
        yield project


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show which of the recordings of Notify were replayed, and which were not and why."""
    reports = [report for some in terminalreporter.stats.values() for report in some]
    properties = [each for report in reports for each in getattr(report, "user_properties", ())]
    replayed = {name for what, name in properties if what == "replayed"}
    if replayed:
        terminalreporter.section("recordings of GOV.UK Notify, replayed against the sandbox")
        for line in accounts.table((row["name"] for row in recorded.ROWS), replayed):
            terminalreporter.write_line(line)
