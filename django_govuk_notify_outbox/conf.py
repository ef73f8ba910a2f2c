"""The library's settings, typed, with their defaults.

``django.conf.settings`` is read here alone, and each time a value is asked for, so that ``override_settings`` works.
What is wrong with a value is reported by ``checks.py``; here a wrong value raises ``ImproperlyConfigured``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

PREFIX = "DJANGO_GOVUK_NOTIFY_OUTBOX__"

#: Notify's own address, and the timeout that its Python client uses.
DEFAULT_BASE_URL = "https://api.notifications.service.gov.uk"
DEFAULT_TIMEOUT = 30.0

DEFAULT_RETRY_INTERVALS = (5, 10, 60, 120, 240, 480, 960, 1920)
DEFAULT_ABANDON_AFTER = 3600

#: With an answer in a tenth of a second, these send more than Notify's default limit, 50 a second.
DEFAULT_SYNC_THREADS = 10
_MOST_THREADS = 100

# Some thirty years: dates end before much more than that
_LONGEST = 1e9

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
# The client reads a key from its end: the service's id, a hyphen, the secret. The name before them may be missing.
_API_KEY = re.compile(rf"(.*-)?{_UUID}-{_UUID}")

# Notify takes no callback with a shorter token, and HTTP sends no others alike through every proxy
_RECEIPT_TOKEN = re.compile(r"[!-~][ -~]{8,}[!-~]")


@dataclass(frozen=True)
class Setting:
    """One setting: its name after the prefix, its default, and what makes a value right.

    ``problem`` gives the sentence that completes "<name> …" when the value is wrong, or None. It must not repeat the
    value: it may be a secret.
    """

    name: str
    default: Any
    problem: Callable[[Any], str | None]
    required: bool = False

    @property
    def full_name(self) -> str:
        """The name to write in settings.py."""
        return PREFIX + self.name

    def is_set(self) -> bool:
        """Whether the project gives this setting a value."""
        return getattr(settings, self.full_name, None) is not None

    def raw(self) -> Any:
        """The project's value, or the default; unchecked."""
        value = getattr(settings, self.full_name, None)
        return self.default if value is None else value

    def get(self) -> Any:
        """The project's value, or the default.

        Raises ImproperlyConfigured when the value is missing or of the wrong shape.
        """
        if self.required and not self.is_set():
            raise ImproperlyConfigured(f"{self.full_name} is not set.")
        value = self.raw()
        problem = self.problem(value)
        if problem is not None:
            raise ImproperlyConfigured(f"{self.full_name} {problem}.")
        return value


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LONGEST


def _api_key_problem(value: Any) -> str | None:
    if not isinstance(value, str) or not _API_KEY.fullmatch(value):
        return (
            "is not an API key of GOV.UK Notify: <name>-<service id>-<secret>, without spaces or line breaks around it"
        )
    return None


def _intervals_problem(value: Any) -> str | None:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return "must be a list of seconds"
    if not all(_is_seconds(seconds) and seconds >= 0 for seconds in value):
        return "must hold numbers of seconds, none below 0"
    return None


def _positive_problem(value: Any) -> str | None:
    return None if _is_seconds(value) and value > 0 else "must be a number of seconds above 0"


def _threads_problem(value: Any) -> str | None:
    is_number = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_THREADS
    return None if is_number else f"must be a whole number from 1 to {_MOST_THREADS}"


def _base_url_problem(value: Any) -> str | None:
    try:
        parts = urlsplit(value)
        usable = isinstance(value, str) and parts.scheme in ("http", "https") and bool(parts.hostname)
    except (AttributeError, TypeError, ValueError):
        usable = False
    return None if usable else "must be an http or https address"


def _tokens_problem(value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return "must be a list of bearer tokens"
    if not all(isinstance(token, str) and _RECEIPT_TOKEN.fullmatch(token) for token in value):
        return "must hold texts of at least 10 printable ASCII characters, without spaces or line breaks around them"
    return None


API_KEY = Setting("API_KEY", None, _api_key_problem, required=True)
BASE_URL = Setting("BASE_URL", DEFAULT_BASE_URL, _base_url_problem)
TIMEOUT = Setting("TIMEOUT", DEFAULT_TIMEOUT, _positive_problem)
RETRY_INTERVALS = Setting("SEND_TO_NOTIFY_RETRY_INTERVALS", DEFAULT_RETRY_INTERVALS, _intervals_problem)
ABANDON_AFTER = Setting("SEND_TO_NOTIFY_ABANDON_AFTER", DEFAULT_ABANDON_AFTER, _positive_problem)
RECEIPT_TOKENS = Setting("RECEIPT_TOKENS", (), _tokens_problem)

SYNC_THREADS = Setting("SYNC_THREADS", DEFAULT_SYNC_THREADS, _threads_problem)

ALL_SETTINGS = (API_KEY, BASE_URL, TIMEOUT, RETRY_INTERVALS, ABANDON_AFTER, SYNC_THREADS, RECEIPT_TOKENS)


def api_key() -> str:
    """The key that signs requests to Notify. Raises ImproperlyConfigured when it is missing or malformed."""
    return cast("str", API_KEY.get())


def base_url() -> str:
    """Where Notify is: its own address unless the project names another one, such as a sandbox's."""
    return cast("str", BASE_URL.get())


def service_id() -> str | None:
    """The id of our service at Notify, which is a part of the key. Never raises.

    None where the key is missing or malformed, or where emails go to somewhere else than Notify.
    """
    key, base = API_KEY.raw(), BASE_URL.raw()
    if API_KEY.problem(key) or BASE_URL.problem(base) or str(base).rstrip("/") != DEFAULT_BASE_URL:
        return None
    return str(key)[-73:-37]


def timeout() -> float:
    """Seconds to wait for Notify to connect, and then for it to answer."""
    return cast("float", TIMEOUT.get())


def retry_interval(failed_attempts: int) -> float | None:
    """Seconds to wait after the email's n-th failed attempt, or None when there is no further attempt."""
    intervals = cast("Sequence[float]", RETRY_INTERVALS.get())
    return intervals[failed_attempts - 1] if failed_attempts <= len(intervals) else None


def abandon_after() -> float:
    """Seconds since an email was created, after which it is no longer sent."""
    return cast("float", ABANDON_AFTER.get())


def sync_threads() -> int:
    """How many emails a run of sync sends, or looks up, at the same time."""
    return cast("int", SYNC_THREADS.get())


def receipt_tokens() -> tuple[str, ...]:
    """The bearer tokens that delivery receipts may come with; none: receipts are off."""
    return tuple(cast("Sequence[str]", RECEIPT_TOKENS.get()))


def has_receipts() -> bool:
    """Whether Notify is meant to post us delivery receipts. Never raises: how often we ask Notify hangs on it."""
    return bool(RECEIPT_TOKENS.raw())


def has_urls() -> bool:
    """Whether this process serves pages: a project of workers alone needs no ROOT_URLCONF."""
    return bool(getattr(settings, "ROOT_URLCONF", None))


def unknown_names() -> list[str]:
    """Names in the project's settings that have our prefix and mean nothing: misspelt ones."""
    known = {setting.full_name for setting in ALL_SETTINGS}
    return sorted(name for name in dir(settings) if name.startswith(PREFIX) and name not in known)


def beat_schedule() -> dict[str, Any]:
    """The project's CELERY_BEAT_SCHEDULE, or an empty one."""
    schedule = getattr(settings, "CELERY_BEAT_SCHEDULE", None)
    return dict(schedule) if isinstance(schedule, Mapping) else {}
