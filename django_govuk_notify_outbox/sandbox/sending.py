"""Accepting an email: all checks in Notify's order, then the row to store."""

import json
from typing import Any
from uuid import UUID, uuid4

from . import addresses, rendering, validation
from .clock import SECOND
from .errors import BadRequestError
from .models import Notification, SandboxState, digest_of
from .rendering import Rendered
from .services import LIVE, TEAM, ApiKey, Service, Template


def accept_email(
    body: bytes, *, service: Service, key: ApiKey, state: SandboxState, hidden_for: float = 0.0
) -> tuple[Notification, Rendered, bool]:
    """Return the email, its text, and whether it is to be stored. Raises ApiError if Notify would refuse it."""
    now = state.now()
    data = validation.email_request(body, now=now)
    template = _template(service, UUID(data["template_id"]))
    personalisation = data.get("personalisation", {})
    rendered = rendering.render(template, personalisation, data.get("sanitise_content_for") or ())
    _check_reply_to(service, data)
    _check_recipient(service, key, data["email_address"])
    _check_no_files(service, personalisation)
    reference = data.get("reference")
    _check_storable(reference)
    notification = Notification(
        notification_id=uuid4(),
        service_id=service.id,
        key_kind=key.kind,
        email_address=addresses.normalise(data["email_address"]),
        template_id=template.id,
        template_version=template.version,
        reference=reference,
        reference_digest=None if reference is None else digest_of(reference),
        one_click_unsubscribe_url=data.get("one_click_unsubscribe_url"),
        content=json.dumps({"subject": rendered.subject, "body": rendered.body}),
        request_body=body.decode(json.detect_encoding(body)),
        created_at=now,
        sending_at=now + round(state.sending_after * SECOND),
        final_at=now + round(max(state.sending_after, state.final_after) * SECOND),
        final_status=addresses.outcome_for(data["email_address"]),
        hidden_until=now + round(hidden_for * SECOND) if hidden_for else None,
    )
    return notification, rendered, not addresses.is_simulated(data["email_address"])


def _template(service: Service, template_id: UUID) -> Template:
    template = service.templates.get(template_id)
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


def _check_no_files(service: Service, personalisation: dict[str, Any]) -> None:
    # Files by email need contact details, which a service in the sandbox doesn't have.
    if any(isinstance(value, dict) and "file" in value for value in personalisation.values()):
        raise BadRequestError(
            "Send files by email has not been set up - add contact details for your service at "
            f"https://www.notifications.service.gov.uk/services/{service.id}/service-settings/send-files-by-email"
        )


def _check_storable(reference: str | None) -> None:
    """Fail as PostgreSQL would, whatever the database: with ValueError for NUL, UnicodeEncodeError for half a pair."""
    if reference is not None:
        if "\0" in reference:
            raise ValueError("NUL in the reference")
        reference.encode()
