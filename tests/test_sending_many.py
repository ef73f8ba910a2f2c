"""``send_email_notifications``: what is promised for one email holds for each of many, at a fraction of the cost."""

from __future__ import annotations

import inspect
import math
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.functional import lazystr
from pytest_django import Settings

from django_govuk_notify_outbox import sync, tasks
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.tasks import PUSH_BATCH
from django_govuk_notify_outbox.utils import (
    INSERT_BATCH,
    send_email_notification,
    send_email_notifications,
)
from tests.conftest import ADDRESS, Clock, pushed
from tests.linking.models import Licence
from tests.project import Project, accepted_references, fates, wait_until_final
from tests.test_arguments import REFUSED, SECRET
from tests.test_sending import black_hole, pushed_arguments

TEMPLATE = defaults.TEMPLATE_ID
OTHER_TEMPLATE = defaults.PLAIN_TEMPLATE_ID


def several(number: int, **arguments: Any) -> list[dict[str, Any]]:
    """So many emails, whose addresses tell which is which."""
    return [{"email_address": f"{each}@example.com", **arguments} for each in range(number)]


def send(number: int) -> list[EmailMessage]:
    return send_email_notifications(several(number), template_id=TEMPLATE, personalisation={"name": "Amala"})


def addresses() -> list[str]:
    return list(EmailMessage.objects.order_by("pk").values_list("email_address", flat=True))


def statements(queries: CaptureQueriesContext) -> list[str]:
    """The first word of each, without those that begin and end a transaction."""
    words = [query["sql"].split()[0].rstrip(";") for query in queries]
    return [word for word in words if word not in {"BEGIN", "COMMIT", "START"}]


class TestSignature:
    """It feels like that of the singular."""

    def test_is_that_of_the_singular_with_a_list_in_place_of_the_address(self) -> None:
        one = inspect.signature(send_email_notification).parameters
        emails, *others = inspect.signature(send_email_notifications).parameters.values()
        assert (emails.name, emails.default) == ("emails", inspect.Parameter.empty)
        assert [other.name for other in others] == [name for name in one if name != "email_address"]
        assert {other.kind for other in others} == {inspect.Parameter.KEYWORD_ONLY}
        assert {other.default for other in others} == {None}


EVERYTHING: dict[str, Any] = {
    "template_id": TEMPLATE,
    "personalisation": {"name": "for all", "more": [1, 2]},
    "reference": "for all",
    "email_reply_to_id": "5c1b2a3d",
    "one_click_unsubscribe_url": "https://example.gov.uk/all",
    "sanitise_content_for": ["name"],
}
#: What is given for all, and what an email itself gives.
GIVEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "all by the email": ({}, {**EVERYTHING}),
    "all for all": (EVERYTHING, {}),
    "all by both": (
        EVERYTHING,
        {
            "template_id": uuid.UUID(OTHER_TEMPLATE),
            "personalisation": {"name": lazystr("own")},
            "reference": "own",
            "email_reply_to_id": uuid.UUID(defaults.REPLY_TO_ID),
            "one_click_unsubscribe_url": "https://example.gov.uk/own",
            "sanitise_content_for": ["own"],
        },
    ),
    "nothing but what is needed": ({"template_id": TEMPLATE}, {}),
    "nothing after all": (
        EVERYTHING,
        {
            "personalisation": None,
            "email_reply_to_id": None,
            "one_click_unsubscribe_url": "",
            "sanitise_content_for": [],
        },
    ),
}


def values(row: EmailMessage) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


@pytest.mark.django_db
class TestRows:
    """They are those that the singular would store."""

    @pytest.mark.parametrize(("for_all", "own"), GIVEN.values(), ids=GIVEN)
    def test_what_an_email_gives_itself_stands_alone_and_the_rest_is_what_is_given_for_all(
        self, clock: Clock, for_all: dict[str, Any], own: dict[str, Any]
    ) -> None:
        own = {"email_address": f" {ADDRESS.upper()}", **own}
        one = send_email_notification(**{**for_all, **own})
        [many] = send_email_notifications([own], **for_all)
        differ = {"id"}
        if "reference" not in {**for_all, **own}:
            differ |= {"reference", "reference_digest"}
            assert one.reference != many.reference
        for compared in ((one, many), tuple(EmailMessage.objects.order_by("pk"))):
            first, second = (
                {name: value for name, value in values(row).items() if name not in differ} for row in compared
            )
            assert first == second

    def test_are_returned_in_order_with_their_numbers(self) -> None:
        rows = send(INSERT_BATCH + 1)
        assert [row.email_address for row in rows] == [f"{each}@example.com" for each in range(INSERT_BATCH + 1)]
        assert dict(EmailMessage.objects.values_list("pk", "reference")) == {row.pk: row.reference for row in rows}
        assert {row.status for row in rows} == {Status.SENDING_TO_NOTIFY}

    def test_can_be_linked(self) -> None:
        licence = Licence.objects.create()
        licence.reminders.add(*send(3))
        assert licence.reminders.count() == 3

    def test_have_a_reference_each_unless_one_is_given(self) -> None:
        emails = [*several(1), *several(1, reference=None), *several(1, reference="a")]
        first, second, third = send_email_notifications(emails, template_id=TEMPLATE)
        assert len({first.reference, second.reference}) == 2
        assert third.reference == "a"
        shared = send_email_notifications(emails, template_id=TEMPLATE, reference="batch")
        assert [row.reference for row in shared][::2] == ["batch", "a"]
        # This one gave none itself, which stands
        assert shared[1].reference not in {"batch", "", first.reference, second.reference}
        assert list(EmailMessage.objects.with_reference("batch")) == [shared[0]]

    def test_come_from_anything_that_yields_mappings(self) -> None:
        generator = (email for email in several(2))
        assert len(send_email_notifications(generator, template_id=TEMPLATE)) == 2
        assert len(send_email_notifications(tuple(several(2)), template_id=TEMPLATE)) == 2
        assert addresses() == ["0@example.com", "1@example.com"] * 2

    def test_the_callers_mappings_stay_as_they_were(self) -> None:
        emails, personalisation = several(2), {"name": ("a", "b")}
        send_email_notifications(emails, template_id=TEMPLATE, personalisation=personalisation)
        assert emails == several(2)
        assert personalisation == {"name": ("a", "b")}


def bad_yield() -> Iterator[dict[str, Any]]:
    yield from several(2)
    raise ZeroDivisionError


WRONG_LISTS: dict[str, tuple[Any, str]] = {
    "a mapping": ({ADDRESS: {"name": "Amala"}}, "emails must be a list of mappings, not dict."),
    "an address": (ADDRESS, "emails must be a list of mappings, not str."),
    "bytes": (ADDRESS.encode(), "emails must be a list of mappings, not bytes."),
    "nothing": (None, "emails must be a list of mappings, not NoneType."),
    "addresses": ([ADDRESS], "emails[0] must be a mapping of arguments to values, not str."),
    "pairs": (
        [*several(1), [("email_address", ADDRESS)]],
        "emails[1] must be a mapping of arguments to values, not list.",
    ),
    "an unknown argument": (
        [*several(3), {"email_address": ADDRESS, "personalization": {}}],
        "emails[3]: personalization is not an argument of send_email_notification.",
    ),
    "an address for a name": (
        [{ADDRESS: {}}],
        "emails[0]: one of its keys is not an argument of send_email_notification.",
    ),
    "a number for a name": (
        [{4711: {}}],
        "emails[0]: one of its keys is not an argument of send_email_notification.",
    ),
    "no address": ([*several(1), {"template_id": "t"}], "emails[1]: email_address is missing."),
}


@pytest.mark.django_db
class TestWrongArguments:
    """All or none: what cannot be stored is found before the database is touched."""

    @pytest.mark.parametrize(("arguments", "exception", "message"), REFUSED.values(), ids=REFUSED)
    def test_an_error_names_the_emails_position_and_the_argument(
        self, arguments: dict[str, Any], exception: type[Exception], message: str
    ) -> None:
        good = {"email_address": ADDRESS, "template_id": "t"}
        with CaptureQueriesContext(connection) as queries, pytest.raises(exception) as raised:
            send_email_notifications([good, good, {**good, **arguments}, good])
        assert type(raised.value) is exception
        assert str(raised.value) == f"emails[2]: {message}"
        assert SECRET not in str(raised.value)
        assert len(queries) == 0

    @pytest.mark.parametrize(
        ("arguments", "exception", "message"),
        [
            entry
            for entry in REFUSED.values()
            # What is needed, an email may have itself
            if "email_address" not in entry[0] and entry[0] != {"template_id": None}
        ],
    )
    def test_an_error_in_what_is_given_for_all_names_the_argument(
        self, arguments: dict[str, Any], exception: type[Exception], message: str
    ) -> None:
        with pytest.raises(exception) as raised:
            send_email_notifications(several(3, template_id="t"), **arguments)
        assert str(raised.value) == message

    @pytest.mark.parametrize(("emails", "message"), WRONG_LISTS.values(), ids=WRONG_LISTS)
    def test_what_is_no_list_of_mappings_of_arguments_is_a_type_error(self, emails: Any, message: str) -> None:
        with CaptureQueriesContext(connection) as queries, pytest.raises(TypeError) as raised:
            send_email_notifications(emails, template_id=TEMPLATE)
        assert str(raised.value) == message
        assert len(queries) == 0

    def test_a_template_must_be_given_for_all_or_by_each(self) -> None:
        emails = [{"email_address": ADDRESS, "template_id": "t"}, {"email_address": ADDRESS}]
        with pytest.raises(TypeError) as raised:
            send_email_notifications(emails)
        assert str(raised.value) == "emails[1]: template_id is missing."
        assert [row.template_id for row in send_email_notifications(emails, template_id="u")] == ["t", "u"]

    def test_what_the_list_raises_itself_stores_nothing(self) -> None:
        with CaptureQueriesContext(connection) as queries, pytest.raises(ZeroDivisionError):
            send_email_notifications(bad_yield(), template_id=TEMPLATE)
        assert len(queries) == 0


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    """The emails share the fate of the caller's transaction."""

    def test_autocommit_sends_at_once(self, sandbox: Sandbox, eager_tasks: None) -> None:
        rows = send(3)
        assert [accepted["reference"] for accepted in sandbox.emails()] == [row.reference for row in rows]
        assert fates() == {"sent-to-notify": 3}

    def test_a_commit_sends_and_not_before_it(self, sandbox: Sandbox, eager_tasks: None) -> None:
        with transaction.atomic():
            send(3)
            # One promise for all, whatever their number
            assert len(connection.run_on_commit) == 1
            assert sandbox.requests() == []
        assert len(sandbox.emails()) == 3

    def test_a_rolled_back_transaction_sends_nothing(self, sandbox: Sandbox) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            send(3)
            raise ZeroDivisionError
        sync.run()
        assert (addresses(), pushed(), sandbox.requests()) == ([], [], [])

    def test_a_savepoint_that_rolls_back_sends_nothing(self) -> None:
        with transaction.atomic():
            kept = send(1)
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                send(2)
                raise ZeroDivisionError
        assert addresses() == ["0@example.com"]
        assert pushed_arguments() == [[kept[0].pk]]

    def test_with_autocommit_turned_off_the_rows_are_saved_and_left_to_sync(self, sandbox: Sandbox) -> None:
        transaction.set_autocommit(False)
        try:
            rows = send(2)
            transaction.commit()
        finally:
            transaction.set_autocommit(True)
        assert pushed() == []
        EmailMessage.objects.update(due_at=rows[0].created_at)
        sync.run()
        assert accepted_references(sandbox) == sorted(row.reference for row in rows)

    @pytest.mark.parametrize("one_by_one", [False, True])
    def test_a_database_that_fails_half_way_keeps_none_and_spares_the_callers_transaction(
        self, monkeypatch: pytest.MonkeyPatch, one_by_one: bool
    ) -> None:
        if one_by_one:
            save_one_by_one(monkeypatch)
        inserts: list[str] = []

        def fail(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
            if sql.startswith("INSERT"):
                inserts.append(sql)
                if len(inserts) > 1:
                    raise OperationalError("disk full")
            return execute(sql, *arguments)

        with transaction.atomic():
            kept = send(1)
            with connection.execute_wrapper(fail), pytest.raises(OperationalError):
                send(INSERT_BATCH + 1)
            assert list(EmailMessage.objects.all()) == kept
        assert pushed_arguments() == [[kept[0].pk]]


def save_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a database that does not tell the numbers of many new rows, such as MySQL."""
    monkeypatch.setattr(type(connection.features), "can_return_rows_from_bulk_insert", False)


@pytest.fixture
def in_bulk(transactional_db: None) -> None:
    """A database that does tell them."""
    if not connection.features.can_return_rows_from_bulk_insert:
        pytest.skip("this database saves one by one")


def inserts_of(rows: int) -> int:
    """How many statements Django makes of one bulk insert of so many rows: SQLite takes few values at a time."""
    fields = [field for field in EmailMessage._meta.concrete_fields if not field.primary_key]
    most = connection.ops.bulk_batch_size(fields, [None] * rows) if connection.vendor == "sqlite" else rows
    return math.ceil(rows / most)


@pytest.mark.django_db(transaction=True)
class TestCost:
    """A few statements and messages, and what they hold is bounded."""

    def test_nothing_for_an_empty_list(self) -> None:
        with transaction.atomic(), CaptureQueriesContext(connection) as queries:
            assert send_email_notifications([], template_id=TEMPLATE) == []
            assert connection.run_on_commit == []
        assert len(queries) == 0
        with CaptureQueriesContext(connection) as queries:
            assert send_email_notifications([]) == []
        assert len(queries) == 0
        assert pushed() == []

    @pytest.mark.usefixtures("in_bulk")
    def test_an_insert_for_every_batch_of_rows(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            send(2 * INSERT_BATCH + 1)
        assert statements(queries) == ["INSERT"] * (2 * inserts_of(INSERT_BATCH) + 1)
        with transaction.atomic(), CaptureQueriesContext(connection) as queries:
            send(2)
        assert statements(queries) == ["SAVEPOINT", "INSERT", "RELEASE"]

    def test_an_insert_for_every_row_where_the_database_does_not_tell_their_numbers(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save_one_by_one(monkeypatch)
        with CaptureQueriesContext(connection) as queries:
            rows = send(3)
        assert statements(queries) == ["INSERT"] * 3
        # One transaction, so all or none
        assert len(queries) == 5
        assert list(EmailMessage.objects.order_by("pk")) == rows
        assert pushed_arguments() == [[row.pk for row in rows]]

    @pytest.mark.usefixtures("in_bulk")
    def test_no_statement_is_larger_than_a_database_takes(self) -> None:
        # As large as is accepted, and twice as large in a statement, where quotes and backslashes are escaped
        huge, large = {"name": '"' * 2_999_990}, {"name": "x" * 1_900_000}
        personalisations = [{}, huge, {}, large, large, large, huge, huge, {}, {}]
        emails = [{"email_address": ADDRESS, "personalisation": each} for each in personalisations]
        with CaptureQueriesContext(connection) as queries:
            rows = send_email_notifications(emails, template_id=TEMPLATE)
        # {} | huge | {} large large | large | huge | huge | {} {}
        assert statements(queries) == ["INSERT"] * 7
        stored = list(EmailMessage.objects.order_by("pk").values_list("pk", "personalisation"))
        assert stored == [(row.pk, each or None) for row, each in zip(rows, personalisations, strict=True)]

    def test_a_message_for_every_batch_of_emails(self) -> None:
        rows = send(2 * PUSH_BATCH + 1)
        pks = [row.pk for row in rows]
        assert pushed_arguments() == [pks[:PUSH_BATCH], pks[PUSH_BATCH : 2 * PUSH_BATCH], pks[2 * PUSH_BATCH :]]

    def test_messages_carry_the_rows_numbers_and_nothing_else(self) -> None:
        rows = send_email_notifications(several(2, reference=SECRET), template_id=TEMPLATE)
        [message] = pushed()
        assert message.payload[:2] == [[row.pk for row in rows], {}]
        for mark in ("example.com", SECRET):
            assert mark not in repr((message.payload, message.headers, message.properties))

    @pytest.mark.parametrize("kind", ["refused", "black hole"])
    def test_a_dead_broker_costs_one_wait_and_sync_sends(
        self,
        sandbox: Sandbox,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        kind: str,
    ) -> None:
        with black_hole() as hole:
            settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{9 if kind == 'refused' else hole}/0"
            monkeypatch.setattr(tasks, "_pusher", tasks._Pusher())
            started = time.monotonic()
            rows = send(3 * PUSH_BATCH)
            assert time.monotonic() - started < 2 * tasks.BROKER_TIMEOUT
        assert caplog.text.count("could not be pushed to the broker") == 1
        assert "example.com" not in caplog.text
        EmailMessage.objects.update(due_at=rows[0].created_at)
        sync.run()
        assert len(sandbox.emails()) == 3 * PUSH_BATCH


@pytest.mark.django_db(transaction=True)
class TestWorker:
    """What a task does with several emails."""

    def test_sends_each_of_them_once(self, sandbox: Sandbox) -> None:
        rows = send(3)
        pks = [row.pk for row in rows]
        tasks.send(*pks, 10**9, *pks)
        assert [accepted["reference"] for accepted in sandbox.emails()] == [row.reference for row in rows]

    def test_stops_at_notifys_limit_and_leaves_the_rest_as_they_were(self, sandbox: Sandbox) -> None:
        rows = send(3)
        untouched = list(EmailMessage.objects.filter(pk=rows[2].pk).values())
        sandbox.add_fault(
            email_address="1@example.com",
            status=429,
            body={"errors": [{"error": "RateLimitError", "message": "Exceeded"}], "status_code": 429},
        )
        tasks.send(*(row.pk for row in rows))
        assert [accepted["reference"] for accepted in sandbox.emails()] == [rows[0].reference]
        assert [request["method"] for request in sandbox.requests()] == ["POST", "POST"]
        assert list(EmailMessage.objects.filter(pk=rows[2].pk).values()) == untouched


@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
def test_workers_send_what_was_committed_and_nothing_else(project: Project, sandbox: Sandbox) -> None:
    with project.running("worker", "--concurrency", "2"), project.running("beat"):
        with transaction.atomic():
            rows = send(2 * PUSH_BATCH + 3)
            [refused] = send_email_notifications([{"email_address": ADDRESS}], template_id=TEMPLATE)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            send(PUSH_BATCH)
            raise ZeroDivisionError
        wait_until_final(project)
    assert fates() == {"notify-delivered": 2 * PUSH_BATCH + 3, "failed-send-to-notify": 1}
    assert accepted_references(sandbox) == sorted(row.reference for row in rows)
    refused.refresh_from_db()
    assert refused.status == Status.FAILED_SEND_TO_NOTIFY
    assert "Traceback" not in project.log("worker")
    assert "example.com" not in project.log("worker") + project.log("beat")
