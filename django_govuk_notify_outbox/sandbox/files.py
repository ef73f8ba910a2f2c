"""Sending files by email: a value that describes a file becomes a link to it."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from uuid import UUID

from . import conf, validation
from .errors import BadRequestError
from .models import Notification
from .services import Service

_MAXIMUM_SIZE = 2 * 1024 * 1024 + 1024
_LONGEST_NAME = 100
_EXTENSIONS = ("csv", "doc", "docx", "jpeg", "jpg", "json", "odt", "pdf", "png", "rtf", "txt", "xlsx")


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that was sent, as its recipient gets it."""

    name: str
    content: bytes


def with_links(
    personalisation: Mapping[str, Any], *, service: Service, notification_id: UUID, root: str, is_simulated: bool
) -> Mapping[str, Any]:
    """Return the values with a link in place of each file. Raises ApiError for what Notify would not send."""
    names = [name for name, value in personalisation.items() if isinstance(value, dict) and "file" in value]
    if not names:
        return personalisation
    for name in names:
        validation.file_request(personalisation[name])
    if not conf.contact_link(service):
        raise BadRequestError(
            "Send files by email has not been set up - add contact details for your service at "
            f"https://www.notifications.service.gov.uk/services/{service.id}/service-settings/send-files-by-email"
        )
    values = dict(personalisation)
    for number, name in enumerate(names):
        if is_simulated:
            values[name] = f"{root}/services/{service.id}/documents/test-document"
        else:
            _check(personalisation[name])
            values[name] = f"{root}/{_path(service.id, notification_id, number)}"
    return values


def path_of(notification: Notification, number: int) -> str:
    """Return where one of an email's files is, as seen from the sandbox's root."""
    return _path(notification.service_id, notification.notification_id, number)


def find(document: str, key: str) -> File | None:
    """Return the file that a link leads to, if there is one."""
    try:
        notification_id = UUID(bytes=base64.urlsafe_b64decode(document + "=="))
        number = int.from_bytes(base64.urlsafe_b64decode(key + "="))
    except (ValueError, binascii.Error):
        return None
    row = Notification.objects.filter(notification_id=notification_id).first()
    sent = sent_with(row) if row else []
    return sent[number] if number < len(sent) else None


def sent_with(notification: Notification) -> list[File]:
    """Return the files of an email."""
    given = json.loads(notification.request_body).get("personalisation", {}).values()
    described = [value for value in given if isinstance(value, dict) and "file" in value]
    return [
        File(name=value.get("filename") or f"file-{number}", content=base64.b64decode(value["file"]))
        for number, value in enumerate(described, start=1)
    ]


def _check(described: dict[str, Any]) -> None:
    """Raise what Notify's service for files would say."""
    try:
        content = base64.b64decode(described["file"])
    except ValueError:
        raise BadRequestError("Document is not base64 encoded") from None
    if len(content) > _MAXIMUM_SIZE:
        raise BadRequestError("Uploaded file exceeds file size limit", status=413)
    name = described.get("filename")
    if name and len(name) > _LONGEST_NAME:
        raise BadRequestError(f"`filename` cannot be longer than {_LONGEST_NAME} characters")
    extension = PurePath(name).suffix[1:].lower() if name else ""
    if name and extension not in _EXTENSIONS:
        allowed = ", ".join(f"'.{known}'" for known in _EXTENSIONS)
        raise BadRequestError(f"Unsupported file type '.{extension}'. Supported types are: {allowed}")


def _short(identifier: UUID) -> str:
    return base64.urlsafe_b64encode(identifier.bytes).decode().rstrip("=")


def _path(service_id: UUID, notification_id: UUID, number: int) -> str:
    key = base64.urlsafe_b64encode(number.to_bytes(32)).decode().rstrip("=")
    return f"d/{_short(service_id)}/{_short(notification_id)}?key={key}"
