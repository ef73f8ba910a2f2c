"""Filling in templates: placeholders, conditional text, lists, and sanitising.

Everything is text in and text out. What a caller gives is inserted once and never looked into for placeholders.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import BadRequestError
from .services import Template

_MAXIMUM_SIZE = 2_000_000
_PLACEHOLDER = re.compile(r"\(\(([^()]+?)(?:\?\?([^()]*))?\)\)")
_IGNORED_IN_NAMES = re.compile(r"[\s_-]+")
_ZERO_WIDTH = dict.fromkeys(map(ord, "\u180e\u200b\u200c\u200d\u2060\ufeff"))
_YES = ("yes", "y", "true", "t", "include", "show")
_URL = re.compile(r"\bhttps?://\S*", re.IGNORECASE)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#^|~])")
_DOT_IN_NAME = re.compile(r"\.(?=\w)")


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A template with everything filled in, and the values that were made harmless on the way."""

    subject: str
    body: str
    sanitised: dict[str, dict[str, str]]


def render(template: Template, personalisation: Mapping[str, Any], sanitise: Iterable[Any] = ()) -> Rendered:
    """Fill in the template. Raises BadRequestError if a value is missing or the body is empty or too long."""
    safe, sanitised = _sanitise(personalisation, sanitise)
    values = {_normalise_name(name): value for name, value in safe.items()}
    missing = _missing_names(template, values)
    if missing:
        raise BadRequestError(f"Missing personalisation: {', '.join(missing)}")
    body = _fill_in(template.body, values, as_list=_bullets).strip()
    size = len(body.encode())
    if size > _MAXIMUM_SIZE:
        raise BadRequestError(
            f"Your message is too long. Emails cannot be longer than {_MAXIMUM_SIZE} bytes. "
            f"Your message is {size} bytes."
        )
    if not body:
        raise BadRequestError("Your message is empty.")
    return Rendered(subject=_subject(template, values), body=body, sanitised=sanitised)


def _subject(template: Template, values: Mapping[str, Any]) -> str:
    text = _fill_in(template.subject, values, as_list=_sentence)
    return " ".join(text.translate(_ZERO_WIDTH).split()).replace("\\.", "&#46;")


def _missing_names(template: Template, values: Mapping[str, Any]) -> list[str]:
    found: dict[str, str] = {}
    for text in (template.subject, template.body):
        for match in _PLACEHOLDER.finditer(text):
            found.setdefault(_normalise_name(match[1]), match[1].strip())
    return [name for key, name in found.items() if values.get(key) is None]


def _fill_in(text: str, values: Mapping[str, Any], *, as_list: Callable[[list[str]], str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        value = values[_normalise_name(match[1])]
        if match[2] is not None:
            return match[2] if str(value).lower() in _YES else ""
        if isinstance(value, list):
            return as_list([item for item in (str(item).strip() for item in value if item is not None) if item])
        return str(value)

    return _PLACEHOLDER.sub(replacement, text)


def _bullets(items: list[str]) -> str:
    return "\n\n" + "\n".join(f"* {item}" for item in items) if items else ""


def _sentence(items: list[str]) -> str:
    return " and ".join([*([", ".join(items[:-1])] if len(items) > 1 else []), *items[-1:]])


def _normalise_name(name: str) -> str:
    return _IGNORED_IN_NAMES.sub("", name).lower()


def _sanitise(
    personalisation: Mapping[str, Any], names: Iterable[Any]
) -> tuple[Mapping[str, Any], dict[str, dict[str, str]]]:
    """Escape markdown and remove addresses of web pages in the named values, and tell which ones changed.

    A name or a value that is no text raises TypeError, which the caller gets as a 500: so it is with Notify.
    """
    wanted = {_normalise_name(name) for name in names}
    values = dict(personalisation)
    changed = {}
    for name, value in personalisation.items():
        if _normalise_name(name) in wanted:
            safe = _DOT_IN_NAME.sub(r"\\. ", _MARKDOWN.sub(r"\\\1", _URL.sub("", value)))
            if safe != value:
                values[name] = safe
                changed[name] = {"sanitised": safe, "unsanitised": value}
    return values, changed
