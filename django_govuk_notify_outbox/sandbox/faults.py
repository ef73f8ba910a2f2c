"""Things that go wrong on demand: errors, silence, slowness, redirects, and emails that show up late."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import F
from django.http import HttpResponse

from . import addresses
from .clock import SECOND
from .models import Fault, SandboxState
from .responses import JSON, error_answer, sandbox_error, with_headers

ANY = "ANY"

_LONGEST_DELAY = 600.0
_LONGEST_TIME = 7 * 24 * 3600.0
_WORDS = {
    403: ("AuthError", "Error: Your system clock must be accurate to within 30 seconds"),
    429: ("RateLimitError", "Exceeded rate limit for key type LIVE of 3000 requests per 60 seconds"),
    500: ("OperationalError", "Internal server error"),
    504: ("SoftEventletTimeout", "Timeout serving request"),
}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is to happen to a request.

    With an answer of its own (status, body, location or cut) the request isn't looked at, unless accept is true:
    then it's handled first, and what came of it is not told. Without one, the delay comes before the request is
    handled, or after it if accept is true.

    With lasting, a number of seconds of the sandbox's clock, it happens to every request until then.
    """

    on: str = "POST"
    times: int = 1
    email_address: str | None = None
    accept: bool = False
    status: int | None = None
    body: Any = None
    delay: float = 0.0
    cut: bool = False
    location: str | None = None
    hidden_for: float = 0.0
    lasting: float | None = None

    @property
    def has_answer(self) -> bool:
        """Whether the caller gets something else than what came of the request."""
        return self.cut or self.status is not None or self.body is not None or self.location is not None

    def save(self) -> None:
        """Let the rule take effect. Raises ValueError if it can't."""
        if self.on not in ("POST", "GET", ANY):
            raise ValueError('"on" is the method of the requests that fail: "POST", "GET" or "ANY".')
        if self.times < 1:
            raise ValueError('"times" is the number of requests that fail: 1 or more.')
        if not 0 <= self.delay <= _LONGEST_DELAY:
            raise ValueError(f'"delay" is a number of seconds, from 0 to {_LONGEST_DELAY:.0f}.')
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError('"status" is the HTTP status of the answer, from 200 to 599.')
        if self.lasting is not None and not 0 < self.lasting <= _LONGEST_TIME:
            raise ValueError(f'"lasting" is a number of seconds, more than 0 and at most {_LONGEST_TIME:.0f}.')
        state, _ = SandboxState.objects.get_or_create(pk=1)
        until = None if self.lasting is None else state.now() + round(self.lasting * SECOND)
        Fault.objects.create(method=self.on, remaining=self.times, until=until, rule=json.dumps(asdict(self)))


def waiting(now: int) -> list[tuple[Fault, Rule]]:
    """Return the faults that are still to come or that go on, the oldest first."""
    faults = Fault.objects.filter(remaining__gt=0).exclude(until__lte=now).order_by("pk")
    return [(fault, Rule(**json.loads(fault.rule))) for fault in faults]


def clear() -> None:
    """Let nothing go wrong any more. Requests that a fault has in hand are not let off."""
    Fault.objects.all().delete()


def take(method: str, body: bytes, now: int) -> Rule | None:
    """Return the oldest rule that is meant for this request, and use it up once."""
    for fault in Fault.objects.filter(method__in=(method, ANY), remaining__gt=0).order_by("pk"):
        if fault.until is not None and fault.until <= now:
            # Otherwise every request to come would look for it again
            fault.delete()
            continue
        rule = Rule(**json.loads(fault.rule))
        if rule.email_address is not None and not _is_to(rule.email_address, body):
            continue
        if fault.until is not None:
            return rule
        # Another request may have been quicker: only one of them finds the row as it was.
        if Fault.objects.filter(pk=fault.pk, remaining__gt=0).update(remaining=F("remaining") - 1):
            return rule
    return None


def play(rule: Rule, handle: Callable[[], HttpResponse]) -> HttpResponse:
    """Return the answer by this rule. The request is handled by calling handle, at most once."""
    if rule.has_answer:
        if rule.accept:
            handle()
        time.sleep(rule.delay)
        return _answer(rule)
    if rule.accept:
        response = handle()
        time.sleep(rule.delay)
        return response
    time.sleep(rule.delay)
    return handle()


def _is_to(address: str, body: bytes) -> bool:
    try:
        given = json.loads(body)["email_address"]
        return addresses.is_among(given, frozenset({addresses.normalise(address).lower()}))
    except (ValueError, LookupError, TypeError, AttributeError):
        return False


def _answer(rule: Rule) -> HttpResponse:
    if rule.cut:
        # Sent only where the connection can't be cut.
        return sandbox_error(
            "This server can't cut connections. Run the sandbox on its own for that: "
            "python -m django_govuk_notify_outbox.sandbox"
        )
    status = rule.status or (302 if rule.location is not None else 500)
    if rule.body is None and status >= 400:
        name, message = _WORDS.get(status, ("InternalServerError", "Internal server error"))
        return error_answer(name, [message], status=status)
    if rule.body is None or isinstance(rule.body, str):
        response = HttpResponse(rule.body or "", status=status, content_type="text/html")
    else:
        response = HttpResponse(json.dumps(rule.body), status=status, content_type=JSON)
    if rule.location is not None:
        response.headers["Location"] = rule.location
    return with_headers(response)
