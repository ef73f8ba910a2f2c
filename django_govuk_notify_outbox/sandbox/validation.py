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
_FEWEST_DIGITS = 8
_MOST_DIGITS = 15
_WEEKS = re.compile(r"(\d+) weeks?$")
_MOST_WEEKS = 78


def email_request(body: bytes, *, now: int) -> dict[str, Any]:
    """Return the properties of a request to send an email. Raises ValidationError or BadRequestError."""
    data = _parse(body)
    _check(data, _EMAIL, required=("email_address", "template_id"), now=now)
    return data  # type: ignore[no-any-return]


def text_message_request(body: bytes, *, now: int) -> None:
    """Raise what Notify says of a request to send a text message that isn't of the required form."""
    _check(_parse(body), _TEXT_MESSAGE, required=("phone_number", "template_id"), now=now)


def letter_request(body: bytes, *, now: int) -> None:
    """Raise what Notify says of a request to send a letter that isn't of the required form."""
    data = _parse(body)
    if isinstance(data, dict) and "content" in data:
        _check(data, _PDF_LETTER, required=("reference", "content"), now=now)
    else:
        _check(data, _LETTER, required=("template_id", "personalisation"), now=now)


def file_request(data: dict[str, Any]) -> None:
    """Raise ValidationError unless the value for a placeholder describes a file."""
    _check(data, _FILE, required=("file",), now=0)


def preview_request(body: bytes, template_id: str) -> dict[str, Any]:
    """Return the properties of a request to preview a template. TypeError, as by Notify, for a body that is none."""
    data = _parse(body) if body else {}
    if not isinstance(data, dict):
        raise TypeError("Notify puts the id into it, whatever it is")
    data["id"] = template_id
    # Notify lets unknown properties pass here
    known = {name: data[name] for name in _PREVIEW if name in data}
    _check(known, _PREVIEW, required=("id",), now=0)
    return data


def templates_request(data: Mapping[str, str]) -> None:
    """Raise ValidationError unless the query string asks for templates in a way that Notify knows."""
    _check(data, {"type": _one_of(*TEMPLATE_TYPES)}, required=(), now=0)


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
        # Rules may overlap: what has been said once isn't said again.
        raise ValidationError(list(dict.fromkeys(messages)))


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
    if not isinstance(value, str) or not _URI.fullmatch(value) or not value.startswith("https"):
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


def _phone_number(value: Any, now: datetime) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{value!r} is not of type string"
        return
    digits = re.sub(r"[\s()+.-]", "", value)
    if not digits.isdecimal() and digits:
        yield "Must not contain letters or symbols"
    elif len(digits) < _FEWEST_DIGITS:
        yield "Not enough digits"
    elif len(digits) > _MOST_DIGITS:
        yield "Too many digits"


def _filename(value: Any, now: datetime) -> Iterator[str]:
    if value is not None and not (isinstance(value, str) and "." in value):
        yield "`filename` must end with a file extension. For example, filename.csv"


def _retention_period(value: Any, now: datetime) -> Iterator[str]:
    weeks = _WEEKS.match(value.strip().lower()) if isinstance(value, str) else None
    if value is not None and not (weeks and 1 <= int(weeks[1]) <= _MOST_WEEKS):
        yield f"Unsupported value for retention_period: {value}. Supported periods are from 1 to {_MOST_WEEKS} weeks."


def _boolean(name: str) -> Check:
    def check(value: Any, now: datetime) -> Iterator[str]:
        if value is not None and not isinstance(value, bool):
            yield f"Unsupported value for {name}: {value}. Use a boolean true or false value."

    return check


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
_TEXT_MESSAGE: Mapping[str, Check] = {
    "reference": _reference,
    "phone_number": _phone_number,
    "template_id": _uuid,
    "personalisation": _of_type("object"),
    "scheduled_for": _scheduled_for,
    "sms_sender_id": _uuid,
}
_LETTER: Mapping[str, Check] = {
    "reference": _reference,
    "template_id": _uuid,
    "personalisation": _of_type("object"),
}
_PDF_LETTER: Mapping[str, Check] = {
    "reference": _reference,
    "content": _of_type("string"),
    "postage": _of_type("string"),
}
_PREVIEW: Mapping[str, Check] = {"id": _uuid, "personalisation": _of_type("object")}
_FILE: Mapping[str, Check] = {
    "file": _of_type("string"),
    "filename": _filename,
    "is_csv": _boolean("is_csv"),
    "confirm_email_before_download": _boolean("confirm_email_before_download"),
    "retention_period": _retention_period,
}
_LIST: Mapping[str, Check] = {
    "reference": _of_type("string"),
    "status": _one_of(*STATUSES),
    "template_type": _one_of(*TEMPLATE_TYPES),
    "include_jobs": _one_of("true", "True"),
    "older_than": _uuid,
}
