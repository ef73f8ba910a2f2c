"""Follow what was sent until Notify reports its fate: by the page where that pays, else one by one.

Note [When a page pays]
    Notify lists its emails newest first, 250 a page, and a page may begin below any email that we know the id of. So
    the walk begins right above the newest email that is due, with the one of ours that was sent next after it, and
    from there it goes down, skipping what is not due. Each page serves all of ours that are on it, due or not.

    Other systems may send through the same service, and fill the pages with theirs. A page pays if it serves an email
    that is due, for that one would have cost a request too. Pages that have served less than they cost end the walk.
    How much time a page spans is not known before one was read, so the first is tried however far above the email is
    that it begins with. When that was in vain, for some minutes only near ones are tried.

    After a page that Notify did not give, emails are looked up one by one for some seconds: it may be the list alone
    that fails. What no page serves is looked up by itself too: emails whose timestamp is that of a page's last, since
    the next page begins strictly below it; those that Notify has deleted or never stored; those sent by another kind of
    key.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Callable, Iterable

from django.utils import timezone

from django_govuk_notify_outbox import holds, notify, reports, tracing
from django_govuk_notify_outbox.delivery import Progress
from django_govuk_notify_outbox.models import SIMULATED, EmailMessage, email_rows
from django_govuk_notify_outbox.outcomes import NoAnswer
from django_govuk_notify_outbox.statuses import TO_TRACK

logger = logging.getLogger(__name__)

#: What a walk needs to know of an email.
NEEDED = ("notify_id", "status", "created_at", "sent_at", "address_digest")
#: The least number of emails that are due for which a page is asked for.
PAGE_WORTH = 2
#: How much time a page is taken to span at least, after one spanned too little: as if 500 emails were sent a second.
LEAST_REACH = dt.timedelta(seconds=0.5)


@tracing.spanned("look_up")
def look_up(pk: int) -> Progress:
    """Ask Notify what became of one email, if it is due for that, and record a step forward.

    The next look is scheduled before this one, so a worker that dies in between costs one look and no more.
    """
    email = email_rows().without_contents().filter(pk=pk).first()
    if email is None or email.notify_id is None or not _is_due(email):
        return Progress.GO_ON
    with tracing.span("claim", email=pk):
        is_claimed = reports.schedule_next_look(email)
    if not is_claimed:
        return Progress.GO_ON
    with tracing.request("ask", email=pk, notify_id=email.notify_id) as request:
        answer = notify.look_up(email.notify_id)
        request.answered(answer)
    if isinstance(answer, NoAnswer):
        logger.warning(
            "RETRY: Email %s: Notify did not say what became of it (%s)",
            pk,
            answer.exchange.exception,
            extra={
                "email_message_pk": pk,
                "notify_id": str(email.notify_id),
                "status": email.status,
                "http_status": answer.exchange.http_status,
                "duration": answer.exchange.duration,
            },
        )
        return Progress.STOP
    for notification in answer.notifications:
        reports.record_report(email, notification, answer.exchange)
    reports.end_looks(email, unknown=not answer.notifications)
    return Progress.GO_ON


def _is_due(email: EmailMessage) -> bool:
    return email.status in TO_TRACK and email.due_at is not None and email.due_at <= timezone.now()


class Walk:
    """A walk down Notify's list, past emails of ours that are due. See Note [When a page pays]."""

    def __init__(self, emails: Iterable[EmailMessage], *, may_go_on: Callable[[], bool]) -> None:
        """Take the emails that are due; ``may_go_on`` is asked before each request."""
        newest_first = sorted(emails, key=_sent_at, reverse=True)
        self._waiting = {email.notify_id: email for email in newest_first}
        self._passed: list[EmailMessage] = []
        self._may_go_on = may_go_on
        #: How much time the last page spanned, if that is known.
        self._reach = LEAST_REACH if holds.are_far_pages_paused() else None
        self._has_list = not holds.is_list_avoided()
        #: The ids on the last page.
        self._page: list[uuid.UUID] = []
        #: Of those that are due, the newest, once it was looked up.
        self._newest: uuid.UUID | None = None
        #: How many requests the pages have saved so far.
        self._saved = 0

    def go(self) -> Progress:
        """Go as far as pages pay. STOP: Notify did not answer, or ``may_go_on`` said no."""
        while self._has_list and len(self._waiting) >= PAGE_WORTH and self._saved >= 0:
            if not self._may_go_on():
                return Progress.STOP
            target = next(iter(self._waiting.values()))
            start = self._start_above(target)
            if start is not None:
                with tracing.span("page"):
                    progress = self._read_page(start, target)
            elif self._newest is None:
                progress = self._look_up(target)
            else:
                progress = Progress.GO_ON
                self._passed.append(self._waiting.pop(target.notify_id))
            if progress is Progress.STOP:
                return Progress.STOP
        return Progress.GO_ON

    @property
    def left(self) -> list[int]:
        """The pks of those that no page served."""
        return [email.pk for email in (*self._passed, *self._waiting.values())]

    def _start_above(self, target: EmailMessage) -> uuid.UUID | None:
        """The id below which a page would hold the target; None if we know of none that is near enough."""
        sent_at = _sent_at(target)
        # Begun after the target was accepted, so certainly newer at Notify too
        newer = email_rows().filter(sent_at__gt=sent_at, attempt_started_at__gt=sent_at, notify_id__isnull=False)
        above = newer.exclude(address_digest__in=SIMULATED).order_by("sent_at").only("notify_id", "sent_at").first()
        if above is None or above.notify_id is None:
            # Those accepted at about the same time are mostly older than the last of them
            return None if self._page else self._newest
        if self._reach is not None and _sent_at(above) - sent_at > self._reach:
            return None
        # If that one is on the page just read, the target is below the page
        return self._page[-1] if above.notify_id in self._page else above.notify_id

    def _look_up(self, target: EmailMessage) -> Progress:
        """Look the newest up by itself, for want of one above it. It is then what a page may begin below."""
        del self._waiting[target.notify_id]
        # Of those to addresses that simulate there is no trace in the list
        if target.address_digest not in SIMULATED:
            self._newest = target.notify_id
        return look_up(target.pk)

    def _read_page(self, start: uuid.UUID, target: EmailMessage) -> Progress:
        with tracing.request("ask") as request:
            answer = notify.page(older_than=start)
            request.answered(answer)
        if isinstance(answer, NoAnswer):
            logger.warning(
                "RETRY: Notify did not list its emails (%s)",
                answer.exchange.exception,
                extra={"http_status": answer.exchange.http_status, "duration": answer.exchange.duration},
            )
            # The next run goes without, or a list that never comes would keep all from being looked up
            holds.avoid_list()
            return Progress.STOP
        page = {notification.id: notification for notification in answer.notifications}
        ours = list(email_rows().without_contents().to_track().filter(notify_id__in=list(page)))
        with tracing.span("record", emails=len(ours)):
            reports.record_page(ours, page, answer.exchange)
        served = [email for email in ours if self._waiting.pop(email.notify_id, None)]
        self._saved += len(served) - 1
        self._page = list(page)
        if target.notify_id in self._waiting:
            self._passed.append(self._waiting.pop(target.notify_id))
        if answer.is_all or not page:
            # There is nothing older at Notify
            self._passed += self._waiting.values()
            self._waiting.clear()
        else:
            times = [notification.created_at for notification in page.values()]
            self._reach = max(max(times) - min(times), LEAST_REACH)
            if not served:
                holds.pause_far_pages()
        return Progress.GO_ON


def _sent_at(email: EmailMessage) -> dt.datetime:
    return email.sent_at or email.created_at
