"""A backlog is sent by several threads at a time, at Notify's pace, and what is new need not wait for it."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, connection
from pytest_django import Settings

from django_govuk_notify_outbox import concurrency, delivery, durability, holds, sync, tasks, tracking
from django_govuk_notify_outbox.concurrency import for_each
from django_govuk_notify_outbox.delivery import Progress
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock, MakeEmail, pushed

#: Seconds after which a test gives up on threads that should have met.
LONG = 20.0


def always() -> bool:
    return True


def never_alone(number: int) -> Callable[[int], Progress]:
    """An act that goes on only when so many threads are at it at the same time."""
    barrier = threading.Barrier(number)

    def act(_pk: int) -> Progress:
        barrier.wait(LONG)
        return Progress.GO_ON

    return act


def ours() -> list[str]:
    """The threads that are at work on emails."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("outbox-")]


class TestForEach:
    """Acting on one email after the other."""

    def test_several_threads_act_at_a_time(self, caplog: pytest.LogCaptureFixture) -> None:
        assert for_each(range(8), never_alone(4), threads=4, may_go_on=always) is Progress.GO_ON
        assert caplog.records == []

    @pytest.mark.parametrize("threads", [1, 3])
    def test_each_email_is_acted_on_once_and_all_is_done_in_the_end(self, threads: int) -> None:
        done: list[int] = []

        def act(pk: int) -> Progress:
            time.sleep(0.001)
            done.append(pk)
            return Progress.GO_ON

        assert for_each(range(50), act, threads=threads, may_go_on=always) is Progress.GO_ON
        assert sorted(done) == list(range(50))
        assert ours() == []

    def test_one_thread_is_this_one(self) -> None:
        seen: set[str] = set()

        def act(_pk: int) -> Progress:
            seen.add(threading.current_thread().name)
            return Progress.GO_ON

        for_each(range(3), act, threads=1, may_go_on=always)
        assert seen == {threading.current_thread().name}
        for_each(range(3), act, threads=2, may_go_on=always)
        assert seen - {threading.current_thread().name} <= {"outbox-0", "outbox-1"}
        assert len(seen) > 1

    @pytest.mark.parametrize("possible", [0, 1, 3])
    def test_where_the_system_has_no_threads_to_give_it_makes_do_with_fewer(
        self, possible: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        start = threading.Thread.start

        def start_some(thread: threading.Thread) -> None:
            if len(ours()) == possible:
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_some)
        done: list[int] = []

        def act(pk: int) -> Progress:
            done.append(pk)
            return Progress.GO_ON

        assert for_each(range(10), act, threads=4, may_go_on=always) is Progress.GO_ON
        assert sorted(done) == list(range(10))
        assert ours() == []
        line = f"Only {possible} of 4 threads could be started: can't start new thread"
        assert [record.getMessage() for record in caplog.records] == [line]

    @pytest.mark.parametrize("threads", [1, 3])
    def test_after_a_stop_what_was_begun_is_finished_and_nothing_new_is_begun(self, threads: int) -> None:
        begun: list[int] = []
        finished: list[int] = []
        together = threading.Barrier(threads)

        def act(pk: int) -> Progress:
            begun.append(pk)
            together.wait(LONG)
            finished.append(pk)
            return Progress.STOP

        assert for_each(range(50), act, threads=threads, may_go_on=always) is Progress.STOP
        assert len(begun) == threads
        assert sorted(finished) == sorted(begun)
        assert ours() == []

    @pytest.mark.parametrize("threads", [1, 3])
    def test_when_time_is_up_nothing_new_is_begun(self, threads: int) -> None:
        done: list[int] = []

        def act(pk: int) -> Progress:
            done.append(pk)
            return Progress.GO_ON

        asked: Iterator[int] = iter(range(6))
        progress = for_each(range(50), act, threads=threads, may_go_on=lambda: next(asked, 6) < 5)
        assert progress is Progress.STOP
        assert len(done) <= 5
        assert ours() == []

    @pytest.mark.parametrize("threads", [1, 3])
    def test_one_emails_trouble_is_logged_and_holds_up_no_other(
        self, threads: int, db: None, caplog: pytest.LogCaptureFixture
    ) -> None:
        done: list[int] = []

        def act(pk: int) -> Progress:
            if pk % 2:
                raise RuntimeError("A defect of ours.")
            done.append(pk)
            return Progress.GO_ON

        assert for_each(range(10), act, threads=threads, may_go_on=always) is Progress.GO_ON
        assert sorted(done) == [0, 2, 4, 6, 8]
        lines = sorted((record.levelno, record.getMessage()) for record in caplog.records)
        assert lines == [(logging.ERROR, f"Email {pk}: could not be dealt with") for pk in (1, 3, 5, 7, 9)]

    def test_an_interruption_ends_it_at_once_and_what_was_begun_is_finished(self) -> None:
        class TimeIsUp(Exception):
            pass

        has_begun, may_finish, finished = threading.Event(), threading.Event(), []

        def act(pk: int) -> Progress:
            has_begun.set()
            assert may_finish.wait(LONG)
            finished.append(pk)
            return Progress.GO_ON

        def pks() -> Iterator[int]:
            yield 1
            assert has_begun.wait(LONG)
            # As Celery's soft time limit does, in the main thread
            raise TimeIsUp

        with pytest.raises(TimeIsUp):
            for_each(pks(), act, threads=2, may_go_on=always, interrupted_by=TimeIsUp)
        assert finished == []
        may_finish.set()
        for thread in threading.enumerate():
            if thread.name in ours():
                thread.join(LONG)
        assert finished == [1]
        assert ours() == []

    def test_while_all_threads_wait_for_notify_the_lease_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(concurrency._Crew, "PATIENCE", 0.001)
        enough = threading.Event()
        renewals: list[None] = []

        def keep_lease() -> bool:
            renewals.append(None)
            # Far more often than there are emails
            if len(renewals) == 100:
                enough.set()
            return True

        def act(_pk: int) -> Progress:
            assert enough.wait(LONG)
            return Progress.GO_ON

        assert for_each(range(2), act, threads=2, may_go_on=keep_lease) is Progress.GO_ON
        assert len(renewals) >= 100

    def test_when_time_is_up_while_all_threads_are_busy_the_rest_is_not_handed_out(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(concurrency._Crew, "PATIENCE", 0.001)
        is_over = threading.Event()
        done: list[int] = []

        def act(pk: int) -> Progress:
            assert is_over.wait(LONG)
            done.append(pk)
            return Progress.GO_ON

        asked: list[None] = []

        def until_over() -> bool:
            asked.append(None)
            if len(asked) == 100:
                is_over.set()
            return not is_over.is_set()

        assert for_each(range(50), act, threads=2, may_go_on=until_over) is Progress.STOP
        assert len(done) <= 2


def deliveries_by_thread(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count which thread sends."""
    counted: Counter[str] = Counter()
    deliver = delivery.deliver

    def count(pk: int) -> Progress:
        counted[threading.current_thread().name] += 1
        return deliver(pk)

    monkeypatch.setattr(delivery, "deliver", count)
    return counted


@pytest.mark.django_db(transaction=True)
class TestBacklog:
    """What is due, and more than one."""

    def test_is_sent_by_several_threads_each_email_once(
        self, sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        emails = [make_email() for _ in range(30)]
        counted = deliveries_by_thread(monkeypatch)
        sync.run()
        assert sorted(each["reference"] for each in sandbox.emails()) == sorted(email.reference for email in emails)
        assert set(EmailMessage.objects.values_list("status", "attempts")) == {(Status.SENT_TO_NOTIFY, 1)}
        assert counted.total() == 30
        assert len(counted) > 1
        assert set(counted) <= {f"outbox-{number}" for number in range(10)}
        assert ours() == []

    def test_is_sent_by_as_many_threads_as_the_setting_says(
        self, sandbox: Sandbox, make_email: MakeEmail, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SYNC_THREADS = 2
        monkeypatch.setattr(delivery, "deliver", never_alone(2))
        for _ in range(10):
            make_email()
        sync.run()
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SYNC_THREADS = 1
        monkeypatch.undo()
        counted = deliveries_by_thread(monkeypatch)
        sync.run()
        assert counted == {threading.current_thread().name: 10}

    def test_of_one_email_needs_no_thread(
        self, sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_email()
        counted = deliveries_by_thread(monkeypatch)
        sync.run()
        assert counted == {threading.current_thread().name: 1}

    def test_goes_out_until_notify_limits_us_and_no_email_loses_a_retry(
        self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail
    ) -> None:
        # 20 at once, and one more each second
        sandbox.set_limits(rate_limit=60)
        emails = [make_email(due_at=clock.now - dt.timedelta(seconds=100 - n)) for n in range(40)]
        sync.run()
        assert len(sandbox.emails()) == 20
        refused = [request for request in sandbox.requests() if request["status"] == 429]
        assert 1 <= len(refused) <= 10
        assert holds.is_sending_held()
        waiting = EmailMessage.objects.to_send()
        assert set(waiting.values_list("status", "attempts", "unclear_until")) == {(Status.SENDING_TO_NOTIFY, 0, None)}
        # The oldest have gone first, but for those that met the limit
        accepted = set(EmailMessage.objects.to_track().values_list("pk", flat=True))
        assert accepted <= {email.pk for email in emails[: 20 + 10]}
        clock.move(holds.SENDING_HOLD)
        sync.run()
        # A refusal may have taken one of the five
        assert len(sandbox.emails()) in {24, 25}
        assert EmailMessageEvent.objects.filter(outcome="limited").count() <= 20

    def test_of_look_ups_is_shared_out_too(
        self, sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tracking, "PAGE_WORTH", 1000)
        monkeypatch.setattr(tracking, "look_up", never_alone(4))
        for _ in range(8):
            make_email(Status.SENT_TO_NOTIFY)
        sync.run()

    def test_threads_leave_no_connection_to_the_database_behind(
        self, sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        used = []
        deliver = delivery.deliver

        def remember(pk: int) -> Progress:
            progress = deliver(pk)
            used.append((connection.connection, connection._connections[connection._alias]))  # type: ignore[attr-defined]
            return progress

        monkeypatch.setattr(delivery, "deliver", remember)
        for _ in range(4):
            make_email()
        sync.run()
        assert len(used) == 4
        assert all(driver is not None for driver, _ in used)
        assert all(wrapper.connection is None for _, wrapper in used)


@pytest.mark.django_db
def test_a_run_takes_turns_at_sending_and_tracking_until_its_time_is_up(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    deeds: list[str] = []

    def deliver(pk: int) -> Progress:
        deeds.append("send")
        EmailMessage.objects.filter(pk=pk).update(due_at=None)
        clock.move(15)
        return Progress.GO_ON

    def track(_run: sync._Run) -> None:
        deeds.append("track")

    monkeypatch.setattr(delivery, "deliver", deliver)
    monkeypatch.setattr(sync._Run, "track", track)
    for _ in range(6):
        make_email()
    sync.run()
    assert deeds == ["send", "send", "track", "send", "send", "track"]
    sync.run()
    assert deeds[6:] == ["send", "send", "track"]


@pytest.mark.django_db
def test_a_run_that_notify_limits_does_not_begin_anew(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    deeds: list[str] = []

    def be_limited(_pk: int) -> Progress:
        deeds.append("send")
        holds.hold_sending()
        return Progress.STOP

    monkeypatch.setattr(delivery, "deliver", be_limited)
    for _ in range(3):
        make_email()
    sync.run()
    sync.run()
    assert deeds == ["send"]


@pytest.mark.django_db
def test_in_a_tests_transaction_a_backlog_is_sent_by_the_tests_own_thread(
    sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        make_email()
    counted = deliveries_by_thread(monkeypatch)
    sync.run()
    assert counted == {threading.current_thread().name: 3}
    assert len(sandbox.emails()) == 3


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite has databases in memory")
@pytest.mark.django_db(transaction=True)
def test_a_database_in_memory_is_not_seen_by_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert durability.is_seen_by_threads()
    monkeypatch.setitem(connection.settings_dict, "NAME", ":memory:")
    assert not durability.is_seen_by_threads()


@pytest.mark.django_db(transaction=True)
class TestNewEmail:
    """One that is pushed while others wait."""

    def send(self) -> EmailMessage:
        email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
        pushed()
        return email

    def test_that_meets_a_hold_comes_once_more_when_it_is_over(self, clock: Clock, sandbox: Sandbox) -> None:
        holds.hold_sending()
        email = self.send()
        tasks.send(email.pk)
        (message,) = pushed()
        assert message.payload[:2] == [[email.pk], {"is_postponed": True}]
        assert dt.datetime.fromisoformat(message.headers["eta"]) == clock.now + dt.timedelta(seconds=holds.SENDING_HOLD)
        clock.move(holds.SENDING_HOLD)
        tasks.send(email.pk, is_postponed=True)
        email.refresh_from_db()
        assert (email.status, email.attempts) == (Status.SENT_TO_NOTIFY, 1)

    def test_that_is_limited_itself_comes_once_more_too(self, clock: Clock, sandbox: Sandbox) -> None:
        sandbox.add_fault(status=429, body={"errors": [{"error": "RateLimitError", "message": "No"}]})
        email = self.send()
        tasks.send(email.pk)
        assert [message.payload[0] for message in pushed()] == [[email.pk]]
        clock.move(holds.SENDING_HOLD)
        tasks.send(email.pk, is_postponed=True)
        email.refresh_from_db()
        assert (email.status, email.attempts) == (Status.SENT_TO_NOTIFY, 1)
        assert pushed() == []

    def test_is_left_to_sync_if_it_meets_a_hold_again(self, clock: Clock, sandbox: Sandbox) -> None:
        email = self.send()
        holds.hold_sending()
        tasks.send(email.pk, is_postponed=True)
        assert pushed() == []
        clock.move(holds.SENDING_HOLD)
        sync.run()
        assert len(sandbox.emails()) == 1

    def test_of_several_in_one_task_those_that_are_left_come_once_more(self, clock: Clock, sandbox: Sandbox) -> None:
        sandbox.set_limits(rate_limit=6)
        emails = [self.send() for _ in range(5)]
        tasks.send(*(email.pk for email in emails))
        assert len(sandbox.emails()) == 2
        assert [message.payload[0] for message in pushed()] == [[email.pk for email in emails[2:]]]

    @pytest.mark.parametrize("error", [DatabaseError, SoftTimeLimitExceeded])
    def test_of_several_in_one_task_one_that_makes_trouble_holds_up_no_other(
        self, error: type[Exception], clock: Clock, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        emails = [self.send() for _ in range(4)]
        deliver = delivery.deliver

        def fail_once(pk: int) -> Progress:
            if pk == emails[1].pk:
                raise error
            return deliver(pk)

        monkeypatch.setattr(delivery, "deliver", fail_once)
        with pytest.raises(error):
            tasks.send(*(email.pk for email in emails))
        (message,) = pushed()
        assert message.payload[:2] == [[email.pk for email in emails[2:]], {}]
        tasks.send(*message.payload[0])
        references = {each["reference"] for each in sandbox.emails()}
        assert references == {email.reference for email in emails if email != emails[1]}
        with pytest.raises(error):
            tasks.send(emails[0].pk, emails[1].pk)
        assert pushed() == []

    def test_that_is_sent_comes_no_more(self, clock: Clock, sandbox: Sandbox) -> None:
        email = self.send()
        tasks.send(email.pk)
        assert len(sandbox.emails()) == 1
        assert pushed() == []

    def test_run_where_it_is_called_does_not_come_again(
        self, clock: Clock, sandbox: Sandbox, settings: Settings
    ) -> None:
        settings.CELERY_TASK_ALWAYS_EAGER = True
        holds.hold_sending()
        email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
        email.refresh_from_db()
        assert (email.status, email.attempts) == (Status.SENDING_TO_NOTIFY, 0)
        assert sandbox.requests() == []
