"""Sync runs that last longer than the interval between them, that are killed, or that meet one another."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection
from pytest_django import Settings

from django_govuk_notify_outbox import sync, tasks
from django_govuk_notify_outbox.models import EmailMessage, Hold
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.faults.process import Stop, process, run
from tests.faults.test_answers import new_email
from tests.project import Project

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def test_while_a_run_takes_its_time_later_ones_return_at_once(project: Project, sandbox: Sandbox) -> None:
    first = new_email()
    EmailMessage.objects.update(due_at=first.created_at)
    sandbox.add_fault(delay=2.0)
    with process(project, "sync") as busy:
        while not sandbox.requests():
            assert busy.poll() is None
            time.sleep(0.01)
        others = [new_email() for _ in range(2)]
        EmailMessage.objects.filter(attempts=0).update(due_at=first.created_at)
        for _ in range(10):
            tasks.sync()
        # Nobody else has sent or asked anything, though two emails are due
        assert len(sandbox.requests()) == 1
        assert EmailMessage.objects.due(others[1].created_at).count() == 2
        assert busy.wait(timeout=60) == 0
    tasks.sync()
    assert sorted(each["reference"] for each in sandbox.emails()) == sorted(
        email.reference for email in [first, *others]
    )


def test_a_push_is_sent_while_a_sync_run_takes_its_time(project: Project, sandbox: Sandbox) -> None:
    old = new_email()
    EmailMessage.objects.update(due_at=old.created_at)
    sandbox.add_fault(delay=2.0, email_address=old.email_address)
    with process(project, "sync") as busy:
        while not sandbox.requests():
            assert busy.poll() is None
            time.sleep(0.01)
        new = new_email(email_address="new@example.com")
        tasks.send(new.pk)
        new.refresh_from_db()
        assert new.status == Status.SENT_TO_NOTIFY
        assert busy.poll() is None
        assert busy.wait(timeout=60) == 0


def test_of_many_runs_that_start_at_the_same_moment_one_works(project: Project, sandbox: Sandbox) -> None:
    emails = [new_email() for _ in range(4)]
    EmailMessage.objects.update(due_at=emails[0].created_at)
    leases = []

    def race() -> None:
        try:
            tasks.sync()
            leases.append(threading.get_ident())
        finally:
            connection.close()

    threads = [threading.Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(leases) == 6
    assert sorted(each["reference"] for each in sandbox.emails()) == sorted(email.reference for email in emails)
    assert Hold.objects.filter(name="sync").count() == 1


def test_a_run_that_is_killed_holds_up_the_next_until_its_lease_ends(
    project: Project, sandbox: Sandbox, settings: Settings
) -> None:
    project.environment["NOTIFY_TIMEOUT"] = "0.1"
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__TIMEOUT = 10
    sent, waiting = new_email(), new_email()
    EmailMessage.objects.filter(pk=sent.pk).update(due_at=sent.created_at)
    assert run(project, "sync", stop=Stop(at="delivery.deliver", after=True)) == -9
    lease = Hold.objects.get(name="sync")
    assert len(sandbox.emails()) == 1
    EmailMessage.objects.filter(pk=waiting.pk).update(due_at=sent.created_at)
    tasks.sync()
    assert len(sandbox.emails()) == 1
    # In real time: ten seconds and twice the TIMEOUT of the run that was killed
    while len(sandbox.emails()) == 1:
        tasks.sync()
        time.sleep(0.1)
    assert time.time() >= lease.until.timestamp()
    assert time.time() < lease.until.timestamp() + 5
    assert len(sandbox.emails()) == 2


def test_a_backlog_to_send_and_a_backlog_to_track_do_not_starve_each_other(
    project: Project, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.set_timing(sending_after=0, final_after=0)
    to_track = [new_email() for _ in range(3)]
    for email in to_track:
        tasks.send(email.pk)
    to_send = [new_email() for _ in range(60)]
    EmailMessage.objects.update(due_at=to_send[0].created_at)
    sandbox.add_fault(delay=0.3, times=60)
    monkeypatch.setattr(sync, "SENDING_BUDGET", 0.5)
    monkeypatch.setattr(sync, "RUN_BUDGET", 0.0)
    tasks.sync()
    left = EmailMessage.objects.filter(status=Status.SENDING_TO_NOTIFY).count()
    assert 0 < left < 60
    # On a busy machine, some of those that were just sent may be looked up too
    tracked = EmailMessage.objects.filter(pk__in=[email.pk for email in to_track])
    assert {email.status for email in tracked} == {Status.NOTIFY_DELIVERED}
