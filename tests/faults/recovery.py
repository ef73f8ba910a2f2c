"""What comes after a fault: waiting for other processes, and time that passes until all emails have come to an end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import kombu
import pytest
from django.utils import timezone
from freezegun import freeze_time

from django_govuk_notify_outbox import conf, sync, tasks
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import FINAL, Status
from tests.celery_app import app
from tests.conftest import Clock
from tests.faults.proxy import PATIENCE
from tests.test_retrying import posts
from tests.test_unclear import go_on, outcomes


def wait_until(is_so: Callable[[], object], explain: Callable[[], str] = str, *, every: float = 0.02) -> None:
    """Wait for what another thread or process does."""
    ends_at = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < ends_at, explain()
        time.sleep(every)


@contextmanager
def later(sandbox: Sandbox) -> Iterator[Clock]:
    """From now on time stands still, in this process and in the sandbox, unless it is moved."""
    with freeze_time(timezone.now()) as frozen:
        yield Clock(frozen, sandbox)


def settle(sandbox: Sandbox) -> None:
    """Let time pass, with a sync run every five seconds, until each email has come to its end."""
    with later(sandbox) as clock:
        while EmailMessage.objects.exclude(status__in=FINAL).exists():
            clock.move(5)
            sync.run()


def assert_claimed(email: EmailMessage, *, timeout: float | None = None) -> None:
    """The email waits for the lease of a worker that has come to grief: for that long, and no longer."""
    email.refresh_from_db()
    assert (email.status, email.attempts, outcomes(email)) == (Status.SENDING_TO_NOTIFY, 1, [])
    assert email.due_at is not None
    assert email.attempt_started_at is not None
    lease = 2 * (timeout or conf.timeout()) + 10
    assert (email.due_at - email.attempt_started_at).total_seconds() == pytest.approx(lease, abs=1)


def assert_found_when_due(email: EmailMessage, sandbox: Sandbox) -> None:
    """Once due, the email is asked about and found at Notify, and not sent again."""
    with later(sandbox) as clock:
        go_on(email, clock)
    assert (email.status, email.attempts, outcomes(email)) == (Status.NOTIFY_DELIVERED, 1, ["found"])
    assert posts(sandbox) == 1
    assert [accepted["id"] for accepted in sandbox.emails()] == [str(email.notify_id)]


def worker_arguments(*options: str) -> list[str]:
    """The arguments of a Celery worker.

    It has a name of its own, for RabbitMQ lets no two have the same. It does not look for its neighbours, which would
    take a second.
    """
    return ["worker", "--hostname", f"{uuid.uuid4()}@%h", "--without-mingle", "--without-gossip", *options]


def sync_once() -> None:
    """Do once what beat does every few seconds."""
    with app.connection_for_write() as broker:
        tasks.sync.apply_async(producer=kombu.Producer(broker))
