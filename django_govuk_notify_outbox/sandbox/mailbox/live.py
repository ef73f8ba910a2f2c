"""Pages that keep up with what happens: a request that waits until the page would look different.

The browser asks again and again, and each question waits a while on the server. So news is there at once, the log of
runserver isn't flooded, and it works on every server, which an endless answer does not: ASGI servers would gather it.
"""

import hashlib
import time
from collections.abc import Callable, Hashable

from django.http import HttpRequest

_LONGEST = 20.0
_PAUSE = 0.3
# How much of its time a question may spend on looking: a search through very many emails takes a while.
_SHARE = 0.1


def version_of(*facts: Hashable) -> str:
    """Return a short name for what a page shows."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def has_news(request: HttpRequest, look: Callable[[], str]) -> bool:
    """Wait until the page's version is another than the one that the browser has. False: not for now.

    look returns the version as it is now.
    """
    seen = request.GET.get("seen", "")
    end = time.monotonic() + _LONGEST
    while True:
        began = time.monotonic()
        if look() != seen:
            return True
        now = time.monotonic()
        # A server that answers one request at a time must not be held up: the browser waits instead
        if now >= end or not request.META.get("wsgi.multithread", True):
            return False
        time.sleep(max(_PAUSE, (now - began) / _SHARE))
