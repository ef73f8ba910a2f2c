"""The storm's broker: a queue of its own on the broker that CELERY_BROKER_URL names, or in a folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django_govuk_notify_outbox import tasks
from tests.celery_app import app
from tests.storm.proxy import Proxy, running_proxy

_PORTS = {"amqp": 5672, "pyamqp": 5672, "redis": 6379}


class Broker:
    """A queue, and what can happen to it. This process reaches it past the proxy."""

    def __init__(self, queue: str, url: str, proxy: Proxy | None, folder: Path) -> None:
        self.queue = queue
        #: Where workers and callers find it.
        self.url = url
        self._proxy = proxy
        self._messages = folder / "messages"
        # Without its folder a broker takes nothing from us either, until it is given back
        self._put_off: list[Callable[[], object]] = []

    def purge(self) -> None:
        """Lose all messages that wait."""
        self._now_or_later(self._purge)

    def push(self, pk: int) -> None:
        """Have an email sent, whether it exists and is due or not."""
        self._now_or_later(partial(tasks.send.apply_async, (pk,)))

    def cut(self) -> None:
        """Cut all connections to it."""
        if self._proxy is not None:
            self._proxy.cut()

    def take_away(self) -> None:
        """Let nobody reach it until ``give_back`` is called."""
        if self._proxy is not None:
            self._proxy.refuse()
        else:
            with contextlib.suppress(OSError):
                self._messages.rename(self._messages.with_name("away"))

    def give_back(self) -> None:
        """Let everybody reach it again."""
        if self._proxy is not None:
            self._proxy.admit()
            return
        # A process that has started meanwhile has made the folder anew
        self._messages.mkdir(exist_ok=True)
        away = self._messages.with_name("away")
        if away.exists():
            for message in away.iterdir():
                message.rename(self._messages / message.name)
            away.rmdir()
        while self._put_off:
            self._put_off.pop(0)()

    def _now_or_later(self, action: Callable[[], object]) -> None:
        if self._proxy is None and not self._messages.exists():
            self._put_off.append(action)
        else:
            action()

    def _purge(self) -> None:
        with _channel() as channel:
            channel.queue_purge(self.queue)

    def delete(self) -> None:
        """Leave nothing behind."""
        with _channel() as channel:
            channel.queue_delete(self.queue)
        if prefix := app.conf.broker_transport_options.get("global_keyprefix"):
            import redis

            with redis.Redis.from_url(app.conf.broker_url) as client:
                for key in client.scan_iter(f"{prefix}*"):
                    client.delete(key)


@contextmanager
def _channel() -> Iterator[Any]:
    with app.connection_for_write() as connection:
        yield connection.default_channel


@contextmanager
def own_broker(queue: str, url: str, folder: Path) -> Iterator[Broker]:
    """The broker at this address, behind a proxy; its queue is deleted at the end."""
    if url.startswith("folder:"):
        yield Broker(queue, url, None, folder)
        return
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme)
    if port is None:
        raise SystemExit(f"No storm for brokers of this kind: {parts.scheme}")
    with running_proxy(parts.hostname or "127.0.0.1", port) as proxy:
        credentials, at, _ = parts.netloc.rpartition("@")
        behind = parts._replace(netloc=f"{credentials}{at}127.0.0.1:{proxy.port}")
        broker = Broker(queue, urlunsplit(behind), proxy, folder)
        # Makes the queue, which may be purged before anybody else has used it. There is no such email
        broker.push(0)
        try:
            yield broker
        finally:
            broker.delete()
