"""What a storm is made of works by itself: the ledgers, the proxy, the processes that are started again."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.storm import ledger
from tests.storm.deeds import Deed, Letter
from tests.storm.processes import Member
from tests.storm.proxy import Proxy, running_proxy

LETTER = Letter("token-1", "amala@example.com", reference="r", kept=False)
SLEEPER = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']).wait()"


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    for number, end in enumerate([ledger.COMMITTED, ledger.ROLLED_BACK]):
        book = ledger.Ledger(path)
        book.begin(Deed(number, "several", (LETTER, Letter("token-2", "b@example.com"))))
        book.rows([number])
        book.end(end)
        book.close()
    first, second = ledger.read(path)
    assert first.letters[0] == LETTER
    assert [first.number, first.pks, first.end, first.count] == [0, [0], ledger.COMMITTED, 1]
    assert [second.number, second.pks, second.end, second.count] == [1, [1], ledger.ROLLED_BACK, 0]


def test_a_caller_that_died_in_the_middle_of_a_line_leaves_the_rest_of_its_ledger_readable(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    book = ledger.Ledger(path)
    book.begin(Deed(0, "single", (LETTER,)))
    book.close()
    with path.open("a") as file:
        file.write('{"end": "comm')
    book = ledger.Ledger(path)
    book.begin(Deed(1, "single", (LETTER,)))
    book.end(ledger.COMMITTED)
    book.close()
    assert [(entry.number, entry.end) for entry in ledger.read(path)] == [(0, ledger.UNKNOWN), (1, ledger.COMMITTED)]
    assert list(ledger.read(tmp_path / "none")) == []


@pytest.fixture
def echo() -> Iterator[socket.socket]:
    """A listener of the test's own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def proxy(echo: socket.socket) -> Iterator[Proxy]:
    """A proxy before it."""
    with running_proxy(*echo.getsockname()) as proxy:
        yield proxy


def connected(proxy: Proxy, echo: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection through the proxy."""
    client = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    server, _ = echo.accept()
    server.settimeout(10)
    return client, server


def test_the_proxy_passes_bytes_on_both_ways(proxy: Proxy, echo: socket.socket) -> None:
    client, server = connected(proxy, echo)
    with client, server:
        client.sendall(b"question")
        assert server.recv(100) == b"question"
        server.sendall(b"answer")
        assert client.recv(100) == b"answer"
        server.close()
        assert client.recv(100) == b""


def test_the_proxy_cuts_connections_on_both_sides(proxy: Proxy, echo: socket.socket) -> None:
    client, server = connected(proxy, echo)
    with client, server:
        proxy.cut()
        for end in (client, server):
            assert gone(end)
    for end in connected(proxy, echo):
        end.close()


def test_the_proxy_refuses_connections_until_it_was_told_to_admit_them_as_often(
    proxy: Proxy, echo: socket.socket
) -> None:
    client, server = connected(proxy, echo)
    with client, server:
        proxy.refuse()
        proxy.refuse()
        assert gone(client)
    proxy.admit()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port))
    proxy.admit()
    for end in connected(proxy, echo):
        end.close()


def gone(end: socket.socket) -> bool:
    """Whether the other side has hung up, gently or not."""
    try:
        return end.recv(100) == b""
    except ConnectionResetError:
        return True


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    """A process with one child."""
    member = Member("sleeper", [sys.executable, "-c", SLEEPER], os.environ, tmp_path / "log")
    member.start()
    wait_until(lambda: len(member.children()) == 1)
    yield member
    member.clear_away()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for other processes."""
    ends_at = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def state(pid: int) -> str:
    """What the process does: R or S when it runs, T when it is stopped, Z or nothing when it is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")


@needs_proc
def test_a_process_is_stopped_with_its_children_until_it_was_told_to_go_on_as_often(member: Member) -> None:
    (child,) = member.children()
    group = member.stop()
    assert member.stop() == group
    wait_until(lambda: state(group) == state(child) == "T")
    member.go_on(group)
    assert (state(group), state(child)) == ("T", "T")
    member.go_on(group)
    wait_until(lambda: state(group) in "RS" and state(child) in "RS")


@needs_proc
def test_a_child_is_killed_and_not_its_parent(member: Member) -> None:
    (child,) = member.children()
    member.kill_child(5)
    wait_until(lambda: state(child) in ("", "Z"))
    # It waits for its child and then ends of its own accord
    wait_until(lambda: member.pid is None)
    assert member.process is not None
    assert member.process.returncode == 0


@needs_proc
def test_what_a_killed_process_leaves_behind_is_cleared_away(member: Member) -> None:
    (child,) = member.children()
    member.kill()
    wait_until(lambda: member.pid is None)
    assert member.process is not None
    assert member.process.returncode == -signal.SIGKILL
    assert state(child) not in ("", "Z")
    member.start()
    member.clear_away()
    wait_until(lambda: state(child) in ("", "Z"))
    assert member.pid is None
