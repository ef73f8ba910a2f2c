"""The sandbox's remote control: what a test needs to see and to change."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener
from uuid import UUID

from . import defaults

# The sandbox is on this machine: a proxy set in the environment would only be in the way.
_opener = build_opener(ProxyHandler({}))
_TIMEOUT = 60.0
# Emails that are added at a time, so that no request takes long
_BATCH = 1_000


class SandboxError(Exception):
    """The sandbox couldn't do what it was told; the message is its own."""


class Sandbox:
    """A running sandbox, by its address."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self.api_key = defaults.API_KEY
        self.team_api_key = defaults.TEAM_API_KEY
        self.test_api_key = defaults.TEST_API_KEY

    def reset(self) -> None:
        """Forget all emails, requests, receipts and faults, and go back to real time.

        Limits and the address for receipts are again what the settings or the command line say. The timing stays.
        """
        self._call("reset", {})

    def set_clock(self, now: datetime | None) -> None:
        """Stop the sandbox's clock at an aware moment, or let it follow real time again (None).

        Tokens are checked by it too: a client whose clock is more than 30 seconds off gets a 403.
        """
        self._call("clock", {"now": None if now is None else now.isoformat()})

    def set_timing(self, *, sending_after: float, final_after: float, final_spread: float = 0.0) -> None:
        """Set how many seconds after their creation new emails are sending, and have their final status.

        With final_spread, the final statuses come evenly over so many seconds more: how late each email is, follows
        from its id.
        """
        self._call("timing", {"sending_after": sending_after, "final_after": final_after, "final_spread": final_spread})

    def set_limits(self, *, rate_limit: int | None = None, daily_limit: int | None = None) -> None:
        """Set how many requests a minute, and emails a day, a service may send, and begin to count anew.

        0 means as many as it likes, None what the settings or the command line say, which is Notify's 3,000 and
        250,000 unless they say otherwise.
        """
        self._call("limits", {"rate_limit": rate_limit, "daily_limit": daily_limit})

    def set_callback(self, url: str | None, token: str | None = None) -> None:
        """Set where delivery receipts are posted, and their bearer token. "": nowhere. None: as the settings say."""
        self._call("callback", {"url": url, "token": token})

    def post_receipts(self) -> int:
        """Post the receipts that are due by the sandbox's clock now, and return how many were tried.

        They are posted by themselves too, soon after they are due. This is for a test that doesn't want to wait.
        """
        return int(self._call("receipts/post", {}))

    def receipts(self) -> list[dict[str, Any]]:
        """Return the delivery receipts that wait or were tried: id, url, payload, attempts, outcome."""
        return self._call("receipts")  # type: ignore[no-any-return]

    def add_fault(
        self,
        *,
        on: str = "POST",
        times: int = 1,
        email_address: str | None = None,
        accept: bool = False,
        status: int | None = None,
        body: Any = None,
        delay: float = 0.0,
        cut: bool = False,
        location: str | None = None,
        hidden_for: float = 0.0,
        lasting: float | None = None,
    ) -> None:
        """Let something go wrong with the next matching requests.

        on: "POST", "GET" or "ANY". times: how many requests. email_address: only POSTs to it.
        status, body (text, or what JSON can hold), location: what is answered. cut: close the connection unanswered.
        accept: store the email all the same. delay: seconds to wait before the answer; without an answer of its
        own the request is handled after the wait, or before it if accept is true.
        hidden_for: seconds of the sandbox's clock for which an accepted email can't be found.
        lasting: seconds of the sandbox's clock for which it happens to every such request, in place of times: an
        outage, for example.
        """
        self._call(
            "faults",
            {
                "on": on,
                "times": times,
                "email_address": email_address,
                "accept": accept,
                "status": status,
                "body": body,
                "delay": delay,
                "cut": cut,
                "location": location,
                "hidden_for": hidden_for,
                "lasting": lasting,
            },
        )

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that wait: what they were added with, and how many times and until when they go on."""
        return self._call("faults/waiting")  # type: ignore[no-any-return]

    def clear_faults(self) -> None:
        """Let nothing go wrong any more. Requests that a fault has in hand are not let off."""
        self._call("faults/clear", {})

    def add_emails(self, emails: Iterable[Mapping[str, Any]]) -> list[str]:
        """Store many emails at once, as accepted with the live key at times of their own, and return their ids.

        Each is what would be posted, and "created_at", an aware moment. They count towards no limit, and no receipts
        are posted for them. Raises SandboxError if Notify would refuse one.
        """
        ids: list[str] = []
        waiting = iter(emails)
        while batch := list(islice(waiting, _BATCH)):
            told = [{**email, "created_at": email["created_at"].isoformat()} for email in batch]
            ids += self._call("emails/add", {"emails": told})
        return ids

    def emails(self) -> list[dict[str, Any]]:
        """Return the emails that were accepted, in that order."""
        return self._call("emails")  # type: ignore[no-any-return]

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests to the API: method, path, query, and the status answered (None: not answered)."""
        return self._call("requests")  # type: ignore[no-any-return]

    def set_status(self, notification_id: UUID | str, status: str) -> None:
        """Give an email a status at once, for good."""
        self._call(f"emails/{notification_id}/status", {"status": status})

    def _call(self, path: str, data: dict[str, Any] | None = None) -> Any:
        request = Request(f"{self.base_url}/sandbox/{path}")  # noqa: S310  the address is the test's own
        if data is not None:
            request.data = json.dumps(data).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with _opener.open(request, timeout=_TIMEOUT) as response:
                return json.loads(response.read())["result"]
        except HTTPError as error:
            with error:
                raise SandboxError(_explanation(error.read())) from None


def _explanation(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, LookupError):
        return "There is no sandbox at this address."
