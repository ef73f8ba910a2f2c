"""How a change is recorded: a guarded UPDATE and the event that tells of it, both or neither."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from django_govuk_notify_outbox import signals, tracing
from django_govuk_notify_outbox.events import Kind, News, Outcome, Source, build, log, write
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageQuerySet


def record(
    email: EmailMessage,
    rows: EmailMessageQuerySet,
    changes: dict[str, Any],
    kind: Kind,
    source: Source,
    outcome: Outcome | None = None,
    news: News | None = None,
) -> bool:
    """Change the row and write the event of it, both or neither. False: the row was not as ``rows`` demands."""
    status = changes.get("status", email.status)
    if status != email.status:
        changes = {**changes, "status_changed_at": timezone.now()}
    notify_id = changes.get("notify_id", email.notify_id)
    facts = {"kind": kind, "outcome": outcome, "status": status, "attempt": news and news.attempt}
    with (
        tracing.span("record", email=email.pk, notify_id=notify_id, **facts) as span,
        transaction.atomic(using=rows.db),
    ):
        if not rows.update(**changes):
            span.note(lost=True)
            return False
        event = build(email, status, kind, source, outcome, news)
        write(event)
        signals.announce([(email.pk, email.status, status)])
    log(event, notify_id)
    return True
