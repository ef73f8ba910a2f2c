"""Moments to come, and how long ago others were, on clocks that may jump."""

from __future__ import annotations

import datetime as dt
import time

from django.utils import timezone

#: Seconds by which two clocks may differ, a host's and another's or Notify's: it refuses those over 30 seconds off.
CLOCK_TOLERANCE = 60.0


def after(seconds: float) -> dt.datetime:
    """The moment so many seconds from now, as Django stores it; not sooner on a clock that jumps.

    With USE_TZ = False moments are local times, which jump an hour twice a year. In spring a lease would end an hour
    too soon, while its worker is still at it. So there are two answers, by the local clock and by the world's, and the
    later one is given.
    """
    now, wait = timezone.now(), dt.timedelta(seconds=seconds)
    if timezone.is_aware(now):
        return now + wait
    by_the_world = dt.datetime.fromtimestamp(time.time() + seconds, tz=timezone.get_default_timezone())
    return max(now + wait, by_the_world.replace(tzinfo=None))


def seconds_since(moment: dt.datetime) -> float:
    """Seconds that have passed since a moment that Django stored; not more than have on a clock that jumps."""
    return (aware(timezone.now()) - aware(moment, fold=1)).total_seconds()


def aware(moment: dt.datetime, *, fold: int = 0) -> dt.datetime:
    """The moment in the world's time, which a project with USE_TZ = False stores without its time zone.

    Of the two that a local time may mean in the night when clocks go back, the earlier one, or with fold=1 the later.
    """
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment.replace(fold=fold), timezone.get_default_timezone())
    # Python subtracts two moments of one time zone as if its clocks never jumped
    return moment.astimezone(dt.UTC)


def as_stored(moment: dt.datetime) -> dt.datetime:
    """A moment in the world's time as Django stores it: with USE_TZ = False a local time, without its time zone."""
    if timezone.is_aware(timezone.now()):
        return moment
    return timezone.make_naive(moment, timezone.get_default_timezone())


def seconds_between(earlier: dt.datetime, later: dt.datetime) -> float:
    """Seconds from one moment that Django stored to another; none below 0, as clocks of two hosts may differ.

    In the night when clocks go back a local time may mean two moments: the first that is not before the other is taken.
    """
    began = aware(earlier)
    seconds = ((aware(later, fold=fold) - began).total_seconds() for fold in (0, 1))
    return next((each for each in seconds if each >= 0), 0.0)


def before(moment: dt.datetime, seconds: float) -> dt.datetime:
    """The moment so many seconds before another, both as Django stores them, also where clocks jump in between."""
    return as_stored(aware(moment) - dt.timedelta(seconds=seconds))
