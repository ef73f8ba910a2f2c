"""Spans for OpenTelemetry around each step of an email, where its API is installed; without it, nothing.

Install ``django-govuk-notify-outbox[opentelemetry]``. docs/operating.md has the names of the spans and attributes.

Note [What a span may say]
    Traces are kept in other places, and read by other people, than emails. So a span has numbers, ids, statuses and the
    types of what was raised, and never a message or a traceback: those of a database and of Notify may quote an email.

Note [What a provider may do]
    OpenTelemetry promises not to raise, and a project's own span processor or sampler may break that. It must not lose
    what came of an attempt: then the span is lost, and the step goes on without it.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from django_govuk_notify_outbox import __version__
from django_govuk_notify_outbox.outcomes import Accepted, Found, NoAnswer, Outcome

try:
    from opentelemetry import context, trace
except ImportError:
    _tracer = None
else:
    # It follows the project's provider, also if that is set later
    _tracer = trace.get_tracer(__name__.partition(".")[0], __version__)

logger = logging.getLogger(__name__)

R = TypeVar("R")
#: None: there is nothing to say.
Value = object | None

_PREFIX = "govuk_notify_outbox."


class Span:
    """A step under way, of which more becomes known. This one is for where nobody listens."""

    def note(self, **attributes: Value) -> None:
        """Add attributes. Nothing personal: see Note [What a span may say]."""

    def answered(self, answer: Outcome | Found | NoAnswer) -> None:
        """Add what a request to Notify came to. That Notify does not know an email is no error."""

    def failed(self, why: str) -> None:
        """Mark the step as failed. ``why`` is a type or an HTTP status."""


class _Traced(Span):
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, **attributes: Value) -> None:
        with _unharmed():
            self._span.set_attributes(_named(attributes))

    def answered(self, answer: Outcome | Found | NoAnswer) -> None:
        status = answer.exchange.http_status
        if status is not None:
            with _unharmed():
                self._span.set_attribute("http.response.status_code", status)
        if not isinstance(answer, Accepted | Found):
            self.failed(answer.exchange.exception if status is None or status < 400 else str(status))

    def failed(self, why: str) -> None:
        with _unharmed():
            self._span.set_attribute("error.type", why)
            self._span.set_status(trace.StatusCode.ERROR, why)


_untraced = contextlib.nullcontext(Span())


def span(name: str, *, email: int | None = None, **attributes: Value) -> AbstractContextManager[Span]:
    """A span around a step. ``email`` is the row's number. Nothing personal: see Note [What a span may say]."""
    if _tracer is None:
        return _untraced
    return _open(_tracer, name, trace.SpanKind.INTERNAL, {"email_message_pk": email, **attributes})


def request(name: str, *, email: int | None = None, **attributes: Value) -> AbstractContextManager[Span]:
    """A span around a request to Notify, to be told with ``answered`` what came of it."""
    if _tracer is None:
        return _untraced
    return _open(_tracer, name, trace.SpanKind.CLIENT, {"email_message_pk": email, **attributes})


def spanned(name: str) -> Callable[[Callable[[int], R]], Callable[[int], R]]:
    """A span around all that a function does with one email, of which it takes the row's number."""

    def decorate(act: Callable[[int], R]) -> Callable[[int], R]:
        @functools.wraps(act)
        def with_span(pk: int) -> R:
            with span(name, email=pk):
                return act(pk)

        return with_span

    return decorate


def carried(act: Callable[[], None]) -> Callable[[], None]:
    """The function, for another thread to call as if from here: its spans belong to the span that is open now."""
    if _tracer is None:
        return act
    current = context.get_current()

    def in_context() -> None:
        # Not all of Python's context: Django and others keep things of a thread in it
        token = context.attach(current)
        try:
            act()
        finally:
            context.detach(token)

    return in_context


@contextlib.contextmanager
def _open(tracer: trace.Tracer, name: str, kind: trace.SpanKind, attributes: dict[str, Value]) -> Iterator[Span]:
    step = Span()
    with contextlib.ExitStack() as opened:
        with _unharmed():
            span = tracer.start_as_current_span(
                _PREFIX + name,
                kind=kind,
                attributes=_named(attributes),
                # See Note [What a span may say]
                record_exception=False,
                set_status_on_exception=False,
            )
            step = _Traced(span.__enter__())
            opened.callback(_close, span)
        try:
            yield step
        except BaseException as error:
            step.failed(f"{type(error).__module__}.{type(error).__qualname__}")
            raise


def _close(span: AbstractContextManager[trace.Span]) -> None:
    with _unharmed():
        span.__exit__(None, None, None)


@contextlib.contextmanager
def _unharmed() -> Iterator[None]:
    """See Note [What a provider may do]."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # whatever it is
        # Its type alone: see Note [What a span may say]
        logger.debug("A span is lost: %s", type(error).__qualname__)


def _named(attributes: dict[str, Value]) -> dict[str, str | int]:
    """The attributes in the types that every exporter takes: not those of Django's choices, nor UUIDs."""
    return {
        _PREFIX + name: value if isinstance(value, int) else str(value)
        for name, value in attributes.items()
        if value is not None
    }
