"""The sandbox's time, in whole microseconds since 1970 (UTC).

Whole numbers, because they mean the same in every project: columns of dates and times depend on USE_TZ, on the
time zone of the connection and on the precision that the database was set up with.
"""

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

SECOND = 1_000_000


def real_now() -> int:
    """Return the time by the machine's clock."""
    return time.time_ns() // 1000


def from_datetime(moment: datetime) -> int:
    """Return an aware moment in the sandbox's unit. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("The moment has no time zone. Give an aware datetime, for example with tzinfo=UTC.")
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(moment: int) -> datetime:
    """Return the aware moment in UTC."""
    return _EPOCH + moment * _MICROSECOND


def to_text(moment: int | None) -> str | None:
    """Write a moment as Notify does: always with six digits after the second, and a Z."""
    if moment is None:
        return None
    return to_datetime(moment).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
