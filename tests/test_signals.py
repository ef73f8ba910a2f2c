"""The project's own code is told of each change of status once, after its commit, and can harm nothing."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from django_govuk_notify_outbox import claims, delivery, reports, signals, sync, transitions
from django_govuk_notify_outbox.delivery import Progress
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.outcomes import Exchange, Notification
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.signals import PAGE_SIZE, email_status_changed
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import ADDRESS, Clock, MakeEmail
from tests.test_retrying import SERVER_ERROR, nothing_listens

pytestmark = pytest.mark.django_db(transaction=True)

Change = tuple[int, str, str]
Connect = Callable[[Callable[..., object]], None]

SENDING, RETRYING, FAILED = "sending-to-notify", "retrying-send-to-notify", "failed-send-to-notify"
SENT, CREATED, DELIVERED = "sent-to-notify", "notify-created", "notify-delivered"
SECRET = "reset-link-9f8e7d"


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect receivers for as long as a test lasts."""
    with ExitStack() as stack:

        def connect(receiver: Callable[..., object]) -> None:
            email_status_changed.connect(receiver, weak=False)
            stack.callback(email_status_changed.disconnect, receiver)

        yield connect
    assert not email_status_changed.has_listeners(EmailMessage)


@pytest.fixture
def told(connect: Connect) -> list[Change]:
    """What a receiver has been told."""
    changes: list[Change] = []

    def receive(sender: object, email_message: EmailMessage, old_status: str, new_status: str, **_more: object) -> None:
        assert sender is EmailMessage
        # After the commit: nothing of ours is open, and the row says the same
        assert not connection.in_atomic_block
        assert email_message.status == new_status
        assert {type(old_status), type(new_status)} == {str}
        changes.append((email_message.pk, old_status, new_status))

    connect(receive)
    return changes


def report(email: EmailMessage, word: str) -> bool:
    notification = Notification(
        id=uuid.uuid4(), status=word, email_address=ADDRESS, template_id="", created_at=dt.datetime.now(tz=dt.UTC)
    )
    return reports.record_report(email, notification, Exchange())


class TestChanges:
    """Each is told once, with what it was and what it became."""

    def test_an_accepted_email(self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail, told: list[Change]) -> None:
        email = make_email()
        assert told == []
        delivery.deliver(email.pk)
        delivery.deliver(email.pk)
        assert told == [(email.pk, SENDING, SENT)]

    def test_a_refused_email(self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail, told: list[Change]) -> None:
        email = make_email(personalisation=None)
        delivery.deliver(email.pk)
        assert told == [(email.pk, SENDING, FAILED)]

    def test_an_email_that_is_retried_until_its_time_runs_out(
        self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail, told: list[Change], settings: Settings
    ) -> None:
        nothing_listens(settings)
        email = make_email()
        delivery.deliver(email.pk)
        assert told == [(email.pk, SENDING, RETRYING)]
        clock.move(10)
        delivery.deliver(email.pk)
        # It went on being retried
        assert [event.status for event in email.events.all()] == [RETRYING, RETRYING]
        assert told == [(email.pk, SENDING, RETRYING)]
        clock.move(3600)
        sync.run()
        assert told == [(email.pk, SENDING, RETRYING), (email.pk, RETRYING, FAILED)]

    def test_an_email_that_runs_out_of_retries(
        self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail, told: list[Change], settings: Settings
    ) -> None:
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = []
        nothing_listens(settings)
        email = make_email()
        delivery.deliver(email.pk)
        assert told == [(email.pk, SENDING, FAILED)]

    def test_an_unclear_email_that_is_given_up_after_a_question(
        self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail, told: list[Change], settings: Settings
    ) -> None:
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = []
        sandbox.add_fault(**SERVER_ERROR)
        email = make_email()
        delivery.deliver(email.pk)
        assert told == [(email.pk, SENDING, RETRYING)]
        clock.move(5)
        sync.run()
        assert told == [(email.pk, SENDING, RETRYING), (email.pk, RETRYING, FAILED)]

    def test_an_email_that_is_found_after_a_question(
        self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail, told: list[Change]
    ) -> None:
        sandbox.add_fault(accept=True, cut=True)
        email = make_email()
        delivery.deliver(email.pk)
        clock.move(70)
        sync.run()
        assert told == [(email.pk, SENDING, RETRYING), (email.pk, RETRYING, DELIVERED)]

    def test_an_email_whose_worker_died_before_it_posted(
        self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail, told: list[Change]
    ) -> None:
        email = make_email()
        assert claims.claim_attempt(email) is not None
        clock.move(130)
        assert told == []
        sync.run()
        assert told == [(email.pk, SENDING, RETRYING), (email.pk, RETRYING, SENT)]

    def test_an_acceptance_that_comes_after_all(
        self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail, told: list[Change]
    ) -> None:
        email = make_email(Status.FAILED_SEND_TO_NOTIFY)
        late = claims.Claim(email, clock.now, 1, clock.now)
        notify_id = uuid.uuid4()
        assert transitions.record_accepted(late, notify_id, Exchange())
        assert not transitions.record_accepted(late, notify_id, Exchange())
        assert told == [(email.pk, FAILED, SENT)]

    def test_an_email_that_is_followed_to_its_end(
        self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail, told: list[Change]
    ) -> None:
        email = make_email(email_address="perm-fail@simulator.notify")
        sandbox.set_timing(sending_after=10, final_after=20)
        delivery.deliver(email.pk)
        for _ in range(20):
            clock.move(5)
            sync.run()
        assert told == [
            (email.pk, SENDING, SENT),
            (email.pk, SENT, CREATED),
            (email.pk, CREATED, "notify-sending"),
            (email.pk, "notify-sending", "notify-permanent-failure"),
        ]

    def test_nothing_is_told_where_nothing_changes(
        self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail, told: list[Change]
    ) -> None:
        limited, held = make_email(), make_email()
        sandbox.add_fault(status=429, body={"errors": [{"error": "RateLimitError", "message": ""}]})
        delivery.deliver(limited.pk)
        delivery.deliver(held.pk)
        assert limited.events.count() == 1
        delivered = make_email(Status.NOTIFY_DELIVERED)
        assert not report(delivered, "delivered")
        assert not report(delivered, "sending")
        assert not report(make_email(Status.NOTIFY_SENDING), "a status of another day")
        # A worker whose claim is lost
        claim = claims.Claim(limited, clock.now - dt.timedelta(seconds=1), 1, clock.now)
        assert not transitions.record_refused(claim, Exchange())
        signals.announce([])
        assert told == []


class TestTransactions:
    """What is told is committed."""

    def test_a_change_is_told_after_the_commit_and_not_before(self, make_email: MakeEmail, told: list[Change]) -> None:
        email = make_email(Status.NOTIFY_SENDING)
        with transaction.atomic():
            assert report(email, "delivered")
            assert told == []
        assert told == [(email.pk, "notify-sending", DELIVERED)]

    def test_a_change_that_is_rolled_back_is_not_told(self, make_email: MakeEmail, told: list[Change]) -> None:
        email = make_email(Status.NOTIFY_SENDING)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            assert report(email, "delivered")
            raise ZeroDivisionError
        # Nor with the next transaction
        with transaction.atomic():
            EmailMessage.objects.get()
        assert told == []

    def test_a_row_that_was_deleted_meanwhile_is_left_out(
        self, make_email: MakeEmail, told: list[Change], caplog: pytest.LogCaptureFixture
    ) -> None:
        gone, there = make_email(Status.NOTIFY_DELIVERED), make_email(Status.NOTIFY_DELIVERED)
        with transaction.atomic():
            signals.announce([(email.pk, SENT, DELIVERED) for email in (gone, there)])
            EmailMessage.objects.filter(pk=gone.pk).delete()
        assert told == [(there.pk, SENT, DELIVERED)]
        assert caplog.records == []


def statements() -> AbstractContextManager[CaptureQueriesContext]:
    return CaptureQueriesContext(connection)


def selects(queries: CaptureQueriesContext) -> list[str]:
    # A statement that failed has no text
    return [query["sql"] for query in queries if "SELECT" in (query["sql"] or "")]


def announced(emails: list[EmailMessage]) -> list[str]:
    """Announce in one call that each has become what it is; the rows that were read for it, by statement."""
    changes = [(email.pk, SENT, email.status) for email in emails]
    with statements() as after, transaction.atomic():
        signals.announce(changes)
        assert selects(after) == []
    return selects(after)


class TestCost:
    """One statement for a page of changes, and none when nobody listens."""

    def test_nothing_is_read_when_nobody_listens(self, make_email: MakeEmail, connect: Connect) -> None:
        emails = [make_email(Status.NOTIFY_SENDING), make_email(Status.NOTIFY_SENDING)]
        with statements() as deaf:
            report(emails[0], "delivered")
        connect(lambda **_: None)
        with statements() as listening:
            report(emails[1], "delivered")
        assert len(listening) == len(deaf) + 1
        assert "SELECT" in listening[-1]["sql"]

    def test_a_page_of_changes_is_read_at_once_without_what_may_be_large(
        self, make_email: MakeEmail, connect: Connect
    ) -> None:
        deferred: list[set[str]] = []
        personal: list[object] = []

        def receive(email_message: EmailMessage, **_more: object) -> None:
            deferred.append(email_message.get_deferred_fields())

        connect(receive)
        email = make_email(Status.NOTIFY_DELIVERED)
        emails = [email, make_email(Status.NOTIFY_DELIVERED)]
        assert len(announced(emails)) == 1
        assert deferred == [{"personalisation", "sanitise_content_for", "one_click_unsubscribe_url"}] * 2

        # What is wanted all the same can be had
        connect(lambda email_message, **_: personal.append(email_message.personalisation))
        announced([email])
        assert personal == [{"name": "Amala"}]

    def test_more_changes_than_a_page_are_read_page_by_page(self, make_email: MakeEmail, told: list[Change]) -> None:
        first = make_email(Status.NOTIFY_DELIVERED)
        emails = [first, *(make_email(Status.NOTIFY_DELIVERED) for _ in range(2 * PAGE_SIZE))]
        assert len(announced(emails)) == 3
        assert told == [(email.pk, SENT, DELIVERED) for email in emails]


class Quarrelsome:
    """A receiver that is no function, and that raises."""

    def __call__(self, **_arguments: object) -> None:
        raise ValueError("of the receiver's own")


def quarrelsome(secret: str, **_arguments: object) -> None:
    raise ValueError("of the receiver's own")


async def quarrelsome_coroutine(**_arguments: object) -> None:
    raise ValueError("of the receiver's own")


RAISING: dict[str, tuple[Callable[..., object], str]] = {
    "a function": (lambda **_: 1 / 0, "<lambda>"),
    "an object": (Quarrelsome(), "Quarrelsome"),
    "a partial": (partial(quarrelsome, SECRET), "partial"),
    "a coroutine": (quarrelsome_coroutine, "quarrelsome_coroutine"),
    "a function that does not take the arguments": (lambda sender, **_: sender.missing, "<lambda>"),
}


class TestFailures:
    """A receiver that raises harms nothing, and neither does a database that fails."""

    @pytest.mark.parametrize(("receiver", "name"), RAISING.values(), ids=RAISING)
    def test_a_receiver_that_raises_is_logged_once_and_harms_nothing(
        self,
        clock: Clock,
        sandbox: Sandbox,
        make_email: MakeEmail,
        connect: Connect,
        request: pytest.FixtureRequest,
        caplog: pytest.LogCaptureFixture,
        receiver: Callable[..., object],
        name: str,
    ) -> None:
        connect(receiver)
        # Connected after it, so told after it
        told: list[Change] = request.getfixturevalue("told")
        email = make_email(personalisation={"name": SECRET})
        assert delivery.deliver(email.pk) is Progress.GO_ON
        email.refresh_from_db()
        assert email.status == SENT
        assert told == [(email.pk, SENDING, SENT)]
        [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert record.name == "django_govuk_notify_outbox.signals"
        assert record.getMessage().startswith(f"Email {email.pk}: the receiver ")
        assert record.getMessage().endswith(f"{name} failed when told of status {SENT}")
        assert record.__dict__["email_message_pk"] == email.pk
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], Exception)
        text = logging.Formatter().format(record) + repr(record.__dict__)
        assert ADDRESS not in text
        assert SECRET not in text

    def test_a_receiver_that_raises_for_one_email_is_told_of_the_rest(
        self, make_email: MakeEmail, connect: Connect, caplog: pytest.LogCaptureFixture
    ) -> None:
        emails = [make_email(Status.NOTIFY_DELIVERED) for _ in range(3)]
        told: list[int] = []

        def receive(email_message: EmailMessage, **_more: object) -> None:
            told.append(email_message.pk)
            if email_message == emails[0]:
                raise ZeroDivisionError

        connect(receive)
        announced(emails)
        assert told == [email.pk for email in emails]
        assert [record.__dict__["email_message_pk"] for record in caplog.records] == [emails[0].pk]

    @pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no connection that could be cut")
    def test_a_receiver_that_breaks_the_connection_leaves_a_new_one_to_the_worker(
        self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail, connect: Connect
    ) -> None:
        def cut(**_more: object) -> None:
            connection.connection.close()
            EmailMessage.objects.count()

        connect(cut)
        email = make_email()
        delivery.deliver(email.pk)
        email.refresh_from_db()
        assert email.status == SENT

    def test_a_database_that_fails_while_the_rows_are_read_harms_nothing(
        self,
        clock: Clock,
        sandbox: Sandbox,
        make_email: MakeEmail,
        told: list[Change],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        first, second = make_email(), make_email()
        with unreadable():
            assert delivery.deliver(first.pk) is Progress.GO_ON
        assert told == []
        [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert record.getMessage() == f"Emails {first.pk}: could not be read to tell of their new status"
        first.refresh_from_db()
        assert first.status == SENT
        delivery.deliver(second.pk)
        assert told == [(second.pk, SENDING, SENT)]

    def test_a_page_that_cannot_be_read_does_not_keep_the_next_from_being_told(
        self, make_email: MakeEmail, told: list[Change], caplog: pytest.LogCaptureFixture
    ) -> None:
        emails = [make_email(Status.NOTIFY_DELIVERED) for _ in range(PAGE_SIZE + 1)]
        with unreadable():
            announced(emails)
        assert told == [(emails[-1].pk, SENT, DELIVERED)]
        assert len(caplog.records) == 1


@contextmanager
def unreadable() -> Iterator[None]:
    """The first page that is read for the signal meets a database that fails."""
    failed: list[str] = []

    def fail(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if sql.startswith("SELECT") and " IN (" in sql and "personalisation" not in sql and not failed:
            failed.append(sql)
            raise OperationalError("server closed the connection unexpectedly")
        return execute(sql, *arguments)

    with connection.execute_wrapper(fail):
        yield
    assert len(failed) == 1


def test_each_change_on_a_page_of_notifys_list_is_told_once(
    sandbox: Sandbox, clock: Clock, make_email: MakeEmail, told: list[Change]
) -> None:
    emails = [make_email(SENT) for _ in range(3)]
    words = ("delivered", "created", "permanent-failure")
    page = {
        email.notify_id: Notification(
            id=email.notify_id, status=word, email_address="", template_id="", created_at=clock.now
        )
        for email, word in zip(emails, words, strict=True)
        if email.notify_id
    }
    for _ in range(2):
        reports.record_page(list(EmailMessage.objects.to_track()), page, Exchange())
    assert told == [(email.pk, SENT, f"notify-{word}") for email, word in zip(emails, words, strict=True)]
