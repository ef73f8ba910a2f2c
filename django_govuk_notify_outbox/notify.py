"""The gateway to GOV.UK Notify: every answer, silence or exception becomes one outcome value.

Nothing here touches the database. Nothing raises, except what interrupts a process from outside, such as Celery's time
limit: the attempt is then left as by a worker that died.
"""

from __future__ import annotations

import datetime as dt
import ssl
import time
import traceback
import uuid
from collections.abc import Callable
from typing import Any

import requests
import urllib3.exceptions
from django.core.exceptions import ImproperlyConfigured
from notifications_python_client import NotificationsAPIClient
from notifications_python_client.errors import HTTPError, InvalidResponse

from django_govuk_notify_outbox.client import HeldUpError, last_look, last_status, quiet, this_threads_client
from django_govuk_notify_outbox.models import MAX_SUBJECT_LENGTH
from django_govuk_notify_outbox.outcomes import (
    Accepted,
    Exchange,
    Found,
    Limited,
    NoAnswer,
    Notification,
    NotSent,
    Outcome,
    Refused,
    Text,
    TryLater,
    Unclear,
)

# Notify says 400 when an email can't be sent; a proxy before it says 413 or 422 to a body that it won't pass on
REFUSALS = frozenset({400, 413, 422})
#: Notify's list of notifications, a page.
PAGE_SIZE = 250
_MAX_TEXT = 20_000
#: What the client, requests (OSError), and an answer that is not what it should be raise.
FAILURES = (
    *(HTTPError, InvalidResponse, urllib3.exceptions.HTTPError, OSError, ImproperlyConfigured),
    *(AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
)


def send(payload: dict[str, Any], *, may_post: Callable[[], bool] | None = None) -> Outcome:
    """Post one email, once, and say what came of it.

    Notify has the TIMEOUT setting's seconds to connect, and as many again between any two bytes of its answer.
    ``may_post`` is asked last of all: see Note [How long a request can be under way] in claims.py. ``payload`` is the
    body as ``NotificationsAPIClient.send_email_notification`` would make it. It is posted with the client's ``post``,
    because clients before 12.2 do not know every parameter.
    """
    started = time.monotonic()
    posted = False
    try:
        client = this_threads_client()
        posted = True
        with quiet(), last_look(may_post):
            body = client.post("/v2/notifications/email", data=payload)
        exchange = Exchange(http_status=last_status(), duration=time.monotonic() - started)
        if body["reference"] == payload["reference"]:
            return Accepted(uuid.UUID(body["id"]), exchange, _subject(body.get("content")))
        raise ValueError("The answer's reference is not the email's.")
    except HeldUpError as error:
        return NotSent(_exchange(error, started))
    except FAILURES as error:
        exchange = _exchange(error, started)
        if not posted:
            # No client without a well-formed key. What to do about it is in the message
            return TryLater(exchange, everybody_waits=True)
        return _outcome(error, exchange)


def find(reference: str, *, since: dt.datetime) -> Found | NoAnswer:
    """Ask Notify which emails it has with a reference, at least those created since a moment (aware), oldest first."""
    started = time.monotonic()
    found: list[Notification] = []
    older_than: str | None = None
    try:
        client = this_threads_client()
        while True:
            with quiet():
                body = client.get_all_notifications(template_type="email", reference=reference, older_than=older_than)
            page = [_notification(item) for item in body["notifications"]]
            found += page
            if len(page) < PAGE_SIZE or page[-1].created_at < since:
                break
            if str(page[-1].id) == older_than:
                raise ValueError("The same page came twice.")
            older_than = str(page[-1].id)
    except FAILURES as error:
        return NoAnswer(_exchange(error, started))
    exchange = Exchange(http_status=last_status(), duration=time.monotonic() - started)
    return Found(exchange, sorted(found, key=lambda notification: notification.created_at))


def page(*, older_than: uuid.UUID) -> Found | NoAnswer:
    """Ask Notify for the emails next older than one of them, newest first, a page at most.

    Nothing found: there are none, or Notify does not know that one. Their texts are left out.
    """
    started = time.monotonic()
    try:
        client = this_threads_client()
        with quiet():
            body = client.get_all_notifications(template_type="email", older_than=str(older_than))
        items = body["notifications"]
        # What cannot be read of one must not keep us from the others. It will be looked up by itself
        notifications = [each for item in items if (each := _readable(item))]
    except FAILURES as error:
        return NoAnswer(_exchange(error, started))
    exchange = Exchange(http_status=last_status(), duration=time.monotonic() - started)
    return Found(exchange, notifications, is_all=len(items) < PAGE_SIZE)


def look_up(notify_id: uuid.UUID) -> Found | NoAnswer:
    """Ask Notify about one email. Nothing found: Notify never stored it (a simulated address) or has deleted it."""
    started = time.monotonic()
    try:
        client = this_threads_client()
        with quiet():
            body = client.get_notification_by_id(str(notify_id))
        notification = _notification(body)
    except FAILURES as error:
        exchange = _exchange(error, started)
        # Notify's own 404, not that of some proxy or wrong address
        if exchange.http_status == 404 and exchange.error_type == "NoResultFound":
            return Found(exchange)
        return NoAnswer(exchange)
    return Found(Exchange(http_status=last_status(), duration=time.monotonic() - started), [notification])


def text_of(notify_id: uuid.UUID) -> Text | NoAnswer:
    """Ask Notify for an email as its recipient sees it."""
    return _text(lambda client: client.get_notification_by_id(str(notify_id)))


def preview(template_id: str, personalisation: Any) -> Text | NoAnswer:
    """Ask Notify for an email as its recipient would see it, without sending it."""
    return _text(lambda client: client.post_template_preview(template_id, personalisation or {}))


def _text(ask: Callable[[NotificationsAPIClient], Any]) -> Text | NoAnswer:
    started = time.monotonic()
    try:
        client = this_threads_client()
        with quiet():
            body = ask(client)
        # Half a surrogate pair could not be in any page
        subject, text = (str(body[part]).encode(errors="replace").decode() for part in ("subject", "body"))
    except FAILURES as error:
        return NoAnswer(_exchange(error, started))
    return Text(Exchange(http_status=last_status(), duration=time.monotonic() - started), subject, text)


def _outcome(error: Exception, exchange: Exchange) -> Outcome:
    """What an exception raised by a POST means for the email.

    Silence is not a refusal: the client raises the same ``HTTP503Error`` for a connection that was never made, for an
    answer that never came, and for a real 503; only ``response`` and ``__cause__`` tell them apart.
    """
    if not isinstance(error, HTTPError):
        return Unclear(exchange)
    if error.response is None:
        return TryLater(exchange) if _never_connected(error.__cause__) else Unclear(exchange)
    status = exchange.http_status or 0
    if status in REFUSALS:
        return Refused(exchange)
    if status == 429:
        return Limited(exchange)
    if status == 408:
        return Unclear(exchange)
    if 400 <= status < 500:
        # The key, the clock or the address of Notify are wrong: not this email's fault. The clock is this host's alone
        return TryLater(exchange, everybody_waits="clock" not in exchange.message)
    return Unclear(exchange, finished=bool(exchange.error_type))


def _never_connected(cause: BaseException | None) -> bool:
    """Whether a request failed before a byte of it was sent.

    A ``ProxyError`` does not tell: it is raised too when a proxy cuts the connection after it took the whole request.
    """
    never = (
        requests.exceptions.ConnectTimeout,
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidHeader,
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        # Raised in the handshake, which comes before the request; other TLS errors may come after it
        ssl.SSLCertVerificationError,
    )
    seen: set[int] = set()
    waiting: list[object] = [cause]
    while waiting:
        item = waiting.pop()
        if isinstance(item, never):
            return True
        if isinstance(item, BaseException) and id(item) not in seen:
            seen.add(id(item))
            # Not __context__: it may lead to an error of the caller's that has nothing to do with this request
            waiting += [*item.args, getattr(item, "reason", None), item.__cause__]
    return False


def _notification(body: Any, *, with_text: bool = True) -> Notification:
    """One notification of an answer. Raises KeyError, TypeError or ValueError when it isn't one."""
    created_at = dt.datetime.fromisoformat(body["created_at"])
    return Notification(
        id=uuid.UUID(body["id"]),
        status=_storable(str(body["status"]))[:255],
        email_address=str(body["email_address"]),
        template_id=str(uuid.UUID(body["template"]["id"])),
        created_at=created_at if created_at.tzinfo else created_at.replace(tzinfo=dt.UTC),
        subject=_subject(body),
        text=f"{body.get('subject')}\n{body.get('body')}" if with_text else "",
    )


def _subject(body: Any) -> str:
    """An email's subject, as it can be stored; blank where there is none. It must not make an answer unreadable."""
    subject = body.get("subject") if isinstance(body, dict) else None
    return _storable(subject)[:MAX_SUBJECT_LENGTH] if isinstance(subject, str) else ""


def _readable(body: Any) -> Notification | None:
    try:
        return _notification(body, with_text=False)
    except FAILURES:
        return None


def _exchange(error: Exception, started: float) -> Exchange:
    error_type, message, status = "", _what_went_wrong(error), None
    if isinstance(error, HTTPError | InvalidResponse) and error.response is not None:
        status = error.response.status_code
        error_type, message = _notifys_words(error.response)
        message = message or f"The answer was HTTP {status}, without Notify's JSON."
    return Exchange(
        http_status=status,
        error_type=_storable(error_type)[:255],
        message=_storable(message),
        exception=f"{type(error).__module__}.{type(error).__qualname__}",
        # Its end says what was raised
        traceback=_storable("".join(traceback.format_exception(error))[-_MAX_TEXT:]),
        duration=time.monotonic() - started,
    )


def _what_went_wrong(error: Exception) -> str:
    """A sentence about an exception that came without an answer of Notify's."""
    cause = error.__cause__
    if _never_connected(cause):
        return "No connection could be made."
    if isinstance(cause, requests.exceptions.Timeout):
        return "No answer came in time."
    if isinstance(cause, requests.exceptions.RequestException):
        return "The connection was cut."
    return str(error) or type(error).__name__


def _notifys_words(response: requests.Response) -> tuple[str, str]:
    """The error's type and message, as Notify's JSON gives them, or blanks when the answer isn't Notify's."""
    try:
        errors = response.json()["errors"]
        return str(errors[0]["error"]), "; ".join(str(error["message"]) for error in errors)
    except (ValueError, LookupError, TypeError):
        return "", ""


def _storable(text: str) -> str:
    """The text without what PostgreSQL cannot store: NUL characters and lone surrogates."""
    return text[:_MAX_TEXT].replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
