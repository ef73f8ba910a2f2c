"""What goes wrong at Notify: the sandbox's faults, with their values drawn at random.

TIMEOUT is 1 second in the storm, so an answer that takes longer is never read.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HTML = "<html><head><title>Bad gateway</title></head><body>Try again later.</body></html>"
#: Seconds that Notify takes at most for a request whose caller has long gone.
LATEST = 4.0
#: Seconds for which an email that was accepted cannot be found, at most. Less than a request may be under way.
LATEST_SEEN = 8.0

Rule = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """A kind of fault: how many cards of it are in the deck, and the sandbox's rule for it."""

    cards: int
    draw: Callable[[random.Random], Rule]


def _is_even(rng: random.Random) -> bool:
    return rng.random() < 0.5


def _some(rng: random.Random, **rule: Any) -> Rule:
    return {"times": rng.randint(1, 8), **rule}


def _too_long(rng: random.Random) -> float:
    return round(rng.uniform(1.2, LATEST), 2)


def _bad_gateway(rng: random.Random) -> Rule:
    return {"status": rng.choice([500, 502, 503, 504]), "body": HTML}


def _seen_late(rng: random.Random) -> Rule:
    answer = rng.choice([{"cut": True}, _bad_gateway(rng), {"delay": _too_long(rng)}])
    return _some(rng, accept=True, hidden_for=round(rng.uniform(1, LATEST_SEEN), 2), **answer)


FAULTS = {
    # Accepted, and the answer comes when nobody waits for it any more
    "answers too late": Fault(2, lambda rng: _some(rng, accept=True, delay=_too_long(rng))),
    # Accepted only after the caller has gone
    "accepts too late": Fault(2, lambda rng: _some(rng, delay=_too_long(rng))),
    "is silent": Fault(2, lambda rng: _some(rng, cut=True, delay=_too_long(rng))),
    "hangs up": Fault(2, lambda rng: _some(rng, cut=True, accept=_is_even(rng))),
    "fails in JSON": Fault(2, lambda rng: _some(rng, status=500, accept=_is_even(rng))),
    "fails in HTML": Fault(3, lambda rng: _some(rng, accept=_is_even(rng), **_bad_gateway(rng))),
    "answers with garbage": Fault(1, lambda rng: _some(rng, status=201, body=HTML, accept=_is_even(rng))),
    "redirects": Fault(1, lambda rng: _some(rng, status=302, location="/v2/notifications", accept=_is_even(rng))),
    # Each holds all sending for some seconds, so there are few
    "limits": Fault(1, lambda rng: {"times": rng.randint(1, 2), "status": 429}),
    "forbids": Fault(1, lambda rng: {"times": 1, "status": 403}),
    "shows it late": Fault(2, _seen_late),
    "shows it late, with an answer": Fault(
        1, lambda rng: _some(rng, accept=True, hidden_for=round(rng.uniform(1, LATEST_SEEN), 2))
    ),
    "cannot be asked, in JSON": Fault(1, lambda rng: _some(rng, on="GET", status=500)),
    "cannot be asked, in HTML": Fault(1, lambda rng: _some(rng, on="GET", **_bad_gateway(rng))),
    "cannot be asked, in time": Fault(1, lambda rng: _some(rng, on="GET", delay=_too_long(rng))),
    "cannot be asked, and hangs up": Fault(1, lambda rng: _some(rng, on="GET", cut=True)),
    "cannot be asked, and answers with garbage": Fault(1, lambda rng: _some(rng, on="GET", status=200, body=HTML)),
}
