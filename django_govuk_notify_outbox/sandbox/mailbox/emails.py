"""What the mailbox shows: pages of emails, newest first, and one email with all that is known of it."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models.functions import Substr

from django_govuk_notify_outbox.sandbox import clock, conf, files, receipts, rendering, services, templates
from django_govuk_notify_outbox.sandbox.models import FINAL_STATUSES, Notification, Receipt, SandboxState

from .wording import Tag, size_of, tag_for, told_of

PAGE_SIZE = 50
# Enough for a subject. A body may have two million bytes, and fifty of them are on a page.
_BEGINNING = 2_000
_SUBJECT_AT = len('{"subject": ')


@dataclass(frozen=True, kw_only=True)
class Line:
    """An email in the list."""

    id: UUID
    number: int
    email_address: str
    subject: str
    tag: Tag
    accepted_at: datetime


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some emails, newest first, and where the older ones begin."""

    lines: list[Line]
    older_than: int | None


@dataclass(frozen=True, kw_only=True)
class Detail:
    """One email as its recipient gets it, and what its sender can know of it."""

    id: UUID
    subject: str
    body: str
    email_address: str
    sender: str
    reply_to: str
    accepted_at: datetime
    tag: Tag
    is_final: bool
    facts: list[tuple[str, str]]
    personalisation: list[tuple[str, str]]
    files: list[tuple[str, str, str]]


def page_of(recipient: str, older_than: int | None) -> Page:
    """Return the newest emails, or those before one, to recipients whose address contains the text."""
    now = SandboxState.load().now()
    rows = _search(recipient, older_than).annotate(beginning=Substr("content", 1, _BEGINNING))
    # One more than is shown tells whether there are older ones
    found = list(rows.defer("content", "request_body")[: PAGE_SIZE + 1])
    lines = [
        Line(
            id=row.notification_id,
            number=row.pk,
            email_address=row.email_address,
            subject=_subject_in(row.beginning),
            tag=tag_for(row.status_at(now)),
            accepted_at=_local(row.created_at),
        )
        for row in found[:PAGE_SIZE]
    ]
    return Page(lines=lines, older_than=lines[-1].number if len(found) > PAGE_SIZE else None)


def statuses_of(recipient: str, older_than: int | None) -> tuple[tuple[int, str], ...]:
    """Return what may change about a page: which emails are on it, and their statuses."""
    now = SandboxState.load().now()
    rows = _search(recipient, older_than).only("sending_at", "final_at", "final_status")[: PAGE_SIZE + 1]
    return tuple((row.pk, row.status_at(now)) for row in rows)


def count(recipient: str) -> int:
    """Return how many emails there are to such recipients."""
    return int(_search(recipient, None).count())


def find(notification_id: UUID) -> Notification | None:
    """Return an email, if it's still there."""
    return Notification.objects.filter(notification_id=notification_id).first()


def status_of(notification_id: UUID) -> str | None:
    """Return an email's status now, and what became of its receipt; None if it's gone."""
    rows = Notification.objects.filter(notification_id=notification_id)
    row = rows.only("sending_at", "final_at", "final_status").first()
    return None if row is None else f"{row.status_at(SandboxState.load().now())}, {_receipt_of(notification_id)}"


def decide(row: Notification, status: str) -> None:
    """Give the email this status, whatever was planned for it."""
    row.force_status(status, SandboxState.load().now())
    receipts.plan_anew(row)


def forget_all() -> None:
    """Empty the mailbox. Faults, limits and the clock stay as they are."""
    for model in (Receipt, Notification):
        model.objects.all().delete()


def detail_of(row: Notification) -> Detail:
    """Return all that is known of an email."""
    service = services.find_service(row.service_id)
    given = json.loads(row.request_body)
    status = row.status_at(SandboxState.load().now())
    reply_to = given.get("email_reply_to_id")
    return Detail(
        id=row.notification_id,
        subject=row.subject,
        body=row.body,
        email_address=row.email_address,
        sender=f"{service.email_from}@notifications.service.gov.uk" if service else "a service that is gone",
        reply_to=service.reply_to_addresses.get(UUID(reply_to), "") if service and reply_to else "",
        accepted_at=_local(row.created_at),
        tag=tag_for(status),
        is_final=status in FINAL_STATUSES,
        facts=[(name, value) for name, value in _facts(row, service) if value],
        personalisation=[(name, told_of(value)) for name, value in row.personalisation.items()],
        files=[
            (file.name, files.path_of(row, number), size_of(len(file.content)))
            for number, file in enumerate(files.sent_with(row))
        ],
    )


def html_of(row: Notification) -> str:
    """Return the HTML of an email's body, made from its text: nothing in it is a tag but ours."""
    return rendering.html_of_body(row.body)


def _search(recipient: str, older_than: int | None) -> Any:
    rows = Notification.objects.order_by("-pk")
    if recipient:
        rows = rows.filter(email_address__icontains=recipient)
    return rows if older_than is None else rows.filter(pk__lt=older_than)


def _subject_in(beginning: str) -> str:
    """Return the subject that stored content begins with; the beginning of it, if it's that long."""
    try:
        return str(json.JSONDecoder().raw_decode(beginning, _SUBJECT_AT)[0])
    except ValueError:
        return beginning[_SUBJECT_AT + 1 :] + "…"


def _facts(row: Notification, service: services.Service | None) -> list[tuple[str, str]]:
    template = templates.find(service, row.template_id) if service else None
    name = f"{template.name}, " if template else ""
    hidden = row.hidden_until is not None and row.hidden_until > SandboxState.load().now()
    return [
        ("Reference", row.reference or ""),
        ("One-click unsubscribe", row.one_click_unsubscribe_url or ""),
        ("Template", f"{name}version {row.template_version}"),
        ("Template id", str(row.template_id)),
        ("Notify id", str(row.notification_id)),
        ("API key", row.key_kind),
        ("Look-ups", "do not find it yet: a fault hides it" if hidden else ""),
        ("Delivery receipt", _receipt_of(row.notification_id)),
    ]


def _receipt_of(notification_id: UUID) -> str:
    row = Receipt.objects.filter(notification_id=notification_id).order_by("-pk").first()
    if row is None:
        state = SandboxState.load()
        url, _ = conf.callback(state.callback_url, state.callback_token)
        return "none" if url else "none: the sandbox was not told where to post them"
    if not row.attempts:
        return "waits for the final status"
    answer = f"posted, answered {row.outcome}" if row.outcome.isdigit() else f"failed: {row.outcome or 'no answer yet'}"
    return f"{answer} (attempt {row.attempts})"


def _local(moment: int) -> datetime:
    """Return a moment by the clock of the people at this machine."""
    return clock.to_datetime(moment).astimezone()
