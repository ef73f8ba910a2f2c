"""Looking notifications up: one by its id, or pages of them, newest first."""

from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from . import conf, serializers, validation
from .errors import NoResultFound
from .models import Notification, NotificationQuerySet, SandboxState, digest_of
from .services import Service

PAGE_SIZE = 250

# What some of the statuses that may be asked for stand for; the others are themselves.
_MEANINGS = {
    "failed": ("technical-failure", "temporary-failure", "permanent-failure"),
    "accepted": ("created", "sending"),
    "received": ("delivered",),
}
_SINGLE = ("reference", "include_jobs", "older_than")


def find(text: str, *, service: Service, now: int) -> Notification:
    """Return the service's notification with this id, made with a key of any kind."""
    notification_id = validation.parse_uuid(text, name="notification_id")
    rows = Notification.objects.visible_at(now, retention_days=conf.retention_days(service))
    row = rows.filter(notification_id=notification_id, service_id=service.id).first()
    if row is None:
        raise NoResultFound
    return row


def page(query: QueryDict, *, service: Service, key_kind: str, state: SandboxState, root: str) -> dict[str, Any]:
    """Return one page of notifications made with a key of this kind, with links to itself and to the next one."""
    asked = {name: values[0] if name in _SINGLE else values for name, values in query.lists()}
    validation.list_request(asked)
    now = state.now()
    rows = _search(asked, service=service, now=now).filter(service_id=service.id, key_kind=key_kind)
    found = [
        serializers.notification(row, service=service, now=now, root=root)
        for row in rows.order_by("-created_at", "-pk")[:PAGE_SIZE]
    ]
    links = {"current": _link(root, asked)}
    if found:
        links["next"] = _link(root, {**asked, "older_than": found[-1]["id"]})
    return {"notifications": found, "links": links}


def _search(asked: dict[str, Any], *, service: Service, now: int) -> NotificationQuerySet:
    rows = Notification.objects.visible_at(now, retention_days=conf.retention_days(service))
    if "reference" in asked:
        if "\0" in asked["reference"]:
            raise ValueError("NUL in the reference")
        rows = rows.filter(reference_digest=digest_of(asked["reference"]))
    if "status" in asked:
        rows = rows.with_status_at({name for given in asked["status"] for name in _meaning(given)}, now)
    if "template_type" in asked and "email" not in asked["template_type"]:
        rows = rows.none()
    if "older_than" in asked:
        newer = Notification.objects.filter(
            notification_id=validation.parse_uuid(asked["older_than"], name="older_than")
        )
        # Strictly older, as with Notify: rows that share the microsecond are skipped.
        rows = rows.filter(created_at__lt=newer.values("created_at"))
    return rows


def _meaning(status: str) -> tuple[str, ...]:
    return _MEANINGS.get(status, (status,))


def _link(root: str, asked: dict[str, Any]) -> str:
    query = urlencode(asked, doseq=True, safe="!$'()*,/:;?@")
    return f"{root}/v2/notifications" + (f"?{query}" if query else "")
