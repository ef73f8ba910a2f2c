"""Notify's Python client as this library uses it: one a thread, quiet, without redirects, and with a last look."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import cast

import requests
from notifications_python_client import NotificationsAPIClient

from django_govuk_notify_outbox import conf

_local = threading.local()


class HeldUpError(Exception):
    """It is too late to post."""


def this_threads_client() -> NotificationsAPIClient:
    """The thread's own client, for the settings as they are. Raises ImproperlyConfigured when there is no good key.

    One a thread, because it is not thread-safe; kept, for its connections; anew in a forked process, which must not
    share its parent's.
    """
    wanted = (os.getpid(), conf.api_key(), conf.base_url(), conf.timeout())
    if getattr(_local, "made_for", None) != wanted:
        _, api_key, base_url, timeout = wanted
        close()
        client = NotificationsAPIClient(api_key, base_url=base_url, timeout=timeout)
        client.request_session.hooks["response"].append(_remember_status)
        # A redirect would take the email to another address, once more or as a GET. Notify makes none
        client.request_session.max_redirects = 0
        client.request_session.auth = _look
        _local.client, _local.made_for = client, wanted
    return cast("NotificationsAPIClient", _local.client)


def close() -> None:
    """Close this thread's connections to Notify, unless they are those of the process that it was forked from."""
    if getattr(_local, "made_for", (None,))[0] == os.getpid():
        _local.client.request_session.close()


def last_status() -> int:
    """The HTTP status of this thread's last answer, which the client does not hand on when it is a success."""
    return cast("int", _local.status)


def _remember_status(response: requests.Response, **_kwargs: object) -> None:
    _local.status = response.status_code


@contextlib.contextmanager
def last_look(may_post: Callable[[], bool] | None) -> Iterator[None]:
    """Ask ``may_post`` when the request is ready to go, with its token. If it says no, raise HeldUpError instead."""
    _local.may_post = may_post
    try:
        yield
    finally:
        _local.may_post = None


def _look(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """What requests calls last before it connects, in place of a password for the host in the user's .netrc."""
    may_post = getattr(_local, "may_post", None)
    if may_post is not None and not may_post():
        raise HeldUpError("The worker was held up before it could send. Nothing was sent.")
    return request


_is_quiet = contextvars.ContextVar("_is_quiet", default=False)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the client from logging Notify's error messages, which may quote the email's personalisation."""
    token = _is_quiet.set(True)
    try:
        yield
    finally:
        _is_quiet.reset(token)


logging.getLogger("notifications_python_client.base").addFilter(lambda _record: not _is_quiet.get())
