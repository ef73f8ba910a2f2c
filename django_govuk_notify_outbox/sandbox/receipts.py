"""Delivery receipts: what Notify posts to a service when an email has its final status, and when it tries again."""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, router, transaction
from django.db.models import F

from . import clock, conf, posting
from .models import Notification, Receipt, SandboxState

logger = logging.getLogger(__name__)

_TOLD = ("delivered", "permanent-failure", "temporary-failure")
_MOST_ATTEMPTS = 6
_BETWEEN_ATTEMPTS = 300 * clock.SECOND
# How long the thread waits, in real time, before it looks again, and how often it finds nothing before it ends.
_PAUSE = 0.1
_BATCH = 100


def are_wanted(state: SandboxState) -> bool:
    """Tell whether the service has said where to post receipts."""
    return bool(conf.callback(state.callback_url, state.callback_token)[0])


def plan(notification: Notification) -> None:
    """Have a receipt posted when the email has its final status, if it's one that Notify tells of."""
    if notification.final_at is not None and notification.final_status in _TOLD:
        Receipt.objects.create(notification_id=notification.notification_id, due_at=notification.final_at)
        transaction.on_commit(_postman.start, using=router.db_for_write(Receipt))


def plan_anew(notification: Notification) -> None:
    """Have the receipt posted for the status that the email was given, in place of one that still waits."""
    Receipt.objects.filter(notification_id=notification.notification_id, attempts=0).delete()
    if are_wanted(SandboxState.load()):
        plan(notification)


def post_due() -> int:
    """Post the receipts that are due by the sandbox's clock. Return how many were tried."""
    with _one_at_a_time():
        tried = 0
        while True:
            state = SandboxState.load()
            now = state.now()
            due = list(Receipt.objects.filter(due_at__lte=now).order_by("due_at", "pk")[:_BATCH])
            if not due:
                return tried
            for receipt in due:
                tried += _post(receipt, state)


def _post(receipt: Receipt, state: SandboxState) -> bool:
    if not receipt.attempts and not _fix(receipt, state):
        receipt.delete()
        return False
    rows = Receipt.objects.filter(pk=receipt.pk, attempts=receipt.attempts)
    # Counted before it's tried, so that a process that dies meanwhile does not try for ever
    later = state.now() + _BETWEEN_ATTEMPTS if receipt.attempts + 1 < _MOST_ATTEMPTS else None
    if not rows.update(
        attempts=F("attempts") + 1, due_at=later, url=receipt.url, token=receipt.token, payload=receipt.payload
    ):
        return False
    outcome = posting.post(receipt.url, receipt.payload, token=receipt.token)
    answered = {"outcome": outcome.text} if outcome.is_worth_another_try else {"outcome": outcome.text, "due_at": None}
    Receipt.objects.filter(pk=receipt.pk).update(**answered)
    return True


def _fix(receipt: Receipt, state: SandboxState) -> bool:
    """Write down what the receipt says and where it goes, which stays as it is. False: there is nothing to say."""
    notification = Notification.objects.filter(notification_id=receipt.notification_id).first()
    receipt.url, receipt.token = conf.callback(state.callback_url, state.callback_token)
    if notification is None or not receipt.url:
        return False
    receipt.payload = json.dumps(
        {
            "id": str(notification.notification_id),
            "reference": notification.reference,
            "to": notification.email_address,
            "status": notification.final_status,
            "created_at": clock.to_text(notification.created_at),
            "completed_at": clock.to_text(notification.final_at),
            "sent_at": clock.to_text(notification.sending_at),
            "notification_type": "email",
            "template_id": str(notification.template_id),
            "template_version": notification.template_version,
        }
    )
    return True


_lock = threading.Lock()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep the thread and a caller who asks for it from posting the same receipt."""
    with _lock:
        yield


class _Postman:
    """A thread that posts what is due, for as long as any receipt waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def start(self) -> None:
        """Make sure that the thread runs, and have it look at once."""
        with self._lock:
            self._wake.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="govuk-notify-sandbox-receipts", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        try:
            while self._goes_on():
                self._wake.clear()
                post_due()
                self._wake.wait(_PAUSE)
        except Exception as error:  # noqa: BLE001  it has nobody to tell but the log, and must not fail a test run
            logger.warning("The sandbox stopped posting receipts: %s.", type(error).__name__)
            with self._lock:
                self._thread = None
        finally:
            connections.close_all()

    def _goes_on(self) -> bool:
        """Tell whether any receipt waits. If none does, the thread is gone for whoever starts it next."""
        with self._lock:
            if self._wake.is_set() or Receipt.objects.exclude(due_at=None).exists():
                return True
            self._thread = None
            return False


_postman = _Postman()


def look_now() -> None:
    """Have the thread look for receipts at once, if there are any: the clock was moved, or a status given."""
    if Receipt.objects.exclude(due_at=None).exists():
        transaction.on_commit(_postman.start, using=router.db_for_write(Receipt))
