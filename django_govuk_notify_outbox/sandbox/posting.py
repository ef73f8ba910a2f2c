"""Posting to a service as Notify does: five seconds for an answer, redirects followed, most answers final."""

import http.client
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

_TIMEOUT = 5.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it: a status or the name of what went wrong, and whether Notify would try again."""

    text: str
    is_worth_another_try: bool


class _Redirects(HTTPRedirectHandler):
    """Repeats a POST after 307 and 308, and makes a GET without a body of it after 301, 302 and 303."""

    max_redirections = 30
    max_repeats = 30

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        repeated = code in (307, 308)
        kept = {name: value for name, value in req.header_items() if repeated or not name.startswith("Content-")}
        if urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            kept.pop("Authorization", None)
        kept.pop("Host", None)
        return Request(  # noqa: S310  the service's own address, set by whoever runs the sandbox
            newurl, data=req.data if repeated else None, headers=kept, method=req.get_method() if repeated else "GET"
        )


# A proxy set in the environment would only be in the way of a service on this machine.
_opener = build_opener(ProxyHandler({}), _Redirects())


def post(url: str, body: str, *, token: str) -> Outcome:
    """Post JSON with a bearer token, and say what came of it. Raises nothing."""
    try:
        request = Request(  # noqa: S310  as above
            url,
            data=body.encode(),
            headers={"Accept": "*/*", "Content-Type": "application/json", "Authorization": f"Bearer {token}"},
            method="POST",
        )
        with _opener.open(request, timeout=_TIMEOUT) as response:
            response.read()
            return Outcome(text=str(response.status), is_worth_another_try=False)
    except HTTPError as error:
        with error:
            is_lost = error.msg.startswith(HTTPRedirectHandler.inf_msg)  # in redirects that lead nowhere
            return Outcome(text=str(error.code), is_worth_another_try=is_lost or error.code >= 500 or error.code == 429)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        return Outcome(text=type(reason).__name__, is_worth_another_try=True)
