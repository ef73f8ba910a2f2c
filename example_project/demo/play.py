"""The demo from its first line to its verdict."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from demo import scenario
from demo.scenario import CASES, Case
from demo.timeline import Timeline, show_table
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from example import celery_app, processes
from example.processes import ChildDied, Children, StopSignals
from example.terminal import Terminal

DEADLINE = 90.0


class DemoFailed(Exception):
    """Something was not as expected. The message says what, a line each."""


def play(terminal: Terminal, signals: StopSignals, *, run: str) -> None:
    """Run the demo. Raises DemoFailed, or Interrupted."""
    started = time.monotonic()
    deadline = started + DEADLINE
    call_command("migrate", verbosity=0, interactive=False)
    _refuse_mail_of_others()
    # What dies with the temporary folder need not be put in order first
    is_kept = any(name in os.environ for name in ("DATABASE_URL", "CELERY_BROKER_URL"))
    children = Children(signals=signals, patience=processes.PATIENCE if is_kept else 0.2)
    try:
        with children:
            sandbox = _start(terminal, children, deadline=deadline)
            problems = _send_and_watch(terminal, children, sandbox, run=run, deadline=deadline)
    except (ChildDied, TimeoutError) as error:
        problems = [str(error)]
    finally:
        _delete_queue()
    if problems:
        _show_logs(terminal, children)
        raise DemoFailed("\n".join(problems))
    terminal.line(terminal.paint(f"All as expected, after {time.monotonic() - started:.0f} seconds.", "green"))


def _refuse_mail_of_others() -> None:
    # A worker sends whatever is due, and in a demo that means to the sandbox: real mail would be lost that way
    others = EmailMessage.objects.filter(due_at__isnull=False).exclude(reference__startswith=scenario.REFERENCE_PREFIX)
    if others.exists():
        raise DemoFailed("This database has emails that are yet to be sent or followed. Name an empty one.")


def _start(terminal: Terminal, children: Children, *, deadline: float) -> Sandbox:
    began = time.monotonic()
    terminal.line(terminal.paint("Five emails, five fates", "bold"))
    sandbox_process = children.start(
        "sandbox", (*processes.SANDBOX, "--port", "0", "--sending-after", "0.5", "--final-after", "1.5"), {}
    )
    ready = children.wait_until_said(sandbox_process, processes.SANDBOX_READY, seconds=deadline - began)
    environment = {"GOVUK_NOTIFY_BASE_URL": ready[1]}
    worker = children.start("worker", processes.WORKER, environment)
    children.start("beat", processes.BEAT, environment)
    children.wait_until_said(worker, processes.WORKER_READY, seconds=deadline - time.monotonic())

    broker = urlsplit(settings.CELERY_BROKER_URL)
    for name, value in (
        ("Database", connection.display_name),
        ("Broker", f"{broker.scheme}://{broker.hostname or ''}"),
        ("Notify", f"a sandbox at {ready[1]}"),
        ("Celery", f"a worker and beat, ready after {time.monotonic() - began:.1f} seconds"),
    ):
        terminal.line(f"{name:<10}{value}")
    terminal.line()
    return Sandbox(ready[1])


def _send_and_watch(
    terminal: Terminal, children: Children, sandbox: Sandbox, *, run: str, deadline: float
) -> list[str]:
    scenario.prepare(sandbox)
    started = timezone.now()
    cases = scenario.send_all(run)
    timeline = Timeline(terminal, cases, started)
    for email in EmailMessage.objects.filter(pk__in=list(cases)).order_by("pk"):
        timeline.saved(email)
    scenario.send_and_roll_back(run)
    timeline.rolled_back(timezone.now())
    while not _all_final(cases):
        children.check()
        timeline.show_news()
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not finished after {DEADLINE:.0f} seconds")
        time.sleep(0.1)
    timeline.show_news()
    terminal.line()
    return _judge(terminal, sandbox, cases, run=run)


def _all_final(cases: Mapping[int, Case]) -> bool:
    return all(email.is_final for email in EmailMessage.objects.filter(pk__in=list(cases)))


def _judge(terminal: Terminal, sandbox: Sandbox, cases: Mapping[int, Case], *, run: str) -> list[str]:
    """What is wrong; nothing when every email ended as expected and Notify holds exactly what it should."""
    held = Counter(email["reference"] for email in sandbox.emails())
    rolled_back = scenario.reference(run, scenario.ROLLED_BACK)
    rolled_back_exists = bool(held[rolled_back]) or EmailMessage.objects.filter(reference=rolled_back).exists()
    show_table(terminal, cases, rolled_back_exists=rolled_back_exists)
    terminal.line()

    problems = [f"{scenario.ROLLED_BACK}: it exists"] if rolled_back_exists else []
    for email in EmailMessage.objects.filter(pk__in=list(cases)).order_by("pk"):
        case = cases[email.pk]
        if email.status != case.expected:
            problems.append(f"{case.label}: expected {case.expected}, but it is {email.status}")
        if email.attempts <= case.errors:
            problems.append(f"{case.label}: expected more than {case.errors} attempts, but there was {email.attempts}")
        if (count := held[email.reference]) != case.accepted:
            problems.append(f"{case.label}: Notify should have it {int(case.accepted)} times, but has it {count} times")
    ours = {scenario.reference(run, case.label) for case in CASES} | {rolled_back}
    # An interrupted demo may have left emails in a database that is kept
    strangers = sum(not str(name).startswith(scenario.REFERENCE_PREFIX) for name in held - Counter(ours))
    if strangers:
        problems.append(f"Notify holds {strangers} emails that nobody here sent")
    if not problems:
        accepted = sum(case.accepted for case in CASES)
        terminal.line(f"The sandbox holds the {accepted} emails that Notify accepted, each of them once.")
    return problems


def _show_logs(terminal: Terminal, children: Children) -> None:
    for child in children.all:
        terminal.line(terminal.paint(f"The last lines of {child.name}:", "bold"))
        for line in child.tail:
            terminal.line(f"  {line}")
        terminal.line()


def _delete_queue() -> None:
    """Leave nothing on a broker that is kept: the queue is this run's alone."""
    queue = celery_app.amqp.queues[settings.CELERY_TASK_DEFAULT_QUEUE]
    # The demo's result does not depend on it
    with contextlib.suppress(Exception), celery_app.connection_for_write() as broker:
        bound = queue.bind(broker.default_channel)
        bound.delete()
        bound.exchange.delete()
