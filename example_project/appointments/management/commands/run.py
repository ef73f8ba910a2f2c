"""``manage.py run``: everything that the example needs, in one terminal."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import time
from argparse import ArgumentParser
from contextlib import closing
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from example import processes
from example.processes import ChildDied, Children, Interrupted, StopSignals, free_port
from example.terminal import Terminal, wants_colour

COLOURS = {"sandbox": "magenta", "worker": "cyan", "beat": "yellow", "web": "blue"}
READY_WITHIN = 60.0
SANDBOX_PORT = 8020
USER = PASSWORD = "admin"  # noqa: S105 - printed for everybody to see


class Command(BaseCommand):
    """Starts the sandbox, a worker, beat and the web server, and stops them together."""

    help = "Runs the example: web server, Celery worker, beat, and a sandbox in place of GOV.UK Notify."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The port of the web server."""
        parser.add_argument("--port", type=int, default=8000, help="of the web server; 8000 unless told otherwise")

    def handle(self, *_args: Any, port: int, **options: Any) -> None:
        """Run until Ctrl-C, or until one of the processes ends by itself."""
        signals = StopSignals()
        terminal = Terminal(sys.stdout, colour=wants_colour(sys.stdout, options))
        call_command("migrate", verbosity=0, interactive=False)
        _make_admin()
        lines = threading.Lock()

        def show(name: str, text: str) -> None:
            if not text:
                return
            with lines:
                terminal.line(f"{terminal.paint(name.ljust(7), COLOURS[name])} {text}")

        try:
            with Children(signals=signals, on_line=show) as children:
                try:
                    places = _start(children, wanted_port=port)
                    with lines:
                        _say_where(terminal, places)
                    while True:
                        children.check()
                        signals.sleep(0.2)
                except Interrupted:
                    terminal.line("Stopping. The worker finishes what it has begun; Ctrl-C again does not wait for it.")
        except (ChildDied, TimeoutError) as error:
            raise CommandError(f"{error}. Everything else was stopped.") from None
        terminal.line("Stopped.")


def _make_admin() -> None:
    users = get_user_model()._default_manager  # noqa: SLF001 - the name by which Django's documents know it
    if not users.filter(username=USER).exists():
        users.create_superuser(USER, password=PASSWORD)


def _start(children: Children, *, wanted_port: int) -> list[tuple[str, str]]:
    """Start everything, wait until all of it is there, and tell where it is."""
    environment: dict[str, str] = {"DJANGO_RUNSERVER_HIDE_WARNING": "true"}
    port_of_web = free_port(wanted_port)
    address = f"127.0.0.1:{port_of_web}"
    if "GOVUK_NOTIFY_BASE_URL" in os.environ:
        notify = os.environ["GOVUK_NOTIFY_BASE_URL"]
    else:
        port = str(free_port(SANDBOX_PORT))
        # It keeps its emails beside ours, which are followed by Notify's ids over a restart
        database = str(settings.VAR / "sandbox.sqlite3")
        # Hexadecimal: other tokens may begin with a dash, which a command line takes for an option
        token = environment["GOVUK_NOTIFY_RECEIPT_TOKENS"] = secrets.token_hex(32)
        receipts = ("--callback-url", f"http://{address}/notify/receipts/", "--callback-token", token)
        command = (*processes.SANDBOX, "--port", port, "--database", database, *receipts)
        sandbox = children.start("sandbox", command, {})
        ready = children.wait_until_said(sandbox, processes.SANDBOX_READY, seconds=READY_WITHIN)
        notify = environment["GOVUK_NOTIFY_BASE_URL"] = ready[1]
    worker = children.start("worker", processes.WORKER, environment)
    children.start("beat", processes.BEAT, environment)
    manage = str(settings.BASE_DIR / "manage.py")
    children.start("web", (*processes.PYTHON, manage, "runserver", "--noreload", address), environment)
    children.wait_until_said(worker, processes.WORKER_READY, seconds=READY_WITHIN)
    _wait_for_port(children, port_of_web)
    places = [("Book an appointment", f"http://{address}/")]
    if port_of_web != wanted_port != 0:
        places[0] = (places[0][0], f"{places[0][1]}  (port {wanted_port} is taken)")
    places.append(("Admin", f"http://{address}/admin/  (user {USER}, password {PASSWORD})"))
    kind = "a sandbox, its mailbox at " if "GOVUK_NOTIFY_BASE_URL" in environment else ""
    places.append(("GOV.UK Notify", f"{kind}{notify}"))
    return places


def _wait_for_port(children: Children, port: int) -> None:
    end = time.monotonic() + READY_WITHIN
    while True:
        children.check()
        with closing(socket.socket()) as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > end:
            raise TimeoutError(f"The web server was not ready after {READY_WITHIN:.0f} seconds")
        time.sleep(0.1)


def _say_where(terminal: Terminal, places: list[tuple[str, str]]) -> None:
    terminal.line()
    for what, where in places:
        terminal.line(f"  {terminal.paint(what.ljust(20), 'bold')} {where}")
    terminal.line("  Stop with Ctrl-C.")
    terminal.line()
