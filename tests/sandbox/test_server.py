"""The sandbox on its own: the command, its process, and many callers at once."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from freezegun import freeze_time
from notifications_python_client import NotificationsAPIClient
from notifications_python_client.errors import HTTPError

from django_govuk_notify_outbox.sandbox import defaults, process
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.sandbox.process import running_sandbox

from . import recorded
from .conftest import ADDRESS, token


def _started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "django_govuk_notify_outbox.sandbox", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _client(sandbox: Sandbox) -> NotificationsAPIClient:
    return NotificationsAPIClient(sandbox.api_key, base_url=sandbox.base_url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_tells_what_to_paste_and_stops_cleanly(number: signal.Signals) -> None:
    with _started("--port", "0") as sandbox:
        assert sandbox.stdout is not None
        assert sandbox.stderr is not None
        first = sandbox.stdout.readline()
        sandbox.send_signal(number)
        rest, errors = sandbox.stdout.read(), sandbox.stderr.read()

    assert first.startswith("Listening on http://127.0.0.1:")
    for text in (defaults.API_KEY, defaults.TEAM_API_KEY, defaults.TEST_API_KEY, defaults.TEMPLATE_ID):
        assert text in rest
    assert (sandbox.returncode, errors) == (0, "")


def test_database_file_keeps_e_mails(tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        with _started("--port", "0", "--database", str(tmp_path / "kept.sqlite3"), "--final-after", "0") as server:
            assert server.stdout is not None
            sandbox = Sandbox(server.stdout.readline().removeprefix("Listening on ").strip())
            _client(sandbox).send_email_notification(ADDRESS, defaults.PLAIN_TEMPLATE_ID)
            ids.append([email["id"] for email in sandbox.emails()])
            server.terminate()
            server.communicate()

    assert len(ids[0]) == 1
    assert ids[1][0] == ids[0][0]
    assert len(ids[1]) == 2


def test_client_sends_and_follows_an_e_mail() -> None:
    with running_sandbox(sending_after=0, final_after=0) as sandbox:
        client = _client(sandbox)
        accepted = client.send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"}, reference="r")

        assert client.get_notification_by_id(accepted["id"])["status"] == "delivered"
        assert [item["id"] for item in client.get_all_notifications(reference="r")["notifications"]] == [accepted["id"]]
        assert sandbox.emails()[0]["subject"] == "Hello Amala"
        assert sandbox.api_key == defaults.API_KEY


def test_mailbox_shows_times_as_clocks_in_britain_do(sandbox: Sandbox) -> None:
    with freeze_time("2026-07-01T12:00:05Z"):
        sandbox.set_clock(datetime.now(tz=UTC))
        client = NotificationsAPIClient(sandbox.api_key, base_url=sandbox.base_url)
        client.send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})

    with urlopen(f"{sandbox.base_url}/mailbox/") as page:
        text = page.read().decode()

    assert "13:00:05" in text
    assert "12:00:05" not in text


def test_many_callers_at_once_lose_nothing(sandbox: Sandbox) -> None:
    def send(number: int) -> str:
        client = _client(sandbox)
        answers = [
            client.send_email_notification(ADDRESS, defaults.PLAIN_TEMPLATE_ID, reference=f"{number}-{index}")
            for index in range(5)
        ]
        assert all(client.get_notification_by_id(answer["id"])["id"] == answer["id"] for answer in answers)
        return str(answers[-1]["id"])

    sandbox.add_fault(status=500, times=10, email_address="nobody@example.com")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, range(32)))

    emails = sandbox.emails()
    assert {email["reference"] for email in emails} == {f"{n}-{i}" for n in range(32) for i in range(5)}
    assert len(emails) == 160
    assert [request["status"] for request in sandbox.requests()].count(201) == 160


def test_fault_strikes_as_often_as_told_among_many_callers(sandbox: Sandbox) -> None:
    sandbox.add_fault(status=500, times=7)
    address = urlsplit(sandbox.base_url)

    def post(number: int) -> int:
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        body = json.dumps({"email_address": ADDRESS, "template_id": defaults.PLAIN_TEMPLATE_ID})
        connection.request(
            "POST", "/v2/notifications/email", body, {"Authorization": f"Bearer {token(sandbox.api_key)}"}
        )
        with connection.getresponse() as response:
            response.read()
        connection.close()
        return response.status

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(post, range(48)))

    assert statuses.count(500) == 7
    assert statuses.count(201) == 41
    assert len(sandbox.emails()) == 41


def test_bucket_gives_each_token_once_among_many_callers(sandbox: Sandbox) -> None:
    sandbox.set_clock(datetime.now(UTC))
    sandbox.set_limits(rate_limit=30)

    def send(number: int) -> bool:
        try:
            _client(sandbox).send_email_notification(ADDRESS, defaults.PLAIN_TEMPLATE_ID)
        except HTTPError as error:
            return error.status_code != 429
        return True

    with ThreadPoolExecutor(16) as pool:
        accepted = list(pool.map(send, range(48)))

    assert accepted.count(True) == 10
    assert len(sandbox.emails()) == 10
    sandbox.set_limits(daily_limit=10)
    assert send(0)  # the count began anew with the limit
    assert [request["status"] for request in sandbox.requests()].count(429) == 38


def test_connection_is_kept_for_the_next_request(sandbox: Sandbox) -> None:
    address = urlsplit(sandbox.base_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    used: set[socket.socket] = set()
    for path in ("/v2/notifications", "/v2/nothing", "/v2/notifications/nothing"):
        connection.request("GET", path)
        connection.getresponse().read()
        assert connection.sock is not None
        used.add(connection.sock)
    connection.close()

    assert len(used) == 1


@pytest.mark.parametrize("path", ["/v2", "/nothing", "/mailbox", "/v2/notifications/email/"])
def test_sandbox_on_its_own_has_notifys_404_everywhere(sandbox: Sandbox, path: str) -> None:
    address = urlsplit(sandbox.base_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.request("GET", path)
    with connection.getresponse() as response:
        answer = json.loads(response.read())
    connection.close()

    assert response.status == 404
    assert answer == recorded.row("misc.unknown-path-no-auth")["response"]["json"]


def test_body_in_chunks_is_understood_and_the_connection_goes_on(sandbox: Sandbox) -> None:
    address = urlsplit(sandbox.base_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    headers = {"Authorization": f"Bearer {token(sandbox.api_key)}"}
    statuses = []
    for number in range(2):
        body = json.dumps(
            {"email_address": ADDRESS, "template_id": defaults.PLAIN_TEMPLATE_ID, "reference": f"{number}" * 300}
        ).encode()
        connection.request(
            "POST", "/v2/notifications/email", iter([body[:10], body[10:]]), headers, encode_chunked=True
        )
        with connection.getresponse() as response:
            response.read()
            statuses.append(response.status)
        connection.request("GET", "/v2/notifications", headers=headers)
        with connection.getresponse() as response:
            response.read()
            statuses.append(response.status)
    connection.close()

    assert statuses == [201, 200, 201, 200]
    assert [email["reference"] for email in sandbox.emails()] == ["0" * 300, "1" * 300]


def test_what_follows_a_body_in_chunks_is_passed_over(sandbox: Sandbox) -> None:
    address = urlsplit(sandbox.base_url)
    head = f"POST /v2/notifications/email HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(sandbox.api_key)}\r\n"
    body = json.dumps({"email_address": ADDRESS, "template_id": defaults.PLAIN_TEMPLATE_ID})
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x};ext=1\r\n{body}\r\n0\r\nX-After: 1\r\n\r\n"
    with (
        socket.create_connection((address.hostname or "", address.port or 80)) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(chunked.encode() * 2)
        statuses = []
        for _ in range(2):
            statuses.append(stream.readline().split()[1])
            lines = iter(stream.readline, b"\r\n")
            stream.read(next(int(line.split()[1]) for line in list(lines) if line.startswith(b"Content-Length")))

    assert statuses == [b"201", b"201"]


def test_command_takes_templates_and_limits(tmp_path: Path) -> None:
    templates = {"6f1d2c3b-5a69-4c0e-9f7d-2b8c4e1a3d50": {"subject": "Ready", "body": "It is ready."}}
    file = tmp_path / "templates.json"
    file.write_text(json.dumps(templates))

    with running_sandbox("--templates", str(file), "--daily-limit", "1", rate_limit=60) as sandbox:
        client = _client(sandbox)
        (template_id,) = templates
        assert client.send_email_notification(ADDRESS, template_id)["content"]["body"] == "It is ready."
        with pytest.raises(HTTPError) as refused:
            client.send_email_notification(ADDRESS, template_id)
        assert refused.value.message == [
            {"error": "TooManyRequestsError", "message": "Exceeded send limits (email: 1) for today"}
        ]


def test_command_tells_what_is_wrong_with_its_templates(tmp_path: Path) -> None:
    file = tmp_path / "templates.json"
    file.write_text(json.dumps({"one": {"subject": "Ready"}}))

    with _started("--port", "0", "--templates", str(file)) as sandbox:
        output, errors = sandbox.communicate()

    assert output == ""
    assert "'one' is no UUID." in errors
    assert '"body" is missing.' in errors
    assert sandbox.returncode == 1


def test_sandbox_is_of_the_callers_own_code_whatever_lies_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoy = tmp_path / "django_govuk_notify_outbox"
    decoy.mkdir()
    (decoy / "__init__.py").write_text("raise SystemExit('Somebody else has this name.')")
    monkeypatch.chdir(tmp_path)

    with running_sandbox() as sandbox:
        assert sandbox.emails() == []


def test_sandbox_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PACKAGE", "http.server")  # which knows none of the options

    with pytest.raises(RuntimeError, match="The sandbox didn't start"), running_sandbox():
        pass


def test_process_that_ignores_the_signal_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PATIENCE", 0.01)
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-S", "-c", stubborn], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        process._stop(child)

    assert child.returncode == -signal.SIGKILL
