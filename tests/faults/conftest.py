"""What the tests of faults share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from freezegun import freeze_time

from django_govuk_notify_outbox import sync
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from tests.conftest import Clock
from tests.project import Project

#: Seconds, from the defaults: see the table of recovery times in docs/guarantees.md.
HEAD_START, LEASE, BELIEVED = 5, 70, 130
SYNC_INTERVAL = 5


@pytest.fixture
def project(project: Project) -> Project:
    """The tests' project with the default TIMEOUT, for processes that are killed rather than waited for."""
    project.environment["NOTIFY_TIMEOUT"] = "30"
    return project


class Aftermath:
    """What follows a fault, with a clock that is moved to whatever is due next."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def settle(self) -> None:
        """Sync at each moment at which something is due, and every five seconds while a sync changes nothing."""
        for _ in range(200):
            waiting = EmailMessage.objects.exclude(due_at=None).order_by("due_at")
            due_at = waiting.values_list("due_at", flat=True).first()
            if due_at is None:
                return
            if due_at <= self.clock.now:
                self.clock.move(SYNC_INTERVAL)
            else:
                self.clock.move_to(due_at)
            sync.run()
        raise AssertionError(list(EmailMessage.objects.values("pk", "status", "due_at")))


@contextmanager
def aftermath(sandbox: Sandbox, since: dt.datetime | None = None) -> Iterator[Aftermath]:
    """A clock that stands still from now on, for this process and for the sandbox.

    ``since``: from that moment on, however long ago it is by now on a busy machine.
    """
    with freeze_time(since or dt.datetime.now(tz=dt.UTC)) as frozen:
        yield Aftermath(Clock(frozen, sandbox))


def began(email: EmailMessage) -> dt.datetime:
    """When the last attempt at the email began, or when it was made if there was none."""
    email.refresh_from_db()
    return email.attempt_started_at or email.created_at


def story(email: EmailMessage, since: dt.datetime) -> list[tuple[int, str]]:
    """What happened to the email up to its acceptance, each with the whole seconds since a moment."""
    return [
        (int((event.created_at - since).total_seconds()), event.outcome) for event in email.events.exclude(outcome="")
    ]
