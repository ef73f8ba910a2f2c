"""Tests of a project with several databases. They are run by test_deployments_databases.py, with its settings."""

from __future__ import annotations

import datetime as dt
import os
import time
import uuid
from typing import Any

import pytest
from django.db import connections, transaction
from pytest_django import Settings

from django_govuk_notify_outbox import claims, tasks
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent, Hold
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import FINAL, Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock
from tests.project import Project, accepted_references, configured, delete_queue
from tests.test_end_to_end import send
from tests.test_receipts import TOKEN, post, receipt_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "outbox", "replica"])

emails_there = EmailMessage.objects.using("outbox")
emails_in_the_replica = EmailMessage.objects.using("replica")


def test_workers_send_and_follow_emails_that_are_in_a_database_of_their_own(project: Project, sandbox: Sandbox) -> None:
    names = {alias: str(connections[alias].settings_dict["NAME"]) for alias in ("outbox", "replica")}
    project.environment |= {f"TESTS_{alias.upper()}_NAME": name for alias, name in names.items()}
    project.environment["DJANGO_SETTINGS_MODULE"] = os.environ["DJANGO_SETTINGS_MODULE"]
    nowhere = f"{project.queue}-without-a-worker"
    with configured(CELERY_TASK_DEFAULT_QUEUE=nowhere):
        lost = send()
        delete_queue(nowhere)
    emails_there.update(due_at=lost.created_at)
    with project.running("worker", "--concurrency", "2"), project.running("beat"):
        with transaction.atomic(using="outbox"):
            emails = [lost, *(send() for _ in range(10))]
        with pytest.raises(ZeroDivisionError), transaction.atomic(using="outbox"):
            send()
            raise ZeroDivisionError
        ends_at = time.monotonic() + 60
        while emails_there.exclude(status__in=FINAL).exists():
            assert time.monotonic() < ends_at, project.log("worker")
            time.sleep(0.1)
    assert list(emails_there.order_by("pk").values_list("pk", "status")) == [
        (email.pk, Status.NOTIFY_DELIVERED) for email in emails
    ]
    assert accepted_references(sandbox) == sorted(email.reference for email in emails)
    assert "Traceback" not in project.log("worker")
    assert not emails_in_the_replica.exists()
    assert EmailMessage._meta.db_table not in connections["default"].introspection.table_names()


def test_an_email_shares_the_fate_of_a_transaction_on_its_own_database(sandbox: Sandbox, eager_tasks: None) -> None:
    with transaction.atomic(using="outbox"):
        email = send()
        assert sandbox.requests() == []
    with pytest.raises(ZeroDivisionError), transaction.atomic(using="outbox"):
        send()
        raise ZeroDivisionError
    assert accepted_references(sandbox) == [email.reference]
    assert [row.pk for row in emails_there.all()] == [email.pk]


def test_an_email_does_not_share_the_fate_of_a_transaction_on_another_database(
    sandbox: Sandbox, eager_tasks: None
) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic(using="default"):
        email = send()
        # It is committed at once, and sent before that transaction ends
        assert accepted_references(sandbox) == [email.reference]
        raise ZeroDivisionError
    tasks.sync()
    assert accepted_references(sandbox) == [email.reference]
    assert [(row.pk, row.status) for row in emails_there.all()] == [(email.pk, Status.SENT_TO_NOTIFY)]


def test_a_replica_that_lags_behind_does_not_have_an_email_sent_again(clock: Clock, sandbox: Sandbox) -> None:
    email = send()
    emails_in_the_replica.bulk_create(emails_there.all())
    tasks.send(email.pk)
    clock.move(5)
    # The replica says that it is due to be sent, that nobody has tried, and nothing of a sync run
    for _ in range(2):
        tasks.send(email.pk)
        tasks.sync()
    assert accepted_references(sandbox) == [email.reference]
    assert [row.attempts for row in emails_there.all()] == [1]
    assert [row.attempts for row in emails_in_the_replica.all()] == [0]


def test_a_replica_that_lags_behind_does_not_keep_an_email_from_being_sent(clock: Clock, sandbox: Sandbox) -> None:
    email = send()
    # The replica says that Notify has it, that sending is held, and that another run of sync is under way
    emails_in_the_replica.create(pk=email.pk, reference="another", status=Status.NOTIFY_DELIVERED, due_at=None)
    later = clock.now + dt.timedelta(seconds=20)
    Hold.objects.using("replica").bulk_create([Hold(name="sending", until=later), Hold(name="sync", until=later)])
    clock.move(5)
    tasks.sync()
    assert accepted_references(sandbox) == [email.reference]
    assert [(row.pk, row.status) for row in emails_there.all()] == [(email.pk, Status.SENT_TO_NOTIFY)]
    assert [row.status for row in emails_in_the_replica.all()] == [Status.NOTIFY_DELIVERED]


@pytest.mark.urls("tests.receipt_urls")
def test_a_receipt_is_about_the_emails_in_their_own_database(clock: Clock, settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS = [TOKEN]
    sent, lost = send(), send()
    for email in (sent, lost):
        assert claims.claim_attempt(email) is not None
    emails_there.filter(pk=sent.pk).update(status=Status.SENT_TO_NOTIFY, notify_id=uuid.uuid4(), unclear_until=None)
    # The replica has neither, and an email of another id that the receipts would fit
    emails_in_the_replica.create(pk=10**6, reference=lost.reference, status=Status.FAILED_SEND_TO_NOTIFY)
    for email in emails_there.all():
        assert post(receipt_of(email)).status_code == 204
    assert [row.status for row in emails_there.all()] == [Status.NOTIFY_DELIVERED] * 2
    assert EmailMessageEvent.objects.using("outbox").filter(source="receipt").count() == 2
    assert [row.status for row in emails_in_the_replica.all()] == [Status.FAILED_SEND_TO_NOTIFY]
    assert not EmailMessageEvent.objects.using("replica").exists()


@pytest.mark.parametrize("first", [{"cut": True}, {}], ids=["lost", "accepted"])
def test_a_lost_answer_is_matched_by_what_the_database_of_the_emails_says(
    clock: Clock, sandbox: Sandbox, first: dict[str, Any]
) -> None:
    # In the replica there is no first one, which what is found could belong to, or which has it already
    for name, fault in {"Amala": first, "Bertrand": {"cut": True, "accept": True}}.items():
        email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": name}, "batch")
        if fault:
            sandbox.add_fault(**fault)
        tasks.send(email.pk)
        clock.move(1)
    for _ in range(40):
        clock.move(10)
        tasks.sync()
    accepted = {accepted["id"]: accepted["personalisation"]["name"] for accepted in sandbox.emails()}
    assert sorted(accepted.values()) == ["Amala", "Bertrand"]
    rows = emails_there.order_by("pk")
    assert [accepted[str(row.notify_id)] for row in rows] == ["Amala", "Bertrand"]
    assert [row.status for row in rows] == [Status.NOTIFY_DELIVERED] * 2
    assert not EmailMessageEvent.objects.using("replica").exists()
