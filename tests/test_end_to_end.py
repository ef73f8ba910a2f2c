"""Real workers and a real beat, in processes of their own, on the database and the broker of the environment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings

from django_govuk_notify_outbox import tasks
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import FINAL
from django_govuk_notify_outbox.utils import send_email_notification
from tests.celery_app import app
from tests.conftest import ADDRESS, BROKER_OF_WORKERS
from tests.test_retrying import SERVER_ERROR

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

ROOT = Path(__file__).resolve().parents[1]


class Project:
    """The tests' project as its workers see it: the same database, broker and sandbox as this process."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.queue = f"tests-{uuid.uuid4()}"
        self.broker = BROKER_OF_WORKERS or "folder://localhost"
        self.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "NOTIFY_BASE_URL": sandbox.base_url,
            "TESTS_DATABASE_NAME": str(connection.settings_dict["NAME"]),
            "TESTS_BROKER_URL": self.broker,
            "TESTS_BROKER_FOLDER": str(folder / "broker"),
            "TESTS_QUEUE": self.queue,
            "TESTS_SYNC_INTERVAL": "0.5",
            # Half of the time after which it is believed that Notify does not have an email
            "NOTIFY_TIMEOUT": "2",
        }

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A Celery process of the project, stopped at the end."""
        command = [sys.executable, "-m", "celery", "--app", "tests.celery_app", *arguments]
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)

    def log(self, name: str) -> str:
        """What a process has said so far."""
        return (self.folder / f"{name}.log").read_text()


@pytest.fixture
def project(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The project, with this process on its broker too."""
    project = Project(tmp_path, sandbox)
    options = {}
    if project.broker.startswith("folder:"):
        monkeypatch.syspath_prepend(str(ROOT / "example_project"))
        from example import folder_broker

        folder_broker.register()
        options = folder_broker.options(tmp_path / "broker")
    monkeypatch.setattr(tasks, "_pusher", tasks._Pusher())
    with configured(
        CELERY_BROKER_URL=project.broker,
        CELERY_BROKER_TRANSPORT_OPTIONS=options,
        CELERY_TASK_DEFAULT_QUEUE=project.queue,
    ):
        yield project
        delete_queue(project.queue)


def delete_queue(name: str) -> None:
    """Delete a queue of the broker, with all that waits in it."""
    with app.connection_for_write() as broker:
        channel: Any = broker.default_channel
        channel.queue_delete(name)


@contextmanager
def configured(**changes: object) -> Iterator[None]:
    """The Celery app of this process with other settings for a while."""
    with override_settings(**changes):
        # Made from the settings when first asked for, and kept
        app.amqp.__dict__.pop("queues", None)
        app.amqp.__dict__.pop("router", None)
        yield
    app.amqp.__dict__.pop("queues", None)
    app.amqp.__dict__.pop("router", None)


def send(address: str = ADDRESS, **personalisation: str) -> EmailMessage:
    return send_email_notification(address, defaults.TEMPLATE_ID, personalisation or {"name": "Amala"})


def wait_until_final(project: Project, *, seconds: float = 60) -> None:
    """Wait for other processes, whose clocks cannot be moved."""
    ends_at = time.monotonic() + seconds
    while EmailMessage.objects.exclude(status__in=FINAL).exists():
        assert time.monotonic() < ends_at, project.log("worker") + project.log("beat")
        time.sleep(0.1)


def fates() -> dict[str, int]:
    statuses = list(EmailMessage.objects.values_list("status", flat=True))
    return {status: statuses.count(status) for status in statuses}


def accepted_references(sandbox: Sandbox) -> list[str]:
    return sorted(accepted["reference"] for accepted in sandbox.emails())


def test_emails_of_all_fates_reach_their_end(project: Project, sandbox: Sandbox) -> None:
    sandbox.add_fault(email_address="retried@example.com", times=1, **SERVER_ERROR)
    with (
        project.running("worker", "--concurrency", "2"),
        project.running("beat", "--schedule", str(project.folder / "s")),
    ):
        with transaction.atomic():
            emails = [send() for _ in range(10)]
            bounced = send("perm-fail@simulator.notify")
            delayed = send("temp-fail@simulator.notify")
            broken = send("technical-fail@simulator.notify")
            refused = send(wrong="Amala")
            retried = send("retried@example.com")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            send()
            raise ZeroDivisionError
        wait_until_final(project)
    assert fates() == {
        "notify-delivered": 11,
        "notify-permanent-failure": 1,
        "notify-temporary-failure": 1,
        "notify-technical-failure": 1,
        "failed-send-to-notify": 1,
    }
    accepted = [*emails, bounced, delayed, broken, retried]
    assert accepted_references(sandbox) == sorted(email.reference for email in accepted)
    refused.refresh_from_db()
    assert refused.events.get().message == "Missing personalisation: name"
    assert "Traceback" not in project.log("worker")
    assert ADDRESS not in project.log("worker") + project.log("beat")


def test_emails_whose_push_was_lost_are_sent_by_sync(project: Project, sandbox: Sandbox) -> None:
    nowhere = f"{project.queue}-without-a-worker"
    with configured(CELERY_TASK_DEFAULT_QUEUE=nowhere):
        emails = [send() for _ in range(5)]
        delete_queue(nowhere)
    with (
        project.running("worker", "--concurrency", "1"),
        project.running("beat", "--schedule", str(project.folder / "s")),
    ):
        wait_until_final(project)
    assert fates() == {"notify-delivered": 5}
    assert accepted_references(sandbox) == sorted(email.reference for email in emails)


def test_a_worker_that_is_killed_and_started_again_sends_each_email_once(project: Project, sandbox: Sandbox) -> None:
    emails = [send() for _ in range(40)]
    with ExitStack() as stack:
        stack.enter_context(project.running("beat", "--schedule", str(project.folder / "s")))
        worker = stack.enter_context(project.running("worker", "--concurrency", "1", "--pool", "solo"))
        while len(sandbox.emails()) < 10:
            time.sleep(0.01)
        worker.kill()
        worker.wait()
        stack.enter_context(project.running("worker", "--concurrency", "2"))
        wait_until_final(project)
    assert fates() == {"notify-delivered": 40}
    assert accepted_references(sandbox) == sorted(email.reference for email in emails)
