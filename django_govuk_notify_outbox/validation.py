"""What ``send_email_notification`` and its plural accept: all that the client accepts and that can be stored.

A database error would poison the caller's transaction, so whatever cannot be stored is found here, before the database
is touched. Exceptions name the argument and never quote its value, which may be personal.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from django.utils.functional import Promise

from django_govuk_notify_outbox.models import (
    MAX_ADDRESS_LENGTH,
    MAX_ID_LENGTH,
    MAX_REFERENCE_LENGTH,
    MAX_URL_LENGTH,
)

#: Two files of the greatest size that Notify takes, as base64, with room to spare; and well below the greatest
#: statement that MariaDB takes by default, 16 MB.
MAX_JSON_LENGTH = 6_000_000
MAX_JSON_DEPTH = 50


def storable(arguments: Mapping[str, object], *, where: str = "") -> dict[str, Any]:
    """The arguments as they are stored. Raises TypeError or ValueError, naming the argument, if one can't be stored.

    ``where`` stands before the argument's name.
    """
    return {name: _AS_STORED[name](where + name, value) for name, value in arguments.items()}


def storable_emails(emails: object, for_all: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The arguments of each email as they are stored, those ``for_all`` where it has none of its own.

    Raises TypeError or ValueError, naming the email's position and the argument.
    """
    # To go through either of these would be to go through names or letters
    if isinstance(emails, Mapping | str | bytes) or not isinstance(emails, Iterable):
        raise TypeError(f"emails must be a list of mappings, not {type(emails).__name__}.")
    for position, email in enumerate(emails):
        where = f"emails[{position}]"
        if not isinstance(email, Mapping):
            raise TypeError(f"{where} must be a mapping of arguments to values, not {type(email).__name__}.")
        for name in email:
            if name not in _AS_STORED:
                raise TypeError(f"{where}: {_named(name)} is not an argument of send_email_notification.")
        arguments = {**for_all, **storable(email, where=f"{where}: ")}
        for name in _REQUIRED:
            if name not in arguments:
                raise TypeError(f"{where}: {name} is missing.")
        yield arguments


def _named(key: object) -> str:
    """The key of a mapping, if it looks like a name: it may be an address, where people mix up keys and values."""
    return key if isinstance(key, str) and key.isidentifier() else "one of its keys"


def text(name: str, value: object, *, max_length: int) -> str:
    """The argument as text; "" when it is None. Raises TypeError or ValueError if it can't be stored as such."""
    if value is None:
        return ""
    if isinstance(value, Promise):
        value = str(value)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}.")
    # str() alone keeps subclasses whose own text differs, such as the members of an enumeration
    plain = str.__str__(value)
    _check_characters(name, plain)
    if len(plain) > max_length:
        raise ValueError(f"{name} must be at most {max_length} characters long; it has {len(plain)}.")
    return plain


def required_text(name: str, value: object, *, max_length: int) -> str:
    """The argument as text. Raises TypeError when it is None, and otherwise as ``text`` does."""
    if value is None:
        raise TypeError(f"{name} must be a string, not None.")
    return text(name, value, max_length=max_length)


def without_uuid(value: object) -> object:
    """The argument, with a UUID made a string."""
    return str(value) if isinstance(value, uuid.UUID) else value


def _id(name: str, value: object) -> str:
    return text(name, without_uuid(value), max_length=MAX_ID_LENGTH)


def _required_id(name: str, value: object) -> str:
    return required_text(name, without_uuid(value), max_length=MAX_ID_LENGTH)


def json_value(name: str, value: object) -> Any:
    """The argument as plain JSON types, made as the client makes them; None when the client would leave it out.

    Sets become lists, tuples become lists, keys become strings, and lazy translations are translated. Raises TypeError
    or ValueError when JSON has no form for a part of it or PostgreSQL could not store it.
    """
    if not value:
        return None
    try:
        encoded = json.dumps(value, default=_as_client_does)
        plain = json.loads(encoded)
    except TypeError as error:
        raise TypeError(f"{name} holds something that cannot be sent as JSON: {error}.") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{name} cannot be sent as JSON: it contains itself, or too much of something.") from None
    if len(encoded) > MAX_JSON_LENGTH:
        raise ValueError(f"{name} must be at most {MAX_JSON_LENGTH} characters of JSON; it is {len(encoded)}.")
    _check_tree(name, plain)
    return plain


def _as_client_does(value: object) -> Any:
    """What ``json.dumps`` makes of a value that it doesn't know. Sets are the client's addition, the rest ours."""
    if isinstance(value, set):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Promise):
        return str(value)
    raise TypeError(f"a {type(value).__name__}")


def _check_tree(name: str, value: Any) -> None:
    level: list[Any] = [value]
    for _depth in range(MAX_JSON_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_characters(name, item)
            elif isinstance(item, list):
                below += item
            elif isinstance(item, dict):
                below += [*item.keys(), *item.values()]
        level = below
    if level:
        raise ValueError(f"{name} is nested more than {MAX_JSON_DEPTH} levels deep.")


def _check_characters(name: str, plain: str) -> None:
    if "\0" in plain:
        raise ValueError(f"{name} contains a NUL character, which cannot be stored.")
    try:
        plain.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} contains half of a surrogate pair, which cannot be stored.") from None


_REQUIRED = ("email_address", "template_id")
_AS_STORED: dict[str, Callable[[str, object], Any]] = {
    "email_address": partial(required_text, max_length=MAX_ADDRESS_LENGTH),
    "template_id": _required_id,
    "personalisation": json_value,
    "reference": partial(text, max_length=MAX_REFERENCE_LENGTH),
    "email_reply_to_id": _id,
    "one_click_unsubscribe_url": partial(text, max_length=MAX_URL_LENGTH),
    "sanitise_content_for": json_value,
}
