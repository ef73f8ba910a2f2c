"""Filling in templates: placeholders, optional content, lists, and what Notify checks on the way.

Everything is text in and text out, or HTML out where it says so. What a caller gives is inserted once and never
looked into for placeholders.
"""

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from . import markdown, typography
from .errors import BadRequestError
from .services import Template

_MAXIMUM_SIZE = 2_000_000
_PLACEHOLDER = re.compile(r"\(\(([^()]+)\)\)")
_IGNORED_IN_NAMES = re.compile(r"[\s_-]+")
_ZERO_WIDTH = dict.fromkeys(map(ord, "\u180e\u200b\u200c\u200d\u2060\ufeff"))
_OBSCURE = {**_ZERO_WIDTH, ord("\u00a0"): None}
_WHITE_SPACE = " \t\n\r\x0b\x0c"
_YES = ("yes", "y", "true", "t", "1", "include", "show")

# Entities that a template may contain for their own sake.
_KEPT_ENTITY = re.compile(r"(&nbsp;|&amp;|&lpar;|&rpar;)")
_ENTITY = re.compile(r"&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[^\t\n\f <&#;]{1,32});")
# Mail programs would make a link of it.
_GOV_UK = re.compile(r"(^|\s)([#*^]?GOV)\.(UK)(?![/?#])", re.IGNORECASE)

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A template with everything filled in."""

    subject: str
    body: str


def normalise_name(name: str) -> str:
    """Return what placeholders and values are matched by. Raises TypeError for what is no text, as at Notify."""
    return _IGNORED_IN_NAMES.sub("", name).lower()


@lru_cache(maxsize=1024)
def names_in(*texts: str) -> tuple[str, ...]:
    """Return the names of the placeholders as they are written, each once, in the order of their first use."""
    matches = (match for text in texts for match in _PLACEHOLDER.finditer(text))
    return tuple(dict.fromkeys(match[1].split("??")[0] for match in matches))


def placeholders_of(template: Template) -> tuple[str, ...]:
    """Return the names that a template needs values for: of its subject first."""
    return names_in(template.subject, template.body)


def check_complete(template: Template, personalisation: Values) -> None:
    """Raise BadRequestError if a placeholder has no value."""
    values = _by_name(personalisation)
    missing = [name for name in placeholders_of(template) if values.get(normalise_name(name)) is None]
    if missing:
        raise BadRequestError(f"Missing personalisation: {', '.join(missing)}")


def check_not_empty(template: Template, personalisation: Values) -> None:
    """Raise BadRequestError if nothing is left of the body. Notify looks only if it's made of placeholders alone."""
    body = template.body
    if not body or (body.startswith("((") and body.endswith("))") and not body_of(template, personalisation)):
        raise BadRequestError("Your message is empty.")


def check_not_too_long(rendered: Rendered) -> None:
    """Raise BadRequestError if the body is longer than Notify sends, UnicodeEncodeError if it can't be sent at all."""
    size = len(rendered.body.encode())
    if size > _MAXIMUM_SIZE:
        raise BadRequestError(
            f"Your message is too long. Emails cannot be longer than {_MAXIMUM_SIZE} bytes. "
            f"Your message is {size} bytes."
        )


def render(template: Template, personalisation: Values) -> Rendered:
    """Fill in the template, all of whose placeholders have values."""
    return Rendered(subject=subject_of(template, personalisation), body=body_of(template, personalisation))


def subject_of(template: Template, personalisation: Values) -> str:
    """Return the subject in one line."""
    text = typography.polish(_fill_in(template.subject, personalisation, as_list=_sentence))
    return " ".join(text.replace("\u00a0", " ").translate(_ZERO_WIDTH).split())


def body_of(template: Template, personalisation: Values) -> str:
    """Return the body: text with Markdown, no HTML."""
    return _fill_in(template.body, personalisation, as_list=_bullets).strip()


def html_of(template: Template, personalisation: Values) -> str:
    """Return the HTML of the body. What is no Markdown is escaped, whether it comes from the template or the caller."""
    escaped = {escape(str(name)): value for name, value in personalisation.items()}
    return _as_html(_fill_in(escape(template.body), escaped, as_list=_bullets, clean=escape))


def html_of_body(body: str) -> str:
    """Return the HTML of a body whose placeholders were filled in earlier. It's escaped like a template's."""
    return _as_html(escape(body))


def _as_html(text: str) -> str:
    text = _GOV_UK.sub("\\1\\2.\u200b\\3", text).replace("\u2028", "")
    return typography.polish(markdown.to_html(text + "\n"))


def text_message_of(template: Template, personalisation: Values) -> str:
    """Return the body of a text message, whose white space Notify tidies."""
    text = re.sub(r"[ \t]+([,.])", r"\1", _fill_in(template.body, personalisation, as_list=_sentence))
    lines = (" ".join(line.replace("\u00a0", " ").translate(_ZERO_WIDTH).split()) for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def escape(text: str) -> str:
    """Return the text with nothing left in it that HTML would take for a tag."""
    pieces = _KEPT_ENTITY.split(text)
    for index in range(0, len(pieces), 2):
        plain = _ENTITY.sub(lambda match: html.unescape(match[0]), pieces[index])
        pieces[index] = html.escape(plain, quote=False)
    return "".join(pieces)


def _by_name(personalisation: Values) -> dict[str, Any]:
    return {normalise_name(name): value for name, value in personalisation.items()}


def _fill_in(
    text: str, personalisation: Values, *, as_list: Callable[[list[str]], str], clean: Callable[[str], str] = str
) -> str:
    if "((" not in text:
        return text
    values = _by_name(personalisation)

    def replacement(match: re.Match[str]) -> str:
        name, *optional = match[1].split("??")
        value = values.get(normalise_name(name))
        if value is None:
            return match[0]
        if isinstance(value, list):
            items = (str(item).translate(_OBSCURE).strip(_WHITE_SPACE) for item in value if item is not None)
            written = clean(as_list([item for item in items if item]))
        else:
            written = clean(str(value))
        if optional:
            return "??".join(optional) if written.lower() in _YES else ""
        return written

    return _PLACEHOLDER.sub(replacement, text)


def _bullets(items: list[str]) -> str:
    return "\n\n" + "\n".join(f"* {item}" for item in items) if items else ""


def _sentence(items: list[str]) -> str:
    return " and ".join([*([", ".join(items[:-1])] if len(items) > 1 else []), *items[-1:]])
