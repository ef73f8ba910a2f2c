"""The shapes of Notify's answers, every key of them."""

import base64
from typing import Any

from . import clock, templates
from .models import FINAL_STATUSES, Notification
from .sending import Accepted
from .services import Service

# Keys of other kinds of notification, of parts of Notify that emails don't use.
_ALWAYS_EMPTY = dict.fromkeys(
    ("created_by_name", *(f"line_{number}" for number in range(1, 7)), "phone_number", "postage", "postcode")
)


def accepted(email: Accepted, *, service: Service, root: str) -> dict[str, Any]:
    """Return the answer to an email that was accepted."""
    notification = email.notification
    template = str(notification.template_id)
    return {
        "id": str(notification.notification_id),
        "reference": notification.reference,
        "content": {
            "subject": email.rendered.subject,
            "body": email.rendered.body,
            "from_email": f"{service.email_from}@notifications.service.gov.uk",
            "one_click_unsubscribe_url": notification.one_click_unsubscribe_url,
        },
        "sanitised_content": email.sanitised,
        "scheduled_for": None,
        "template": {
            "id": template,
            "uri": f"{root}/services/{service.id}/templates/{template}",
            "version": notification.template_version,
        },
        "uri": f"{root}/v2/notifications/{notification.notification_id}",
    }


def notification(row: Notification, *, service: Service, now: int, root: str) -> dict[str, Any]:
    """Return a notification as looked up, by id or in a list."""
    status = row.status_at(now)
    was_sent = status not in ("created", "technical-failure")
    return {
        **_ALWAYS_EMPTY,
        "id": str(row.notification_id),
        "reference": row.reference,
        "email_address": row.email_address,
        "type": "email",
        "status": status,
        "template": {
            "id": str(row.template_id),
            "uri": f"{root}/v2/template/{row.template_id}/version/{row.template_version}",
            "version": row.template_version,
        },
        "subject": row.subject,
        "body": row.body,
        "one_click_unsubscribe_url": _unsubscribe_url(row, service=service, root=root),
        "created_at": clock.to_text(row.created_at),
        "sent_at": clock.to_text(row.sending_at if was_sent else None),
        "completed_at": clock.to_text(row.final_at if status in FINAL_STATUSES else None),
        "scheduled_for": None,
        "cost_in_pounds": 0.0,
        "cost_details": {},
        "is_cost_data_ready": True,
    }


def _unsubscribe_url(row: Notification, *, service: Service, root: str) -> str | None:
    """Return the caller's address, or one of Notify's own if the template has a link to unsubscribe."""
    if row.one_click_unsubscribe_url is not None:
        return row.one_click_unsubscribe_url
    template = templates.find(service, row.template_id)
    if template is None or not template.has_unsubscribe_link:
        return None
    token = base64.urlsafe_b64encode(row.notification_id.bytes * 4).decode()
    return f"{root}/unsubscribe/{row.notification_id}/{token}"
