"""Brokers and databases of a test's own, which it may kill."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import kombu
import kombu.exceptions
from django.core.management import call_command
from django.db import connections

from tests.faults.server import Server
from tests.needs import program
from tests.ports import free_port

__all__ = ["MariaDB", "PostgreSQL", "RabbitMQ", "Redis", "Server", "as_database", "is_redis_there"]


class Redis(Server):
    """A Redis that keeps everything in memory: with its process all messages are gone."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> list[str]:
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        return [program("redis-server"), *settings]

    def _greet(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
            client.sendall(b"PING\r\n")
            assert client.recv(100) == b"+PONG\r\n"


def is_redis_there() -> bool:
    """Whether Redis is installed, and a client for Python that Celery's version takes."""
    if find_spec("redis") is None:
        return False
    try:
        kombu.Connection(f"redis://127.0.0.1:{free_port()}").connect()
    except (ImportError, kombu.exceptions.VersionMismatch):
        return False
    except Exception:  # noqa: BLE001  # nobody is there to connect to, but the client has found that out
        return shutil.which("redis-server") is not None
    raise AssertionError("Somebody has just taken that port.")


class RabbitMQ(Server):
    """A RabbitMQ with a node, a cookie and a port mapper of its own; messages survive its process."""

    def __init__(self) -> None:
        super().__init__()
        self._distribution_port = free_port()
        self._mapper_port = free_port()
        self._mapper: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def _command(self) -> list[str]:
        # Not the one on the PATH of Debian and its like, which runs as another account, on that account's folders
        return [shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin") or program("rabbitmq-server")]

    def _prepare(self) -> None:
        (self.folder / "plugins").write_text("[].")
        (self.folder / "settings.conf").write_text("")
        # Without one the node would start one for the whole machine, and leave it behind
        self._mapper = self._spawn([program("epmd")])

    def _environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")} | {
            "HOME": folder,
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"outbox{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_CONFIG_FILE": f"{folder}/settings.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
        }

    def _greet(self) -> None:
        with kombu.Connection(self.url, connect_timeout=5) as client:
            client.connect()

    def _clear_away(self) -> None:
        mapper, self._mapper = self._mapper, None
        if mapper is not None:
            mapper.kill()
            mapper.wait(self.patience)
        super()._clear_away()


class PostgreSQL(Server):
    """A PostgreSQL whose writes survive its process, if not the machine."""

    account = "postgres"
    stop_signal = signal.SIGINT

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def _command(self) -> list[str]:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",
        }
        return [
            _of_postgresql("postgres"),
            "-D",
            self._data,
            *(f"--{name}={value}" for name, value in settings.items()),
        ]

    def _prepare(self) -> None:
        options = ["--auth", "trust", "--username", "postgres", "--encoding", "UTF8", "--no-sync"]
        self._run([_of_postgresql("initdb"), "-D", self._data, *options])

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _greet(self) -> None:
        psycopg = import_module("psycopg")
        psycopg.connect(f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres").close()


class MariaDB(Server):
    """A MariaDB whose writes survive its process."""

    account = "mysql"

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/test"

    def _command(self) -> list[str]:
        settings = {
            "datadir": self.folder / "data",
            "port": self.port,
            "bind-address": "127.0.0.1",
            "socket": self.folder / "socket",
            "pid-file": self.folder / "pid",
            "character-set-server": "utf8mb4",
        }
        options = (f"--{name}={value}" for name, value in settings.items())
        return [program("mariadbd", "/usr/sbin", "/usr/local/sbin"), "--no-defaults", *options]

    def _prepare(self) -> None:
        (self.folder / "data").mkdir()
        if self._as:
            shutil.chown(self.folder / "data", self.account, self.account)
        options = ["--no-defaults", f"--datadir={self.folder / 'data'}", "--auth-root-authentication-method=normal"]
        self._run([program("mariadb-install-db", "/usr/local/bin"), *options])

    def _greet(self) -> None:
        driver = import_module("MySQLdb")
        driver.connect(host="127.0.0.1", port=self.port, user="root").close()


def _of_postgresql(name: str) -> str:
    """A program of PostgreSQL's, which distributions keep off the PATH."""
    return program(name, *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)))


@contextmanager
def as_database(server: PostgreSQL | MariaDB) -> Iterator[None]:
    """Have this process use the server instead of its usual database, with the library's tables."""
    import dj_database_url

    usual, usual_settings = connections["default"], connections.settings["default"]
    connections.settings["default"] = {**usual_settings, **dj_database_url.parse(server.url)}
    connections["default"] = connections.create_connection("default")
    try:
        call_command("migrate", "django_govuk_notify_outbox", verbosity=0)
        yield
    finally:
        connections["default"].close()
        connections["default"], connections.settings["default"] = usual, usual_settings
