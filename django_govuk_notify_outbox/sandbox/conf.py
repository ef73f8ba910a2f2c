"""The sandbox's settings, read when they are used. What is said by remote control comes before them."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from .services import Service, Template

PREFIX = "GOVUK_NOTIFY_SANDBOX_"
TEMPLATES = f"{PREFIX}TEMPLATES"
RATE_LIMIT = f"{PREFIX}RATE_LIMIT"
DAILY_LIMIT = f"{PREFIX}DAILY_LIMIT"
RETENTION_DAYS = f"{PREFIX}RETENTION_DAYS"
CALLBACK_URL = f"{PREFIX}CALLBACK_URL"
CALLBACK_TOKEN = f"{PREFIX}CALLBACK_TOKEN"
CONTACT_LINK = f"{PREFIX}CONTACT_LINK"
ALLOWED_WITHOUT_DEBUG = f"{PREFIX}ALLOWED_WITHOUT_DEBUG"

_TEMPLATE_KEYS: Mapping[str, type] = {
    "name": str,
    "subject": str,
    "body": str,
    "type": str,
    "archived": bool,
    "has_unsubscribe_link": bool,
}

# The setting that was read last, and what it came to: reading it anew for every email would take too long.
_read: tuple[object, Mapping[UUID, Template]] = (None, {})


def rate_limit(service: Service, told: int | None) -> int:
    """Return how many requests a minute the service may make. 0 means as many as it likes."""
    return told if told is not None else int(getattr(settings, RATE_LIMIT, service.rate_limit))


def daily_limit(service: Service, told: int | None) -> int:
    """Return how many emails a day the service may send. 0 means as many as it likes."""
    return told if told is not None else int(getattr(settings, DAILY_LIMIT, service.daily_limit))


def retention_days(service: Service) -> int:
    """Return for how many days emails can be looked up."""
    return int(getattr(settings, RETENTION_DAYS, service.retention_days))


def contact_link(service: Service) -> str | None:
    """Return the service's contact details, without which it can't send files."""
    return service.contact_link or getattr(settings, CONTACT_LINK, None)


def callback(told_url: str | None, told_token: str | None) -> tuple[str, str]:
    """Return where receipts are posted, and with which bearer token. "" means nowhere."""
    url = told_url if told_url is not None else str(getattr(settings, CALLBACK_URL, "") or "")
    token = told_token if told_token is not None else str(getattr(settings, CALLBACK_TOKEN, "") or "")
    return url, token


def is_allowed() -> bool:
    """Tell whether the sandbox may answer with the settings as they are."""
    return settings.DEBUG or getattr(settings, ALLOWED_WITHOUT_DEBUG, False) is True


def templates() -> Mapping[UUID, Template]:
    """Return the templates that the settings define. Those with mistakes, which a check reports, are left out."""
    global _read  # noqa: PLW0603  a cache of one
    raw = getattr(settings, TEMPLATES, None)
    if raw is not _read[0]:
        _read = (raw, {template.id: template for template in _parsed(raw)})
    return _read[1]


def mistakes_in_templates() -> Iterator[str]:
    """Say what is wrong with the templates in the settings."""
    raw = getattr(settings, TEMPLATES, None)
    if raw is None:
        return
    if not isinstance(raw, Mapping):
        yield "It is a dictionary of templates by their ids."
        return
    for key, value in raw.items():
        if _uuid(key) is None:
            yield f"{key!r} is no UUID."
        versions = value if isinstance(value, list | tuple) else [value]
        if not versions:
            yield f"{key}: it has no version."
        for version in versions:
            for mistake in _mistakes_in_version(version):
                yield f"{key}: {mistake}"


def mistakes_in_numbers() -> Iterator[str]:
    """Name the settings that should be whole numbers and are not."""
    for name, least in ((RATE_LIMIT, 0), (DAILY_LIMIT, 0), (RETENTION_DAYS, 1)):
        value = getattr(settings, name, least)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            yield name


def unknown_settings() -> list[str]:
    """Return the settings that begin like the sandbox's and are none of them: misspelt, as a rule."""
    known = {TEMPLATES, RATE_LIMIT, DAILY_LIMIT, RETENTION_DAYS, CALLBACK_URL, CALLBACK_TOKEN, CONTACT_LINK}
    return sorted(
        name for name in dir(settings) if name.startswith(PREFIX) and name not in known | {ALLOWED_WITHOUT_DEBUG}
    )


def _parsed(raw: Any) -> Iterator[Template]:
    for key, value in raw.items() if isinstance(raw, Mapping) else ():
        template_id = _uuid(key)
        versions = value if isinstance(value, list | tuple) else [value]
        if template_id is None or not versions or any(any(_mistakes_in_version(version)) for version in versions):
            continue
        earlier: tuple[Template, ...] = ()
        for number, version in enumerate(versions, start=1):
            template = Template(
                id=template_id,
                version=number,
                earlier=earlier,
                updated_at=Template.created_at if number > 1 else None,
                **{"name": version["subject"], **version},
            )
            earlier = (*earlier, template)
        yield template


def _mistakes_in_version(version: Any) -> Iterator[str]:
    if not isinstance(version, Mapping):
        yield 'a version is a dictionary with "subject" and "body".'
        return
    for name in ("subject", "body"):
        if name not in version:
            yield f'"{name}" is missing.'
    for name, value in version.items():
        if name not in _TEMPLATE_KEYS:
            yield f'"{name}" is unknown. There are {", ".join(_TEMPLATE_KEYS)}.'
        elif not isinstance(value, _TEMPLATE_KEYS[name]):
            yield f'"{name}" is not of type {_TEMPLATE_KEYS[name].__name__}.'


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
