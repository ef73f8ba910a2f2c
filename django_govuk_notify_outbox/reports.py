"""What Notify reports of emails that it has, and when it is asked about each next. Statuses go forward only.

What is said of a notification is written only to a row that still has it: a person may have had the email sent again.
"""

from __future__ import annotations

import datetime as dt
import functools
import operator
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from django.db import transaction
from django.db.models import Case, DateTimeField, F, Q, Value, When
from django.utils import timezone

from django_govuk_notify_outbox import cadence, conf, signals
from django_govuk_notify_outbox.durability import committed
from django_govuk_notify_outbox.events import Kind, News, Source, build, log, write
from django_govuk_notify_outbox.models import SIMULATED, EmailMessage, EmailMessageEvent, email_rows, write_database
from django_govuk_notify_outbox.outcomes import Exchange, Notification
from django_govuk_notify_outbox.recording import record
from django_govuk_notify_outbox.statuses import FINAL, FROM_NOTIFY, Status, is_forward


class OutrunError(Exception):
    """Somebody else changed an email of a page between its reading and its recording."""


# --- One email ----------------------------------------------------------------------------------------------------


def schedule_next_look(email: EmailMessage) -> bool:
    """Claim an email, as it was read, to be looked up, by moving it to its next look. False: it has changed since."""
    now = timezone.now()
    # There is always one more, for this one may get no answer: see end_looks
    next_look = _next_look(email, now) or now + dt.timedelta(seconds=cadence.LONGEST)
    rows = email_rows().filter(pk=email.pk, due_at=email.due_at, status=email.status).to_track()
    with committed():
        return rows.update(due_at=next_look) == 1


def end_looks(email: EmailMessage, *, unknown: bool) -> bool:
    """Look an email up no more, if Notify, which has just answered, cannot have news of it. False: it still may.

    That Notify does not know the email (``unknown``) is no failure: it never stores those to addresses that simulate,
    and deletes old ones.
    """
    if _next_look(email, timezone.now(), unknown=unknown) is not None:
        return False
    return email_rows().filter(pk=email.pk, notify_id=email.notify_id).to_track().update(due_at=None) == 1


def record_report(
    email: EmailMessage, notification: Notification, exchange: Exchange, source: Source = Source.LOOK_UP
) -> bool:
    """Record the status that Notify reports, if it is a step forward. False: it changed nothing."""
    news = News(notify_status=notification.status, exchange=exchange)
    status = FROM_NOTIFY.get(notification.status)
    if status is None:
        # One that Notify has added since this was written: it is kept, once
        if email.pk not in _already_told([email.pk], {notification.status}):
            event = build(email, email.status, Kind.REPORT, source, None, news)
            write(event)
            log(event, email.notify_id)
        return False
    if not is_forward(email.status, status):
        return False
    changes = {"status": status, "due_at": None} if status in FINAL else {"status": status}
    rows = email_rows().filter(pk=email.pk, notify_id=email.notify_id, status=email.status)
    return record(email, rows, changes, Kind.REPORT, source, None, news)


# --- A page of them -----------------------------------------------------------------------------------------------


def record_page(emails: Sequence[EmailMessage], page: Mapping[uuid.UUID, Notification], exchange: Exchange) -> None:
    """Record what a page of Notify's list says of these emails, and look up those that are still open later.

    It takes the same few statements whether one email is on the page or all are. ``page`` is what Notify says, by id.
    """
    try:
        with transaction.atomic(using=write_database()):
            free = _not_in_use(emails)
            events = _record_reports(_paired(free, page), exchange)
            _look_up_later(free)
    except OutrunError:
        for email, notification in _paired(emails, page):
            record_report(email, notification, exchange, Source.PAGE)
        with transaction.atomic(using=write_database()):
            _look_up_later(_not_in_use(emails))
    else:
        notify_ids = {email.pk: email.notify_id for email in emails}
        for event in events:
            log(event, notify_ids[event.email_message_id])


def _paired(
    emails: Iterable[EmailMessage], page: Mapping[uuid.UUID, Notification]
) -> list[tuple[EmailMessage, Notification]]:
    return [(email, page[email.notify_id]) for email in emails if email.notify_id]


def _not_in_use(emails: Sequence[EmailMessage]) -> Sequence[EmailMessage]:
    """Those that no other transaction is at, and that no other may be at from now on. The rest stays due.

    A person who acts on many emails in one transaction, as with ATOMIC_REQUESTS, holds their rows until its commit. So
    does, on MariaDB and MySQL, a row that links to an email. If a page waited for one row while it holds others,
    whoever holds several could be the victim of a deadlock.
    """
    features = transaction.get_connection(write_database()).features
    if not features.has_select_for_update_skip_locked:
        # SQLite has one writer at a time
        return emails
    rows = email_rows().filter(pk__in=[email.pk for email in emails])
    # On PostgreSQL those who only link to a row are in nobody's way
    rows = rows.select_for_update(skip_locked=True, no_key=features.has_select_for_no_key_update)
    free = set(rows.values_list("pk", flat=True))
    return [email for email in emails if email.pk in free]


def _record_reports(
    reports: Sequence[tuple[EmailMessage, Notification]], exchange: Exchange
) -> list[EmailMessageEvent]:
    """Write the statuses that are a step forward, and the events. Raises OutrunError if one is not as it was read."""
    moves = {
        email.pk: (email.status, status)
        for email, notification in reports
        if (status := FROM_NOTIFY.get(notification.status)) and is_forward(email.status, status)
    }
    unknown = {email.pk: each.status for email, each in reports if each.status not in FROM_NOTIFY}
    new_words = unknown.keys() - _already_told(unknown, set(unknown.values())) if unknown else set()
    events = [
        build(
            email,
            moves[email.pk][1] if email.pk in moves else email.status,
            Kind.REPORT,
            Source.PAGE,
            None,
            News(notify_status=notification.status, exchange=exchange),
        )
        for email, notification in reports
        if email.pk in moves or email.pk in new_words
    ]
    _move(moves, {email.notify_id for email, _ in reports if email.pk in moves})
    write(*events)
    signals.announce([(pk, before, after) for pk, (before, after) in moves.items()])
    return events


def _move(moves: Mapping[int, tuple[str, Status]], notify_ids: Collection[uuid.UUID | None]) -> None:
    """Change all these statuses in one UPDATE, each only if it still is what it was. Raises OutrunError otherwise.

    ``notify_ids`` are those of the same emails.
    """
    if not moves:
        return
    as_read, to = defaultdict(list), defaultdict(list)
    for pk, (before, after) in moves.items():
        as_read[before].append(pk)
        to[after].append(pk)
    unchanged = functools.reduce(operator.or_, (Q(pk__in=pks, status=before) for before, pks in as_read.items()))
    final = [pk for pk, (_, after) in moves.items() if after in FINAL]
    took = (
        email_rows()
        # For the database's choice of an index: MariaDB locks what it looks at
        .filter(unchanged, pk__in=list(moves), notify_id__in=notify_ids)
        .update(
            status=Case(*(When(pk__in=pks, then=Value(after)) for after, pks in to.items())),
            status_changed_at=timezone.now(),
            due_at=Case(When(pk__in=final, then=Value(None)), default=F("due_at"), output_field=DateTimeField()),
        )
    )
    if took != len(moves):
        raise OutrunError


def _look_up_later(emails: Sequence[EmailMessage]) -> None:
    """Give all that are still open their next look."""
    now = timezone.now()
    pks_at: defaultdict[dt.datetime | None, list[int]] = defaultdict(list)
    for email in emails:
        pks_at[_next_look(email, now)].append(email.pk)
    moments = (When(pk__in=pks, then=Value(moment)) for moment, pks in pks_at.items())
    # The default is for its type: PostgreSQL takes a CASE of NULLs alone for text
    due_at = Case(*moments, default=F("due_at"), output_field=DateTimeField())
    rows = email_rows().filter(pk__in=[email.pk for email in emails])
    rows.filter(notify_id__in=[email.notify_id for email in emails]).to_track().update(due_at=due_at)


# --- Both ---------------------------------------------------------------------------------------------------------


def _next_look(email: EmailMessage, now: dt.datetime, *, unknown: bool = False) -> dt.datetime | None:
    if unknown and email.address_digest in SIMULATED:
        return None
    accepted_at = email.sent_at or email.created_at
    return cadence.next_look(accepted_at=accepted_at, now=now, receipts=conf.has_receipts(), unknown=unknown)


def _already_told(pks: Collection[int], words: Collection[str]) -> set[int]:
    """Those of the emails in whose history one of these words of Notify's is already."""
    events = EmailMessageEvent.objects.using(write_database())
    told = events.filter(email_message_id__in=pks, notify_status__in=words)
    return set(told.values_list("email_message_id", flat=True))
