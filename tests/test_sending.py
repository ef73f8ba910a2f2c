"""What the caller of ``send_email_notification`` gets: a row in its transaction, an email after it, and no trouble."""

from __future__ import annotations

import inspect
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from notifications_python_client import NotificationsAPIClient
from pytest_django import Settings

from django_govuk_notify_outbox import delivery, notify, sync, tasks
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock, pushed
from tests.linking.models import Licence


def send() -> EmailMessage:
    return send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})


def pushed_arguments() -> list[list[object]]:
    """The arguments of every task that waits in the broker."""
    return [message.payload[0] for message in pushed()]


class TestSignature:
    """The call takes the place of the client's."""

    def test_is_that_of_the_client(self) -> None:
        theirs = inspect.signature(NotificationsAPIClient.send_email_notification).parameters
        ours = inspect.signature(send_email_notification).parameters
        expected = [(parameter.name, parameter.default) for parameter in theirs.values() if parameter.name != "self"]
        if "sanitise_content_for" not in theirs:
            # The client's versions before 12.2
            expected.append(("sanitise_content_for", None))
        assert [(parameter.name, parameter.default) for parameter in ours.values()] == expected


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    """The email shares the fate of the caller's transaction."""

    def test_autocommit_sends_at_once(self, sandbox: Sandbox, eager_tasks: None) -> None:
        email = send()
        assert [accepted["reference"] for accepted in sandbox.emails()] == [email.reference]
        email.refresh_from_db()
        assert email.status == Status.SENT_TO_NOTIFY

    def test_a_commit_sends_and_not_before_it(self, sandbox: Sandbox, eager_tasks: None) -> None:
        with transaction.atomic():
            email = send()
            assert (email.pk is not None, email.status) == (True, Status.SENDING_TO_NOTIFY)
            assert sandbox.requests() == []
        assert len(sandbox.emails()) == 1

    def test_a_rolled_back_transaction_sends_nothing(self, sandbox: Sandbox, eager_tasks: None) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            send()
            raise ZeroDivisionError
        sync.run()
        assert EmailMessage.objects.count() == 0
        assert sandbox.requests() == []

    def test_a_savepoint_that_rolls_back_sends_nothing(self, sandbox: Sandbox, eager_tasks: None) -> None:
        with transaction.atomic():
            kept = send()
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                send()
                raise ZeroDivisionError
        assert list(EmailMessage.objects.values_list("pk", flat=True)) == [kept.pk]
        assert [accepted["reference"] for accepted in sandbox.emails()] == [kept.reference]

    def test_a_row_can_be_linked_in_the_same_transaction(self, sandbox: Sandbox, eager_tasks: None) -> None:
        with transaction.atomic():
            licence = Licence.objects.create(decision=send())
            licence.reminders.add(send(), send())
        licence.refresh_from_db()
        assert licence.decision is not None
        assert licence.decision.status == Status.SENT_TO_NOTIFY
        assert [reminder.status for reminder in licence.reminders.all()] == [Status.SENT_TO_NOTIFY] * 2

    def test_with_autocommit_turned_off_the_row_is_saved_and_left_to_sync(self, sandbox: Sandbox) -> None:
        transaction.set_autocommit(False)
        try:
            email = send()
            transaction.commit()
        finally:
            transaction.set_autocommit(True)
        EmailMessage.objects.update(due_at=email.created_at)
        sync.run()
        assert [accepted["reference"] for accepted in sandbox.emails()] == [email.reference]

    def test_the_caller_pays_one_insert_and_one_publish(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            email = send()
        assert [query["sql"].split()[0] for query in queries] == ["INSERT"]
        assert pushed_arguments() == [[email.pk]]

    def test_the_worker_pays_four_statements(self, sandbox: Sandbox) -> None:
        email = send()
        with CaptureQueriesContext(connection) as queries:
            tasks.send(email.pk)
        statements = [query["sql"].split()[0].rstrip(";") for query in queries]
        assert [word for word in statements if word not in {"BEGIN", "COMMIT", "START"}] == [
            "SELECT",
            "UPDATE",
            "UPDATE",
            "INSERT",
        ]

    def test_no_transaction_is_open_while_notify_is_asked(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        email = send()
        open_transactions = []
        real_send = notify.send

        def look(payload: dict[str, object], *, may_post: Callable[[], bool]) -> object:
            open_transactions.append(connection.in_atomic_block)
            # Another connection sees the claim, so it is committed
            seen: list[object] = []

            def read() -> None:
                seen.append(EmailMessage.objects.get().attempts)
                connection.close()

            other = threading.Thread(target=read)
            other.start()
            other.join()
            assert seen == [1]
            return real_send(payload, may_post=may_post)

        monkeypatch.setattr(notify, "send", look)
        tasks.send(email.pk)
        assert open_transactions == [False]


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


@pytest.fixture(params=["amqp refused", "amqp black hole", "redis refused", "redis black hole"])
def dead_broker(request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A broker that is not there, or that never answers."""
    transport, kind = request.param.split(maxsplit=1)
    with black_hole() as hole:
        port = 9 if kind == "refused" else hole
        settings.CELERY_BROKER_URL = f"{transport}://127.0.0.1:{port}/0"
        monkeypatch.setattr(tasks, "_pusher", tasks._Pusher())
        yield


@pytest.mark.django_db(transaction=True)
class TestDeadBroker:
    """The broker is not the caller's problem."""

    def test_neither_raises_nor_holds_the_caller_up_and_sync_sends(
        self, dead_broker: None, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        started = time.monotonic()
        with transaction.atomic():
            emails = [send() for _ in range(5)]
        took = time.monotonic() - started
        # One wait of BROKER_TIMEOUT for all five, not one each
        assert took < 2 * tasks.BROKER_TIMEOUT
        assert "could not be pushed to the broker" in caplog.text
        assert sandbox.requests() == []
        EmailMessage.objects.update(due_at=emails[0].created_at)
        sync.run()
        assert len(sandbox.emails()) == 5

    def test_a_push_is_tried_again_after_a_pause(
        self, dead_broker: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send()
        settings.CELERY_BROKER_URL = "memory://"
        monkeypatch.setattr(tasks._pusher, "_pools", {})
        send()
        assert pushed() == []
        monkeypatch.setattr(tasks._pusher, "_paused_until", time.monotonic())
        last = send()
        assert pushed_arguments() == [[last.pk]]


@pytest.mark.django_db
class TestRow:
    """What is stored."""

    def test_holds_what_was_given_and_a_reference_of_its_own(self) -> None:
        first, second = send(), send()
        first.refresh_from_db()
        assert (first.email_address, first.template_id, first.personalisation) == (
            ADDRESS,
            defaults.TEMPLATE_ID,
            {"name": "Amala"},
        )
        assert (first.status, first.attempts, first.notify_id, first.is_final) == (
            Status.SENDING_TO_NOTIFY,
            0,
            None,
            False,
        )
        assert first.reference
        assert first.reference != second.reference

    def test_keeps_the_callers_reference(self) -> None:
        assert send_email_notification(ADDRESS, "t", reference="case 17").reference == "case 17"

    def test_is_left_to_the_push_for_a_few_seconds(self, clock: Clock, sandbox: Sandbox) -> None:
        send()
        clock.move(4.999)
        sync.run()
        assert sandbox.requests() == []
        clock.move(0.001)
        sync.run()
        assert len(sandbox.emails()) == 1

    def test_is_not_final_until_notify_has_spoken(self) -> None:
        email = send()
        for status in Status:
            email.status = status
            assert email.is_final is (
                status
                in {
                    Status.FAILED_SEND_TO_NOTIFY,
                    Status.NOTIFY_DELIVERED,
                    Status.NOTIFY_TEMPORARY_FAILURE,
                    Status.NOTIFY_TECHNICAL_FAILURE,
                    Status.NOTIFY_PERMANENT_FAILURE,
                }
            )


@pytest.mark.django_db
def test_settings_that_change_take_effect_at_once(clock: Clock, sandbox: Sandbox, settings: Settings) -> None:
    url = settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://127.0.0.1:9"
    email = send()
    delivery.deliver(email.pk)
    assert sandbox.requests() == []
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = url
    clock.move(5)
    delivery.deliver(email.pk)
    assert len(sandbox.emails()) == 1
