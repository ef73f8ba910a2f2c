"""What exists in the sandbox's Notify: services with their keys, templates and addresses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

LIVE = "live"
TEAM = "team"
TEST = "test"


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key as Notify makes them: the caller's copy also carries its name and the service's id."""

    kind: str
    secret: str


@dataclass(frozen=True, kw_only=True)
class Template:
    """A template in one version."""

    id: UUID
    subject: str
    body: str
    version: int = 1
    type: str = "email"
    archived: bool = False


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service; its team and its guest list together are whom a team key may write to."""

    id: UUID
    email_from: str
    api_keys: tuple[ApiKey, ...]
    templates: Mapping[UUID, Template]
    trial_mode: bool = False
    guests: frozenset[str] = frozenset()
    reply_to_addresses: Mapping[UUID, str] = field(default_factory=dict)


_services: dict[UUID, Service] = {}


def add_service(service: Service) -> None:
    """Make the service known, in place of any other with its id."""
    _services[service.id] = service


def find_service(service_id: UUID) -> Service | None:
    """Return the service with this id, if there is one. Costs no query: every request needs it."""
    return _services.get(service_id)
