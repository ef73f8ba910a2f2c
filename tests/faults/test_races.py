"""Many workers, threads and sync runs at the same emails, and messages that come twice."""

from __future__ import annotations

import datetime as dt
from contextlib import ExitStack

import pytest

from django_govuk_notify_outbox import sync, tasks
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import Clock
from tests.faults.conftest import Aftermath, aftermath
from tests.faults.process import process
from tests.faults.test_answers import new_email
from tests.project import Project, accepted_references, fates, wait_until_final
from tests.test_retrying import posts


@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
def test_four_processes_of_four_threads_and_a_sync_run_at_the_same_emails_send_each_once(
    project: Project, sandbox: Sandbox
) -> None:
    emails = [new_email() for _ in range(24)]
    EmailMessage.objects.update(due_at=emails[0].created_at)
    with ExitStack() as stack:
        racers = [stack.enter_context(process(project, "race", *[email.pk for email in emails])) for _ in range(4)]
        assert [racer.wait(timeout=60) for racer in racers] == [0, 0, 0, 0]
    assert accepted_references(sandbox) == sorted(email.reference for email in emails)
    with aftermath(sandbox) as after:
        after.settle()
    assert fates() == {"notify-delivered": 24}
    assert posts(sandbox) == 24
    for email in emails:
        assert email.events.filter(kind="attempt").count() == 1


@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
def test_two_beats_two_workers_and_every_message_three_times_send_each_email_once(
    project: Project, sandbox: Sandbox
) -> None:
    emails = [new_email() for _ in range(20)]
    for _ in range(2):
        for email in emails:
            tasks.push(email.pk)
    tasks.push(10**9)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(project.running("worker", "--concurrency", "2", "--pool", "threads"))
            stack.enter_context(project.running("beat"))
        wait_until_final(project)
    assert fates() == {"notify-delivered": 20}
    assert accepted_references(sandbox) == sorted(email.reference for email in emails)
    assert posts(sandbox) == 20
    assert "Traceback" not in project.log("worker")


@pytest.mark.django_db
def test_a_message_that_comes_again_hours_later_does_nothing(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email()
    tasks.send(email.pk)
    Aftermath(clock).settle()
    before = EmailMessage.objects.values().get()
    clock.move(3 * 3600)
    tasks.send(email.pk)
    assert EmailMessage.objects.values().get() == before
    assert email.events.filter(kind="attempt").count() == 1
    assert posts(sandbox) == 1


@pytest.mark.django_db
def test_a_message_that_comes_again_while_the_email_waits_for_its_retry_does_nothing(
    clock: Clock, sandbox: Sandbox
) -> None:
    sandbox.add_fault(cut=True)
    email = new_email()
    tasks.send(email.pk)
    requests = len(sandbox.requests())
    clock.move(4)
    tasks.send(email.pk)
    assert len(sandbox.requests()) == requests
    email.refresh_from_db()
    assert (email.status, email.attempts) == (Status.RETRYING_SEND_TO_NOTIFY, 1)


@pytest.mark.django_db
def test_a_message_for_an_email_that_was_deleted_does_nothing(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email()
    pk = email.pk
    email.delete()
    tasks.send(pk)
    clock.move(dt.timedelta(hours=1).total_seconds())
    sync.run()
    assert EmailMessage.objects.count() == 0
    assert sandbox.requests() == []
