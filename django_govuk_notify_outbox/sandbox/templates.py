"""Looking templates up: one, one of its versions, all of them, and what one looks like filled in."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import QueryDict

from . import clock, conf, defaults, rendering, validation
from .errors import NoResultFound
from .services import Service, Template


def find(service: Service, template_id: UUID) -> Template | None:
    """Return the service's template with this id. The settings' templates come before the built-in ones."""
    if service.id == defaults.SERVICE.id and (template := conf.templates().get(template_id)):
        return template
    return service.templates.get(template_id)


def all_of(service: Service) -> list[Template]:
    """Return the service's templates by name, without those that were deleted."""
    own: Mapping[UUID, Template] = conf.templates() if service.id == defaults.SERVICE.id else {}
    found = {**service.templates, **own}.values()
    return sorted((one for one in found if not one.archived), key=lambda one: (one.name.casefold(), one.type))


def look_up(text: str, version: int | None, *, service: Service) -> Template:
    """Return a template, deleted ones too. Version 0 means the current one, as by Notify."""
    template = find(service, validation.parse_uuid(text, name="id"))
    if template is not None and version:
        template = template.in_version(version)
    if template is None:
        raise NoResultFound
    return template


def page(query: QueryDict, *, service: Service) -> dict[str, Any]:
    """Return the answer to the question for all templates, or for those of a type."""
    asked = {name: values[0] for name, values in query.lists()}
    validation.templates_request(asked)
    return {"templates": [described(one) for one in all_of(service) if asked.get("type", one.type) == one.type]}


def preview(text: str, body: bytes, *, service: Service) -> dict[str, Any]:
    """Return the template filled in, as text and as HTML. Raises ApiError if Notify would refuse it."""
    data = validation.preview_request(body, text)
    template = look_up(text, None, service=service)
    personalisation = data.get("personalisation", {})
    rendering.check_complete(template, personalisation)
    is_email = template.type == "email"
    return {
        "id": str(template.id),
        "type": template.type,
        "version": template.version,
        "subject": rendering.subject_of(template, personalisation) if is_email else None,
        "body": (rendering.body_of if is_email else rendering.text_message_of)(template, personalisation),
        "html": rendering.html_of(template, personalisation) if is_email else None,
        "postage": None,
    }


def described(template: Template) -> dict[str, Any]:
    """Return a template as Notify shows it."""
    names = rendering.placeholders_of(template)
    return {
        "id": str(template.id),
        "type": template.type,
        "name": template.name,
        "version": template.version,
        "created_at": clock.to_text(template.created_at),
        "created_by": template.created_by,
        "updated_at": clock.to_text(template.updated_at),
        "subject": template.subject if template.type == "email" else None,
        "body": template.body,
        "personalisation": {name: {"required": True} for name in names},
        "letter_contact_block": None,
        "postage": None,
    }
