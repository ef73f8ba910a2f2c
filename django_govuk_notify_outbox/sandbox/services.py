"""What exists in the sandbox's Notify: services with their keys, templates and addresses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

LIVE = "live"
TEAM = "team"
TEST = "test"

RATE_LIMIT = 3_000
DAILY_LIMIT = 250_000
RETENTION_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key as Notify makes them: the caller's copy also carries its name and the service's id."""

    kind: str
    secret: str
    # In seconds since 1970, as the times in tokens. Notify speaks of a revoked key for a week, then forgets it.
    revoked_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Template:
    """A template as it is now, and its earlier versions. Times are microseconds since 1970, see clock.py."""

    id: UUID
    subject: str
    body: str
    name: str = ""
    version: int = 1
    type: str = "email"
    archived: bool = False
    has_unsubscribe_link: bool = False
    created_by: str = "team.member@example.gov.uk"
    created_at: int = 1_767_225_600_000_000  # the start of 2026: a template has no time of its own here
    updated_at: int | None = None
    earlier: tuple["Template", ...] = ()

    def in_version(self, version: int) -> "Template | None":
        """Return the template as it was in this version, if there was one."""
        return next((one for one in (self, *self.earlier) if one.version == version), None)


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service; its team and its guest list together are whom a team key may write to."""

    id: UUID
    email_from: str
    api_keys: tuple[ApiKey, ...]
    templates: Mapping[UUID, Template]
    active: bool = True
    trial_mode: bool = False
    permissions: frozenset[str] = frozenset({"email"})
    guests: frozenset[str] = frozenset()
    reply_to_addresses: Mapping[UUID, str] = field(default_factory=dict)
    # Without contact details there is no sending of files.
    contact_link: str | None = None
    rate_limit: int = RATE_LIMIT
    daily_limit: int = DAILY_LIMIT
    retention_days: int = RETENTION_DAYS


_services: dict[UUID, Service] = {}


def add_service(service: Service) -> None:
    """Make the service known, in place of any other with its id."""
    _services[service.id] = service


def find_service(service_id: UUID) -> Service | None:
    """Return the service with this id, if there is one. Costs no query: every request needs it."""
    return _services.get(service_id)
