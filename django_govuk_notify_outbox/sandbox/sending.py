"""Accepting an email: all checks in Notify's order, then the row to store."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from . import addresses, files, rendering, sanitising, templates, validation
from .clock import SECOND
from .errors import BadRequestError
from .models import Notification, SandboxState, digest_of
from .rendering import Rendered
from .services import LIVE, TEAM, ApiKey, Service, Template

# MariaDB takes 16 MB in one statement, unless it's told otherwise.
_LARGEST_KEPT = 8_000_000


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """An email that Notify would send."""

    notification: Notification
    rendered: Rendered
    sanitised: dict[str, dict[str, str]]
    # Emails to addresses that only simulate are answered and forgotten.
    is_stored: bool


def accept_email(
    body: bytes, *, service: Service, key: ApiKey, state: SandboxState, root: str, hidden_for: float = 0.0
) -> Accepted:
    """Return the email. Raises ApiError if Notify would refuse it."""
    now = state.now()
    data = validation.email_request(body, now=now)
    _check_permission(service)
    template = _template(service, UUID(data["template_id"]))
    names = data.get("sanitise_content_for") or ()
    personalisation, sanitised = sanitising.sanitise(data.get("personalisation", {}), names)
    rendering.check_complete(template, personalisation)
    rendering.check_not_empty(template, personalisation)
    _check_reply_to(service, data)
    _check_recipient(service, key, data["email_address"])
    is_simulated = addresses.is_simulated(data["email_address"])
    notification_id = uuid4()
    personalisation = files.with_links(
        personalisation, service=service, notification_id=notification_id, root=root, is_simulated=is_simulated
    )
    rendered = rendering.render(template, personalisation)
    rendering.check_not_too_long(rendered)
    reference = data.get("reference")
    _check_storable(reference)
    sending_at, final_at = state.plan(notification_id, now)
    notification = Notification(
        notification_id=notification_id,
        service_id=service.id,
        key_kind=key.kind,
        email_address=addresses.normalise(data["email_address"]),
        template_id=template.id,
        template_version=template.version,
        reference=reference,
        reference_digest=None if reference is None else digest_of(reference),
        one_click_unsubscribe_url=data.get("one_click_unsubscribe_url"),
        content=json.dumps({"subject": rendered.subject, "body": rendered.body}),
        request_body=_kept(body, data, template),
        created_at=now,
        sending_at=sending_at,
        final_at=final_at,
        final_status=addresses.outcome_for(data["email_address"]),
        hidden_until=now + round(hidden_for * SECOND) if hidden_for else None,
    )
    return Accepted(notification=notification, rendered=rendered, sanitised=sanitised, is_stored=not is_simulated)


def _kept(body: bytes, data: dict[str, Any], template: Template) -> str:
    """Return the body as it came; without the values that the template has no place for if it's very large."""
    if len(body) > _LARGEST_KEPT:
        used = {rendering.normalise_name(name) for name in rendering.placeholders_of(template)}
        values = data.get("personalisation", {})
        values = {name: value for name, value in values.items() if rendering.normalise_name(name) in used}
        return json.dumps({**data, "personalisation": values})
    return body.decode(json.detect_encoding(body))


def _check_permission(service: Service) -> None:
    if "email" not in service.permissions:
        raise BadRequestError("Service is not allowed to send emails")


def _template(service: Service, template_id: UUID) -> Template:
    template = templates.find(service, template_id)
    if template is None:
        raise BadRequestError("Template not found")
    if template.type != "email":
        raise BadRequestError(f"{template.type} template is not suitable for email notification")
    if template.archived:
        raise BadRequestError("Template has been deleted")
    return template


def _check_reply_to(service: Service, data: dict[str, Any]) -> None:
    given = data.get("email_reply_to_id")
    if given is not None and UUID(given) not in service.reply_to_addresses:
        raise BadRequestError(f"email_reply_to_id {given} does not exist in database for service id {service.id}")


def _check_recipient(service: Service, key: ApiKey, address: str) -> None:
    allowed = addresses.is_among(address, service.guests)
    if key.kind == TEAM and not allowed:
        raise BadRequestError("Can’t send to this recipient using a team-only API key")
    if key.kind == LIVE and service.trial_mode and not allowed:
        raise BadRequestError(
            "Can’t send to this recipient when service is in trial mode – see "
            "https://www.notifications.service.gov.uk/trial-mode"
        )


def _check_storable(reference: str | None) -> None:
    """Fail as PostgreSQL would, whatever the database: with ValueError for NUL, UnicodeEncodeError for half a pair."""
    if reference is not None:
        if "\0" in reference:
            raise ValueError("NUL in the reference")
        reference.encode()
