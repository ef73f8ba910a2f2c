"""The Celery tasks, and the push that never harms the caller. Celery appears here alone.

Note [Why the push is a function]
    ``transaction.on_commit(functools.partial(...), robust=True)`` fails in Django's own logging when the callback
    raises, since a partial has no ``__qualname__``. So what is given to ``on_commit`` is a function, and it catches.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from celery import Celery, current_app, shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from kombu.pools import ProducerPool

from django_govuk_notify_outbox import conf, delivery, durability, holds
from django_govuk_notify_outbox import sync as sync_run
from django_govuk_notify_outbox.delivery import Progress
from django_govuk_notify_outbox.models import write_database

logger = logging.getLogger(__name__)

#: Seconds to wait for the broker, for connecting and for each answer. Sync sends what could not be pushed.
BROKER_TIMEOUT = 1.0
#: Seconds without a push after one that failed: with a dead broker, a page that sends ten emails waits once.
PAUSE_AFTER_FAILED_PUSH = 5.0

# One more try, at once: the pool's connection may be one that the broker has closed meanwhile
_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
_SOCKET_TIMEOUTS = {
    "amqp": {"read_timeout": BROKER_TIMEOUT, "write_timeout": BROKER_TIMEOUT},
    "redis": {"socket_timeout": BROKER_TIMEOUT, "socket_connect_timeout": BROKER_TIMEOUT},
}
_POOL_SIZE = 10
#: Emails that one task sends, one after the other: few enough that several workers share out a mailing.
PUSH_BATCH = 25


@shared_task(name="django_govuk_notify_outbox.tasks.send", ignore_result=True)
def send(*pks: int, is_postponed: bool = False) -> None:
    """Send emails, each unless that is done or another worker is at it.

    When Notify limits us, those that are left come once more when all may send again, so that they need not queue up
    behind a backlog. Sync has those that do not get through then.
    """
    with durability.broken_connection_dropped():
        for position, pk in enumerate(pks):
            try:
                progress = delivery.deliver(pk)
            except Exception:
                # One email's trouble, or a time limit, holds up no other
                if rest := pks[position + 1 :]:
                    push(*rest)
                raise
            if progress is Progress.STOP:
                if not is_postponed:
                    push(*pks[position:], is_postponed=True)
                return


@shared_task(name="django_govuk_notify_outbox.tasks.sync", ignore_result=True)
def sync() -> None:
    """Retry what failed and follow what was sent. Run it from Celery beat, every 5 seconds or so."""
    with durability.broken_connection_dropped():
        sync_run.run(interrupted_by=SoftTimeLimitExceeded)


def push(*pks: int, is_postponed: bool = False) -> None:
    """Hand emails to a worker: now, or when sending is not held any more.

    Never raises: without a broker, sync sends them a few seconds later.
    """
    try:
        _pusher.push(*pks, is_postponed=is_postponed)
    except Exception:
        numbers = ", ".join(map(str, pks))
        logger.warning("Emails %s: could not be pushed to the broker; sync will send them", numbers, exc_info=True)


def push_on_commit(pks: Sequence[int]) -> None:
    """Hand emails to workers once the transaction is committed that wrote them. Never raises."""

    # A function, not a partial: see Note [Why the push is a function]
    def push_all() -> None:
        for start in range(0, len(pks), PUSH_BATCH):
            push(*pks[start : start + PUSH_BATCH])

    # With autocommit turned off nobody tells when the caller commits: sync sends the emails then
    with contextlib.suppress(transaction.TransactionManagementError):
        transaction.on_commit(push_all, using=write_database(), robust=True)


class _Pusher:
    """Publishes to the broker with timeouts of its own, shorter than the project's."""

    def __init__(self) -> None:
        self._pools: dict[tuple[int, int], ProducerPool] = {}
        self._paused_until = 0.0

    def push(self, *pks: int, is_postponed: bool) -> None:
        """Publish one task. Raises what kombu raises when it can't be done within a second or so."""
        if send.app.conf.task_always_eager:
            # It would not wait, and find what it has found
            if not is_postponed:
                send.apply_async(pks)
            return
        if time.monotonic() < self._paused_until:
            return
        later: dict[str, Any] = {"kwargs": {"is_postponed": True}, "countdown": holds.SENDING_HOLD}
        try:
            with self._pool().acquire(block=True, timeout=BROKER_TIMEOUT) as producer:
                send.apply_async(
                    pks, producer=producer, retry=True, retry_policy=_RETRY_POLICY, **(later if is_postponed else {})
                )
        except Exception:
            self._paused_until = time.monotonic() + PAUSE_AFTER_FAILED_PUSH
            raise

    def _pool(self) -> ProducerPool:
        app: Celery = send.app
        # A forked process must not share its parent's sockets
        key = (os.getpid(), id(app))
        if key not in self._pools:
            options: dict[str, Any] = dict(_RETRY_POLICY)
            driver = app.connection_for_write().transport.driver_type
            options.update(_SOCKET_TIMEOUTS.get(driver, {}))
            connection = app.connection_for_write(connect_timeout=BROKER_TIMEOUT, transport_options=options)
            self._pools[key] = ProducerPool(connection.Pool(limit=_POOL_SIZE), limit=_POOL_SIZE)
        return self._pools[key]


_pusher = _Pusher()


def scheduled_in_settings() -> bool:
    """Whether the project's Celery settings have beat run ``sync``."""
    celerys = current_app.conf.beat_schedule
    entries = [*conf.beat_schedule().values(), *(celerys.values() if isinstance(celerys, Mapping) else ())]
    # An entry is a dictionary or one of Celery's own objects
    return any(sync.name in (_value_of(entry, "task"), getattr(entry, "task", None)) for entry in entries)


def _value_of(entry: object, key: str) -> object:
    return entry.get(key) if isinstance(entry, Mapping) else None


def is_app_missing() -> bool:
    """Whether tasks would go to Celery's default app, since the project's own has not been imported."""
    return bool(send.app.main == "default")
