"""A port for a server that a test starts."""

from __future__ import annotations

import contextlib
import random
import socket

#: Below those that Linux and macOS hand out to connections: between our looking and the server's start, none takes it.
LISTENING_PORTS = range(20_000, 32_768)


def free_port() -> int:
    """A port that nothing listens on just now."""
    for port in random.sample(LISTENING_PORTS, 100):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise OSError("No free port")
