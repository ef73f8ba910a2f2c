"""The faults that the page offers, and the words for those that wait, wherever they were ordered."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_govuk_notify_outbox.sandbox import clock, faults
from django_govuk_notify_outbox.sandbox.faults import ANY, Rule
from django_govuk_notify_outbox.sandbox.models import SandboxState

_GATEWAY = "<html><head><title>503 Service Temporarily Unavailable</title></head><body></body></html>"
_GARBAGE = "<html><body>Not what you asked for"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Something that can go wrong. What it comes to is given as the arguments of a rule."""

    name: str
    title: str
    hint: str = ""
    # How long it takes, in seconds
    takes_seconds: bool = False
    # Whether it may strike after Notify has accepted the email
    may_accept: bool = False
    goes_on: bool = False
    rule: Callable[[float], dict[str, Any]]


def _refusal(status: int, error: str, message: str) -> Callable[[float], dict[str, Any]]:
    body = {"errors": [{"error": error, "message": message}], "status_code": status}
    return lambda seconds: {"status": status, "body": body}


GROUPS: tuple[tuple[str, tuple[Kind, ...]], ...] = (
    (
        "It takes long",
        (
            Kind(
                name="slow",
                title="Slow answer",
                hint="The answer comes after some seconds.",
                takes_seconds=True,
                may_accept=True,
                rule=lambda seconds: {"delay": seconds},
            ),
            Kind(
                name="late",
                title="Late to be found",
                hint="Accepted, but look-ups do not find it for some seconds.",
                takes_seconds=True,
                rule=lambda seconds: {"hidden_for": seconds},
            ),
        ),
    ),
    (
        "Notify refuses",
        (
            Kind(
                name="bad-request",
                title="400 Bad request",
                hint="As for a template that was deleted.",
                rule=_refusal(400, "BadRequestError", "Template has been deleted"),
            ),
            Kind(
                name="invalid",
                title="400 Validation error",
                hint="As for an address that is none.",
                rule=_refusal(400, "ValidationError", "email_address Not a valid email address"),
            ),
            Kind(
                name="clock",
                title="403 Clock",
                hint="As for a machine whose clock is wrong.",
                rule=_refusal(403, "AuthError", "Error: Your system clock must be accurate to within 30 seconds"),
            ),
            Kind(
                name="key",
                title="403 Key",
                hint="As for a key that was revoked.",
                rule=_refusal(403, "AuthError", "Invalid token: API key revoked"),
            ),
            Kind(
                name="rate",
                title="429 Rate limit",
                hint="Too many requests in a minute.",
                rule=_refusal(
                    429, "RateLimitError", "Exceeded rate limit for key type LIVE of 3000 requests per 60 seconds"
                ),
            ),
            Kind(
                name="daily",
                title="429 Daily limit",
                hint="Too many emails today.",
                rule=_refusal(429, "TooManyRequestsError", "Exceeded send limits (email: 250000) for today"),
            ),
        ),
    ),
    (
        "Notify breaks",
        (
            Kind(
                name="error",
                title="500 Server error",
                may_accept=True,
                rule=lambda seconds: {"status": 500},
            ),
            Kind(
                name="cut",
                title="Connection cut",
                hint="No answer at all.",
                may_accept=True,
                rule=lambda seconds: {"cut": True},
            ),
            Kind(
                name="garbage",
                title="Garbage",
                hint="201, and something that is no JSON.",
                may_accept=True,
                rule=lambda seconds: {"status": 201, "body": _GARBAGE},
            ),
        ),
    ),
    (
        "Outage, for some seconds",
        (
            Kind(
                name="outage",
                title="503 to everything",
                takes_seconds=True,
                goes_on=True,
                rule=lambda seconds: {"status": 503, "body": _GATEWAY, "lasting": seconds, "on": ANY},
            ),
            Kind(
                name="silence",
                title="Every connection cut",
                takes_seconds=True,
                goes_on=True,
                rule=lambda seconds: {"cut": True, "lasting": seconds, "on": ANY},
            ),
        ),
    ),
)
KINDS = {kind.name: kind for _, kinds in GROUPS for kind in kinds}


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A fault that is still to come or that goes on, in words."""

    number: int
    title: str
    for_whom: str
    left: str
    until: datetime | None


def all_waiting() -> list[Waiting]:
    """Return the faults that wait, the oldest first."""
    return [
        Waiting(
            number=fault.pk,
            title=_title_of(rule),
            for_whom=_for_whom(rule),
            left="" if fault.until else f"{fault.remaining} {'request' if fault.remaining == 1 else 'requests'} left",
            until=None if fault.until is None else clock.to_datetime(fault.until).astimezone(),
        )
        for fault, rule in faults.waiting(SandboxState.load().now())
    ]


def _title_of(rule: Rule) -> str:
    if rule.cut:
        what = "The connection is cut"
    elif rule.has_answer:
        status = rule.status or (302 if rule.location is not None else 500)
        what = f"The answer is {status}{_named(rule.body)}"
    elif rule.hidden_for:
        what = f"Accepted, and not found for {rule.hidden_for:g} seconds"
    else:
        what = "The answer is slow"
    if rule.delay:
        what += f", after {rule.delay:g} seconds"
    return what + (", though the email is accepted" if rule.accept else "")


def _named(body: Any) -> str:
    """Name the error in an answer."""
    try:
        return f" ({body['errors'][0]['error']}: {body['errors'][0]['message']})"
    except (LookupError, TypeError):
        return "" if body is None else ", with another body than Notify’s"


def _for_whom(rule: Rule) -> str:
    whom = {"POST": "sending an email", "GET": "looking something up", ANY: "any request"}[rule.on]
    return whom if rule.email_address is None else f"{whom} to {rule.email_address}"
