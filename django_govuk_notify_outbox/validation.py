"""What ``send_email_notification`` accepts: everything that the client accepts and that can be stored.

A database error would poison the caller's transaction, so whatever cannot be stored is found here, before the database
is touched. Exceptions name the argument and never quote its value, which may be personal.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise

#: Two files of the greatest size that Notify takes, as base64, with room to spare; and well below the greatest
#: statement that MariaDB takes by default, 16 MB.
MAX_JSON_LENGTH = 6_000_000
MAX_JSON_DEPTH = 50


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
