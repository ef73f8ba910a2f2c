"""The storm's database: made, migrated, struck, and dropped at the end."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, connections
from django.test.utils import setup_databases, teardown_databases


@contextmanager
def own_database() -> Iterator[str]:
    """A database of the storm's own, under the name that the settings give it, for this process too; its name."""
    made = setup_databases(verbosity=0, interactive=False, aliases={"default": None}, serialized_aliases=set())
    try:
        yield str(connection.settings_dict["NAME"])
    finally:
        if connection.vendor != "sqlite":
            _cut(_others())
        teardown_databases(made, verbosity=0)


def cut_connections(share: float) -> None:
    """End a share of the other processes' connections, from the server's side."""
    others = _others()
    _cut(random.Random(len(others)).sample(others, round(len(others) * share)))


def lock(seconds: float) -> None:
    """Hold SQLite's write lock for some seconds, as somebody with a long transaction does."""

    def hold() -> None:
        name = str(connections.settings["default"]["NAME"])
        with contextlib.closing(sqlite3.connect(name, timeout=10, isolation_level=None)) as holder:
            with contextlib.suppress(sqlite3.OperationalError):
                holder.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)

    threading.Thread(target=hold, name="lock", daemon=True).start()


def _others() -> list[int]:
    name = connection.settings_dict["NAME"]
    if connection.vendor == "postgresql":
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    else:
        query = "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> connection_id()"
    with connection.cursor() as cursor:
        cursor.execute(query, [name])
        return sorted(row[0] for row in cursor.fetchall())


def _cut(ids: list[int]) -> None:
    with connection.cursor() as cursor:
        for each in ids:
            if connection.vendor == "postgresql":
                cursor.execute("SELECT pg_terminate_backend(%s)", [each])
            else:
                # It may have ended meanwhile
                with contextlib.suppress(Exception):
                    cursor.execute("KILL %s", [each])
