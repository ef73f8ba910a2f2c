"""The database fails: connections are cut, transactions lose, locks are held, the server goes and comes back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import django.db
import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from django_govuk_notify_outbox import holds, tasks
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent, Hold
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import ADDRESS, BROKER_OF_WORKERS, MakeEmail
from tests.faults.proxy import Proxy, running_proxy
from tests.faults.recovery import assert_claimed, assert_found_when_due, later, settle, wait_until, worker_arguments
from tests.faults.rivals import IMPATIENCE, Worker, cut, locked, wait_until_it_waits
from tests.faults.services import MariaDB, PostgreSQL, as_database
from tests.project import Project, accepted_references, fates, joined
from tests.test_retrying import posts
from tests.test_unclear import go_on, new_email, outcomes

pytestmark = pytest.mark.django_db(transaction=True)

ISOLATION = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL"
SERVERS: dict[str, type[PostgreSQL | MariaDB]] = {"postgresql": PostgreSQL, "mysql": MariaDB}

needs_a_server = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no server")
needs_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL fails like this")


@pytest.fixture
def proxy(sandbox: Sandbox, settings: Settings) -> Iterator[Proxy]:
    """A stand before the sandbox, to which the settings point."""
    with running_proxy(sandbox.base_url) as proxy:
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = proxy.url
        yield proxy


@needs_a_server
def test_an_acceptance_whose_connection_was_cut_before_it_was_recorded_is_found(sandbox: Sandbox, proxy: Proxy) -> None:
    answer = proxy.hold_answer(ADDRESS)
    email = new_email()
    with Worker(partial(tasks.send, email.pk)) as worker:
        answer.wait()
        cut(worker.number)
        answer.release()
    assert_claimed(email)
    assert_found_when_due(email, sandbox)


@needs_a_server
def test_a_sync_run_whose_connection_was_cut_goes_on_with_the_other_emails(
    sandbox: Sandbox, proxy: Proxy, make_email: MakeEmail, settings: Settings
) -> None:
    # So that it has one connection, to be cut
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SYNC_THREADS = 1
    now = timezone.now()
    emails = [
        make_email(email_address=f"{number}@example.com", due_at=now - dt.timedelta(seconds=10 - number))
        for number in range(5)
    ]
    answer = proxy.hold_answer(emails[2].email_address)
    with Worker(tasks.sync) as worker:
        answer.wait()
        cut(worker.number)
        answer.release()
    for email in emails:
        email.refresh_from_db()
    sent, unknown = Status.SENT_TO_NOTIFY, Status.SENDING_TO_NOTIFY
    assert [email.status for email in emails] == [sent, sent, unknown, sent, sent]
    assert [outcomes(email) for email in emails] == [["accepted"], ["accepted"], [], ["accepted"], ["accepted"]]
    # In the order in which they were due, each once
    assert [accepted["reference"] for accepted in sandbox.emails()] == [email.reference for email in emails]
    # The run has given its lease back
    another = make_email(email_address="another@example.com")
    tasks.sync()
    assert outcomes(another) == ["accepted"]
    assert_claimed(emails[2])
    with later(sandbox) as clock:
        go_on(emails[2], clock)
    assert outcomes(emails[2]) == ["found"]
    assert fates() == {Status.NOTIFY_DELIVERED: 6}
    assert posts(sandbox) == 6


@needs_a_server
def test_a_sync_run_whose_connection_was_cut_between_two_emails_goes_on_with_another_one(
    sandbox: Sandbox, proxy: Proxy, make_email: MakeEmail
) -> None:
    now = timezone.now()
    # Notify knows nothing of it, so there is nothing to record: what uses the connection next is the search for a page
    unknown = make_email(Status.NOTIFY_SENDING, due_at=now - dt.timedelta(seconds=9))
    emails = [new_email() for _ in range(3)]
    for email in emails:
        tasks.send(email.pk)
    EmailMessage.objects.filter(status=Status.SENT_TO_NOTIFY).update(due_at=now)
    answer = proxy.hold_answer(str(unknown.notify_id))
    with Worker(tasks.sync) as worker:
        answer.wait()
        cut(worker.number)
        answer.release()
    assert [len(outcomes(email)) for email in emails] == [2, 2, 2]
    assert posts(sandbox) == 3
    # The run has given its lease back
    assert holds.Lease(holds.SYNC, seconds=10).take()


@needs_a_server
def test_an_acceptance_whose_recording_lost_a_deadlock_is_found(sandbox: Sandbox, proxy: Proxy) -> None:
    answer = proxy.hold_answer(ADDRESS)
    email = new_email()
    with Worker(partial(tasks.send, email.pk)) as worker:
        number = worker.number
        answer.wait()
        if connection.vendor == "mysql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # Another transaction, such as a migration's, takes the events first and then wants the email
        with transaction.atomic():
            if connection.vendor == "postgresql":
                # The loser is whoever waits first, a second later
                with connection.cursor() as cursor:
                    cursor.execute(f"LOCK TABLE {EmailMessageEvent._meta.db_table} IN EXCLUSIVE MODE")
            else:
                # The loser is whoever wrote less
                Hold.objects.bulk_create(Hold(name=str(number), until=timezone.now()) for number in range(20))
                assert list(EmailMessageEvent.objects.select_for_update().filter(email_message=email)) == []
            answer.release()
            wait_until_it_waits(number)
            EmailMessage.objects.select_for_update().get(pk=email.pk)
            worker.join()
    assert_claimed(email)
    assert_found_when_due(email, sandbox)


@needs_postgresql
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_acceptance_whose_recording_could_not_be_serialised_is_found(
    sandbox: Sandbox, proxy: Proxy, level: str
) -> None:
    answer = proxy.hold_answer(ADDRESS)
    email = new_email()
    with Worker(partial(tasks.send, email.pk), f"{ISOLATION} {level}") as worker:
        number = worker.number
        answer.wait()
        with transaction.atomic():
            EmailMessage.objects.filter(pk=email.pk).update(email_reply_to_id="")
            answer.release()
            wait_until_it_waits(number)
    assert_claimed(email)
    assert_found_when_due(email, sandbox)


@needs_postgresql
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_email_whose_claim_could_not_be_serialised_is_not_posted_until_sync_claims_it(
    sandbox: Sandbox, level: str
) -> None:
    email = new_email()
    worker = Worker(partial(tasks.send, email.pk), f"{ISOLATION} {level}")
    with transaction.atomic():
        EmailMessage.objects.filter(pk=email.pk).update(email_reply_to_id="")
        worker.start()
        wait_until_it_waits(worker.number)
    worker.join()
    assert_unclaimed_and_sent_by_sync(email, sandbox)


def assert_unclaimed_and_sent_by_sync(email: EmailMessage, sandbox: Sandbox) -> None:
    """The claim could not be made, so nothing was posted; the email is sent when it is due, as if never tried."""
    before = EmailMessage.objects.values().get(pk=email.pk)
    assert (before["status"], before["attempts"], before["due_at"]) == (Status.SENDING_TO_NOTIFY, 0, email.due_at)
    assert sandbox.requests() == []
    with later(sandbox) as clock:
        go_on(email, clock)
    assert (email.status, email.attempts, outcomes(email)) == (Status.SENT_TO_NOTIFY, 1, ["accepted"])
    assert posts(sandbox) == 1


def test_an_acceptance_that_a_lock_kept_from_being_recorded_is_found(sandbox: Sandbox, proxy: Proxy) -> None:
    answer = proxy.hold_answer(ADDRESS)
    email = new_email()
    with Worker(partial(tasks.send, email.pk), IMPATIENCE[connection.vendor]) as worker:
        answer.wait()
        with locked(email):
            answer.release()
            worker.join()
    assert_claimed(email)
    assert_found_when_due(email, sandbox)


def test_an_email_that_a_lock_kept_from_being_claimed_is_not_posted_until_sync_claims_it(sandbox: Sandbox) -> None:
    email = new_email()
    with locked(email), Worker(partial(tasks.send, email.pk), IMPATIENCE[connection.vendor]) as worker:
        worker.join()
    assert_unclaimed_and_sent_by_sync(email, sandbox)


@needs_a_server
@pytest.mark.e2e
def test_emails_are_accepted_once_each_when_the_database_server_is_killed_and_started_again(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Slow enough to be killed in the middle of it
    sandbox.add_fault(delay=0.05, times=1000)
    with SERVERS[connection.vendor]() as server, as_database(server):
        project = Project(tmp_path, sandbox, broker=BROKER_OF_WORKERS)
        project.environment["DATABASE_URL"] = server.url
        with joined(project, monkeypatch):
            promised = [new_email().reference for _ in range(40)]
            with project.running(*worker_arguments("--concurrency", "2")), project.running("beat"):
                said = partial(project.log, "worker")
                wait_until(lambda: len(sandbox.emails()) > 10, said, every=0.1)
                server.kill()
                for _ in range(3):
                    with pytest.raises(django.db.OperationalError):
                        new_email()
                    connection.close()
                server.start()
                # The workers that lived through it send these
                after = [new_email().reference for _ in range(20)]
                wait_until(lambda: set(after) <= set(accepted_references(sandbox)), said, every=0.1)
            promised += after
            settle(sandbox)
        ids = dict(EmailMessage.objects.values_list("reference", "notify_id"))
        assert sorted(ids) == sorted(promised)
        assert fates() == {Status.NOTIFY_DELIVERED: 60}
    assert accepted_references(sandbox) == sorted(promised)
    assert {accepted["reference"]: accepted["id"] for accepted in sandbox.emails()} == {
        reference: str(notify_id) for reference, notify_id in ids.items()
    }
    assert posts(sandbox) == 60
