"""Act on one email after the other, in one thread or in several at a time."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterable

from django.db import connections

from django_govuk_notify_outbox import client, tracing
from django_govuk_notify_outbox.delivery import Progress
from django_govuk_notify_outbox.durability import drop_broken_connection

logger = logging.getLogger(__name__)

Act = Callable[[int], Progress]
Interruptions = type[Exception] | tuple[()]


def for_each(
    pks: Iterable[int], act: Act, *, threads: int, may_go_on: Callable[[], bool], interrupted_by: Interruptions = ()
) -> Progress:
    """Act on each email until none is left. STOP: an act said so, or ``may_go_on`` said no.

    One email's trouble is logged and holds up no other. ``may_go_on`` is asked, in this thread, before each email is
    handed out and while all threads are busy. What has begun is always brought to its end, so this returns only when
    the last thread has done its work. ``interrupted_by`` is an exception that ends it all when it strikes this thread:
    then this raises at once, and the threads go when they have finished the emails that they are at.
    """
    if threads > 1:
        crew = _Crew(act, threads)
        try:
            if crew.assemble():
                is_done = all(crew.hand_out(pk, may_go_on) for pk in pks) and crew.finish(may_go_on)
                crew.dismiss()
                crew.join()
                return Progress.GO_ON if is_done else Progress.STOP
        finally:
            crew.dismiss()
    for pk in pks:
        if not may_go_on() or _act_on(pk, act, interrupted_by) is Progress.STOP:
            return Progress.STOP
    return Progress.GO_ON


def _act_on(pk: int, act: Act, interrupted_by: Interruptions = ()) -> Progress:
    try:
        return act(pk)
    except interrupted_by:
        raise
    except Exception:
        # If the email was claimed, its lease brings it back
        logger.exception("Email %s: could not be dealt with", pk, extra={"email_message_pk": pk})
        drop_broken_connection()
        return Progress.GO_ON


class _Crew:
    """Threads that take emails from a queue, each with connections of its own to the database and to Notify."""

    #: Seconds after which a wait looks up, so that the lease is renewed while all threads wait for Notify.
    PATIENCE = 1.0

    def __init__(self, act: Act, number: int) -> None:
        self._act = act
        # Room for one each, so that none waits while the next batch is read
        self._pks: queue.Queue[int | None] = queue.Queue(maxsize=number)
        self._is_over = threading.Event()
        self._threads: list[threading.Thread] = []

    def assemble(self) -> bool:
        """Start the threads, or as many as the system lets us have. False: that is none."""
        work = tracing.carried(self._work)
        for number in range(self._pks.maxsize):
            # A process that ends does not wait for them: what they were at is then as with a worker that died
            thread = threading.Thread(target=work, name=f"outbox-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                logger.warning("Only %s of %s threads could be started: %s", number, self._pks.maxsize, error)
                break
            self._threads.append(thread)
        return bool(self._threads)

    def hand_out(self, pk: int | None, may_go_on: Callable[[], bool]) -> bool:
        """Give an email to the next thread that is free. False: it was not, since it is time to stop."""
        while may_go_on() and not self._is_over.is_set():
            try:
                self._pks.put(pk, timeout=self.PATIENCE)
            except queue.Full:
                continue
            return True
        return False

    def finish(self, may_go_on: Callable[[], bool]) -> bool:
        """Wait until all that was handed out is done. False: it is time to stop."""
        for _ in self._threads:
            self.hand_out(None, may_go_on)
        for thread in self._threads:
            while thread.is_alive() and may_go_on():
                thread.join(self.PATIENCE)
        return not (self._is_over.is_set() or any(thread.is_alive() for thread in self._threads))

    def dismiss(self) -> None:
        """Let each thread finish the email that it is at, and take no other."""
        self._is_over.set()
        # One that waits for an email is woken
        with contextlib.suppress(queue.Full):
            while True:
                self._pks.put_nowait(None)

    def join(self) -> None:
        """Wait until all threads have gone."""
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        try:
            while (pk := self._pks.get()) is not None and not self._is_over.is_set():
                if _act_on(pk, self._act) is Progress.STOP:
                    self._is_over.set()
        finally:
            client.close()
            connections.close_all()
