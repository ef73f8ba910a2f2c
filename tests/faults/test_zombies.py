"""A worker that stands still, by SIGSTOP, while others go on, and then goes on itself."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import time

import pytest
from pytest_django import Settings

from django_govuk_notify_outbox import sync
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.faults.conftest import BELIEVED, LEASE, SYNC_INTERVAL, aftermath, began, story
from tests.faults.process import Stop, process, wait_until_stopped
from tests.faults.test_answers import new_email
from tests.faults.test_killed import assert_delivered_once
from tests.project import Project
from tests.test_limits import error
from tests.test_retrying import posts

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def resume(worker: subprocess.Popen[bytes]) -> None:
    """Let it go on, and to its end."""
    worker.send_signal(signal.SIGCONT)
    assert worker.wait(timeout=60) == 0


def still(at: str, *, after: bool = False) -> Stop:
    return Stop(at=at, after=after, by=signal.SIGSTOP)


def test_a_worker_that_stood_still_between_claim_and_request_does_not_post(
    project: Project, sandbox: Sandbox, settings: Settings
) -> None:
    """In real time throughout, with a lease of 10.2 seconds."""
    project.environment["NOTIFY_TIMEOUT"] = "0.1"
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__TIMEOUT = 0.1
    email = new_email()
    with process(project, "send", email.pk, stop=still("notify.send")) as worker:
        wait_until_stopped(worker)
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__TIMEOUT = 10
        while EmailMessage.objects.get().status != Status.SENT_TO_NOTIFY:
            assert email.created_at > dt.datetime.now(tz=dt.UTC) - dt.timedelta(seconds=90)
            sync.run()
            time.sleep(0.2)
        before = EmailMessage.objects.values().get()
        resume(worker)
    assert EmailMessage.objects.values().get() == before
    # Whether it was asked about in the fraction of a second in which the answer is not believed yet is all the same
    outcomes = [event.outcome for event in email.events.exclude(outcome="not-found-yet")]
    assert outcomes == ["not-found", "accepted"]
    assert posts(sandbox) == 1
    assert len(sandbox.emails()) == 1


def test_a_worker_that_stood_still_right_before_its_request_is_refused_by_notify(
    project: Project, sandbox: Sandbox
) -> None:
    email = new_email()
    # It has made its token and looked at its clocks
    with process(project, "send", email.pk, stop=still("requests.adapters.HTTPAdapter.send")) as worker:
        wait_until_stopped(worker)
        since = began(email)
        with aftermath(sandbox, since) as after:
            after.settle()
            assert story(email, since) == [(LEASE, "not-found-yet"), (BELIEVED, "not-found"), (BELIEVED, "accepted")]
            before = EmailMessage.objects.values().get()
            # By Notify's clock, more than two minutes have passed
            resume(worker)
    assert [request["status"] for request in sandbox.requests() if request["method"] == "POST"] == [201, 403]
    assert EmailMessage.objects.values().get() == before
    assert_delivered_once(email, sandbox)


@pytest.mark.parametrize(
    "fault",
    [
        error(400, "ValidationError"),
        error(403, "AuthError"),
        error(429, "RateLimitError"),
        error(500, "OperationalError"),
    ],
    ids=["refused", "not let in", "limited", "unclear"],
)
def test_the_late_failure_of_a_worker_that_stood_still_changes_nothing(
    project: Project, sandbox: Sandbox, fault: dict[str, object]
) -> None:
    sandbox.add_fault(**fault)  # type: ignore[arg-type]
    email = new_email()
    with process(project, "send", email.pk, stop=still("notify.send", after=True)) as worker:
        wait_until_stopped(worker)
        with aftermath(sandbox) as after:
            # Another worker has asked, and the email waits to be asked about again
            after.clock.move(LEASE + SYNC_INTERVAL)
            sync.run()
            before = EmailMessage.objects.values().get()
            assert before["status"] == Status.SENDING_TO_NOTIFY
            resume(worker)
            assert EmailMessage.objects.values().get() == before
            assert [event.outcome for event in email.events.all()] == ["not-found-yet"]
            after.settle()
    assert posts(sandbox) == 2
    assert_delivered_once(email, sandbox)


def test_the_late_acceptance_of_a_worker_that_stood_still_is_recorded_even_if_the_email_was_given_up(
    project: Project, sandbox: Sandbox, settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = []
    # Against what Notify does, it cannot be found for longer than any request takes
    sandbox.add_fault(hidden_for=3600)
    email = new_email()
    with process(project, "send", email.pk, stop=still("notify.send", after=True)) as worker:
        wait_until_stopped(worker)
        with aftermath(sandbox) as after:
            after.settle()
            email.refresh_from_db()
            assert email.status == Status.FAILED_SEND_TO_NOTIFY
            resume(worker)
            email.refresh_from_db()
            assert email.status == Status.SENT_TO_NOTIFY
            after.clock.move(2 * 3600)
            after.settle()
    assert posts(sandbox) == 1
    assert_delivered_once(email, sandbox)


def test_a_worker_that_stood_still_between_its_question_and_a_new_attempt_does_not_post(
    project: Project, sandbox: Sandbox
) -> None:
    sandbox.add_fault(**error(500, "OperationalError"))
    email = new_email()
    with process(project, "send", email.pk) as worker:
        assert worker.wait(timeout=60) == 0
    EmailMessage.objects.update(due_at=email.created_at)
    with process(project, "send", email.pk, stop=still("transitions.claim_new_attempt")) as worker:
        wait_until_stopped(worker)
        with aftermath(sandbox) as after:
            after.settle()
            before = EmailMessage.objects.values().get()
            resume(worker)
    assert EmailMessage.objects.values().get() == before
    assert posts(sandbox) == 2
    assert_delivered_once(email, sandbox)


def test_a_sync_run_that_stood_still_longer_than_its_lease_stops(project: Project, sandbox: Sandbox) -> None:
    # A thread that is stopped amid a write would lock all of an SQLite database
    project.environment["SYNC_THREADS"] = "1"
    emails = [new_email() for _ in range(3)]
    EmailMessage.objects.update(due_at=emails[0].created_at)
    with process(project, "sync", stop=still("delivery.deliver")) as run:
        wait_until_stopped(run)
        with aftermath(sandbox) as after:
            after.settle()
            requests = len(sandbox.requests())
            assert os.waitpid(run.pid, os.WNOHANG) == (0, 0)
            resume(run)
    assert len(sandbox.requests()) == requests
    assert sorted(each["reference"] for each in sandbox.emails()) == sorted(email.reference for email in emails)
