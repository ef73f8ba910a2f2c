"""The broker fails: it is down, it forgets, it repeats itself, it goes and comes back."""

from __future__ import annotations

import datetime as dt
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from freezegun import freeze_time

from django_govuk_notify_outbox import tasks
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.celery_app import app
from tests.conftest import BROKER_OF_WORKERS
from tests.faults.recovery import settle, sync_once, wait_until, worker_arguments
from tests.faults.services import RabbitMQ, Redis, Server, is_redis_there
from tests.project import Project, accepted_references, fates, joined
from tests.test_retrying import posts
from tests.test_unclear import new_email, outcomes

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

ABANDON_AFTER = 7200


#: The kinds of broker to try: that of the suite, or both where the suite has none.
KINDS: list[type[Server]] = [
    kind
    for kind, scheme in ((Redis, "redis:"), (RabbitMQ, "amqp:"))
    if BROKER_OF_WORKERS.startswith(scheme) or not BROKER_OF_WORKERS
]


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A broker of these tests' own."""
    if request.param is Redis and not BROKER_OF_WORKERS and not is_redis_there():
        pytest.skip("Redis or its client is missing; other suites have it")
    with request.param() as server:
        yield server


@pytest.fixture
def broker(server: Server) -> Server:
    """The broker, up and running, whatever an earlier test has done to it."""
    server.start()
    return server


@pytest.fixture
def project(broker: Server, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The tests' project on that broker, with patience for emails that are hours old."""
    project = Project(tmp_path, sandbox, broker=broker.url)
    (tmp_path / "patient_settings.py").write_text(
        f"from tests.settings import *\nDJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_ABANDON_AFTER = {ABANDON_AFTER}\n"
    )
    project.environment["PYTHONPATH"] += f":{tmp_path}"
    project.environment["DJANGO_SETTINGS_MODULE"] = "patient_settings"
    with joined(project, monkeypatch):
        yield project
        broker.start()


@contextmanager
def ago(seconds: float) -> Iterator[None]:
    """In this process, it is some seconds ago."""
    with freeze_time(timezone.now() - dt.timedelta(seconds=seconds)):
        yield


def stop(*processes: subprocess.Popen[bytes]) -> None:
    """Tell processes to stop, all at once, since each takes seconds over it."""
    for process in processes:
        process.terminate()


def waiting(project: Project) -> int:
    """How many messages wait for a worker."""
    with app.connection_for_read() as broker:
        channel: Any = broker.default_channel
        return int(channel.queue_declare(project.queue, passive=True).message_count)


def wait_until_recorded(project: Project, *, number: int) -> None:
    """Wait until this many emails are known to be at Notify."""
    wait_until(lambda: recorded() == number, partial(project.log, "worker"), every=0.1)


def recorded() -> int:
    """How many emails are known to be at Notify."""
    return EmailMessage.objects.exclude(notify_id=None).count()


@contextmanager
def supervised_worker(project: Project) -> Iterator[Callable[[], bool]]:
    """A worker that is looked after: call what is given to start another if it has ended, and to know that one runs.

    Celery survives the loss of a broker mostly, but not always: it may end with an "unrecoverable error" of its own.
    """
    with ExitStack() as stack:
        started: list[subprocess.Popen[bytes]] = []

        def look_after() -> bool:
            if not started or started[-1].poll() is not None:
                started.append(stack.enter_context(project.running(*worker_arguments("--concurrency", "2"))))
            return True

        look_after()
        yield look_after


def assert_sent_once_each(sandbox: Sandbox, emails: list[EmailMessage]) -> None:
    """Each of these emails, and nothing else, was posted once, accepted and recorded."""
    assert accepted_references(sandbox) == sorted(email.reference for email in emails)
    assert posts(sandbox) == len(emails)
    assert [outcomes(email)[0] for email in emails] == ["accepted"] * len(emails)
    ids = {accepted["reference"]: uuid.UUID(accepted["id"]) for accepted in sandbox.emails()}
    assert dict(EmailMessage.objects.values_list("reference", "notify_id")) == ids


def test_emails_committed_while_the_broker_was_down_for_an_hour_are_sent_by_the_first_sync_run_after_it(
    broker: Server, project: Project, sandbox: Sandbox
) -> None:
    broker.kill()
    emails = []
    for seconds in (3660, 1800, 5):
        with ago(seconds), transaction.atomic():
            emails += [new_email(), new_email()]
    assert EmailMessage.objects.filter(status=Status.SENDING_TO_NOTIFY, attempts=0).count() == 6
    broker.start()
    with project.running(*worker_arguments("--concurrency", "1")):
        sync_once()
        wait_until_recorded(project, number=6)
    assert_sent_once_each(sandbox, emails)


def test_emails_whose_messages_the_broker_lost_are_sent_by_the_first_sync_run_after_their_head_start(
    broker: Server, project: Project, sandbox: Sandbox
) -> None:
    with ago(5):
        emails = [new_email() for _ in range(5)]
    assert waiting(project) == 5
    with app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        if isinstance(broker, Redis):
            channel.client.flushall()
        else:
            channel.queue_purge(project.queue)
        assert channel.basic_get(project.queue) is None
    with project.running(*worker_arguments("--concurrency", "1")):
        sync_once()
        wait_until_recorded(project, number=5)
    assert_sent_once_each(sandbox, emails)


def test_emails_whose_messages_the_broker_delivers_three_times_are_sent_once_each(
    project: Project, sandbox: Sandbox
) -> None:
    emails = [new_email() for _ in range(20)]
    for _ in range(2):
        for email in emails:
            tasks.push(email.pk)
    assert waiting(project) == 60
    verbose = ["--concurrency", "2", "--loglevel", "INFO"]
    with project.running(*worker_arguments(*verbose)) as one, project.running(*worker_arguments(*verbose)) as other:
        # By Celery's own account
        wait_until(lambda: project.log("worker").count("succeeded in") == 60, partial(project.log, "worker"), every=0.1)
        stop(one, other)
    assert_sent_once_each(sandbox, emails)


def test_emails_are_sent_once_each_when_the_broker_is_killed_and_started_again(
    broker: Server, project: Project, sandbox: Sandbox
) -> None:
    sandbox.add_fault(delay=0.05, times=1000)
    emails = [new_email() for _ in range(20)]
    with supervised_worker(project) as look_after, project.running("beat") as beat:
        wait_until(lambda: len(sandbox.emails()) > 5, every=0.1)
        broker.kill()
        emails += [new_email() for _ in range(5)]
        broker.start()
        emails += [new_email() for _ in range(5)]
        wait_until(lambda: look_after() and recorded() == 30, partial(project.log, "worker"), every=0.1)
        stop(beat)
    assert accepted_references(sandbox) == sorted(email.reference for email in emails)
    # Found, if it was the last that a worker did
    assert {outcomes(email)[0] for email in emails} <= {"accepted", "found"}
    settle(sandbox)
    assert fates() == {Status.NOTIFY_DELIVERED: 30}
    assert posts(sandbox) == 30
