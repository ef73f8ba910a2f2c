"""What was recorded from Notify itself: the rows, the services they were made for, and how rows are compared."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import jwt
from django.test import Client

from django_govuk_notify_outbox.sandbox import clock
from django_govuk_notify_outbox.sandbox.models import SandboxState
from django_govuk_notify_outbox.sandbox.services import ApiKey, Service, Template

from .accounts import EXCLUDED, FACTS, replayed

Row = dict[str, Any]

_DATA = Path(__file__).parent / "data"
ROWS: list[Row] = [json.loads(line) for line in (_DATA / "recordings.jsonl").read_text().splitlines()]
_WORLD: dict[str, Any] = json.loads((_DATA / "world.json").read_text())

#: When most of it was recorded, more or less. One row was sent for an hour later.
MOMENT = datetime(2026, 11, 21, 23, 43, tzinfo=UTC)

_LABELS = {
    "live": "live",
    "trial": "trial",
    "service with a contact link": "files",
    "rate-limited": "limited",
    "daily-limited": "daily",
    "another": "other",
    "other": "other",
    "paging": "paging",
    "callback": "callback_http_errors",
}
_SIGNED = re.compile(r"Bearer <JWT signed with (.+?)(?: service(?: \(.*\))?)? / (.+)>")
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
_SECRETS = UUID("6f1d2c3b-0000-4000-8000-000000000000")


def rows(*prefixes: str) -> list[Row]:
    """Return the rows to replay whose names begin with one of these, in the order of the recording."""
    return [
        row
        for row in ROWS
        if row["name"].startswith(prefixes) and row["name"] not in FACTS and row["name"] not in EXCLUDED
    ]


def row(name: str) -> Row:
    """Return the row with this name."""
    return next(row for row in ROWS if row["name"] == name)


@cache
def services() -> dict[str, Service]:
    """Return the recorded services by the names that the world has for them, with keys of our own."""
    return {label: _service(label, world) for label, world in _WORLD["services"].items()}


def _service(label: str, world: dict[str, Any]) -> Service:
    kinds = {"normal": "live", "team": "team", "test": "test"}
    keys = [ApiKey(kind=kinds[kind], secret=secret(label, kind)) for kind in world["key_kinds"] if kind in kinds]
    if "revoked" in world["key_kinds"]:
        revoked = datetime.fromisoformat("2026-11-12T00:00:00Z").timestamp()
        keys.append(ApiKey(kind="live", secret=secret(label, "revoked"), revoked_at=revoked))
    templates = [_template(one) for one in world["templates"].values()]
    return Service(
        id=UUID(world["service_id"]),
        email_from=world["name"].lower().replace(" ", "."),
        api_keys=tuple(keys),
        templates={template.id: template for template in templates},
        trial_mode=world["restricted"],
        permissions=frozenset(world["permissions"]),
        guests=frozenset({_WORLD["team_member"], world.get("guest", "guest@example.com")}),
        reply_to_addresses={UUID(key): value for key, value in world.get("reply_to_addresses", {}).items()},
        contact_link=world["contact_link"],
        rate_limit=world["rate_limit"],
        daily_limit=world["email_message_limit"],
    )


def _template(world: dict[str, Any]) -> Template:
    archived = world.get("archived", False)
    # In Notify, deleting a template makes a new version of it
    current = Template(
        id=UUID(world["id"]),
        name=world["name"],
        type=world["type"],
        subject=world["subject"] or "",
        body=world["content"],
        version=world.get("version", 2 if archived else 1),
        archived=archived,
        has_unsubscribe_link=world.get("has_unsubscribe_link", False),
        created_by=_WORLD["team_member"],
        updated_at=Template.created_at if archived or "version" in world else None,
    )
    earlier = [
        replace(current, version=old["version"], subject=old["subject"], body=old["content"], updated_at=None)
        for old in world.get("versions", [])[:-1]
    ]
    return replace(current, earlier=tuple(earlier))


def secret(label: str, kind: str) -> str:
    """Return the secret of a service's key of this kind."""
    return str(uuid5(_SECRETS, f"{label} {kind}"))


def signer(authorization: str) -> tuple[str, str]:
    """Return the service and the kind of key that a recorded header names."""
    match = _SIGNED.fullmatch(authorization)
    assert match is not None, authorization
    kind = "revoked" if match[2].startswith("key revoked") else match[2].removesuffix(" key")
    return _LABELS[match[1]], kind


def signed(label: str, kind: str, **claims: Any) -> str:
    """Sign as the client does, with other claims if given. None takes a claim out."""
    payload = {"iss": str(services()[label].id), "iat": _now(), **claims}
    return jwt.encode({name: claim for name, claim in payload.items() if claim is not None}, secret(label, kind))


def _now() -> int:
    return SandboxState.load().now() // clock.SECOND


def _authorization(recording: Row) -> str | None:
    label = recording["request"]["headers"]["Authorization"]
    if label == "(none)":
        return None
    if label != "(see note)":
        return f"Bearer {signed(*signer(label))}"
    now = _now()
    service_id = str(services()["live"].id)
    special: dict[str, str] = {
        "auth.empty-header": "",
        "auth.no-scheme": signed("live", "normal"),
        "auth.basic-scheme": "Basic abc",
        "auth.BEARER": f"BEARER {signed('live', 'normal')}",
        "auth.bearer-empty": "Bearer",
        "auth.bearer-garbage": "Bearer garbage",
        "auth.iss-number": f"Bearer {jwt.PyJWS().encode(json.dumps({'iss': 5, 'iat': now}).encode(), 'x' * 36)}",
        "auth.no-iat": f"Bearer {signed('live', 'normal', iat=None)}",
        "auth.iat-35s": f"Bearer {signed('live', 'normal', iat=now - 35)}",
        "auth.iat-3600s": f"Bearer {signed('live', 'normal', iat=now - 3600)}",
        "auth.iat+3600s": f"Bearer {signed('live', 'normal', iat=now + 3600)}",
        "auth.iat-float": f"Bearer {signed('live', 'normal', iat=now + 0.5)}",
        "auth.exp-future": f"Bearer {signed('live', 'normal', exp=now + 100, aud='someone')}",
        "auth.exp-future-no-aud": f"Bearer {signed('live', 'normal', exp=now + 100)}",
        "auth.alg-none": f"Bearer {jwt.encode({'iss': service_id, 'iat': now}, '', algorithm='none')}",
        "auth.iss-uppercase": f"Bearer {signed('live', 'normal', iss=service_id.upper())}",
        "auth.token-reused": f"Bearer {signed('live', 'normal')}",
        "auth.token-reused-2": f"Bearer {signed('live', 'normal')}",
    }
    return special[recording["name"]]


def _body(recording: Row) -> bytes:
    """Return what was sent: some bodies are described instead of spelt out."""
    request = recording["request"]
    plain = {"email_address": "amala@example.com", "template_id": "f0469c83-1d92-4a6c-8a91-32dd21c1e98d"}
    described = {
        "post.body.latin1-bytes": json.dumps({**plain, "reference": "Siân"}, ensure_ascii=False).encode("latin-1"),
        "post.body.deep-nesting": b"[" * 100_000 + b"]" * 100_000,
        "post.body.duplicate-keys": json.dumps(plain)
        .replace("}", ', "reference": "one", "reference": "two"}')
        .encode(),
        "post.body.20MB": json.dumps({**plain, "personalisation": {"unused": "x" * 20_000_000}}).encode(),
        "http.gzip-request-body": gzip.compress(json.dumps(plain).encode()),
    }
    if recording["name"] in described:
        return described[recording["name"]]
    if "json" not in request:
        return str(request.get("body", "")).encode()
    return _ABBREVIATED.sub(lambda match: match[1] * int(match[2]), json.dumps(request["json"])).encode()


_ABBREVIATED = re.compile(r"(.)\1{39}\.\.\.<(\d+) characters in all>\.\.\.\1{20}")


def send(client: Client, recording: Row) -> Any:
    """Send the recorded request to the sandbox, and return its answer."""
    request = recording["request"]
    headers = {
        name: value for name, value in request["headers"].items() if name not in ("Authorization", "Content-Type")
    }
    # Some rows come from a second instance, on another port
    host = re.search(r'"http://([^/"]+)/', json.dumps(recording["response"]))
    headers.setdefault("Host", host[1] if host else "127.0.0.1:6011")
    authorization = _authorization(recording)
    if authorization is not None:
        headers["Authorization"] = authorization
    return client.generic(
        request["method"],
        request["path"] + (f"?{request['query']}" if request.get("query") else ""),
        _body(recording),
        content_type=request["headers"].get("Content-Type") or "",
        headers=headers,
    )


#: What the sandbox doesn't say: times and sizes of the moment, the server's name, and what a browser would remember.
_HEADERS_OF_THE_MOMENT = {
    "Connection", "Content-Length", "Date", "Server", "Strict-Transport-Security", "X-B3-SpanId", "X-B3-TraceId",
}  # fmt: skip


def check(response: Any, recording: Row) -> None:
    """Compare an answer with the recorded one: all of it, but for ids and times."""
    expected = recording["response"]
    assert response.status_code == expected["status"], response.content
    for name, value in expected["headers"].items():
        if name not in _HEADERS_OF_THE_MOMENT:
            assert response.headers.get(name) == value, name
    if recording["request"]["method"] != "HEAD":
        assert response.headers["Content-Length"] == str(len(response.content))
    if expected.get("json") is None:
        assert response.content.decode() == expected.get("body", "")
    else:
        answer = json.loads(response.content)  # some of Notify's JSON calls itself HTML
        wanted = expected["json"]
        if expected["status"] == 201:
            wanted = json.loads(json.dumps(wanted).replace(wanted["id"], answer["id"]))
        assert without_times(answer) == without_times(wanted)
    replayed.add(recording["name"])


def without_times(value: Any) -> Any:
    """Return the value with one word for every time in it, so that null and a time still differ."""
    if isinstance(value, dict):
        return {name: without_times(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_times(item) for item in value]
    if isinstance(value, str) and _TIME.match(value):
        return "<a time>"
    return value


def short(identifier: UUID) -> str:
    """Return an id as links to files have it."""
    return base64.urlsafe_b64encode(identifier.bytes).decode().rstrip("=")
