"""Months of emails and of what happened to them, written in bulk, for benchmarks of what reads them."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import connections, models
from django.utils import timezone

from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent, digest, new_reference
from django_govuk_notify_outbox.statuses import TO_SEND, Status

#: Over which the emails are spread.
DAYS = 90
#: Each recipient has about as many.
EMAILS_EACH = 4
#: The share of emails, the newest ones, that have not met their fate.
_OPEN = 0.01
#: Emails written in one statement, and those that are not made by the server.
_CHUNK, _BATCH = 50_000, 1_000

_Kind, _Outcome, _Source = EmailMessageEvent.Kind, EmailMessageEvent.Outcome, EmailMessageEvent.Source
_ERROR: dict[str, Any] = {
    "http_status": 500,
    "error_type": "Exception",
    "message": "Internal server error",
    "exception": "notifications_python_client.errors.HTTPError",
    "traceback": "Traceback (most recent call last):\n" + '  File "notify.py", line 1, in post\n' * 40,
}
_AT_NOTIFY = (Status.SENT_TO_NOTIFY, Status.NOTIFY_CREATED, Status.NOTIFY_SENDING)

#: Of 198 emails that met their fate, so many met this one: 97 in 100 were delivered.
_FATES = {
    Status.NOTIFY_PERMANENT_FAILURE: 3,
    Status.NOTIFY_TEMPORARY_FAILURE: 1,
    Status.NOTIFY_TECHNICAL_FAILURE: 1,
    Status.FAILED_SEND_TO_NOTIFY: 1,
    Status.NOTIFY_DELIVERED: 192,
}
#: Of ten that did not.
_STAGES = {
    Status.SENDING_TO_NOTIFY: 1,
    Status.RETRYING_SEND_TO_NOTIFY: 1,
    Status.SENT_TO_NOTIFY: 2,
    Status.NOTIFY_CREATED: 2,
    Status.NOTIFY_SENDING: 4,
}

_Row = TypeVar("_Row", EmailMessage, EmailMessageEvent)


@dataclass(frozen=True)
class _Sample:
    """An email that was made at this moment, with its events: what others in its status look like."""

    email: EmailMessage
    events: Sequence[EmailMessageEvent]


class History:
    """So many emails, evenly spread over the last ``DAYS`` days, with about four events each."""

    def __init__(self, emails: int, now: dt.datetime) -> None:
        self.emails = emails
        self.people = max(emails // EMAILS_EACH, 1)
        #: Emails with a greater number are open.
        self.ended = emails - round(emails * _OPEN)
        self.step = DAYS * 86_400 / emails
        self.samples = {status: _sample(status, now) for status in Status}
        self.fates = [status for status, number in _FATES.items() for _ in range(number)]
        self.stages = [status for status, number in _STAGES.items() for _ in range(number)]

    def address(self, number: int) -> str:
        """The recipient of the email with this number, from 1 on."""
        return f"person-{number % self.people}@example.com"

    def status(self, number: int) -> Status:
        """The status of the email with this number."""
        statuses = self.fates if number <= self.ended else self.stages
        return statuses[number % len(statuses)]

    def ago(self, number: int) -> dt.timedelta:
        """How long before the newest email the one with this number was made."""
        return dt.timedelta(seconds=(self.emails - number) * self.step)


def fill(alias: str, emails: int) -> tuple[int, str]:
    """Store so many emails in an empty database; the key of one in the middle, and its address."""
    history = History(emails, timezone.now())
    first = _fill_postgresql(alias, history) if connections[alias].vendor == "postgresql" else _fill(alias, history)
    middle = emails // 2
    address = history.address(middle)
    # In bulk they have another digest: PostgreSQL does not know ours
    same = [first + number for number in range(middle % history.people, emails + 1, history.people)]
    EmailMessage.objects.using(alias).filter(pk__in=same).update(address_digest=digest(address))
    if connections[alias].vendor == "postgresql":
        with connections[alias].cursor() as cursor:
            # Otherwise the server would do it by itself in the middle of the measurement
            cursor.execute("VACUUM ANALYZE")
    return first + middle, address


def _sample(status: Status, now: dt.datetime) -> _Sample:
    later = [now + dt.timedelta(seconds=seconds) for seconds in (0.5, 5, 6, 12)]
    steps = list(_steps(status))
    email = EmailMessage(
        template_id=str(uuid.UUID(int=17)),
        personalisation={"name": "Amala"},
        status=status,
        created_at=now,
        status_changed_at=later[len(steps) - 1] if steps else now,
        due_at=now + dt.timedelta(hours=1) if status in _STAGES else None,
    )
    if steps:
        email.attempts, email.attempt_started_at = 1, now
    if status not in TO_SEND and status != Status.FAILED_SEND_TO_NOTIFY:
        email.notify_id, email.sent_at = uuid.uuid4(), later[0]
    before, events = Status.SENDING_TO_NOTIFY, []
    for moment, (event, after) in zip(later, steps, strict=False):
        event.created_at, event.previous_status, event.status = moment, before, after
        events.append(event)
        before = after
    return _Sample(email, events)


def _steps(status: Status) -> Iterator[tuple[EmailMessageEvent, Status]]:
    """What led to a status, and the status after each."""
    attempt: dict[str, Any] = {"kind": _Kind.ATTEMPT, "source": _Source.SENDING, "attempt": 1, "duration": 0.1}
    if status in (Status.RETRYING_SEND_TO_NOTIFY, Status.FAILED_SEND_TO_NOTIFY):
        for _ in range(3):
            error = EmailMessageEvent(**attempt, **_ERROR, outcome=_Outcome.UNCLEAR)
            yield error, Status.RETRYING_SEND_TO_NOTIFY
        if status == Status.FAILED_SEND_TO_NOTIFY:
            yield EmailMessageEvent(kind=_Kind.ABANDONED, source=_Source.CLOCK), status
    elif status != Status.SENDING_TO_NOTIFY:
        yield EmailMessageEvent(**attempt, http_status=201, outcome=_Outcome.ACCEPTED), Status.SENT_TO_NOTIFY
        reported = _AT_NOTIFY[1 : _AT_NOTIFY.index(status) + 1] if status in _AT_NOTIFY else (*_AT_NOTIFY[1:], status)
        for each in reported:
            word = each.removeprefix("notify-")
            yield EmailMessageEvent(kind=_Kind.REPORT, source=_Source.PAGE, notify_status=word, http_status=200), each


def _fill_postgresql(alias: str, history: History) -> int:
    """Have the server copy the samples, each under its number; the key before that of the first email."""
    emails = EmailMessage.objects.using(alias)
    keys = {}
    for status, sample in history.samples.items():
        sample.email.save(using=alias)
        keys[status] = sample.email.pk
        for event in sample.events:
            event.email_message_id = sample.email.pk
        EmailMessageEvent.objects.using(alias).bulk_create(sample.events)
    first = max(keys.values())

    def chosen(statuses: Sequence[Status]) -> str:
        return f"(ARRAY{[keys[status] for status in statuses]})[n % {len(statuses)} + 1]"

    like = f"CASE WHEN n <= {history.ended} THEN {chosen(history.fates)} ELSE {chosen(history.stages)} END"
    moment = f"(n - {history.emails}) * {history.step:.9f} * interval '1 s'"
    person = f"'person-' || n % {history.people} || '@example.com'"
    own = {
        "id": f"{first} + n",
        "email_address": person,
        "address_digest": f"md5({person})",
        "reference": "'outbox-' || gen_random_uuid()",
        "reference_digest": "md5(n::text)",
        "notify_id": "CASE WHEN sample.notify_id IS NOT NULL THEN gen_random_uuid() END",
        # From an hour to two from now on
        "due_at": "sample.due_at + n % 3600 * interval '1 s'",
    }
    for begin in range(1, history.emails + 1, _CHUNK):
        numbers = f"generate_series({begin}, {min(begin + _CHUNK - 1, history.emails)}) AS n"
        _copy(alias, EmailMessage, own, moment, f"{numbers} JOIN {{}} sample ON sample.id = {like} ORDER BY n")
        _copy(
            alias,
            EmailMessageEvent,
            {"id": "", "email_message_id": f"{first} + n"},
            moment,
            f"{numbers} JOIN {{}} sample ON sample.email_message_id = {like} ORDER BY n, sample.id",
        )
    emails.filter(pk__lte=first).delete()
    return first


def _copy(alias: str, model: type[models.Model], own: dict[str, str], moment: str, source: str) -> None:
    """Copy samples, with values of their own in some columns, and moments moved. Columns to come are copied too."""
    table = model._meta.db_table  # noqa: SLF001  # documented
    values = {
        str(field.column): f"sample.{field.column}"
        + (f" + {moment}" if isinstance(field, models.DateTimeField) else "")
        for field in model._meta.concrete_fields  # noqa: SLF001  # as above
    } | own
    # The server numbers the events itself
    values = {column: value for column, value in values.items() if value}
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(values)}) "  # noqa: S608  # names of columns, and our own numbers
            f"SELECT {', '.join(values.values())} FROM {source.format(table)}"
        )


def _fill(alias: str, history: History) -> int:
    """The same for other databases, slower: nought, for each email's key is its number."""
    for begin in range(1, history.emails + 1, _BATCH):
        numbers = range(begin, min(begin + _BATCH, history.emails + 1))
        EmailMessage.objects.using(alias).bulk_create(_copied_email(history, number) for number in numbers)
        EmailMessageEvent.objects.using(alias).bulk_create(
            _moved(event, history.ago(number), email_message_id=number)
            for number in numbers
            for event in history.samples[history.status(number)].events
        )
    return 0


def _copied_email(history: History, number: int) -> EmailMessage:
    sample, reference = history.samples[history.status(number)].email, new_reference()
    return _moved(
        sample,
        history.ago(number),
        id=number,
        email_address=history.address(number),
        address_digest=digest(history.address(number)),
        reference=reference,
        reference_digest=digest(reference),
        notify_id=sample.notify_id and uuid.uuid4(),
        due_at=sample.due_at,
    )


def _moved(sample: _Row, ago: dt.timedelta, **own: object) -> _Row:
    """A copy with its moments so long before the sample's, and with values of its own."""
    fields = sample._meta.concrete_fields  # noqa: SLF001  # as above
    values = {field.attname: getattr(sample, field.attname) for field in fields if not field.primary_key}
    moved = {name: value - ago if isinstance(value, dt.datetime) else value for name, value in values.items()}
    return type(sample)(**moved | own)
