"""What was sent is followed by the page of Notify's list where that pays, and one by one where it does not."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from django_govuk_notify_outbox import delivery, holds, models, moments, notify, reports, sync, tracking
from django_govuk_notify_outbox.client import this_threads_client
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.outcomes import Exchange, Found, NoAnswer, Notification
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock

pytestmark = pytest.mark.django_db

MAKE = Callable[..., list[EmailMessage]]


@pytest.fixture
def sent(sandbox: Sandbox, clock: Clock) -> MAKE:
    """Make emails that Notify took so many seconds ago and has delivered, all of them due for a look unless told."""

    def make(ages: Iterable[float], *, is_due: bool = True, address: str = ADDRESS) -> list[EmailMessage]:
        created = [clock.now - dt.timedelta(seconds=age) for age in ages]
        ids = sandbox.add_emails(_email(moment) for moment in created)
        return EmailMessage.objects.bulk_create(
            EmailMessage(
                email_address=address,
                address_digest=models.digest(models.normalise_address(address)),
                template_id=defaults.TEMPLATE_ID,
                reference="r",
                reference_digest=models.digest("r"),
                status=Status.SENT_TO_NOTIFY,
                attempts=1,
                notify_id=uuid.UUID(notify_id),
                attempt_started_at=moment - dt.timedelta(seconds=0.04),
                sent_at=moment + dt.timedelta(seconds=0.04),
                created_at=moment,
                due_at=clock.now if is_due else clock.now + dt.timedelta(hours=1),
            )
            for moment, notify_id in zip(created, ids, strict=True)
        )

    return make


def _email(created_at: dt.datetime) -> dict[str, Any]:
    return {
        "email_address": ADDRESS,
        "template_id": defaults.TEMPLATE_ID,
        "personalisation": {"name": "Amala"},
        "created_at": created_at,
    }


def asked(sandbox: Sandbox) -> list[str]:
    """What Notify was asked, in order: "page" or "one"."""
    paths = [request["path"] for request in sandbox.requests() if request["method"] == "GET"]
    return ["page" if path == "/v2/notifications" else "one" for path in paths]


def statuses(emails: Iterable[EmailMessage]) -> Counter[str]:
    pks = [email.pk for email in emails]
    return Counter(EmailMessage.objects.filter(pk__in=pks).values_list("status", flat=True))


def sources(emails: Iterable[EmailMessage]) -> Counter[str]:
    pks = [email.pk for email in emails]
    return Counter(EmailMessageEvent.objects.filter(email_message_id__in=pks).values_list("source", flat=True))


def test_a_page_serves_all_that_are_on_it(sent: MAKE, sandbox: Sandbox, clock: Clock) -> None:
    (above,) = sent([10], is_due=False)
    emails = sent(20 + n / 10 for n in range(notify.PAGE_SIZE))
    sync.run()
    assert asked(sandbox) == ["page"]
    assert statuses(emails) == {"notify-delivered": 250}
    assert sources(emails) == {"page": 250}
    assert statuses([above]) == {"sent-to-notify": 1}
    event = EmailMessageEvent.objects.filter(email_message=emails[0]).get()
    assert (event.kind, event.previous_status, event.status) == ("report", "sent-to-notify", "notify-delivered")
    assert (event.notify_status, event.http_status) == ("delivered", 200)
    emails[0].refresh_from_db()
    assert (emails[0].due_at, emails[0].status_changed_at) == (None, clock.now)


def test_the_newest_of_all_is_looked_up_by_itself_and_the_page_begins_below_it(sent: MAKE, sandbox: Sandbox) -> None:
    emails = sent(20 + n for n in range(60))
    sync.run()
    assert asked(sandbox) == ["one", "page"]
    assert statuses(emails) == {"notify-delivered": 60}


def test_one_email_is_looked_up_by_itself(sent: MAKE, sandbox: Sandbox) -> None:
    sent([10], is_due=False)
    emails = sent([20])
    sync.run()
    assert asked(sandbox) == ["one"]
    assert sources(emails) == {"look-up": 1}


def test_one_page_follows_the_other_and_what_is_not_due_between_is_skipped(sent: MAKE, sandbox: Sandbox) -> None:
    sent([10], is_due=False)
    upper = sent(20 + n / 10 for n in range(300))
    between = sent((100 + n / 10 for n in range(600)), is_due=False)
    lower = sent(200 + n / 10 for n in range(200))
    sync.run()
    assert asked(sandbox) == ["page"] * 3
    assert statuses([*upper, *lower]) == {"notify-delivered": 500}
    # Those that happened to be on the second page have been served too. The third began right above the lower ones
    assert sources(between) == {"page": 200}


def test_emails_that_share_the_timestamp_of_a_pages_last_are_not_lost(sent: MAKE, sandbox: Sandbox) -> None:
    sent([10], is_due=False)
    # The page ends amid the ten of them
    emails = sent([20.0] * 245 + [30.0] * 10 + [40.0] * 45)
    sync.run()
    assert asked(sandbox) == ["page", "page"] + ["one"] * 5
    assert statuses(emails) == {"notify-delivered": 300}


def test_emails_of_one_timestamp_alone_are_not_lost_either(sent: MAKE, sandbox: Sandbox) -> None:
    emails = sent([20.0] * 5)
    sync.run()
    assert asked(sandbox) == ["one", "page", "one", "one", "one", "one"]
    assert statuses(emails) == {"notify-delivered": 5}


def test_a_page_of_other_systems_emails_is_the_last_that_is_tried_for_a_while(
    sent: MAKE, sandbox: Sandbox, clock: Clock
) -> None:
    sent([10], is_due=False)
    sandbox.add_emails(_email(clock.now - dt.timedelta(seconds=20 + n / 100)) for n in range(300))
    emails = sent([30, 40, 50])
    sync.run()
    assert asked(sandbox) == ["page"] + ["one"] * 3
    assert statuses(emails) == {"notify-delivered": 3}
    more = sent([31, 41, 51])
    sync.run()
    assert asked(sandbox)[4:] == ["one"] * 3
    assert statuses(more) == {"notify-delivered": 3}
    clock.move(holds.FAR_PAGES_PAUSE)
    sent([32, 42, 52])
    sync.run()
    assert "page" in asked(sandbox)[7:]


def test_while_pages_are_not_tried_on_the_off_chance_a_near_one_is(sent: MAKE, sandbox: Sandbox) -> None:
    holds.pause_far_pages()
    emails = sent(20 + n / 10 for n in range(20))
    sync.run()
    assert asked(sandbox) == ["one", "page"]
    assert statuses(emails) == {"notify-delivered": 20}


def test_with_nine_in_ten_of_others_pages_still_pay(sent: MAKE, sandbox: Sandbox, clock: Clock) -> None:
    sent([10], is_due=False)
    sandbox.add_emails(_email(clock.now - dt.timedelta(seconds=20 + n / 90 + 0.005)) for n in range(900))
    emails = sent(20 + n / 10 for n in range(100))
    sync.run()
    assert asked(sandbox) == ["page"] * 4
    assert statuses(emails) == {"notify-delivered": 100}


def test_a_page_reaches_only_as_far_as_the_one_before(sent: MAKE, sandbox: Sandbox, clock: Clock) -> None:
    sent([10], is_due=False)
    near = sent(11 + n / 10 for n in range(10))
    # They fill the rest of the first page, which spans some three seconds, and the time below it
    sandbox.add_emails(_email(clock.now - dt.timedelta(seconds=12 + n / 100)) for n in range(3000))
    far = sent([30, 40])
    sync.run()
    assert asked(sandbox) == ["page", "one", "one"]
    assert statuses([*near, *far]) == {"notify-delivered": 12}


def test_an_email_that_notify_does_not_know_is_passed_over_and_looked_up_by_itself(
    sent: MAKE, sandbox: Sandbox
) -> None:
    sent([10], is_due=False)
    emails = sent(20 + n / 10 for n in range(300))
    lost = emails[0]
    EmailMessage.objects.filter(pk=lost.pk).update(notify_id=uuid.uuid4())
    sync.run()
    assert asked(sandbox) == ["page", "page", "one"]
    assert statuses(emails) == {"notify-delivered": 299, "sent-to-notify": 1}
    assert sources([lost]) == {}


@pytest.mark.parametrize("use_tz", [True, False])
def test_emails_that_were_found_late_are_on_pages_too(
    sandbox: Sandbox, clock: Clock, settings: Settings, use_tz: bool
) -> None:
    settings.USE_TZ = use_tz
    began_at = moments.aware(clock.now)
    sandbox.set_timing(sending_after=0, final_after=604)
    sandbox.add_fault(accept=True, cut=True, times=5)
    emails = []
    for _ in range(5):
        clock.move(1)
        emails.append(send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"}))
        delivery.deliver(emails[-1].pk)
    clock.move(598)
    sync.run()
    accepted = [moments.aware(email.sent_at) for email in _fresh(emails) if email.sent_at]
    assert accepted == [began_at + dt.timedelta(seconds=n) for n in range(1, 6)]
    assert statuses(emails) == {"notify-sending": 5}
    requests = len(asked(sandbox))
    clock.move(10)
    sync.run()
    assert asked(sandbox)[requests:] == ["one", "page"]
    assert statuses(emails) == {"notify-delivered": 5}


def test_a_page_does_not_begin_at_an_address_that_simulates(sent: MAKE, sandbox: Sandbox) -> None:
    sent([10], is_due=False)
    sent([15], is_due=False, address="simulate-delivered@notifications.service.gov.uk")
    EmailMessage.objects.filter(due_at__isnull=False, email_address__startswith="sim").update(notify_id=uuid.uuid4())
    emails = sent([20, 21, 22])
    sync.run()
    assert asked(sandbox) == ["page"]
    assert statuses(emails) == {"notify-delivered": 3}


def test_nor_below_one_that_simulates_and_was_the_newest_of_all(sent: MAKE, sandbox: Sandbox) -> None:
    simulated = sent([10, 11], address="simulate-delivered@notifications.service.gov.uk")
    for email in simulated:
        EmailMessage.objects.filter(pk=email.pk).update(notify_id=uuid.uuid4())
    emails = sent(20 + n for n in range(60))
    sync.run()
    assert asked(sandbox) == ["one", "one", "one", "page"]
    assert statuses([*simulated, *emails]) == {"sent-to-notify": 2, "notify-delivered": 60}


def test_below_an_email_that_notify_has_deleted_there_is_nothing_and_the_rest_go_one_by_one(
    sent: MAKE, sandbox: Sandbox
) -> None:
    (above,) = sent([10], is_due=False)
    EmailMessage.objects.filter(pk=above.pk).update(notify_id=uuid.uuid4())
    emails = sent([20, 21, 22])
    sync.run()
    assert asked(sandbox) == ["page", "one", "one", "one"]
    assert statuses(emails) == {"notify-delivered": 3}
    assert not holds.are_far_pages_paused()


def test_what_is_still_open_is_looked_up_later_together_with_those_of_about_its_age(
    sent: MAKE, sandbox: Sandbox, clock: Clock
) -> None:
    sent([10], is_due=False)
    sandbox.set_timing(sending_after=0, final_after=10_000)
    young, not_due = sent(100 + n for n in range(5)), sent((105 + n for n in range(5)), is_due=False)
    old = sent(1000 + n for n in range(10))
    sync.run()
    assert asked(sandbox) == ["page"]
    assert statuses([*young, *not_due, *old]) == {"notify-sending": 20}
    waits = {
        name: {(email.due_at - clock.now).total_seconds() for email in _fresh(some) if email.due_at}
        for name, some in {"young": young, "not due": not_due, "old": old}.items()
    }
    assert waits == {"young": {192.0}, "not due": {192.0}, "old": {1728.0}}
    clock.move(192)
    sync.run()
    # Nothing new: no event, and no change but that of the next look
    assert asked(sandbox) == ["page"] * 2
    assert sources([*young, *not_due, *old]) == {"page": 20}


def _fresh(emails: Iterable[EmailMessage]) -> list[EmailMessage]:
    return list(EmailMessage.objects.filter(pk__in=[email.pk for email in emails]).order_by("pk"))


def test_a_page_does_not_look_again_for_what_was_looked_for_long_enough(
    sent: MAKE, sandbox: Sandbox, clock: Clock
) -> None:
    sandbox.set_timing(sending_after=0, final_after=10**7)
    sent([5 * 86400 - 100], is_due=False)
    emails = sent([5 * 86400 + n for n in range(1, 4)])
    sync.run()
    assert asked(sandbox) == ["page"]
    assert {(email.status, email.due_at) for email in _fresh(emails)} == {("notify-sending", None)}


def test_a_status_that_notify_may_add_one_day_is_kept_once(sent: MAKE, clock: Clock) -> None:
    emails = sent([20, 21])
    for word in ("teleported", "teleported", "dissolved"):
        page = {
            email.notify_id: Notification(
                id=email.notify_id, status=word, email_address="", template_id="", created_at=clock.now
            )
            for email in emails
            if email.notify_id
        }
        reports.record_page(emails, page, Exchange())
    for email in emails:
        assert [event.notify_status for event in email.events.all()] == ["teleported", "dissolved"]
    assert statuses(emails) == {"sent-to-notify": 2}


def test_a_change_between_the_reading_of_a_page_and_its_recording_is_not_undone(
    sent: MAKE, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent([10], is_due=False)
    sandbox.set_timing(sending_after=0, final_after=10_000)
    emails = sent([20, 21, 22])
    record_page = reports.record_page

    def be_late(ours: Sequence[EmailMessage], page: dict[uuid.UUID, Notification], exchange: Exchange) -> None:
        # A receipt, say
        EmailMessage.objects.filter(pk=emails[1].pk).update(status=Status.NOTIFY_DELIVERED, due_at=None)
        record_page(ours, page, exchange)

    monkeypatch.setattr(reports, "record_page", be_late)
    sync.run()
    assert [email.status for email in _fresh(emails)] == ["notify-sending", "notify-delivered", "notify-sending"]
    assert [email.due_at is None for email in _fresh(emails)] == [False, True, False]
    assert sources([emails[1]]) == {}
    assert sources(emails) == {"page": 2}


def test_a_list_without_an_answer_ends_the_run(sent: MAKE, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    sent([10], is_due=False)
    emails = sent([20, 21, 22])
    sandbox.add_fault(on="GET", status=500)
    sync.run()
    assert asked(sandbox) == ["page"]
    assert statuses(emails) == {"sent-to-notify": 3}
    lines = [record.getMessage() for record in caplog.records if record.name == tracking.__name__]
    assert lines == ["RETRY: Notify did not list its emails (notifications_python_client.errors.HTTPError)"]
    sync.run()
    assert statuses(emails) == {"notify-delivered": 3}


def test_while_the_list_alone_fails_emails_are_looked_up_one_by_one(
    sent: MAKE, sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent([10], is_due=False)
    emails = sent([20, 21, 22])
    listed = []

    def fail(*, older_than: uuid.UUID) -> NoAnswer:
        listed.append(clock.now)
        return NoAnswer(Exchange())

    monkeypatch.setattr(notify, "page", fail)
    sync.run()
    assert (asked(sandbox), len(listed)) == ([], 1)
    sync.run()
    assert (asked(sandbox), len(listed)) == (["one"] * 3, 1)
    assert statuses(emails) == {"notify-delivered": 3}
    clock.move(holds.LIST_SILENCE)
    sent([20, 21, 22])
    sync.run()
    assert len(listed) == 2


def test_a_single_look_up_without_an_answer_ends_the_run_too(sent: MAKE, sandbox: Sandbox) -> None:
    emails = sent([20, 21, 22])
    sandbox.add_fault(on="GET", status=500)
    sync.run()
    assert asked(sandbox) == ["one"]
    assert statuses(emails) == {"sent-to-notify": 3}


def test_what_cannot_be_read_of_one_keeps_nobody_from_the_others(sent: MAKE, sandbox: Sandbox) -> None:
    (above,) = sent([10], is_due=False)
    emails = sent([20, 21, 22])
    body = this_threads_client().get_all_notifications(template_type="email", older_than=str(above.notify_id))
    del body["notifications"][1]["email_address"]
    sandbox.add_fault(on="GET", status=200, body=body)
    sync.run()
    assert asked(sandbox)[1:] == ["page", "one"]
    assert statuses(emails) == {"notify-delivered": 3}


def test_what_cannot_be_read_of_one_does_not_make_its_page_the_last(sent: MAKE, sandbox: Sandbox) -> None:
    (above,) = sent([10], is_due=False)
    emails = sent(20 + n / 10 for n in range(300))
    body = this_threads_client().get_all_notifications(template_type="email", older_than=str(above.notify_id))
    del body["notifications"][1]["email_address"]
    sandbox.add_fault(on="GET", status=200, body=body)
    sync.run()
    assert asked(sandbox)[1:] == ["page", "page", "one"]
    assert statuses(emails) == {"notify-delivered": 300}


def test_a_page_of_which_nothing_can_be_read_is_the_last(sent: MAKE, sandbox: Sandbox) -> None:
    sent([10], is_due=False)
    emails = sent([20, 21])
    sandbox.add_fault(on="GET", status=200, body={"notifications": [{}] * notify.PAGE_SIZE})
    sync.run()
    assert asked(sandbox) == ["page", "one", "one"]
    assert statuses(emails) == {"notify-delivered": 2}


def test_a_page_that_cannot_be_recorded_leaves_its_emails_to_be_looked_up_one_by_one(
    sent: MAKE, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent([10], is_due=False)
    emails = sent([20, 21, 22])

    def fail(*_: object) -> None:
        raise DatabaseError("too much for it")

    monkeypatch.setattr(reports, "record_page", fail)
    sync.run()
    assert asked(sandbox) == ["page", "one", "one", "one"]
    assert statuses(emails) == {"notify-delivered": 3}
    assert "A page of Notify's list could not be dealt with" in caplog.text


def test_what_interrupts_a_run_interrupts_it_at_a_page_too(
    sent: MAKE, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TimeIsUp(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise TimeIsUp

    sent([10], is_due=False)
    emails = sent([20, 21, 22])
    monkeypatch.setattr(reports, "record_page", interrupt)
    with pytest.raises(TimeIsUp):
        sync.run(interrupted_by=TimeIsUp)
    assert asked(sandbox) == ["page"]
    assert statuses(emails) == {"sent-to-notify": 3}


def test_a_walk_ends_with_its_budget(sent: MAKE, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sent([10], is_due=False)
    emails = sent([20, 21, 22])
    monkeypatch.setattr(sync, "TRACKING_BUDGET", 0.0)
    sync.run()
    assert asked(sandbox) == []
    assert statuses(emails) == {"sent-to-notify": 3}


def test_a_run_takes_more_than_a_batch(sent: MAKE, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "TRACKING_BATCH", 10)
    sent([10], is_due=False)
    emails = sent(20 + n for n in range(25))
    sync.run()
    # The second batch is read when the first page has served all of them
    assert asked(sandbox) == ["page"]
    assert statuses(emails) == {"notify-delivered": 25}


@pytest.mark.parametrize("status", ["delivered", "sending"])
def test_a_page_takes_the_same_number_of_statements_whatever_is_on_it(sent: MAKE, clock: Clock, status: str) -> None:
    # SQLite takes a limited number of values in a statement, so there a whole page takes three more
    whole = 50 if connection.vendor == "sqlite" else notify.PAGE_SIZE
    numbers = []
    for number in (1, 7, whole):
        emails = sent(20 + n / 10 for n in range(number))
        page = {
            email.notify_id: Notification(
                id=email.notify_id, status=status, email_address="", template_id="", created_at=clock.now
            )
            for email in emails
            if email.notify_id
        }
        with CaptureQueriesContext(connection) as queries:
            reports.record_page(emails, page, Exchange())
        assert statuses(emails) == {f"notify-{status}": number}
        numbers.append(len(queries))
    # A transaction's begin and end, and three statements: the statuses, the events, the next looks. And one that
    # sees who else is at the emails, but not on SQLite, which has one writer at a time
    assert numbers == [5 if connection.vendor == "sqlite" else 6] * 3


@pytest.mark.skipif(connection.vendor != "mysql", reason="only MariaDB and MySQL lock what is linked to")
@pytest.mark.django_db(transaction=True)
def test_a_page_waits_for_no_transaction_that_links_to_an_email(sent: MAKE, sandbox: Sandbox, clock: Clock) -> None:
    sent([10], is_due=False)
    emails = sent([20, 21, 22])
    with transaction_on(connection.copy()) as cursor:
        table = EmailMessage._meta.db_table
        cursor.execute(f"SELECT id FROM {table} WHERE id = %s LOCK IN SHARE MODE", [emails[1].pk])
        sync.run()
        assert [email.status for email in _fresh(emails)] == ["notify-delivered", "sent-to-notify", "notify-delivered"]
    sync.run()
    assert statuses(emails) == {"notify-delivered": 3}
    assert asked(sandbox) == ["page", "one"]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_a_page_waits_for_no_transaction_in_which_a_person_acts_on_an_email(sent: MAKE, sandbox: Sandbox) -> None:
    sent([10], is_due=False)
    emails = sent([20, 21, 22])
    with connection.cursor() as cursor:
        setting = "lock_timeout = '2s'" if connection.vendor == "postgresql" else "innodb_lock_wait_timeout = 2"
        cursor.execute(f"SET {setting}")
    with transaction_on(connection.copy()) as cursor:
        # As with ATOMIC_REQUESTS, when somebody has Notify asked about many
        cursor.execute(f"UPDATE {EmailMessage._meta.db_table} SET attempts = 1 WHERE id = %s", [emails[1].pk])
        tracking.Walk(emails, may_go_on=lambda: True).go()
        assert [email.status for email in _fresh(emails)] == ["notify-delivered", "sent-to-notify", "notify-delivered"]
    connection.close()


@contextmanager
def transaction_on(other: BaseDatabaseWrapper) -> Iterator[CursorWrapper]:
    """A transaction on another connection."""
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            yield cursor
        other.rollback()
    finally:
        other.close()


def test_the_texts_of_a_page_are_not_kept(sent: MAKE) -> None:
    (above, _) = sent([10, 20])
    assert above.notify_id
    answer = notify.page(older_than=above.notify_id)
    assert isinstance(answer, Found)
    assert [notification.text for notification in answer.notifications] == [""]


def test_a_list_that_is_no_list_is_no_answer(sandbox: Sandbox) -> None:
    sandbox.add_fault(on="GET", status=200, body={"notifications": None})
    assert isinstance(notify.page(older_than=uuid.uuid4()), NoAnswer)


def test_emails_accepted_at_about_the_same_time_take_one_page_below_the_newest(sent: MAKE, sandbox: Sandbox) -> None:
    # Each was on its way for longer than lay between two of them, so none is certainly newer than another
    emails = sent(20 + n / 1000 for n in range(60))
    sync.run()
    assert asked(sandbox) == ["one", "page"]
    assert statuses(emails) == {"notify-delivered": 60}
