"""How much a service may send: Notify's token bucket and its daily limit."""

import math
from datetime import datetime
from typing import Any

from django.db import connections, router

from . import clock, conf
from .errors import RateLimitError, TooManyRequestsError
from .models import Allowance, Notification, SandboxState
from .services import TEST, ApiKey, Service

_MINUTE = 60 * clock.SECOND
_LARGEST_BUCKET = 1_000

# In SQL, because every email costs one of each: to have them made of querysets takes longer than to run them.
_COUNT = "UPDATE govuk_notify_sandbox_allowance SET amount = amount + 1 WHERE name = %s"
_READ = "SELECT name, amount, since FROM govuk_notify_sandbox_allowance WHERE name IN (%s, %s)"
_TAKE = (
    "UPDATE govuk_notify_sandbox_allowance SET amount = %s, since = %s WHERE name = %s AND amount = %s AND since = %s"
)


def check(service: Service, key: ApiKey, state: SandboxState) -> None:
    """Take a token, and raise RateLimitError or TooManyRequestsError if the service has to wait."""
    rate, daily = conf.rate_limit(service, state.rate_limit), conf.daily_limit(service, state.daily_limit)
    if key.kind == TEST:
        daily = 0
    if not rate and not daily:
        return
    now = state.now()
    bucket, day = f"{service.id}:{key.kind}", _day_key(service.id, now)
    while True:
        found = _read(bucket, day)
        if not rate or _take_token(bucket, found.get(bucket), rate=rate, now=now, key=key):
            break
    if daily and found.get(day, (0, 0))[0] >= daily:
        raise TooManyRequestsError(daily)


def count(notification: Notification) -> None:
    """Count an email that was stored towards the day's limit. Emails sent with a test key are free."""
    if notification.key_kind != TEST:
        day = _day_key(notification.service_id, notification.created_at)
        if not _execute(_COUNT, (day,)):
            Allowance.objects.get_or_create(name=day, defaults={"amount": 0, "since": notification.created_at})
            _execute(_COUNT, (day,))


def _day_key(service_id: object, now: int) -> str:
    moment: datetime = clock.to_datetime(now)
    return f"{service_id}:{moment:%Y-%m-%d}"


def _read(*names: str) -> dict[str, tuple[int, int]]:
    with connections[router.db_for_write(Allowance)].cursor() as cursor:
        cursor.execute(_READ, names)
        return {name: (amount, since) for name, amount, since in cursor.fetchall()}


def _take_token(name: str, found: tuple[int, int] | None, *, rate: int, now: int, key: ApiKey) -> bool:
    """Take a token, which a refused request does too. False: somebody else took one meanwhile."""
    largest = min(math.ceil(rate / 3) + 1, _LARGEST_BUCKET)
    if found is None:
        Allowance.objects.get_or_create(name=name, defaults={"amount": largest, "since": now})
        return False
    tokens, since = found
    # The sandbox's clock can be moved back, Notify's can not: then begin anew.
    since = min(since, now)
    arrived = (now - since) * rate // _MINUTE
    left = max(min(tokens + arrived, largest) - 1, 0)
    # Up to the last whole token, so that no part of one is lost.
    moment = since + arrived * _MINUTE // rate
    if (left, moment) != found and not _execute(_TAKE, (left, moment, name, *found)):
        return False
    if left < 1:
        raise RateLimitError(key_kind=key.kind, limit=rate)
    return True


def _execute(statement: str, values: tuple[Any, ...]) -> bool:
    with connections[router.db_for_write(Allowance)].cursor() as cursor:
        cursor.execute(statement, values)
        return bool(cursor.rowcount == 1)
