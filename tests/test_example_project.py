"""The example project does what its README says, in processes of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import IO
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, ProxyHandler, build_opener

import pytest

import django_govuk_notify_outbox

MANAGE = Path(__file__).resolve().parents[1] / "example_project" / "manage.py"
PACKAGE_FOLDER = Path(django_govuk_notify_outbox.__file__).resolve().parents[1]
# What a person who runs the tests may have set for purposes of their own
NOT_INHERITED = {"CELERY_BROKER_URL", "DATABASE_URL", "DJANGO_SETTINGS_MODULE", "EXAMPLE_VAR", "GOVUK_NOTIFY_BASE_URL"}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which everything that the example writes lands in this test's folder."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    return {
        **inherited,
        "PYTHONPATH": str(PACKAGE_FOLDER),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(tmp_path),
        # Lines that tests look for are not to be broken
        "COLUMNS": "120",
        "EXAMPLE_VAR": str(tmp_path / "var"),
    }


@pytest.fixture
def no_process_stays(environment: dict[str, str]) -> Iterator[None]:
    """At the test's end, no process with its environment runs."""
    yield
    assert [command for _, command in _started_with(environment)] == []


def _started_with(environment: dict[str, str]) -> Iterator[tuple[int, str]]:
    """The processes, by id and command, that have this environment, also those whose parents are gone."""
    mark = f"EXAMPLE_VAR={environment['TMPDIR']}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes():
                yield int(folder.name), (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue  # it has just ended, or is not ours


@contextmanager
def manage(*arguments: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A management command of the example while it runs; it is asked to stop at the end."""
    with subprocess.Popen(
        [sys.executable, str(MANAGE), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()  # nothing to a process that has ended


def finish(*arguments: str, environment: dict[str, str]) -> tuple[int, str]:
    """A management command's exit code and what it wrote."""
    with manage(*arguments, environment=environment) as process:
        output, _ = process.communicate()
    return process.returncode, output


def read_until(stream: IO[str] | None, pattern: str) -> re.Match[str]:
    """The first line with a match, thus also waiting for it."""
    seen = []
    for line in stream or ():
        if match := re.search(pattern, line):
            return match
        seen.append(line)
    raise AssertionError(f"{pattern} did not come, but:\n{''.join(seen)}")


def test_example_has_nothing_to_report_to_check(environment: dict[str, str]) -> None:
    assert finish("check", environment=environment) == (
        0,
        "System check identified no issues (0 silenced).\n",
    )


def test_example_has_all_its_migrations(environment: dict[str, str]) -> None:
    assert finish("makemigrations", "--check", environment=environment) == (0, "No changes detected\n")


@pytest.mark.e2e
@pytest.mark.usefixtures("no_process_stays")
def test_demo_ends_well_and_leaves_nothing_behind(environment: dict[str, str], tmp_path: Path) -> None:
    code, output = finish("demo", environment=environment)

    assert code == 0, output
    table = [line.split() for line in output.splitlines() if line.endswith("as expected")]
    assert [(" ".join(row[:-6]), row[-5]) for row in table[:-1]] == [
        ("delivered", "notify-delivered"),
        ("bounced", "notify-permanent-failure"),
        ("mailbox full", "notify-temporary-failure"),
        ("refused", "failed-send-to-notify"),
        ("retried", "notify-delivered"),
    ]
    assert " ".join(table[-1]) == "rolled back nothing nothing - - as expected"
    assert "The sandbox holds the 4 emails that Notify accepted, each of them once." in output
    assert "\033[" not in output
    assert list(tmp_path.glob("notify-outbox-demo-*")) == []


@pytest.mark.e2e
@pytest.mark.usefixtures("no_process_stays")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_nothing_behind(
    environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    with manage("demo", environment=environment) as process:
        read_until(process.stdout, "Attempt 1: Notify accepted it")
        process.send_signal(number)
        output, _ = process.communicate()

    assert process.returncode == 130
    assert output.endswith("CommandError: Interrupted\n")
    assert list(tmp_path.glob("notify-outbox-demo-*")) == []


@pytest.mark.e2e
@pytest.mark.usefixtures("no_process_stays")
def test_booking_an_appointment_shows_its_confirmation_delivered(environment: dict[str, str]) -> None:
    with manage("run", "--port", "0", environment={**environment, "SYNC_INTERVAL": "1"}) as process:
        site = read_until(process.stdout, r"Book an appointment +(http://\S+?)/")[1]
        browser = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))
        address = _book(browser, site)
        progress = _wait_until_final(browser, address)

        assert "Confirmation: Delivered" in progress
        assert "Attempt 1: Notify accepted it." in progress
        assert "Delivered" in _read(browser, f"{site}/appointments/")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate()

    assert process.returncode == 0
    assert output.endswith("Stopped.\n")


@pytest.mark.e2e
@pytest.mark.usefixtures("no_process_stays")
def test_the_sandbox_of_run_posts_receipts_that_the_website_takes(environment: dict[str, str]) -> None:
    # No sync comes in the time of this test, so that it is a receipt or nothing
    with manage("run", "--port", "0", environment={**environment, "SYNC_INTERVAL": "3600"}) as process:
        site = read_until(process.stdout, r"Book an appointment +(http://\S+?)/")[1]
        browser = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))
        address = _book(browser, site)
        assert "Confirmation: Delivered" in _wait_until_final(browser, address)


@pytest.mark.e2e
@pytest.mark.usefixtures("no_process_stays")
def test_form_says_what_to_do_about_each_mistake(environment: dict[str, str]) -> None:
    with manage("run", "--port", "0", environment=environment) as process:
        site = read_until(process.stdout, r"Book an appointment +(http://\S+?)/")[1]
        browser = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))
        token = _value(_read(browser, f"{site}/"), "csrfmiddlewaretoken")
        fields = {"csrfmiddlewaretoken": token, "name": "", "email_address": "amala", "place": "moon"}
        page = _read(browser, f"{site}/", fields)
        bookings = _read(browser, f"{site}/appointments/")
        process.send_signal(signal.SIGINT)
        read_until(process.stdout, "Stopping")
        process.send_signal(signal.SIGINT)  # a second time: it need not wait for the worker

    assert "<title>Error: Book an appointment" in page
    problems = re.findall(r'<li><a href="#(\w+)">(.+)</a></li>', page)
    assert problems == [
        ("id_name", "Enter your full name"),
        ("id_email_address", "Enter an email address in the correct format, like name@example.com"),
        ("id_place", "Select a register office"),
        ("id_date", "Select a day"),
        ("id_time", "Select a time"),
    ]
    assert all(page.count(f'id="{target}"') == 1 for target, _ in problems)
    assert "Nobody has booked yet." in bookings


@pytest.mark.e2e
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the process to kill in Linux's /proc")
@pytest.mark.usefixtures("no_process_stays")
def test_run_ends_with_an_error_when_one_of_its_processes_ends(environment: dict[str, str]) -> None:
    with manage("run", "--port", "0", environment=environment) as process:
        read_until(process.stdout, "Stop with Ctrl-C")
        (beat,) = (pid for pid, command in _started_with(environment) if " beat " in command)
        os.kill(beat, signal.SIGKILL)
        output, _ = process.communicate()

    assert process.returncode == 1
    assert output.endswith("CommandError: beat ended by itself with exit code -9. Everything else was stopped.\n")


def _book(browser: OpenerDirector, site: str) -> str:
    """Book an appointment, and return the address of its page."""
    page = _read(browser, f"{site}/")
    fields = {
        "csrfmiddlewaretoken": _value(page, "csrfmiddlewaretoken"),
        "name": "Amala",
        "email_address": "amala@example.com",
        "place": _value(page, "place"),
        "date": _value(page, "date"),
        "time": _value(page, "time"),
    }
    with browser.open(f"{site}/", urlencode(fields).encode()) as booked:
        return str(booked.url)


def _wait_until_final(browser: OpenerDirector, address: str) -> str:
    """What the page of an appointment tells once the fate of its email is known."""
    end = time.monotonic() + 30
    while '"final": true' not in (progress := _read(browser, f"{address}progress/")):
        assert time.monotonic() < end, progress
        time.sleep(0.2)  # another process's clock
    return progress


def _read(browser: OpenerDirector, url: str, fields: dict[str, str] | None = None) -> str:
    with browser.open(url, urlencode(fields).encode() if fields else None, timeout=30) as answer:
        return str(answer.read().decode())


def _value(page: str, name: str) -> str:
    """The first value that a form offers for a field."""
    found = re.search(rf'name="{name}" value="([^"]+)"', page)
    assert found is not None, f"The page has no field {name}."
    return found[1]
