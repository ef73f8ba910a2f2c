"""Making values harmless that a caller's own users have written: sanitise_content_for."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .rendering import normalise_name

_URL = re.compile(r"\bhttps?://\S*", re.IGNORECASE)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#^|~])")
_DOT_IN_NAME = re.compile(r"\.(?=\w)")


def sanitise(
    personalisation: Mapping[str, Any], names: Iterable[Any]
) -> tuple[Mapping[str, Any], dict[str, dict[str, str]]]:
    """Escape Markdown and remove addresses of web pages in the named values, and tell which ones changed.

    A name or a value that is no text raises TypeError, which the caller gets as a 500: so it is with Notify.
    """
    wanted = {normalise_name(name) for name in names}
    if not wanted:
        return personalisation, {}
    values = dict(personalisation)
    changed = {}
    for name, value in personalisation.items():
        if normalise_name(name) in wanted:
            safe = _DOT_IN_NAME.sub(r"\\. ", _MARKDOWN.sub(r"\\\1", _URL.sub("", value)))
            if safe != value:
                values[name] = safe
                changed[name] = {"sanitised": safe, "unsanitised": value}
    return values, changed
