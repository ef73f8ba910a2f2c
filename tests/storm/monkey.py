"""Plays the schedule: strikes when it is time, and takes back what is to last for a while only."""

from __future__ import annotations

import heapq
import signal
import time
from collections.abc import Callable
from functools import partial
from itertools import count

from django.db.models import Max

from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from tests.storm import databases, notify_faults
from tests.storm.brokers import Broker
from tests.storm.plan import Strike, Values
from tests.storm.processes import Crew, Member
from tests.storm.proxy import Proxy

#: More requests than come in the few seconds that Notify is out of order.
_ALL = 1_000_000

#: Seconds between two rounds of pushing emails again that are being sent.
_ROUND = 0.1
#: Of those that were added last, and of those that have waited longest: how many are pushed again in a round.
_OF_EACH = 5

Action = Callable[[], None]
Player = Callable[[Values], None]


class Monkey:
    """Strikes at everything that a storm is made of."""

    def __init__(
        self, crew: Crew, broker: Broker, sandbox: Sandbox, notify_proxy: Proxy, tell: Callable[[str], None]
    ) -> None:
        self._crew = crew
        self._broker = broker
        self._sandbox = sandbox
        self._notify = notify_proxy
        self._tell = tell
        self.played: list[Strike] = []
        self._started_at = 0.0
        self._order = count()
        self._agenda: list[tuple[float, int, Strike | Action]] = []
        self.players: dict[str, Player] = {
            "kill worker": lambda values: self._one(crew.workers, values).kill(),
            "kill worker child": lambda values: self._one(crew.workers, values).kill_child(values["number"]),
            "kill beat": lambda values: self._one(crew.beats, values).kill(),
            "kill caller": lambda values: self._one(crew.callers, values).kill(),
            "stop worker for a moment": self._stop,
            "stop worker beyond its lease": self._stop,
            "end worker warm": lambda values: self._one(crew.workers, values).end(signal.SIGTERM),
            "end worker cold": lambda values: self._one(crew.workers, values).end(signal.SIGQUIT),
            "lock database": lambda values: databases.lock(values["seconds"]),
            "cut database connections": lambda values: databases.cut_connections(values["share"]),
            "purge queue": lambda values: broker.purge(),
            "duplicate old messages": self._push_old,
            "duplicate new messages": self._push_new,
            "take broker away": self._take_broker_away,
            "cut broker connections": lambda values: broker.cut(),
            "Notify: cut connections": lambda values: notify_proxy.cut(),
            "Notify: refuse connections": self._refuse,
            "Notify: out of order": self._put_out_of_order,
        }
        self.players |= {f"Notify: {name}": partial(self._at_notify) for name in notify_faults.FAULTS}

    def play(self, schedule: list[Strike], *, seconds: float) -> None:
        """Strike by the schedule for so many seconds. When this returns, everything is as it was before.

        Raises what went wrong: a fault that could not be caused would be counted for nothing.
        """
        self._started_at = time.monotonic()
        for strike in schedule:
            self._add(strike.at, strike)
        self._add(seconds, self._sandbox.clear_faults)
        while self._agenda:
            at, _, what = heapq.heappop(self._agenda)
            time.sleep(max(0.0, at - self._now()))
            if isinstance(what, Strike):
                self._tell(str(what))
                self.players[what.kind](what.values)
                self.played.append(what)
            else:
                what()
        self._sandbox.clear_faults()

    def _now(self) -> float:
        return time.monotonic() - self._started_at

    def _add(self, at: float, what: Strike | Action) -> None:
        heapq.heappush(self._agenda, (at, next(self._order), what))

    def _after(self, seconds: float, action: Action) -> None:
        self._add(self._now() + seconds, action)

    def _one(self, members: list[Member], values: Values) -> Member:
        number: int = values["number"]
        return members[number % len(members)]

    def _stop(self, values: Values) -> None:
        member = self._one(self._crew.workers, values)
        self._after(values["seconds"], partial(member.go_on, member.stop()))

    def _push_old(self, values: Values) -> None:
        """Push rows from anywhere again, most of them long final, and some that do not exist."""
        highest = EmailMessage.objects.aggregate(highest=Max("pk"))["highest"] or 1
        for row in values["rows"]:
            self._broker.push(max(1, round(row * highest)))

    def _push_new(self, values: Values) -> None:
        """Push rows that are just being sent or asked about, again and again."""
        rows = EmailMessage.objects.to_send()
        pks = [*rows.order_by("-pk").values_list("pk", flat=True)[:_OF_EACH]]
        pks += rows.order_by("due_at").values_list("pk", flat=True)[:_OF_EACH]
        for pk in pks * values["times"]:
            self._broker.push(pk)
        left = values["seconds"] - _ROUND
        if left > 0:
            self._after(_ROUND, partial(self._push_new, {**values, "seconds": left}))

    def _take_broker_away(self, values: Values) -> None:
        self._broker.take_away()
        self._after(values["seconds"], self._broker.give_back)

    def _refuse(self, values: Values) -> None:
        self._notify.refuse()
        self._after(values["seconds"], self._notify.admit)

    def _put_out_of_order(self, values: Values) -> None:
        for method in ("POST", "GET"):
            self._sandbox.add_fault(on=method, times=_ALL, status=503, body=notify_faults.HTML)
        self._after(values["seconds"], self._sandbox.clear_faults)

    def _at_notify(self, values: Values) -> None:
        self._sandbox.add_fault(**values)
