"""Two that use the database at once: a worker in a thread, and the test that gets in its way."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, Self

import django.db
from django.db import connection, transaction

from django_govuk_notify_outbox.models import EmailMessage
from tests.faults.proxy import PATIENCE
from tests.faults.recovery import wait_until

#: Statements that make a connection give up waiting for a lock long before it would by itself.
IMPATIENCE = {
    "sqlite": "PRAGMA busy_timeout = 200",
    "postgresql": "SET lock_timeout = '200ms'",
    "mysql": "SET innodb_lock_wait_timeout = 1",
}


class Worker:
    """A thread with a database connection of its own."""

    def __init__(self, act: Callable[[], object], *before: str) -> None:
        self._act = act
        self._before = before
        self._number: SimpleQueue[int] = SimpleQueue()
        self._thread = threading.Thread(target=self._work)

    @property
    def number(self) -> int:
        """The number of its connection, at the server."""
        return self._number.get(timeout=PATIENCE)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.join()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        try:
            with connection.cursor() as cursor:
                for statement in self._before:
                    cursor.execute(statement)
                if connection.vendor != "sqlite":
                    name = {"postgresql": "pg_backend_pid()", "mysql": "connection_id()"}[connection.vendor]
                    cursor.execute(f"SELECT {name}")
                    self._number.put(cursor.fetchone()[0])
            # A Celery task may end with an exception: that is what workers are for
            with suppress(django.db.Error):
                self._act()
        finally:
            connection.close()


def ask(statement: str, *parameters: int) -> Any:
    """The one value that a statement gives."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        (value,) = cursor.fetchone()
        return value


def cut(number: int) -> None:
    """Have the server end a connection."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_terminate_backend(%s)", [number])
            left = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        else:
            cursor.execute("KILL %s", [number])
            left = "SELECT count(*) FROM information_schema.processlist WHERE id = %s"
    wait_until(lambda: ask(left, number) == 0)


def wait_until_it_waits(number: int) -> None:
    """Wait until a connection waits for somebody's lock."""
    waiting = {
        "postgresql": "SELECT count(*) FROM pg_locks WHERE pid = %s AND NOT granted",
        "mysql": (
            "SELECT count(*) FROM information_schema.innodb_trx "
            "WHERE trx_mysql_thread_id = %s AND trx_state = 'LOCK WAIT'"
        ),
    }[connection.vendor]
    # MariaDB's table is looked up anew only after nobody has asked for a tenth of a second
    wait_until(lambda: ask(waiting, number), every=0.2)


@contextmanager
def locked(email: EmailMessage) -> Iterator[None]:
    """Keep everybody else from writing the email's row: from writing anything, if that is all a database can do."""
    if connection.vendor != "sqlite":
        with transaction.atomic():
            EmailMessage.objects.select_for_update().get(pk=email.pk)
            yield
        return
    program = """if True:
        import sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        print("locked", flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", program, str(connection.settings_dict["NAME"])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate()
