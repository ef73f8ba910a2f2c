"""The sandbox on its own: Django's development server and an embedded database, in one process."""

import argparse
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

from . import defaults
from .responses import CUT

_APP = "django_govuk_notify_outbox.sandbox"


class SandboxRequestHandler(WSGIRequestHandler):
    """Keeps connections alive, says nothing about requests, and can cut a connection."""

    # Headers and body leave in one packet, and at once.
    wbufsize = -1
    disable_nagle_algorithm = True

    def get_environ(self) -> dict[str, Any]:
        """Return what Django's handler does, and the means to cut the connection."""
        return {**super().get_environ(), CUT: self._cut}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is the base class's
        """Say nothing: the requests can be asked for."""

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]  # it is a socket


class SandboxServer(ThreadedWSGIServer):
    """Has room for many connections that come at once."""

    request_queue_size = 512


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the sandbox until SIGTERM or SIGINT."""
    options = _parse(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    with tempfile.TemporaryDirectory(prefix="govuk-notify-sandbox-", ignore_cleanup_errors=True) as folder:
        database = options.database or Path(folder) / "sandbox.sqlite3"
        _set_up(database, sending_after=options.sending_after, final_after=options.final_after)
        _serve(options.host, options.port)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m {_APP}", description="Run a stand-in for GOV.UK Notify, for development and tests."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8020, help="port; 0 picks a free one (%(default)s)")
    parser.add_argument("--database", type=Path, help="SQLite file to keep; otherwise nothing is kept")
    parser.add_argument(
        "--sending-after", type=float, default=1.0, help="seconds until an email is sending (%(default)s)"
    )
    parser.add_argument(
        "--final-after", type=float, default=2.0, help="seconds until it has its final status (%(default)s)"
    )
    return parser.parse_args(arguments)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _set_up(database: Path, *, sending_after: float, final_after: float) -> None:
    import django
    from django.core.management import call_command

    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(database),
                # A connection per thread, kept for as long as the caller keeps its own.
                "CONN_MAX_AGE": None,
                "OPTIONS": {
                    # A writer waits for its turn, instead of failing where a read turns into a write.
                    "transaction_mode": "IMMEDIATE",
                    "timeout": 20,
                    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
                },
            }
        },
        GOVUK_NOTIFY_SANDBOX_ALLOWED_WITHOUT_DEBUG=True,
        INSTALLED_APPS=[_APP],
        LOGGING={
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"none": {"class": "logging.NullHandler"}},
            "loggers": {"django": {"handlers": ["none"], "propagate": False}},
        },
        ROOT_URLCONF=f"{_APP}.urls",
        SECRET_KEY=secrets.token_hex(),
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    from .models import SandboxState

    SandboxState.change(sending_after=sending_after, final_after=final_after)


def _serve(host: str, port: int) -> None:
    from django.core.wsgi import get_wsgi_application

    with SandboxServer((host, port), SandboxRequestHandler) as server:
        server.set_app(get_wsgi_application())
        sys.stdout.write(_greeting(host, server.server_port))
        sys.stdout.flush()
        server.serve_forever()


def _greeting(host: str, port: int) -> str:
    return "\n".join(
        [
            f"Listening on http://{host}:{port}",
            f"API key (live): {defaults.API_KEY}",
            f"API key (team): {defaults.TEAM_API_KEY}",
            f"API key (test): {defaults.TEST_API_KEY}",
            f"Template with a name: {defaults.TEMPLATE_ID}",
            f"Template without placeholders: {defaults.PLAIN_TEMPLATE_ID}",
            f"Template for an appointment: {defaults.APPOINTMENT_TEMPLATE_ID}",
            "",
        ]
    )
