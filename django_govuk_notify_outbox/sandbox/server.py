"""The sandbox on its own: Django's development server and an embedded database, in one process."""

import argparse
import io
import json
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, NoReturn, cast

from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

from . import defaults
from .origins import NAMES
from .responses import CUT
from .services import DAILY_LIMIT, RATE_LIMIT, RETENTION_DAYS

_APP = "django_govuk_notify_outbox.sandbox"


class SandboxRequestHandler(WSGIRequestHandler):
    """Keeps connections alive, takes bodies in chunks, says nothing about requests, and can cut a connection."""

    # Headers and body leave in one packet, and at once.
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Remember the connection's own stream: see parse_request()."""
        super().setup()
        self._stream = self.rfile

    def handle_one_request(self) -> None:
        """Handle a request, and go on with what follows it on the connection."""
        super().handle_one_request()
        self.rfile = self._stream

    def parse_request(self) -> bool:
        """Read the head of a request, and a body that comes in chunks, which WSGI knows nothing of."""
        if not super().parse_request():
            return False
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(_chunks(self._stream))
            self.rfile = io.BytesIO(body)
            self.headers["Content-Length"] = str(len(body))
        return True

    def get_environ(self) -> dict[str, Any]:
        """Return what Django's handler does, the means to cut the connection, and the names of this server."""
        address, _ = cast("tuple[str, int]", self.server.server_address)
        return {**super().get_environ(), CUT: self._cut, NAMES: _names_of(address)}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is the base class's
        """Say nothing: the requests can be asked for."""

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]  # it is a socket


def _names_of(address: str) -> list[str]:
    """Return the names by which browsers may come to the mailbox.

    On loopback, only those of this machine: a page of another site could have a name of its own lead here, and read
    the emails. Who listens elsewhere, for other containers say, has names that only they know.
    """
    return [".localhost", address] if address.startswith("127.") else ["*"]


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Return the parts of a body, to its end."""
    while size := int(stream.readline().partition(b";")[0] or b"0", 16):
        yield stream.read(size)
        stream.readline()
    while stream.readline() not in (b"\r\n", b"\n", b""):
        pass  # what is said after the body is nobody's business here


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
        _set_up(database, options)
        _serve(options.host, options.port)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m {_APP}", description="Run a stand-in for GOV.UK Notify, for development and tests."
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=int, default=8020, help="port; 0 picks a free one (%(default)s)")
    add("--database", type=Path, help="SQLite file to keep; otherwise nothing is kept")
    add("--sending-after", type=float, default=1.0, help="seconds until an email is sending (%(default)s)")
    add("--final-after", type=float, default=2.0, help="seconds until it has its final status (%(default)s)")
    add("--rate-limit", type=int, default=RATE_LIMIT, help="requests a minute; 0 is no limit (%(default)s)")
    add("--daily-limit", type=int, default=DAILY_LIMIT, help="emails a day; 0 is no limit (%(default)s)")
    add("--retention-days", type=int, default=RETENTION_DAYS, help="days that emails are kept (%(default)s)")
    add("--templates", type=Path, help="JSON file with templates, as in the setting GOVUK_NOTIFY_SANDBOX_TEMPLATES")
    add("--contact-link", help="contact details of the service, without which it can't send files")
    add("--callback-url", default="", help="where to post delivery receipts; otherwise none are posted")
    add("--callback-token", default="", help="bearer token of the receipts")
    return parser.parse_args(arguments)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _set_up(database: Path, options: argparse.Namespace) -> None:
    import django
    from django.core.checks import run_checks
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
        GOVUK_NOTIFY_SANDBOX_CALLBACK_TOKEN=options.callback_token,
        GOVUK_NOTIFY_SANDBOX_CALLBACK_URL=options.callback_url,
        GOVUK_NOTIFY_SANDBOX_CONTACT_LINK=options.contact_link,
        GOVUK_NOTIFY_SANDBOX_DAILY_LIMIT=options.daily_limit,
        GOVUK_NOTIFY_SANDBOX_RATE_LIMIT=options.rate_limit,
        GOVUK_NOTIFY_SANDBOX_RETENTION_DAYS=options.retention_days,
        GOVUK_NOTIFY_SANDBOX_TEMPLATES=json.loads(options.templates.read_text()) if options.templates else {},
        INSTALLED_APPS=[_APP],
        LOGGING={
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"none": {"class": "logging.NullHandler"}},
            "loggers": {"django": {"handlers": ["none"], "propagate": False}},
        },
        ROOT_URLCONF=f"{_APP}.urls",
        SECRET_KEY=secrets.token_hex(),
        # The mailbox shows times as Notify's own pages do
        TIME_ZONE="Europe/London",
        USE_TZ=True,
    )
    django.setup()
    if mistakes := run_checks():
        raise SystemExit("\n".join(f"{mistake.msg} {mistake.hint or ''}" for mistake in mistakes))
    call_command("migrate", verbosity=0)
    from .models import SandboxState

    SandboxState.change(sending_after=options.sending_after, final_after=options.final_after)


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
            "Look at the emails there, in a browser. To send them there, put these two lines into your settings:",
            f'DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://{host}:{port}"',
            f'DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = "{defaults.API_KEY}"',
            f"API key (live): {defaults.API_KEY}",
            f"API key (team): {defaults.TEAM_API_KEY}",
            f"API key (test): {defaults.TEST_API_KEY}",
            f"Template with a name: {defaults.TEMPLATE_ID}",
            f"Template without placeholders: {defaults.PLAIN_TEMPLATE_ID}",
            f"Template for an appointment: {defaults.APPOINTMENT_TEMPLATE_ID}",
            "",
        ]
    )
