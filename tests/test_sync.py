"""One run of sync: cheap when nothing is due, one at a time, fair between sending and tracking."""

from __future__ import annotations

import datetime as dt
import logging
import uuid

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from django_govuk_notify_outbox import delivery, holds, models, sync, tasks, tracking
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import FINAL, Status
from tests.conftest import Clock, MakeEmail

pytestmark = pytest.mark.django_db


def finished_rows(number: int) -> None:
    """Store emails to which nothing will happen any more."""
    final = sorted(FINAL)
    EmailMessage.objects.bulk_create(
        EmailMessage(
            email_address="x@example.com",
            address_digest=models.digest("x@example.com"),
            template_id="t",
            reference="r",
            reference_digest=models.digest("r"),
            status=final[index % len(final)],
            notify_id=uuid.uuid4(),
        )
        for index in range(number)
    )


@pytest.mark.parametrize("rows", [0, 2000])
def test_with_nothing_due_a_run_is_one_select_and_no_request(
    sandbox: Sandbox, django_assert_num_queries: DjangoAssertNumQueries, rows: int
) -> None:
    finished_rows(rows)
    with django_assert_num_queries(1) as queries:
        tasks.sync()
    assert queries[0]["sql"].startswith("SELECT 1")
    assert sandbox.requests() == []


def test_an_email_that_is_not_due_yet_is_nothing_due(
    clock: Clock, make_email: MakeEmail, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    email = make_email()
    EmailMessage.objects.filter(pk=email.pk).update(due_at=clock.now + dt.timedelta(seconds=1))
    with django_assert_num_queries(1):
        sync.run()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="reads PostgreSQL's plan")
def test_on_postgresql_the_idle_read_uses_the_index_whatever_the_number_of_rows() -> None:
    finished_rows(20_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE django_govuk_notify_outbox_emailmessage")
    with CaptureQueriesContext(connection) as queries:
        sync.run()
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) " + queries[0]["sql"])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "govuk_outbox_due" in plan
    assert "Seq Scan" not in plan
    assert "Rows Removed by Filter" not in plan


def test_a_run_while_another_is_under_way_returns_at_once(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail
) -> None:
    email = make_email()
    other = holds.Lease(holds.SYNC, seconds=70)
    assert other.take()
    sync.run()
    email.refresh_from_db()
    assert (email.status, email.attempts) == (Status.SENDING_TO_NOTIFY, 0)
    assert sandbox.requests() == []
    other.release()
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.SENT_TO_NOTIFY


def test_a_run_that_was_killed_holds_nobody_up_for_longer_than_its_lease(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail
) -> None:
    make_email()
    assert holds.Lease(holds.SYNC, seconds=70).take()
    clock.move(69)
    sync.run()
    assert sandbox.requests() == []
    clock.move(1)
    sync.run()
    assert len(sandbox.emails()) == 1


def test_a_run_gives_its_lease_back(clock: Clock, sandbox: Sandbox, make_email: MakeEmail) -> None:
    make_email()
    sync.run()
    assert holds.Lease(holds.SYNC, seconds=70).take()


def test_a_lease_is_renewed_as_it_is_used_and_lost_when_another_takes_it(clock: Clock) -> None:
    lease, other = holds.Lease("x", seconds=30), holds.Lease("x", seconds=30)
    assert not lease.renew()
    assert lease.take()
    assert not other.take()
    clock.move(5)
    assert lease.renew()
    assert models.Hold.objects.get().until == clock.now + dt.timedelta(seconds=25)
    clock.move(10)
    assert lease.renew()
    assert models.Hold.objects.get().until == clock.now + dt.timedelta(seconds=30)
    clock.move(30)
    assert other.take()
    assert not lease.renew()
    lease.release()
    assert other.renew()
    other.release()
    other.release()
    assert lease.take()


def test_a_backlog_of_sending_leaves_time_for_tracking_and_is_cut_off_by_its_budget(
    sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_send = [make_email() for _ in range(3)]
    to_track = make_email(Status.SENT_TO_NOTIFY)
    monkeypatch.setattr(sync, "SENDING_BUDGET", 0.0)
    monkeypatch.setattr(sync, "RUN_BUDGET", 0.0)
    sync.run()
    assert [request["method"] for request in sandbox.requests()] == ["GET"]
    assert EmailMessage.objects.to_send().count() == len(to_send)
    to_track.refresh_from_db()
    assert to_track.due_at is not None
    assert to_track.due_at > timezone.now()


def test_more_than_a_batch_goes_out_in_one_run_oldest_first(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "SENDING_BATCH", 2)
    emails = [make_email(due_at=clock.now - dt.timedelta(seconds=age)) for age in (1, 5, 3, 4, 2)]
    sync.run()
    in_order = sorted(emails, key=lambda email: email.due_at or clock.now)
    assert [accepted["reference"] for accepted in sandbox.emails()] == [email.reference for email in in_order]


def test_an_email_that_makes_trouble_does_not_hold_up_the_others(
    clock: Clock,
    sandbox: Sandbox,
    make_email: MakeEmail,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    troubled, fine = make_email(), make_email()
    deliver = delivery.deliver

    def stumble(pk: int) -> delivery.Progress:
        if pk == troubled.pk:
            raise RuntimeError("A defect of ours.")
        return deliver(pk)

    monkeypatch.setattr(delivery, "deliver", stumble)
    sync.run()
    fine.refresh_from_db()
    assert fine.status == Status.SENT_TO_NOTIFY
    assert [
        (record.levelno, record.getMessage()) for record in caplog.records if record.name.endswith("concurrency")
    ] == [
        (logging.ERROR, f"Email {troubled.pk}: could not be dealt with"),
    ]


def test_tracking_stops_for_this_run_when_notify_does_not_answer(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        make_email(Status.SENT_TO_NOTIFY)
    sandbox.add_fault(on="GET", status=500, body="down", times=3)
    sync.run()
    assert len(sandbox.requests()) == 1
    assert EmailMessageEvent.objects.count() == 0
    assert EmailMessage.objects.due(clock.now).count() == 2
    assert "Notify did not say what became of it" in caplog.text


@pytest.mark.parametrize("status", Status)
def test_tasks_for_rows_with_nothing_to_do_do_nothing(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, status: Status
) -> None:
    email = make_email(status, attempts=1, due_at=None if status in FINAL else clock.now + dt.timedelta(seconds=1))
    before = EmailMessage.objects.values().get()
    tasks.send(email.pk)
    tracking.look_up(email.pk)
    assert EmailMessage.objects.values().get() == before
    assert sandbox.requests() == []


def test_tasks_for_deleted_rows_do_nothing(sandbox: Sandbox) -> None:
    tasks.send(12345)
    tracking.look_up(12345)
    assert sandbox.requests() == []


def test_an_interruption_from_outside_ends_the_run_and_gives_its_lease_back(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Limit(Exception):
        pass

    def strike(pk: int) -> delivery.Progress:
        raise Limit

    make_email()
    make_email()
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "deliver", strike)
        with pytest.raises(Limit):
            sync.run(interrupted_by=Limit)
    assert sandbox.requests() == []
    sync.run(interrupted_by=Limit)
    assert len(sandbox.emails()) == 2


def test_a_run_that_fails_over_a_setting_does_not_look_like_one_that_worked(
    sandbox: Sandbox, make_email: MakeEmail, settings: Settings
) -> None:
    make_email()
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SYNC_THREADS = "10"
    with pytest.raises(ImproperlyConfigured, match="SYNC_THREADS"):
        sync.run()
    assert holds.end_of(holds.SYNC) is None
    assert sandbox.requests() == []
