"""What an exchange with GOV.UK Notify can come to, as values."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What one request to Notify came to, for the email's history. Texts are fit for any database."""

    http_status: int | None = None
    error_type: str = ""
    message: str = ""
    exception: str = ""
    traceback: str = ""
    #: Seconds.
    duration: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What Notify knows of one email."""

    id: uuid.UUID
    status: str
    email_address: str = field(repr=False)
    template_id: str
    created_at: dt.datetime
    #: Personal, as it may have the recipient's name in it. Blank where Notify was not asked for it.
    subject: str = field(default="", repr=False)
    #: Subject and body as the recipient sees them. Personal: not to be kept.
    text: str = field(default="", repr=False)


@dataclass(frozen=True)
class Accepted:
    """Notify has the email."""

    notify_id: uuid.UUID
    exchange: Exchange
    subject: str = field(default="", repr=False)


@dataclass(frozen=True)
class Text:
    """What the recipient of an email sees, or would see. Personal."""

    exchange: Exchange
    subject: str = field(repr=False)
    body: str = field(repr=False)


@dataclass(frozen=True)
class Refused:
    """The same request cannot succeed."""

    exchange: Exchange


@dataclass(frozen=True)
class TryLater:
    """Notify certainly did not accept the email, and may do so later.

    ``everybody_waits``: the reason concerns the service, not this email, so that others would meet it too.
    """

    exchange: Exchange
    everybody_waits: bool = False


@dataclass(frozen=True)
class Limited:
    """Notify's limit for the minute or the day was met. It says nothing about the email."""

    exchange: Exchange


@dataclass(frozen=True)
class NotSent:
    """The worker stopped itself before the request left. It says nothing about the email."""

    exchange: Exchange


@dataclass(frozen=True)
class Unclear:
    """Notify may have accepted the email.

    ``finished``: Notify itself answered, so that the request is over; otherwise it may still be on its way.
    """

    exchange: Exchange
    finished: bool = False


@dataclass(frozen=True)
class Found:
    """What Notify has that matches the question; nothing is an answer too."""

    exchange: Exchange
    notifications: list[Notification] = field(default_factory=list)
    #: Whether there are no more: Notify would have listed them too.
    is_all: bool = True


@dataclass(frozen=True)
class NoAnswer:
    """Notify did not answer the question."""

    exchange: Exchange


#: What a POST can come to.
Outcome = Accepted | Refused | TryLater | Limited | NotSent | Unclear
