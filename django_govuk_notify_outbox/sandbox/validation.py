"""The form of requests: which properties there may be, of which types, and Notify's words where they are not.

Notify describes its requests in JSON Schema and hands on that library's messages. The order of the messages is the
order of the properties here, then what is required, then what is unknown.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from . import addresses, clock
from .errors import BadRequestError, ValidationError

Check = Callable[[Any, datetime], Iterator[str]]

STATUSES = (
    "cancelled",
    "created",
    "sending",
    "sent",
    "delivered",
    "pending",
    "failed",
    "technical-failure",
    "temporary-failure",
    "permanent-failure",
    "pending-virus-check",
    "validation-failed",
    "virus-scan-failed",
    "returned-letter",
    "accepted",
    "received",
)
TEMPLATE_TYPES = ("sms", "email", "letter")

_TYPES: Mapping[str, type] = {"string": str, "object": dict, "array": list, "null": type(None)}
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[a-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*", re.IGNORECASE)
_REFERENCE_LENGTH = 1000


def email_request(body: bytes, *, now: int) -> dict[str, Any]:
    """Return the properties of a request to send an email. Raises ValidationError or BadRequestError."""
    data = _parse(body)
    _check(data, _EMAIL, required=("email_address", "template_id"), now=now)
    return data  # type: ignore[no-any-return]


def list_request(data: Mapping[str, str | list[str]]) -> None:
    """Raise ValidationError unless the query string asks for notifications in a way that Notify knows."""
    _check(data, _LIST, required=(), now=0)


def parse_uuid(value: str, *, name: str) -> UUID:
    """Return the id, in any way of writing it. Raises ValidationError if it's none."""
    try:
        return UUID(value)
    except ValueError:
        raise ValidationError([f"{name} is not a valid UUID"]) from None


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body) or {}
    except ValueError:
        raise BadRequestError("Invalid JSON supplied in POST data") from None


def _check(data: Any, properties: Mapping[str, Check], *, required: Sequence[str], now: int) -> None:
    messages = [message.replace("'", "") for message in _messages(data, properties, required, now)]
    if messages:
        raise ValidationError(messages)


def _messages(data: Any, properties: Mapping[str, Check], required: Sequence[str], now: int) -> Iterator[str]:
    if not isinstance(data, dict):
        yield f"{data!r} is not of type object"
        return
    for name, check in properties.items():
        if name in data:
            for message in check(data[name], clock.to_datetime(now)):
                yield f"{name} {message}"
    for name in required:
        if name not in data:
            yield f"{name} is a required property"
    unknown = sorted(name for name in data if name not in properties)
    if unknown:
        verb = "was" if len(unknown) == 1 else "were"
        yield f"Additional properties are not allowed ({', '.join(unknown)} {verb} unexpected)"


def _of_type(*names: str) -> Check:
    def check(value: Any, now: datetime) -> Iterator[str]:
        if not isinstance(value, tuple(_TYPES[name] for name in names)):
            yield f"{value!r} is not of type {', '.join(names)}"

    return check


def _one_of(*values: str) -> Check:
    def check(value: str | list[str], now: datetime) -> Iterator[str]:
        for item in [value] if isinstance(value, str) else value:
            if item not in values:
                yield f"{item} is not one of [{', '.join(values)}]"

    return check


def _reference(value: Any, now: datetime) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{value!r} is not of type string"
    elif len(value) > _REFERENCE_LENGTH:
        yield f"{value!r} is too long"


def _email_address(value: Any, now: datetime) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{value!r} is not of type string"
    elif not addresses.is_valid(value):
        yield "Not a valid email address"


def _uuid(value: Any, now: datetime) -> Iterator[str]:
    try:
        UUID(value)
    except (ValueError, AttributeError, TypeError):
        yield "is not a valid UUID"


def _https_url(value: Any, now: datetime) -> Iterator[str]:
    # Two rules of the schema, each with the same words, so that a text that breaks both is told twice.
    if not isinstance(value, str):
        yield "is not a valid https url"
        return
    if not _URI.fullmatch(value):
        yield "is not a valid https url"
    if not value.startswith("https"):
        yield "is not a valid https url"


def _scheduled_for(value: Any, now: datetime) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, str):
        yield f"{value!r} is not of type string, null"
        return
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        yield (
            "datetime format is invalid. It must be a valid ISO8601 date time format, "
            "https://en.wikipedia.org/wiki/ISO_8601"
        )
        return
    moment = moment.replace(tzinfo=UTC)
    if moment < now:
        yield "datetime can not be in the past"
    elif moment > now + timedelta(hours=24):
        yield "datetime can only be 24 hours in the future"


_EMAIL: Mapping[str, Check] = {
    "reference": _reference,
    "email_address": _email_address,
    "template_id": _uuid,
    "personalisation": _of_type("object"),
    "scheduled_for": _scheduled_for,
    "email_reply_to_id": _uuid,
    "one_click_unsubscribe_url": _https_url,
    "sanitise_content_for": _of_type("array", "null"),
}
_LIST: Mapping[str, Check] = {
    "reference": _of_type("string"),
    "status": _one_of(*STATUSES),
    "template_type": _one_of(*TEMPLATE_TYPES),
    "include_jobs": _one_of("true", "True"),
    "older_than": _uuid,
}
