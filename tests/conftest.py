"""What the tests share: a sandbox over real HTTP, a clock to move, emails in any status."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory, StepTickTimeFactory, TickingDateTimeFactory
from pytest_django import Settings

from django_govuk_notify_outbox import models, tasks
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.sandbox.process import running_sandbox
from django_govuk_notify_outbox.statuses import FINAL, TO_SEND, Status
from tests.celery_app import app

#: Celery would take it for the broker of this process too. It is that of the tests that start workers.
BROKER_OF_WORKERS = os.environ.pop("CELERY_BROKER_URL", "")

Frozen = FrozenDateTimeFactory | StepTickTimeFactory | TickingDateTimeFactory
MakeEmail = Callable[..., EmailMessage]

ADDRESS = "amala@example.com"
PERSONALISATION = {"name": "Amala"}


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    """One sandbox for the whole session; tests use ``sandbox``."""
    with running_sandbox(sending_after=1.0, final_after=2.0) as sandbox:
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
        self._sandbox.set_clock(self.now)

    @property
    def now(self) -> dt.datetime:
        """The present moment."""
        return timezone.now()

    def move(self, seconds: float) -> None:
        """Let some seconds pass."""
        self._frozen.tick(dt.timedelta(seconds=seconds))
        self._sandbox.set_clock(self.now)

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
