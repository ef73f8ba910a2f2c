"""Celery processes of the tests' project: real workers and a real beat, on this process's database and sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from django_govuk_notify_outbox import tasks
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import FINAL
from tests.celery_app import app

ROOT = Path(__file__).resolve().parents[1]


class Project:
    """The tests' project as its workers see it: the same database, broker and sandbox as this process."""

    def __init__(self, folder: Path, sandbox: Sandbox, *, broker: str = "") -> None:
        self.folder = folder
        self.queue = f"tests-{uuid.uuid4()}"
        self.broker = broker or "folder://localhost"
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
    def running(self, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """A Celery process of the project, with further environment variables; stopped at the end.

        "beat" gets a schedule file of its own, so that several may run.
        """
        command = [sys.executable, "-m", "celery", "--app", "tests.celery_app", *arguments]
        if arguments[0] == "worker" and "--hostname" not in arguments:
            # RabbitMQ lets no two workers have the same name
            command += ["--hostname", f"{uuid.uuid4()}@%h"]
        if arguments[0] == "beat":
            command += ["--schedule", str(self.folder / f"schedule-{uuid.uuid4()}")]
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=self.environment | variables, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                # A worker of Celery's may hang when it is told to stop while a time limit strikes
                process.kill()
                process.wait()

    def log(self, name: str) -> str:
        """What a process has said so far."""
        return (self.folder / f"{name}.log").read_text()


@contextmanager
def joined(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have this process on the project's broker too."""
    options = {}
    if project.broker.startswith("folder:"):
        monkeypatch.syspath_prepend(str(ROOT / "example_project"))
        from example import folder_broker

        # The example's own app, which comes with it, has just taken its place
        app.set_current()
        folder_broker.register()
        options = folder_broker.options(project.folder / "broker")
    monkeypatch.setattr(tasks, "_pusher", tasks._Pusher())
    with configured(
        CELERY_BROKER_URL=project.broker,
        CELERY_BROKER_TRANSPORT_OPTIONS=options,
        CELERY_TASK_DEFAULT_QUEUE=project.queue,
    ):
        yield
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
