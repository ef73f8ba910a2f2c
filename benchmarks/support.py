"""What the benchmarks share: a database and Celery processes of their own, emails in bulk."""

from __future__ import annotations

import copy
import datetime as dt
import os
import platform
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.places import BROKER  # before everything that needs Django's settings
from benchmarks.report import say

# isort: split
import pytest
from django.db import OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.test import override_settings
from django.test.utils import setup_databases, teardown_databases
from kombu.exceptions import OperationalError as BrokerError

from django_govuk_notify_outbox import cadence, models
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent, Hold
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import TO_SEND, Status
from tests.celery_app import app
from tests.project import Project, joined
from tests.storm.databases import own_database as _own_database

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "amala@example.com"
TEMPLATE_ID = defaults.TEMPLATE_ID
PERSONALISATION = {"name": "Amala"}
#: What Notify takes to answer a request to send.
LATENCY = dt.timedelta(seconds=0.1)
#: Rows written at a time.
BATCH_SIZE = 2_000


@contextmanager
def own_database() -> Iterator[None]:
    """A database of the benchmark's own for this process, migrated, and dropped at the end."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        name_for_tests(connection, folder)
        with ExitStack() as stack:
            try:
                stack.enter_context(_own_database())
            except OperationalError as error:
                raise SystemExit(f"There is no database at DATABASE_URL.\n{error}") from None
            yield


def name_for_tests(database: BaseDatabaseWrapper, folder: str) -> None:
    """Give the database that Django would make for tests a name that nobody else has."""
    name = f"benchmark_{uuid.uuid4().hex[:12]}"
    database.settings_dict["TEST"]["NAME"] = f"{folder}/{name}" if database.vendor == "sqlite" else name


class Router:
    """Has all that the library and the admin do happen in one of the databases."""

    alias = "default"

    def db_for_read(self, model: object, **_hints: object) -> str:
        """The database of the moment."""
        return self.alias

    db_for_write = db_for_read


@contextmanager
def databases(aliases: Sequence[str]) -> Iterator[None]:
    """A database under each of these names, made as the default one is for tests, and dropped at the end."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        for alias in aliases:
            connections.settings[alias] = copy.deepcopy(connections["default"].settings_dict)
            name_for_tests(connections[alias], folder)
            # Else each would wait for the default one, which is not among them
            connections[alias].settings_dict["TEST"]["DEPENDENCIES"] = []
        made = setup_databases(verbosity=0, interactive=False, aliases=dict.fromkeys(aliases), serialized_aliases=set())
        try:
            yield
        finally:
            teardown_databases(made, verbosity=0)


@contextmanager
def pointed_at(sandbox: Sandbox) -> Iterator[None]:
    """Have the library in this process talk to the sandbox."""
    with override_settings(
        DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY=sandbox.api_key, DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL=sandbox.base_url
    ):
        yield


@contextmanager
def joined_project(sandbox: Sandbox) -> Iterator[Project]:
    """The tests' project, ready to start workers on this database, with this process on its broker too."""
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patches,
    ):
        project = Project(Path(folder), sandbox, broker=BROKER)
        # As long as the library's defaults, and not as short as tests need them
        project.environment |= {"TESTS_SYNC_INTERVAL": "5", "NOTIFY_TIMEOUT": "30"}
        with joined(project, patches):
            _check_broker()
            yield project


def _check_broker() -> None:
    try:
        with app.connection_for_write(connect_timeout=5) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0)
    except (BrokerError, OSError) as error:
        raise SystemExit(f"There is no broker at CELERY_BROKER_URL.\n{error}") from None


def make_email(**values: Any) -> EmailMessage:
    """An email that is not stored yet, as one that was just asked for unless told otherwise."""
    values = {
        "email_address": ADDRESS,
        "template_id": TEMPLATE_ID,
        "personalisation": PERSONALISATION,
        "reference": models.new_reference(),
    } | values
    return EmailMessage(
        **values,
        address_digest=models.digest(models.normalise_address(values["email_address"])),
        reference_digest=models.digest(values["reference"]),
    )


def add_sent_emails(sandbox: Sandbox, arrivals: Iterable[tuple[dt.datetime, bool]]) -> None:
    """Let emails be sent at these moments, in bulk: accepted by the sandbox and, if they are ours, in our table."""
    emails = [(moment, _sent_email(moment), is_ours) for moment, is_ours in arrivals]
    ids = sandbox.add_emails({**email.payload(), "created_at": moment} for moment, email, _ in emails)
    for (_, email, _), notify_id in zip(emails, ids, strict=True):
        email.notify_id = uuid.UUID(notify_id)
    store(email for _, email, is_ours in emails if is_ours)


def _sent_email(moment: dt.datetime) -> EmailMessage:
    began_at, ended_at = moment - LATENCY / 2, moment + LATENCY / 2
    return make_email(
        status=Status.SENT_TO_NOTIFY,
        attempts=1,
        created_at=began_at,
        attempt_started_at=began_at,
        sent_at=ended_at,
        status_changed_at=ended_at,
        due_at=cadence.next_look(accepted_at=ended_at, now=ended_at),
    )


def store(emails: Iterable[EmailMessage]) -> None:
    """Write emails into the library's table."""
    EmailMessage.objects.bulk_create(emails, batch_size=BATCH_SIZE)


def forget_emails() -> None:
    """Empty the library's tables, without a thought for each row."""
    for model in (EmailMessageEvent, EmailMessage, Hold):
        model.objects.all()._raw_delete(model.objects.db)  # noqa: SLF001  # there is no public way so quick


def wait_until_sent(*, seconds: float) -> bool:
    """Wait for the workers. False: after so many seconds there was still something to send."""
    ends_at = time.monotonic() + seconds
    while EmailMessage.objects.filter(status__in=TO_SEND).exists():
        if time.monotonic() > ends_at:
            return False
        time.sleep(0.2)
    return True


class Statements:
    """Counts the SQL statements of this process, on whichever connection and in whichever thread."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count in this block."""
        made = connections.all(initialized_only=True)
        for each in made:
            each.execute_wrappers.append(self._count)
        connection_created.connect(self._add)
        try:
            yield
        finally:
            connection_created.disconnect(self._add)
            for each in made:
                each.execute_wrappers.remove(self._count)

    def _add(self, connection: BaseDatabaseWrapper, **_kwargs: object) -> None:
        if self._count not in connection.execute_wrappers:
            connection.execute_wrappers.append(self._count)

    def _count(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        self.count += 1
        return execute(*arguments)


def say_where() -> None:
    """Print what the figures depend on most."""
    database = connection.vendor
    broker = BROKER.partition(":")[0]
    say(
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"load {os.getloadavg()[0]:.1f}, {database}, broker {broker}"
    )
