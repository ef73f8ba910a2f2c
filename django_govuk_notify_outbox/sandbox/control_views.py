"""What tests and developers tell and ask the sandbox itself, in JSON, without a key."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from . import clock
from .endpoint import View, guarded
from .faults import Rule
from .models import ApiRequest, Fault, Notification, SandboxState

_LONGEST_TIME = 10 * 365 * 24 * 3600.0


def _control(method: str, action: Callable[..., Any]) -> View:
    """Return the view that answers with what the action returns, or with 400 and an explanation."""

    def view(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
        if request.method != method:
            return JsonResponse({"error": f"Use {method} here."}, status=405)
        try:
            data = json.loads(request.read()) if method == "POST" else {}
            return JsonResponse({"result": action(**data, **arguments)})
        except (ValueError, TypeError, LookupError) as error:
            return JsonResponse({"error": str(error)}, status=400)

    return guarded(view)


def _reset() -> None:
    for model in (Notification, ApiRequest, Fault):
        model.objects.all().delete()
    SandboxState.change(frozen_at=None)


def _set_clock(now: str | None) -> None:
    SandboxState.change(frozen_at=None if now is None else clock.from_datetime(datetime.fromisoformat(now)))


def _set_timing(sending_after: float, final_after: float) -> None:
    for seconds in (sending_after, final_after):
        if not 0 <= seconds <= _LONGEST_TIME:
            raise ValueError(f"The times are numbers of seconds, from 0 to {_LONGEST_TIME:.0f}.")
    SandboxState.change(sending_after=sending_after, final_after=final_after)


def _add_fault(**values: Any) -> None:
    Rule(**values).save()


def _set_status(notification_id: UUID, status: str) -> None:
    row = Notification.objects.filter(notification_id=notification_id).first()
    if row is None:
        raise LookupError(f"The sandbox has no email with the id {notification_id}.")
    if not status:
        raise ValueError("The status is empty.")
    row.force_status(status, SandboxState.load().now())


def _emails() -> list[dict[str, Any]]:
    now = SandboxState.load().now()
    return [
        {
            "id": str(row.notification_id),
            "email_address": row.email_address,
            "template_id": str(row.template_id),
            "reference": row.reference,
            "personalisation": row.personalisation,
            "subject": row.subject,
            "body": row.body,
            "status": row.status_at(now),
            "created_at": clock.to_text(row.created_at),
            "key_kind": row.key_kind,
            "request_body": row.request_body,
        }
        for row in Notification.objects.order_by("pk")
    ]


def _requests() -> list[dict[str, Any]]:
    rows = ApiRequest.objects.order_by("pk")
    return [{"method": row.method, "path": row.path, "query": row.query, "status": row.status} for row in rows]


reset = _control("POST", _reset)
set_clock = _control("POST", _set_clock)
set_timing = _control("POST", _set_timing)
add_fault = _control("POST", _add_fault)
set_status = _control("POST", _set_status)
emails = _control("GET", _emails)
requests = _control("GET", _requests)
