"""The sandbox on its own: the command, its process, and many callers at once."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from notifications_python_client import NotificationsAPIClient

from django_govuk_notify_outbox.sandbox import defaults, process
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.sandbox.process import running_sandbox

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
