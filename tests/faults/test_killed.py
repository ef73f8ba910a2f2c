"""A process is killed, by SIGKILL, after each step on an email's road. No step loses the email or sends it twice."""

from __future__ import annotations

import time
from typing import Any

import pytest

from django_govuk_notify_outbox import sync
from django_govuk_notify_outbox.models import EmailMessage, Hold
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import FINAL, Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS
from tests.faults.conftest import BELIEVED, HEAD_START, LEASE, aftermath, began, story
from tests.faults.process import Stop, process, run
from tests.project import Project
from tests.test_retrying import posts

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

KILLED = -9


def new_email(**arguments: Any) -> EmailMessage:
    values = {"email_address": ADDRESS, "template_id": defaults.TEMPLATE_ID, "personalisation": {"name": "Amala"}}
    return send_email_notification(**{**values, **arguments})


def accepted(sandbox: Sandbox) -> list[str]:
    return [email["reference"] for email in sandbox.emails()]


def assert_delivered_once(email: EmailMessage, sandbox: Sandbox) -> None:
    email.refresh_from_db()
    assert email.status == Status.NOTIFY_DELIVERED
    assert [(each["id"], each["reference"]) for each in sandbox.emails()] == [(str(email.notify_id), email.reference)]


def test_a_caller_killed_between_its_commit_and_the_push(project: Project, sandbox: Sandbox) -> None:
    assert run(project, "call", stop=Stop(at="tasks.push")) == KILLED
    email = EmailMessage.objects.get()
    since = began(email)
    with aftermath(sandbox, since) as after:
        after.settle()
    assert story(email, since) == [(HEAD_START, "accepted")]
    assert_delivered_once(email, sandbox)


def test_a_caller_killed_before_its_commit_sends_nothing(project: Project, sandbox: Sandbox) -> None:
    assert run(project, "call", stop=Stop(at="models.EmailMessage.save", after=True)) == KILLED
    with aftermath(sandbox) as after:
        after.clock.move(HEAD_START)
        sync.run()
    assert EmailMessage.objects.count() == 0
    assert sandbox.requests() == []


@pytest.mark.parametrize(
    ("stop", "history"),
    [
        pytest.param(Stop(at="delivery.deliver"), [(HEAD_START, "accepted")], id="before the claim"),
        pytest.param(
            Stop(at="notify.send"),
            [(LEASE, "not-found-yet"), (BELIEVED, "not-found"), (BELIEVED, "accepted")],
            id="claimed, not posted",
        ),
        pytest.param(Stop(at="transitions.record_accepted"), [(LEASE, "found")], id="answer read, not recorded"),
        pytest.param(Stop(at="recording.write"), [(LEASE, "found")], id="in the middle of recording"),
        pytest.param(Stop(at="recording.write", after=True), [(LEASE, "found")], id="right before the commit"),
        pytest.param(
            Stop(at="transitions.record_accepted", after=True), [(0, "accepted")], id="recorded, not yet told to Celery"
        ),
    ],
)
def test_a_worker_killed_after_a_step(
    project: Project, sandbox: Sandbox, stop: Stop, history: list[tuple[int, str]]
) -> None:
    email = new_email()
    assert run(project, "send", email.pk, stop=stop) == KILLED
    since = began(email)
    with aftermath(sandbox, since) as after:
        after.settle()
    assert story(email, since) == history
    assert posts(sandbox) == 1
    assert_delivered_once(email, sandbox)


@pytest.mark.parametrize(
    ("fault", "history", "requests"),
    [
        pytest.param({"accept": True}, [(LEASE, "found")], 1, id="accepted before"),
        # Notify goes on with a request whose sender is gone
        pytest.param({}, [(LEASE, "found")], 1, id="accepted after"),
        pytest.param(
            {"cut": True},
            [(LEASE, "not-found-yet"), (BELIEVED, "not-found"), (BELIEVED, "accepted")],
            2,
            id="never accepted",
        ),
    ],
)
def test_a_worker_killed_while_it_waits_for_the_answer(
    project: Project, sandbox: Sandbox, fault: dict[str, Any], history: list[tuple[int, str]], requests: int
) -> None:
    sandbox.add_fault(delay=1.5, **fault)
    email = new_email()
    with process(project, "send", email.pk) as worker:
        while not sandbox.requests():
            assert worker.poll() is None
            time.sleep(0.01)
        worker.kill()
        assert worker.wait() == KILLED
    while sandbox.requests()[0]["status"] is None and not fault.get("cut"):
        time.sleep(0.01)
    since = began(email)
    with aftermath(sandbox, since) as after:
        after.settle()
    assert story(email, since) == history
    assert posts(sandbox) == requests
    assert_delivered_once(email, sandbox)


@pytest.mark.parametrize(
    ("stop", "history", "requests"),
    [
        pytest.param(Stop(at="transitions.record_found"), "found", 1, id="found, not recorded"),
        pytest.param(Stop(at="claims.begin_attempt"), "found", 1, id="not reached"),
    ],
)
def test_a_worker_killed_while_it_asks(
    project: Project, sandbox: Sandbox, stop: Stop, history: str, requests: int
) -> None:
    email = new_email()
    assert run(project, "send", email.pk, stop=Stop(at="transitions.record_accepted")) == KILLED
    # Due now: the test's own clock need not be waited for
    EmailMessage.objects.update(due_at=email.created_at)
    assert run(project, "send", email.pk, stop=stop) == (KILLED if "found" in stop.at else 0)
    with aftermath(sandbox) as after:
        after.settle()
    assert [outcome for _, outcome in story(email, email.created_at)] == [history]
    assert posts(sandbox) == requests
    assert_delivered_once(email, sandbox)


def test_a_sync_run_killed_with_its_work_half_done(project: Project, sandbox: Sandbox) -> None:
    emails = [new_email() for _ in range(20)]
    EmailMessage.objects.update(due_at=emails[0].created_at)
    # Its threads are each at some step then
    assert run(project, "sync", stop=Stop(at="notify.send", call=10)) == KILLED
    attempts = list(EmailMessage.objects.order_by("pk").values_list("attempts", flat=True))
    assert 0 in attempts
    lease = Hold.objects.get(name="sync")
    with aftermath(sandbox) as after:
        # While its lease lasts, nobody else syncs; pushes do not care
        after.clock.move_to(lease.until)
        after.clock.move(-1)
        sync.run()
        assert list(EmailMessage.objects.order_by("pk").values_list("attempts", flat=True)) == attempts
        after.settle()
    assert sorted(accepted(sandbox)) == sorted(email.reference for email in emails)
    for email in emails:
        email.refresh_from_db()
        outcomes = [outcome for _, outcome in story(email, email.created_at)]
        # Recorded by the run itself or sent by the next; accepted, and found; or not accepted, and sent again
        assert outcomes in (
            ["accepted"],
            ["found"],
            ["not-found-yet", "found"],
            ["not-found-yet", "not-found", "accepted"],
        )
    assert {email.status for email in emails} == {Status.NOTIFY_DELIVERED}


@pytest.mark.parametrize(
    ("stop", "recorded"),
    [
        pytest.param(Stop(at="reports.record_page"), 1, id="read, not recorded"),
        pytest.param(Stop(at="reports.write"), 1, id="half a page recorded"),
        pytest.param(Stop(at="reports.record_page", after=True), 5, id="recorded"),
    ],
)
def test_a_sync_run_killed_while_it_tracks(project: Project, sandbox: Sandbox, stop: Stop, recorded: int) -> None:
    sandbox.set_timing(sending_after=0, final_after=0)
    emails = [new_email() for _ in range(5)]
    assert run(project, "send", *[email.pk for email in emails]) == 0
    EmailMessage.objects.update(due_at=emails[0].created_at)
    assert run(project, "sync", stop=stop) == KILLED
    # The newest was looked up by itself
    assert EmailMessage.objects.filter(status__in=FINAL).count() == recorded
    with aftermath(sandbox) as after:
        after.settle()
    assert EmailMessage.objects.filter(status=Status.NOTIFY_DELIVERED).count() == 5
    assert posts(sandbox) == 5
    for email in emails:
        # Each step is told once
        assert [event.kind for event in email.events.all()] == ["attempt", "report"]
