"""What tests and developers tell and ask the sandbox itself, in JSON, without a key."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from . import clock, faults, origins, receipts, sending
from .defaults import SERVICE
from .endpoint import View, guarded
from .errors import ApiError
from .faults import Rule
from .models import Allowance, ApiRequest, Fault, Notification, Receipt, SandboxState
from .services import LIVE

_LIVE_KEY = next(key for key in SERVICE.api_keys if key.kind == LIVE)
_LARGEST_LIMIT = 1_000_000_000
_LONGEST_TIME = 10 * 365 * 24 * 3600.0


def _control(method: str, action: Callable[..., Any]) -> View:
    """Return the view that answers with what the action returns, or with 400 and an explanation."""

    def view(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
        if not origins.is_trusted(request):
            return JsonResponse({"error": "A page of another site can't tell the sandbox anything."}, status=403)
        if request.method != method:
            return JsonResponse({"error": f"Use {method} here."}, status=405)
        try:
            data = json.loads(request.read()) if method == "POST" else {}
            return JsonResponse({"result": action(**data, **arguments)})
        except (ValueError, TypeError, LookupError) as error:
            return JsonResponse({"error": str(error)}, status=400)

    return guarded(view)


def _reset() -> None:
    for model in (Receipt, Notification, ApiRequest, Fault, Allowance):
        model.objects.all().delete()
    SandboxState.change(frozen_at=None, rate_limit=None, daily_limit=None, callback_url=None, callback_token=None)


def _set_clock(now: str | None) -> None:
    SandboxState.change(frozen_at=None if now is None else clock.from_datetime(datetime.fromisoformat(now)))
    receipts.look_now()


def _set_timing(sending_after: float, final_after: float, final_spread: float = 0.0) -> None:
    for seconds in (sending_after, final_after, final_spread):
        if not 0 <= seconds <= _LONGEST_TIME:
            raise ValueError(f"The times are numbers of seconds, from 0 to {_LONGEST_TIME:.0f}.")
    SandboxState.change(sending_after=sending_after, final_after=final_after, final_spread=final_spread)


def _set_limits(rate_limit: int | None, daily_limit: int | None) -> None:
    for limit in (rate_limit, daily_limit):
        if limit is not None and not 0 <= limit <= _LARGEST_LIMIT:
            raise ValueError(f"The limits are whole numbers from 0, which means no limit, to {_LARGEST_LIMIT}.")
    SandboxState.change(rate_limit=rate_limit, daily_limit=daily_limit)
    Allowance.objects.all().delete()


def _set_callback(url: str | None, token: str | None) -> None:
    if url and not url.startswith(("http://", "https://")):
        raise ValueError("The address for receipts begins with https:// or, for the sandbox alone, with http://.")
    SandboxState.change(callback_url=url, callback_token=token)


def _receipts() -> list[dict[str, Any]]:
    return [
        {
            "id": str(row.notification_id),
            "url": row.url,
            "payload": json.loads(row.payload or "null"),
            "attempts": row.attempts,
            "outcome": row.outcome,
            "next_attempt_at": clock.to_text(row.due_at),
        }
        for row in Receipt.objects.order_by("pk")
    ]


def _add_fault(**values: Any) -> None:
    Rule(**values).save()


def _faults() -> list[dict[str, Any]]:
    found = faults.waiting(SandboxState.load().now())
    return [
        {**asdict(rule), "id": fault.pk, "remaining": fault.remaining, "until": clock.to_text(fault.until)}
        for fault, rule in found
    ]


def _set_status(notification_id: UUID, status: str) -> None:
    row = Notification.objects.filter(notification_id=notification_id).first()
    if row is None:
        raise LookupError(f"The sandbox has no email with the id {notification_id}.")
    if not status:
        raise ValueError("The status is empty.")
    row.force_status(status, SandboxState.load().now())
    receipts.plan_anew(row)


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


def _add_emails(emails: list[dict[str, Any]]) -> list[str]:
    state = SandboxState.load()
    accepted = [_accepted(state, **email) for email in emails]
    Notification.objects.bulk_create(email.notification for email in accepted if email.is_stored)
    return [str(email.notification.notification_id) for email in accepted]


def _accepted(state: SandboxState, created_at: str, **values: Any) -> sending.Accepted:
    state.frozen_at = clock.from_datetime(datetime.fromisoformat(created_at))
    body = json.dumps(values).encode()
    try:
        return sending.accept_email(body, service=SERVICE, key=_LIVE_KEY, state=state, root="")
    except ApiError as error:
        raise ValueError(f"Notify would refuse the email: {'; '.join(error.messages)}") from error


def _requests() -> list[dict[str, Any]]:
    rows = ApiRequest.objects.order_by("pk")
    return [{"method": row.method, "path": row.path, "query": row.query, "status": row.status} for row in rows]


reset = _control("POST", _reset)
set_clock = _control("POST", _set_clock)
set_timing = _control("POST", _set_timing)
set_limits = _control("POST", _set_limits)
set_callback = _control("POST", _set_callback)
post_receipts = _control("POST", receipts.post_due)
all_receipts = _control("GET", _receipts)
add_fault = _control("POST", _add_fault)
all_faults = _control("GET", _faults)
clear_faults = _control("POST", faults.clear)
set_status = _control("POST", _set_status)
emails = _control("GET", _emails)
add_emails = _control("POST", _add_emails)
requests = _control("GET", _requests)
