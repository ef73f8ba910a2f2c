"""Follow what was sent until Notify reports its fate."""

from __future__ import annotations

import logging

from django.utils import timezone

from django_govuk_notify_outbox import notify, transitions
from django_govuk_notify_outbox.delivery import Progress
from django_govuk_notify_outbox.models import EmailMessage, email_rows
from django_govuk_notify_outbox.outcomes import NoAnswer
from django_govuk_notify_outbox.statuses import TO_TRACK

logger = logging.getLogger(__name__)


def look_up(pk: int) -> Progress:
    """Ask Notify what became of one email, if it is due for that, and record a step forward.

    The next look is scheduled before this one, so a worker that dies in between costs one look and no more. That Notify
    does not know the email is no failure: it never stores those to addresses that simulate, and deletes old ones.
    """
    email = email_rows().filter(pk=pk).first()
    if email is None or email.notify_id is None or not _is_due(email):
        return Progress.GO_ON
    if not transitions.schedule_next_look(email):
        return Progress.GO_ON
    answer = notify.look_up(email.notify_id)
    if isinstance(answer, NoAnswer):
        logger.warning("Email %s: Notify did not say what became of it (%s)", pk, answer.exchange.exception)
        return Progress.STOP
    for notification in answer.notifications:
        transitions.record_report(email, notification, answer.exchange)
    return Progress.GO_ON


def _is_due(email: EmailMessage) -> bool:
    return email.status in TO_TRACK and email.due_at is not None and email.due_at <= timezone.now()
