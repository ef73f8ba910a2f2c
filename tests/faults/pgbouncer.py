"""The program pgbouncer, as a service of a test's own before the PostgreSQL of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from django.db import connection

from tests.faults.services import Server
from tests.needs import program


class PgBouncer(Server):
    """Lends its few connections to the server for one transaction at a time."""

    account = "postgres"

    def __init__(self, *, pool_size: int) -> None:
        super().__init__()
        self._pool_size = pool_size

    @property
    def url(self) -> str:
        return f"postgres://{quote(str(connection.settings_dict['USER']))}@127.0.0.1:{self.port}/any"

    def _command(self) -> list[str]:
        return [program("pgbouncer", "/usr/sbin", "/usr/local/sbin"), str(self.folder / "pgbouncer.ini")]

    def _prepare(self) -> None:
        settings = connection.settings_dict
        server = {"host": settings["HOST"], "port": settings["PORT"] or 5432, "user": settings["USER"]}
        if settings["PASSWORD"]:
            server["password"] = settings["PASSWORD"]
        lines = [
            "[databases]",
            "* = " + " ".join(f"{name}={value}" for name, value in server.items()),
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            # Whoever comes is let in, and goes on as the user above
            "auth_type = any",
            "pool_mode = transaction",
            f"default_pool_size = {self._pool_size}",
            f"max_db_connections = {self._pool_size}",
        ]
        (self.folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")

    def _greet(self) -> None:
        import psycopg

        psycopg.connect(f"host=127.0.0.1 port={self.port} user=any dbname={connection.settings_dict['NAME']}").close()

    @contextmanager
    def joined(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Have this process go through it too."""
        connection.close()
        with monkeypatch.context() as patch:
            patch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
            patch.setitem(connection.settings_dict, "PORT", str(self.port))
            try:
                yield
            finally:
                connection.close()
