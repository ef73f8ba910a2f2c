"""The gateway to GOV.UK Notify: every answer, silence or exception becomes one outcome value.

notifications-python-client and requests appear here alone. Nothing here touches the database, and nothing here raises.
"""

from __future__ import annotations

import contextlib
import contextvars
import datetime as dt
import logging
import os
import ssl
import threading
import time
import traceback
import uuid
from collections.abc import Iterator
from typing import Any, cast

import requests
import urllib3.exceptions
from notifications_python_client import NotificationsAPIClient
from notifications_python_client.errors import HTTPError, InvalidResponse

from django_govuk_notify_outbox import conf
from django_govuk_notify_outbox.outcomes import (
    Accepted,
    Exchange,
    Found,
    Limited,
    NoAnswer,
    Notification,
    Outcome,
    Refused,
    TryLater,
    Unclear,
)

# Notify's API says 400 when an email can't be sent; a proxy before it says 413 or 422 to a body that it won't pass on
REFUSALS = frozenset({400, 413, 422})
#: Notify's list of notifications, a page.
PAGE_SIZE = 250
_MAX_TEXT = 20_000


def send(payload: dict[str, Any]) -> Outcome:
    """Post one email, once, and say what came of it.

    Notify has the TIMEOUT setting's seconds to connect, and as many again between any two bytes of its answer.

    ``payload`` is the body as ``NotificationsAPIClient.send_email_notification`` would make it. It is posted with the
    client's ``post``, because clients before 12.2 do not know every parameter.
    """
    started = time.monotonic()
    posted = False
    try:
        client = _client()
        posted = True
        with _quiet_client():
            body = client.post("/v2/notifications/email", data=payload)
        exchange = Exchange(http_status=_local.status, duration=time.monotonic() - started)
        # A redirect turns the POST into a GET, whose answer is JSON too: only an id and our reference are a yes
        if body["reference"] == payload["reference"]:
            return Accepted(uuid.UUID(body["id"]), exchange)
        raise ValueError("The answer's reference is not the email's.")
    except Exception as error:
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
        client = _client()
        while True:
            with _quiet_client():
                body = client.get_all_notifications(template_type="email", reference=reference, older_than=older_than)
            page = [_notification(item) for item in body["notifications"]]
            found += page
            if len(page) < PAGE_SIZE or page[-1].created_at < since:
                break
            if str(page[-1].id) == older_than:
                raise ValueError("The same page came twice.")
            older_than = str(page[-1].id)
    except Exception as error:
        return NoAnswer(_exchange(error, started))
    exchange = Exchange(http_status=_local.status, duration=time.monotonic() - started)
    return Found(exchange, sorted(found, key=lambda notification: notification.created_at))


def look_up(notify_id: uuid.UUID) -> Found | NoAnswer:
    """Ask Notify about one email. Nothing found: Notify never stored it (a simulated address) or has deleted it."""
    started = time.monotonic()
    try:
        client = _client()
        with _quiet_client():
            body = client.get_notification_by_id(str(notify_id))
        notification = _notification(body)
    except Exception as error:
        exchange = _exchange(error, started)
        # Notify's own 404, not that of some proxy or wrong address
        if exchange.http_status == 404 and exchange.error_type == "NoResultFound":
            return Found(exchange)
        return NoAnswer(exchange)
    return Found(Exchange(http_status=_local.status, duration=time.monotonic() - started), [notification])


def _outcome(error: Exception, exchange: Exchange) -> Outcome:
    """What an exception raised by a POST means for the email.

    Silence is not a refusal: the client raises the same ``HTTP503Error`` for a connection that was never made, for an
    answer that never came, and for a real 503; only ``response`` and ``__cause__`` tell them apart.
    """
    if not isinstance(error, HTTPError):
        return Unclear(exchange)
    if error.response is None:
        return TryLater(exchange) if _never_connected(error.__cause__) else Unclear(exchange)
    if error.response.history:
        # Redirected: what answered was asked with GET, and says nothing about the POST
        return Unclear(exchange)
    status = exchange.http_status or 0
    if status in REFUSALS:
        return Refused(exchange)
    if status == 429:
        return Limited(exchange)
    if status == 408:
        return Unclear(exchange)
    if 400 <= status < 500:
        # The key, the clock or the address of Notify are wrong: not this email's fault
        return TryLater(exchange, everybody_waits=True)
    return Unclear(exchange, finished=bool(exchange.error_type))


def _never_connected(cause: BaseException | None) -> bool:
    """Whether a request failed before a byte of it was sent.

    Not by a ``ProxyError``: urllib3 raises it too when a proxy cuts the connection after it took the whole request. A
    connection to the proxy that was never made is found beneath it.
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


def _notification(body: Any) -> Notification:
    """One notification of an answer. Raises KeyError, TypeError or ValueError when it isn't one."""
    created_at = dt.datetime.fromisoformat(body["created_at"])
    return Notification(
        id=uuid.UUID(body["id"]),
        status=_storable(str(body["status"]))[:255],
        email_address=str(body["email_address"]),
        template_id=str(uuid.UUID(body["template"]["id"])),
        created_at=created_at if created_at.tzinfo else created_at.replace(tzinfo=dt.UTC),
        text=f"{body.get('subject')}\n{body.get('body')}",
    )


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


_local = threading.local()


def _client() -> NotificationsAPIClient:
    """The thread's own client, for the settings as they are.

    One a thread, because it is not thread-safe; kept, because its session keeps connections alive; and made anew in a
    forked process, because two processes must not share a socket.
    """
    wanted = (os.getpid(), conf.api_key(), conf.base_url(), conf.timeout())
    if getattr(_local, "made_for", None) != wanted:
        _, api_key, base_url, timeout = wanted
        _close_client()
        client = NotificationsAPIClient(api_key, base_url=base_url, timeout=timeout)
        client.request_session.hooks["response"].append(_remember_status)
        _local.client, _local.made_for = client, wanted
    return cast("NotificationsAPIClient", _local.client)


def _close_client() -> None:
    """Close this thread's connections, unless they are those of the process that it was forked from."""
    if getattr(_local, "made_for", (None,))[0] == os.getpid():
        _local.client.request_session.close()


def _remember_status(response: requests.Response, **_kwargs: object) -> None:
    """Note the HTTP status of a success, which the client does not hand on."""
    _local.status = response.status_code


_is_quiet = contextvars.ContextVar("_is_quiet", default=False)


@contextlib.contextmanager
def _quiet_client() -> Iterator[None]:
    """Keep the client from logging Notify's error messages, which may quote the email's personalisation."""
    token = _is_quiet.set(True)
    try:
        yield
    finally:
        _is_quiet.reset(token)


logging.getLogger("notifications_python_client.base").addFilter(lambda _record: not _is_quiet.get())
