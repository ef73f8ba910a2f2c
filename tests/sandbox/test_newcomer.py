"""A newcomer with neither key nor network follows docs/mailbox.md: settings of two lines, or a sandbox in runserver."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener
from uuid import UUID

import pytest

import django_govuk_notify_outbox
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.faults import Rule
from tests.ports import free_port
from tests.test_example_project import read_until

PACKAGE_FOLDER = Path(django_govuk_notify_outbox.__file__).resolve().parents[1]
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "mailbox.md").read_text()

#: What a project has that uses the library: the app, and Celery set up from Django's settings.
CELERY = """
import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
app = Celery("mysite")
app.config_from_object("django.conf:settings", namespace="CELERY")
"""
APP = """
INSTALLED_APPS += ["django_govuk_notify_outbox"]
CELERY_BEAT_SCHEDULE = {"sync": {"task": "django_govuk_notify_outbox.tasks.sync", "schedule": 5.0}}
"""
HOME = """
from django.http import HttpResponse

urlpatterns += [path("", lambda request: HttpResponse("our own home page"))]
"""
SEND = """
from django_govuk_notify_outbox.utils import send_email_notification
email = send_email_notification("amala@example.com", "{template}", {{"name": "Amala"}})
email.refresh_from_db()
print("status:", email.status)
"""

_opener = build_opener(ProxyHandler({}))


def _block(name: str) -> str:
    (code,) = re.findall(rf"^```python\n# {re.escape(name)}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    return str(code)


class Newcomer:
    """Somebody with a new Django project in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
        # No network: whatever would leave this machine ends at a port where nothing listens
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
        self.environment = inherited | proxies | {"PYTHONPATH": str(PACKAGE_FOLDER), "no_proxy": "127.0.0.1"}
        self.run("-m", "django", "startproject", "mysite", ".")
        (folder / "mysite/celery.py").write_text(CELERY)
        (folder / "mysite/__init__.py").write_text("from mysite.celery import app\n")
        self.append("settings", APP + _block("settings.py without a worker"))

    def append(self, module: str, text: str) -> None:
        with (self.folder / "mysite" / f"{module}.py").open("a") as file:
            file.write(text)

    def run(self, *command: str, typed: str = "") -> str:
        """Run a Python command, which must succeed; what it printed."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def send(self) -> str:
        """Send an email from the shell; its status then."""
        told = self.run("manage.py", "shell", typed=SEND.format(template=defaults.TEMPLATE_ID))
        (status,) = re.findall(r"status: (\S+)", told)
        return str(status)

    @contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """Run a Python command in a window of its own, which is closed at the end."""
        with subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.terminate()
                process.communicate(timeout=30)


def _read(address: str) -> str:
    with _opener.open(address, timeout=30) as answer:
        return str(unescape(answer.read().decode()))


def _wait_for(address: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            _read(address)
        except HTTPError:
            return
        except URLError:
            assert time.monotonic() < end, "runserver did not start"
            time.sleep(0.1)  # another process's clock
        else:
            return


def _values(settings: str) -> dict[str, str]:
    """Return what settings come to, however they are laid out."""
    values: dict[str, str] = {}
    exec(settings, {}, values)
    return values


@pytest.mark.e2e
def test_two_lines_of_settings_that_the_command_prints_are_enough(tmp_path: Path) -> None:
    newcomer = Newcomer(tmp_path)
    with newcomer.running("-m", "django_govuk_notify_outbox.sandbox", "--port", "0") as sandbox:
        address = read_until(sandbox.stdout, r"^Listening on (\S+)")[1]
        lines = [read_until(sandbox.stdout, r"^(DJANGO_GOVUK_NOTIFY_OUTBOX__\w+ = .*)")[1] for _ in range(2)]
        assert "No emails yet" in _read(address)
        newcomer.append("settings", "\n".join(lines))
        newcomer.run("manage.py", "migrate")

        status = newcomer.send()

        assert newcomer.run("manage.py", "check") == "System check identified no issues (0 silenced).\n"
        page = _read(address)
    assert status == "sent-to-notify"
    assert "Hello Amala" in page
    assert "amala@example.com" in page
    # The page shows the same lines, but for the port
    documented = _block("settings.py").replace("8020", address.rpartition(":")[2])
    assert _values(documented) == _values("\n".join(lines))


@pytest.mark.e2e
def test_runserver_is_the_sandbox_and_keeps_the_projects_own_home_page(tmp_path: Path) -> None:
    newcomer, port = Newcomer(tmp_path), free_port()
    newcomer.append("settings", _block("settings.py in runserver").replace("8000", str(port)))
    newcomer.append("urls", HOME + _block("urls.py"))
    newcomer.run("manage.py", "migrate")
    with newcomer.running("manage.py", "runserver", "--noreload", str(port)):
        site = f"http://127.0.0.1:{port}"
        _wait_for(f"{site}/")

        status = newcomer.send()

        assert _read(f"{site}/") == "our own home page"
        page = _read(f"{site}/mailbox/")
        assert newcomer.run("manage.py", "check") == "System check identified no issues (0 silenced).\n"
        with _opener.open(f"{site}/mailbox/assets/mailbox.css") as answer:
            assert answer.headers["Content-Type"] == "text/css"
    assert status == "sent-to-notify"
    assert "Hello Amala" in page
    assert "1 email, newest first" in page


@pytest.mark.e2e
def test_first_email_can_be_sent_with_what_the_empty_mailbox_shows(tmp_path: Path) -> None:
    newcomer = Newcomer(tmp_path)
    with newcomer.running("-m", "django_govuk_notify_outbox.sandbox", "--port", "0") as sandbox:
        address = read_until(sandbox.stdout, r"^Listening on (\S+)")[1]
        blocks = re.findall(r"<pre[^>]*><code>(.*?)</code>", _read(address), re.DOTALL)
        settings, _outbox, client = blocks
        newcomer.run("-c", client)

        assert "amala@example.com" in _read(address)
    assert address in settings


@pytest.mark.e2e
def test_project_with_the_sandbox_does_not_start_in_production(tmp_path: Path) -> None:
    newcomer = Newcomer(tmp_path)
    newcomer.append("settings", _block("settings.py in runserver"))
    newcomer.append("urls", _block("urls.py"))
    # DEBUG is turned off behind the lines that look at it
    newcomer.append("settings", '\nDEBUG = False\nALLOWED_HOSTS = ["*"]\n')

    with newcomer.running("manage.py", "runserver", "--noreload", str(free_port())) as process:
        told = read_until(process.stdout, r"(govuk_notify_sandbox.E001)")[1]
        output, _ = process.communicate(timeout=60)

    assert told == "govuk_notify_sandbox.E001"
    assert process.returncode == 1
    assert "Starting development server" not in output


def test_page_names_what_there_is() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    assert (docs / "mailbox.png").stat().st_size < 150_000
    for template_id in re.findall(r'"([0-9a-f]{8}-[0-9a-f-]{27})"', PAGE):
        assert UUID(template_id) in defaults.SERVICE.templates
    assert set(re.findall(r'"(sandbox-[^"]*)"', PAGE)) == {defaults.API_KEY}
    # The faults of the table can be ordered
    faults = re.findall(r"`((?:on|\w+)=[^`]*)`", PAGE.partition("| What goes wrong |")[2].partition("All take")[0])
    assert len(faults) == 12
    for arguments in faults:
        assert isinstance(eval(f"Rule({arguments})", {"Rule": Rule}), Rule)
