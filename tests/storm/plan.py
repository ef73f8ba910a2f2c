"""The schedule of a storm: which fault, when, on whom, with which values. It follows from the seed alone.

Faults are dealt like cards from a shuffled deck, so that even a short storm has most kinds of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.storm import notify_faults

Values = dict[str, Any]
Draw = Callable[[random.Random], Values]

#: Seconds that a worker is stopped for when it is to outlive its lease.
#:
#: Far longer than the lease, for this reason. A worker may be stopped right before its request leaves. What keeps the
#: request from being accepted later is that Notify refuses tokens older than 30 seconds. With the default TIMEOUT that
#: is shorter than the lease. With the storm's TIMEOUT of 1 second it isn't, and a stop of, say, 20 seconds could make
#: an email go out twice: that is not promised.
BEYOND_LEASE = (34.0, 36.0)


@dataclass(frozen=True)
class Kind:
    """A kind of fault: its group in the summary, how many cards of it are in the deck, and how its values are drawn."""

    group: str
    cards: int
    draw: Draw


@dataclass(frozen=True)
class Strike:
    """One fault of the schedule."""

    at: float
    kind: str
    values: Values

    def __str__(self) -> str:
        values = ", ".join(f"{name} {_shown(value)}" for name, value in self.values.items())
        return f"{self.at:7.2f} s  {self.kind}{': ' if values else ''}{values}"


def strikes(seed: int, *, seconds: float, rate: float, database: str, broker: str) -> list[Strike]:
    """The schedule for so many seconds with so many faults a second, in order of time."""
    rng = random.Random(f"{seed} plan")
    kinds = kinds_for(database, broker)
    cards = _cards(rng, kinds)
    schedule = []
    for _ in range(round(seconds * rate)):
        kind = next(cards)
        values = kinds[kind].draw(rng)
        latest = seconds
        if kind == "stop worker beyond its lease":
            # It should be over soon after the storm
            latest = max(seconds - BEYOND_LEASE[0], min(seconds / 2, 5.0))
        schedule.append(Strike(round(rng.uniform(0, latest), 2), kind, values))
    return sorted(schedule, key=lambda strike: strike.at)


def kinds_for(database: str, broker: str) -> dict[str, Kind]:
    """The kinds of faults that these can have."""
    kinds = dict(KINDS)
    del kinds["cut database connections" if database == "sqlite" else "lock database"]
    if broker == "folder":
        # Its workers share a lock that dies with a child that is killed while it waits for a task: Celery's own trouble
        del kinds["kill worker child"]
        # It has none
        del kinds["cut broker connections"]
    return kinds


def _cards(rng: random.Random, kinds: dict[str, Kind]) -> Iterator[str]:
    deck = [name for name, kind in kinds.items() for _ in range(kind.cards)]
    while True:
        rng.shuffle(deck)
        yield from deck


def _seconds(rng: random.Random, least: float, most: float) -> float:
    return round(rng.uniform(least, most), 2)


def _target(rng: random.Random) -> Values:
    # Taken modulo the number of those that there are
    return {"number": rng.randrange(1000)}


def _stop(least: float, most: float) -> Draw:
    return lambda rng: {**_target(rng), "seconds": _seconds(rng, least, most)}


def _away(least: float, most: float) -> Draw:
    return lambda rng: {"seconds": _seconds(rng, least, most)}


def _nothing(rng: random.Random) -> Values:
    return {}


def _duplicates(rng: random.Random) -> Values:
    # As parts of the number of rows there are then; above 1 there is no such row
    return {"rows": [round(rng.uniform(0, 1.1), 3) for _ in range(rng.randint(5, 30))]}


_PROCESSES = {
    "kill worker": Kind("kills", 3, _target),
    "kill worker child": Kind("kills", 3, _target),
    "kill beat": Kind("kills", 1, _target),
    "kill caller": Kind("kills", 2, _target),
    "stop worker for a moment": Kind("stops", 2, _stop(0.5, 6)),
    "stop worker beyond its lease": Kind("stops", 1, _stop(*BEYOND_LEASE)),
    "end worker warm": Kind("shutdowns", 2, _target),
    "end worker cold": Kind("shutdowns", 2, _target),
}
_BROKER = {
    "purge queue": Kind("broker", 2, _nothing),
    "duplicate old messages": Kind("broker", 2, _duplicates),
    "duplicate new messages": Kind(
        "broker", 4, lambda rng: {"seconds": _seconds(rng, 1, 4), "times": rng.randint(1, 2)}
    ),
    "take broker away": Kind("broker", 1, _away(1, 4)),
    "cut broker connections": Kind("broker", 1, _nothing),
}
_DATABASE = {
    "lock database": Kind("database", 2, _away(0.5, 4)),
    "cut database connections": Kind("database", 4, lambda rng: {"share": round(rng.uniform(0.3, 1), 2)}),
}
_NOTIFY = {
    **{f"Notify: {name}": Kind("Notify", fault.cards, fault.draw) for name, fault in notify_faults.FAULTS.items()},
    "Notify: cut connections": Kind("Notify", 2, _nothing),
    "Notify: refuse connections": Kind("Notify", 1, _away(0.5, 3)),
    "Notify: out of order": Kind("Notify", 1, _away(0.5, 3)),
}


KINDS = _PROCESSES | _BROKER | _DATABASE | _NOTIFY


def summary(schedule: list[Strike]) -> str:
    """How many faults there were, in all and of each group."""
    groups = [KINDS[strike.kind].group for strike in schedule]
    counts = {group: groups.count(group) for group in dict.fromkeys(kind.group for kind in KINDS.values())}
    return f"{len(schedule)}: " + ", ".join(f"{number} {group}" for group, number in counts.items() if number)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"[{' '.join(map(str, value))}]"
    return "HTML" if value == notify_faults.HTML else str(value)
