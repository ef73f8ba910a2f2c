"""Real workers and a real beat, in processes of their own, on the database and the broker of the environment."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from django.db import transaction

from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS
from tests.project import Project, accepted_references, configured, delete_queue, fates, wait_until_final
from tests.test_retrying import SERVER_ERROR

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def send(address: str = ADDRESS, **personalisation: str) -> EmailMessage:
    return send_email_notification(address, defaults.TEMPLATE_ID, personalisation or {"name": "Amala"})


def test_emails_of_all_fates_reach_their_end(project: Project, sandbox: Sandbox) -> None:
    sandbox.add_fault(email_address="retried@example.com", times=1, **SERVER_ERROR)
    with (
        project.running("worker", "--concurrency", "2"),
        project.running("beat"),
    ):
        with transaction.atomic():
            emails = [send() for _ in range(10)]
            bounced = send("perm-fail@simulator.notify")
            delayed = send("temp-fail@simulator.notify")
            broken = send("technical-fail@simulator.notify")
            refused = send(wrong="Amala")
            retried = send("retried@example.com")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            send()
            raise ZeroDivisionError
        wait_until_final(project)
    assert fates() == {
        "notify-delivered": 11,
        "notify-permanent-failure": 1,
        "notify-temporary-failure": 1,
        "notify-technical-failure": 1,
        "failed-send-to-notify": 1,
    }
    accepted = [*emails, bounced, delayed, broken, retried]
    assert accepted_references(sandbox) == sorted(email.reference for email in accepted)
    refused.refresh_from_db()
    assert refused.events.get().message == "Missing personalisation: name"
    assert "Traceback" not in project.log("worker")
    assert ADDRESS not in project.log("worker") + project.log("beat")


def test_emails_whose_push_was_lost_are_sent_by_sync(project: Project, sandbox: Sandbox) -> None:
    nowhere = f"{project.queue}-without-a-worker"
    with configured(CELERY_TASK_DEFAULT_QUEUE=nowhere):
        emails = [send() for _ in range(5)]
        delete_queue(nowhere)
    with (
        project.running("worker", "--concurrency", "1"),
        project.running("beat"),
    ):
        wait_until_final(project)
    assert fates() == {"notify-delivered": 5}
    assert accepted_references(sandbox) == sorted(email.reference for email in emails)


def test_a_worker_that_is_killed_and_started_again_sends_each_email_once(project: Project, sandbox: Sandbox) -> None:
    emails = [send() for _ in range(40)]
    with ExitStack() as stack:
        stack.enter_context(project.running("beat"))
        worker = stack.enter_context(project.running("worker", "--concurrency", "1", "--pool", "solo"))
        while len(sandbox.emails()) < 10:
            time.sleep(0.01)
        worker.kill()
        worker.wait()
        stack.enter_context(project.running("worker", "--concurrency", "2"))
        wait_until_final(project)
    assert fates() == {"notify-delivered": 40}
    assert accepted_references(sandbox) == sorted(email.reference for email in emails)
