"""Ways to run the workers: every kind of pool, connections that are kept, and a pool of connections before them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time

import pytest
from django.db import connection

from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import TO_SEND
from tests.faults.pgbouncer import PgBouncer
from tests.faults.turnstile import running_turnstile
from tests.needs import need
from tests.project import ROOT, Project, accepted_references, fates, wait_until_final
from tests.test_end_to_end import send

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

EMAILS = 60
#: Long enough for a request that waits for others.
PATIENT = {"NOTIFY_TIMEOUT": "60"}
#: What twenty greenlets get when they ask for a client, each while all others have theirs.
CLIENTS_OF_GREENLETS = """
from gevent import monkey

monkey.patch_all()

import django
import gevent
from django_govuk_notify_outbox.client import this_threads_client

django.setup()
clients = [greenlet.value for greenlet in gevent.wait([gevent.spawn(this_threads_client) for _ in range(20)])]
print(len({id(client.request_session) for client in clients}))
"""


def kept_connections(*, max_age: str, reuse_max: str) -> dict[str, str]:
    """The environment of a worker that keeps its connections: for so many seconds, and for so many tasks."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings_connections",
        "TESTS_CONN_MAX_AGE": max_age,
        "TESTS_DB_REUSE_MAX": reuse_max,
    }


def need_gevent() -> None:
    need(importlib.util.find_spec("gevent"), "the package gevent")


def assert_each_was_sent_once(project: Project, sandbox: Sandbox, emails: list[EmailMessage]) -> None:
    """Each email was accepted, once, at the first attempt, and its row has the id that Notify gave to it."""
    assert fates() == {"notify-delivered": len(emails)}
    assert accepted_references(sandbox) == sorted(email.reference for email in emails)
    ids = {accepted["reference"]: accepted["id"] for accepted in sandbox.emails()}
    assert {reference: str(pk) for reference, pk in EmailMessage.objects.values_list("reference", "notify_id")} == ids
    attempts = EmailMessageEvent.objects.exclude(kind=EmailMessageEvent.Kind.REPORT).order_by("email_message_id")
    assert list(attempts.values_list("email_message_id", "kind", "outcome", "attempt")) == [
        (email.pk, "attempt", "accepted", 1) for email in emails
    ]
    assert "Traceback" not in project.log("worker")


@pytest.mark.parametrize(
    ("pool", "at_once"),
    [
        pytest.param("--pool=threads --concurrency=8", 8, id="threads"),
        pytest.param("--pool=gevent --concurrency=20", 20, id="gevent"),
        pytest.param("--pool=solo", 1, id="solo"),
        pytest.param("--pool=prefork --concurrency=2 --max-tasks-per-child=3", 2, id="prefork-of-short-lives"),
    ],
)
def test_every_kind_of_pool_sends_each_email_once_with_connections_of_its_own_for_each_task(
    project: Project, sandbox: Sandbox, pool: str, at_once: int
) -> None:
    if "gevent" in pool:
        need_gevent()
    with (
        running_turnstile(sandbox, opens_for=at_once) as turnstile,
        project.running("worker", *pool.split(), NOTIFY_BASE_URL=turnstile.url, **PATIENT),
        project.running("beat"),
    ):
        emails = [send() for _ in range(EMAILS)]
        wait_until_final(project)
    # As many requests as the pool has places were under way at the same moment, and none shared its connection
    assert turnstile.opened.is_set(), project.log("worker")
    assert_each_was_sent_once(project, sandbox, emails)


def test_greenlets_have_clients_of_their_own(project: Project) -> None:
    need_gevent()
    command = [sys.executable, "-c", CLIENTS_OF_GREENLETS]
    assert subprocess.check_output(command, cwd=ROOT, env=project.environment, text=True) == "20\n"


def test_a_pool_of_fewer_connections_than_threads_that_lends_them_for_a_transaction_is_enough(
    project: Project, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("pgbouncer is for PostgreSQL")
    kept = kept_connections(max_age="null", reuse_max="1000")
    with (
        PgBouncer(pool_size=3) as bouncer,
        project.running("worker", "--pool=threads", "--concurrency=8", DATABASE_URL=bouncer.url, **kept),
        project.running("beat"),
        bouncer.joined(monkeypatch),
    ):
        emails = [send() for _ in range(EMAILS)]
        wait_until_final(project)
    assert_each_was_sent_once(project, sandbox, emails)


#: Others' connections to this database, and what closes one, in the words of each server.
OTHERS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}
CLOSE = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL %s"}


def close_the_connections_of_others() -> int:
    """Have the server close all connections to the database but this process's; how many it closed."""
    closed: set[int] = set()
    with connection.cursor() as cursor:
        while True:
            cursor.execute(OTHERS[connection.vendor])
            others = {other for (other,) in cursor.fetchall()}
            if not others:
                return len(closed)
            for other in others - closed:
                cursor.execute(CLOSE[connection.vendor], [other])
            closed |= others


def wait_until_sent(project: Project) -> None:
    ends_at = time.monotonic() + 60
    while EmailMessage.objects.filter(status__in=TO_SEND).exists():
        assert time.monotonic() < ends_at, project.log("worker")
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("max_age", "reuse_max"),
    [
        pytest.param("0", "null", id="closed-after-each-task"),
        pytest.param("60", "null", id="kept-for-a-minute"),
        pytest.param("null", "null", id="kept-for-ever"),
        pytest.param("null", "1000", id="kept-for-ever-and-for-1000-tasks"),
    ],
)
def test_a_worker_whose_idle_connection_the_server_closed_sends_the_next_emails(
    project: Project, sandbox: Sandbox, max_age: str, reuse_max: str
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no server that could close a connection")
    with project.running("worker", "--concurrency=1", **kept_connections(max_age=max_age, reuse_max=reuse_max)):
        emails = [send() for _ in range(3)]
        wait_until_sent(project)
        closed = close_the_connections_of_others()
        # Celery closes connections after each task, as far as CONN_MAX_AGE lets it, but for the last case
        assert closed >= (reuse_max != "null")
        emails += [send() for _ in range(3)]
        # If the task that was pushed found the connection closed, sync takes its email up
        with project.running("beat"):
            wait_until_sent(project)
    assert accepted_references(sandbox) == sorted(email.reference for email in emails)
    assert set(EmailMessage.objects.values_list("attempts", flat=True)) == {1}
