"""The signal that tells a project's own code what became of an email."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction
from django.dispatch import Signal

from django_govuk_notify_outbox.durability import drop_broken_connection
from django_govuk_notify_outbox.models import EmailMessage, email_rows, write_database

logger = logging.getLogger(__name__)

#: Rows read at a time, so that memory stays flat however many changes come at once.
PAGE_SIZE = 250


class _Signal(Signal):
    """A signal that leaves it to us to log what receivers raise."""

    def _log_robust_failure(self, receiver: Callable[..., Any], err: Exception) -> None:
        # Django's own line lacks the email's number. And it fails, with all that is to follow, over a receiver without
        # a __qualname__, such as a partial
        pass


#: Sent after the commit of each change of status, whoever made it: a worker, a sync run, a receipt. Receivers get
#: ``sender`` (the class ``EmailMessage``), ``email_message`` (the row, read after the commit), ``old_status`` and
#: ``new_status``. At most once: a process that dies right after the commit does not tell.
email_status_changed = _Signal()


def announce(changes: Sequence[tuple[int, str, str]]) -> None:
    """Have receivers told of changes of status once they are committed. Never fails for what a receiver does.

    ``changes`` are the rows' numbers with the status before and after. Those that are the same are left out. Call it
    in the transaction of the changes.
    """
    news = [
        (pk, str(old_status), str(new_status)) for pk, old_status, new_status in changes if old_status != new_status
    ]
    if not news or not email_status_changed.has_listeners(EmailMessage):
        return

    # A function, not a partial: see Note [Why the push is a function] in tasks.py
    def tell() -> None:
        for start in range(0, len(news), PAGE_SIZE):
            _tell(news[start : start + PAGE_SIZE])

    transaction.on_commit(tell, using=write_database(), robust=True)


def _tell(changes: Sequence[tuple[int, str, str]]) -> None:
    """Tell of one page of changes. Rows that are gone are left out."""
    pks = [pk for pk, _old, _new in changes]
    try:
        emails = email_rows().without_contents().in_bulk(pks)
    except Exception:
        logger.exception("Emails %s: could not be read to tell of their new status", ", ".join(map(str, pks)))
        drop_broken_connection()
        return
    for pk, old_status, new_status in changes:
        if pk in emails:
            _send(emails[pk], old_status, new_status)


def _send(email: EmailMessage, old_status: str, new_status: str) -> None:
    answers = email_status_changed.send_robust(
        EmailMessage, email_message=email, old_status=old_status, new_status=new_status
    )
    for receiver, answer in answers:
        if isinstance(answer, Exception):
            logger.error(
                "Email %s: the receiver %s failed when told of status %s",
                email.pk,
                # Not its repr, which shows what a partial holds
                getattr(receiver, "__qualname__", type(receiver).__qualname__),
                new_status,
                exc_info=answer,
                extra={"email_message_pk": email.pk, "status": new_status},
            )
            drop_broken_connection()
