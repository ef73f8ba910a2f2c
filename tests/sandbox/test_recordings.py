"""The sandbox answers as Notify did: requests recorded from it, sent again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.test import Client

from django_govuk_notify_outbox.sandbox.services import Service

_RECORDINGS = [
    json.loads(line) for line in (Path(__file__).parent / "data" / "recordings.jsonl").read_text().splitlines()
]
_KINDS = {"normal key": "live", "team key": "team", "test key": "test"}


def _signed(service: Service, kind: str = "live", **claims: Any) -> str:
    secret = next(key.secret for key in service.api_keys if key.kind == kind)
    payload = {"iss": str(service.id), "iat": int(time.time()), **claims}
    return jwt.encode({name: claim for name, claim in payload.items() if claim is not None}, secret)


def _authorization(name: str, label: str, service: Service) -> str | None:
    """Return the header that the recording describes."""
    if label in _KINDS:
        return f"Bearer {_signed(service, _KINDS[label])}"
    now = int(time.time())
    headers = {
        "auth.empty-header": "",
        "auth.no-scheme": _signed(service),
        "auth.basic-scheme": "Basic abc",
        "auth.BEARER": f"BEARER {_signed(service)}",
        "auth.bearer-empty": "Bearer",
        "auth.bearer-garbage": "Bearer garbage",
        "auth.iss-number": f"Bearer {jwt.PyJWS().encode(json.dumps({'iss': 5, 'iat': now}).encode(), 'x' * 36)}",
        "auth.no-iat": f"Bearer {_signed(service, iat=None)}",
        "auth.iat-35s": f"Bearer {_signed(service, iat=now - 35)}",
        "auth.iat-3600s": f"Bearer {_signed(service, iat=now - 3600)}",
        "auth.iat+3600s": f"Bearer {_signed(service, iat=now + 3600)}",
        "auth.iat-float": f"Bearer {_signed(service, iat=now + 0.5)}",
        "auth.exp-future": f"Bearer {_signed(service, exp=now + 100, aud='someone')}",
        "auth.exp-future-no-aud": f"Bearer {_signed(service, exp=now + 100)}",
        "auth.alg-none": f"Bearer {jwt.encode({'iss': str(service.id), 'iat': now}, '', algorithm='none')}",
        "auth.iss-uppercase": f"Bearer {_signed(service, iss=str(service.id).upper())}",
        "auth.token-reused": f"Bearer {_signed(service)}",
    }
    return None if label == "(none)" else headers[name]


@pytest.mark.django_db
@pytest.mark.parametrize("recording", _RECORDINGS, ids=[recording["name"] for recording in _RECORDINGS])
def test_sandbox_answers_as_notify_did(client: Client, recorded_service: Service, recording: dict[str, Any]) -> None:
    request, expected = recording["request"], recording["response"]
    headers = {"Host": "127.0.0.1:6011"}
    authorization = _authorization(recording["name"], request["authorization"], recorded_service)
    if authorization is not None:
        headers["Authorization"] = authorization
    body = json.dumps(request["json"]) if "json" in request else request.get("body", "")

    response = client.generic(
        request["method"],
        request["path"],
        body,
        content_type=request.get("content_type", ""),
        query_string=request.get("query", ""),
        headers=headers,
    )

    assert response.status_code == expected["status"]
    assert response.headers["Content-Type"] == expected["content_type"]
    assert response.headers.get("Allow") == expected.get("allow")
    assert response.headers["Content-Length"] == str(len(response.content))
    if expected["json"] is None:
        assert response.content == b""
        return
    answer = json.loads(response.content)  # some of Notify's JSON calls itself HTML
    if expected["status"] == 201:
        expected = json.loads(json.dumps(expected).replace(expected["json"]["id"], answer["id"]))
    assert answer == expected["json"]
