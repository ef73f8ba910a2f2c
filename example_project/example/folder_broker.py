"""A broker that is a folder, so that the example runs with nothing installed. Not for production.

It is Celery's own ``filesystem`` broker but for one thing. That one lets a worker see a message's file before the
message is written into it: about one message in two hundred was then read as empty, lost, and took the worker down
with it.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

#: Seconds to look for messages at a time.
_MOMENT = 0.1


def register() -> None:
    """Make ``folder://`` work as the address of a broker."""
    TRANSPORT_ALIASES["folder"] = f"{__name__}:FolderTransport"


class FolderChannel(filesystem.Channel):
    """A channel whose messages appear in the folder whole."""

    # kombu's own classes do not agree on the second parameter's name
    def _put(self, queue: str, payload: dict[str, Any], **_kwargs: Any) -> None:  # type: ignore[override]
        """Write the message under a name that no worker reads, then give it its own."""
        folder = Path(self.data_folder_out)
        name = f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}.{queue}.msg"
        # Not even part of the queue's name: some versions of kombu look for that anywhere in a file's name
        unfinished = folder / f".{uuid.uuid4()}.unfinished"
        unfinished.write_text(dumps(payload), encoding="utf-8")
        unfinished.replace(folder / name)


class FolderTransport(filesystem.Transport):
    """What ``folder://`` stands for."""

    Channel = FolderChannel

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> None:
        """Look for messages for a moment. A worker that is to stop would otherwise go on looking for seconds."""
        super().drain_events(connection, timeout=min(timeout or _MOMENT, _MOMENT), **kwargs)


def options(folder: Path) -> dict[str, Any]:
    """The transport options for a broker in this folder, which is made if need be."""
    messages, control = folder / "messages", folder / "control"
    for each in (messages, control):
        each.mkdir(parents=True, exist_ok=True)
    return {
        # What one process puts in, the others take out: the same folder, both ways
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "polling_interval": 0.1,  # seconds between two looks for a message
    }
