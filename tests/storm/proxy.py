"""A TCP proxy between two parties, which can refuse connections for a while and cut those that there are."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any


class Proxy:
    """Passes bytes on, unless told otherwise. It runs in a thread of its own, between ``start`` and ``stop``."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        # Bound all the time and never listening, so that nobody else gets the port while connections are refused
        self._placeholder = _bound_to(0)
        self.port: int = self._placeholder.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy on {self.port}", daemon=True)
        self._server: asyncio.Server | None = None
        self._refusals = 0
        self._writers: set[asyncio.StreamWriter] = set()

    def start(self) -> None:
        """Take connections from now on."""
        self._thread.start()
        self._do(self._listen())

    def stop(self) -> None:
        """Cut everything and end the thread."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._placeholder.close()

    def cut(self) -> None:
        """Cut all connections that there are, wherever in a message they may be."""
        self._do(self._cut())

    def refuse(self) -> None:
        """Cut all connections, and refuse new ones until ``admit`` was called as often as this."""
        self._do(self._refuse())

    def admit(self) -> None:
        """Take connections again."""
        self._do(self._admit())

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, sock=_bound_to(self.port), backlog=512)

    async def _end(self) -> None:
        await self._refuse()
        # With their connections cut they end by themselves, if they are not just about to make one
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(tasks, timeout=0.1)
            await self._cut()
        # What was cut is closed in the loop's next round
        await asyncio.sleep(0)

    async def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _refuse(self) -> None:
        self._refusals += 1
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _admit(self) -> None:
        self._refusals -= 1
        if self._refusals == 0:
            await self._listen()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        writers = {writer}
        try:
            target_reader, target_writer = await asyncio.open_connection(*self._target)
            writers.add(target_writer)
            self._writers.add(target_writer)
            await asyncio.gather(_pass_on(reader, target_writer), _pass_on(target_reader, writer))
        except OSError:
            pass  # the target is not there, so neither are we
        finally:
            self._writers -= writers
            for each in writers:
                each.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


def _bound_to(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


@contextmanager
def running_proxy(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy for as long as it is needed."""
    proxy = Proxy(host, port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
