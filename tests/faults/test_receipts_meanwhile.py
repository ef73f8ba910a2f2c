"""A delivery receipt comes while a worker is at the email, or after it has died."""

from __future__ import annotations

import signal

import pytest
from pytest_django.live_server_helper import LiveServer

from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from tests.faults.conftest import aftermath
from tests.faults.process import Stop, process, run, wait_until_stopped
from tests.faults.test_killed import KILLED, assert_delivered_once, new_email
from tests.faults.test_zombies import resume
from tests.project import Project
from tests.test_receipts import PATH, TOKEN, events, receipts_on
from tests.test_retrying import posts

__all__ = ["receipts_on"]

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.receipt_urls"),
    pytest.mark.usefixtures("receipts_on"),
]


@pytest.fixture(autouse=True)
def _receipts_are_posted_at_once(live_server: LiveServer, sandbox: Sandbox) -> None:
    sandbox.set_timing(sending_after=0, final_after=0)
    sandbox.set_callback(live_server.url + PATH, TOKEN)


def assert_settled_by_receipt(email: EmailMessage, sandbox: Sandbox, *before: str) -> None:
    """A receipt told of it before anything else did, and nothing was asked, posted or recorded since."""
    with aftermath(sandbox) as after:
        after.clock.move(3600)
        after.settle()
    assert [event[1] for event in events(email)] == [*before, "found"]
    assert events(email)[-1][2] == "receipt"
    assert posts(sandbox) == 1
    assert_delivered_once(email, sandbox)


@pytest.mark.parametrize(
    "stop",
    [Stop(at="notify.send", after=True), Stop(at="recording.write"), Stop(at="recording.write", after=True)],
    ids=["answer read, not recorded", "in the middle of recording", "right before the commit"],
)
def test_a_receipt_settles_an_email_whose_worker_was_killed(project: Project, sandbox: Sandbox, stop: Stop) -> None:
    email = new_email()
    # It comes after the worker's death: while that holds a lock, nothing can be written
    sandbox.set_timing(sending_after=0, final_after=3600)
    assert run(project, "send", email.pk, stop=stop) == KILLED
    sandbox.set_status(sandbox.emails()[0]["id"], "delivered")
    sandbox.post_receipts()
    assert_settled_by_receipt(email, sandbox)
    assert [request["method"] for request in sandbox.requests()] == ["POST"]


def test_the_acceptance_that_a_worker_tells_after_the_receipt_changes_nothing(
    project: Project, sandbox: Sandbox
) -> None:
    email = new_email()
    with process(project, "send", email.pk, stop=Stop(at="transitions.record_accepted", by=signal.SIGSTOP)) as worker:
        wait_until_stopped(worker)
        sandbox.post_receipts()
        before = EmailMessage.objects.values().get()
        assert before["status"] == "notify-delivered"
        resume(worker)
    assert EmailMessage.objects.values().get() == before
    assert_settled_by_receipt(email, sandbox)


def test_a_receipt_that_comes_after_a_question_keeps_the_worker_from_sending_again(
    project: Project, sandbox: Sandbox
) -> None:
    # Against what Notify does: it says that it failed, and that it does not have the email, and has it
    error = {"status_code": 500, "errors": [{"error": "OperationalError", "message": "x"}]}
    sandbox.add_fault(accept=True, status=500, body=error, hidden_for=3600)
    sandbox.set_timing(sending_after=0, final_after=3600)
    email = new_email()
    assert run(project, "send", email.pk) == 0
    EmailMessage.objects.update(due_at=email.created_at)
    stop = Stop(at="transitions.claim_new_attempt", by=signal.SIGSTOP)
    with process(project, "send", email.pk, stop=stop) as worker:
        wait_until_stopped(worker)
        sandbox.set_status(sandbox.emails()[0]["id"], "delivered")
        sandbox.post_receipts()
        before = EmailMessage.objects.values().get()
        assert before["status"] == "notify-delivered"
        resume(worker)
    assert EmailMessage.objects.values().get() == before
    assert_settled_by_receipt(email, sandbox, "unclear")
