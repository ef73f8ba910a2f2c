"""A newcomer follows the README word for word: every block of code in it is run here, in its order, as they would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

import pytest

import django_govuk_notify_outbox
from django_govuk_notify_outbox import conf
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.sandbox.process import running_sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.test_transitions import TRANSITIONS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
PACKAGE_FOLDER = Path(django_govuk_notify_outbox.__file__).resolve().parents[1]


def python_blocks(file: str) -> str:
    """The Python blocks whose first line names this file, joined."""
    return "\n".join(code for language, code in BLOCKS if language == "python" and code.startswith(f"# {file}\n"))


def shell_lines() -> list[str]:
    return [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]


#: The files of the newcomer's own app that the README writes.
APP_FILES = tuple(
    f"appointments/{name}.py" for name in ("models", "apps", "booking", "reminders", "receivers", "tests")
)

#: What the newcomer's project has before they begin: Celery, a broker, an app of their own.
CELERY = """
import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
app = Celery("mysite")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""
SETTINGS = """
import sys

sys.path.append({example!r})
from example import folder_broker

folder_broker.register()

INSTALLED_APPS += ["appointments"]
DATABASES["default"]["OPTIONS"] = {{"transaction_mode": "IMMEDIATE", "timeout": 20}}
CELERY_BROKER_URL = "folder://localhost"
CELERY_BROKER_TRANSPORT_OPTIONS = folder_broker.options(BASE_DIR / "broker")
"""


#: What they type to see the case workers told, and how many appointments they find by the README's query.
BOUNCE = f"""
import time

from appointments.booking import book
from appointments.reminders import remind
from django_govuk_notify_outbox.models import EmailMessage
{next(code for _, code in BLOCKS if "NOT_ARRIVED)" in code)}
book(Appointment(name="Amala", email_address="perm-fail@simulator.notify"))
to_case_workers = EmailMessage.objects.with_address("case.workers@example.gov.uk")
while not to_case_workers.exclude(notify_id=None):
    time.sleep(0.2)

reminders = remind([Appointment(name="Amala", email_address=f"{{name}}@example.com") for name in ("amala", "sian")])
while EmailMessage.objects.to_send():
    time.sleep(0.2)

print(len(not_arrived.all()))
"""


class Newcomer:
    """Somebody with a Django and Celery project in a folder, who follows the README."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PIP_"))}
        self.environment = inherited | {
            "PYTHONPATH": str(PACKAGE_FOLDER),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GOVUK_NOTIFY_API_KEY": sandbox.api_key,
            # Nothing is fetched: what is to be installed is there already
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        self.run("django-admin startproject mysite .")
        self.run("django-admin startapp appointments")
        (folder / "mysite/celery.py").write_text(CELERY)
        (folder / "mysite/__init__.py").write_text("from mysite.celery import app\n")
        with (folder / "mysite/settings.py").open("a") as settings:
            settings.write(SETTINGS.format(example=str(ROOT / "example_project")))
            settings.write(python_blocks("settings.py"))
            # Where the sandbox of this test happens to listen
            settings.write(f'\nDJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "{sandbox.base_url}"\n')
        for file in APP_FILES:
            (folder / file).write_text(python_blocks(file))
        self.run("python manage.py makemigrations appointments")

    def run(self, line: str, *, typed: str = "") -> str:
        """Run one line of shell, which must succeed; what it printed."""
        done = subprocess.run(
            line.split(),
            cwd=self.folder,
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    @contextmanager
    def running(self, line: str) -> Iterator[None]:
        """Run one line of shell in a window of its own, which is closed at the end."""
        with (self.folder / "windows.log").open("ab") as log:
            process = subprocess.Popen(line.split(), cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGQUIT if "worker" in line else signal.SIGTERM)
            process.wait(timeout=30)


@pytest.mark.e2e
def test_a_newcomer_who_follows_the_readme_sends_an_email_and_sees_it_delivered(tmp_path: Path) -> None:
    with running_sandbox() as sandbox, ExitStack() as windows:
        newcomer = Newcomer(tmp_path, sandbox)
        printed = {}
        for line in shell_lines():
            if line.startswith("celery"):
                windows.enter_context(newcomer.running(line))
            elif line.startswith(("pip", "python manage.py")):
                printed[line] = newcomer.run(line)
            else:
                # The first two are steps of .ci/run, and the third is what this test's sandbox was started with
                assert line in {"make demo", "make test", "python -m django_govuk_notify_outbox.sandbox"}
        assert "no issues" in printed["python manage.py check --database default"]
        assert "OK" in newcomer.run("python manage.py test")
        send, *rest = (code for language, code in BLOCKS if code.startswith("# shell\n"))
        # As with a person, some seconds pass between sending and looking
        wait = "import time\nwhile not email.is_final:\n    time.sleep(0.2)\n    email.refresh_from_db()\n"
        told = newcomer.run("python manage.py shell", typed="\n".join([send, wait, *rest, "print(waiting, overdue)"]))
        assert re.findall(r"[a-z]+-[a-z-]+", told) == ["notify-delivered", "sent-to-notify", "notify-delivered"]
        assert told.splitlines()[-1] == "0 0"
        assert [accepted["email_address"] for accepted in sandbox.emails()] == ["your.name@example.gov.uk"]
        told = newcomer.run("python manage.py shell", typed=BOUNCE)
        assert told.splitlines()[-1] == "1"
        assert [accepted["email_address"] for accepted in sandbox.emails()] == [
            "your.name@example.gov.uk",
            "perm-fail@simulator.notify",
            "case.workers@example.gov.uk",
            "amala@example.com",
            "sian@example.com",
        ]


def test_every_block_of_code_has_a_place_where_it_is_run() -> None:
    files = {"settings.py", "shell", *APP_FILES}
    for language, code in BLOCKS:
        if language == "python":
            assert code.splitlines()[0].removeprefix("# ") in files
        else:
            # The diagrams: one in Mermaid, tested below, and one in characters
            assert language in {"sh", "mermaid", ""}


def test_the_two_commands_come_first_and_are_run_on_every_change() -> None:
    assert shell_lines()[:2] == ["make demo", "make test"]


def test_the_diagram_shows_the_steps_that_the_transitions_take_and_no_others() -> None:
    [diagram] = [code for language, code in BLOCKS if language == "mermaid"]
    names = dict(re.findall(r'state "([\w-]+)" as (\w+)', diagram))
    assert list(names) == Status.values
    by_id = {identifier: name for name, identifier in names.items()}
    drawn = {
        (by_id[before], by_id[after]) for before, after in re.findall(r"^ *(\w+) --> (\w+)", diagram, re.MULTILINE)
    }
    taken = {
        (before.value, after.value)
        for _name, _act, moves in TRANSITIONS
        for before, after in moves.items()
        if before != after
    }
    assert drawn <= taken
    # The others skip steps, as the text below the diagram says
    for before, after in taken - drawn:
        assert after in reachable(before, drawn)


def reachable(status: str, steps: set[tuple[str, str]]) -> set[str]:
    reached = {status}
    while more := {after for before, after in steps if before in reached} - reached:
        reached |= more
    return reached - {status}


def table(title: str) -> list[list[str]]:
    """The rows of the table under a heading, without its head."""
    section = README.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def test_the_table_of_statuses_is_complete_and_in_order() -> None:
    assert [row[0].strip("`") for row in table("Statuses")] == Status.values


def test_the_table_of_settings_names_each_with_its_default() -> None:
    documented = {row[0].strip("`"): row[1].strip("`") for row in table("Settings")}
    assert documented == {
        setting.name: "none, required" if setting.required else default_of(setting) for setting in conf.ALL_SETTINGS
    }


def default_of(setting: conf.Setting) -> str:
    if isinstance(setting.default, tuple):
        return str(list(setting.default))
    return f"{setting.default:g}" if isinstance(setting.default, float) else str(setting.default)


def test_the_guarantees_say_yes_and_no() -> None:
    answers = [row[1] for row in table("Guarantees")]
    assert set(answers) == {"**Yes**", "**No**"}


def test_the_sandbox_is_where_the_readme_says_and_has_the_key_and_templates_that_it_names() -> None:
    assert "http://127.0.0.1:8020" in README
    assert defaults.API_KEY in README
    for template_id in re.findall(r'template_id="([^"]*)"|gov\.uk", "([^"]*)"', README):
        assert UUID("".join(template_id)) in defaults.SERVICE.templates


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/architecture.md",
        "docs/operating.md",
        "docs/receipts.md",
        "CONTRIBUTING.md",
        "example_project/README.md",
    ],
)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    if not path.exists():
        # The tests of the wheel run away from the source tree, and take along only what they read
        assert page == "CONTRIBUTING.md"
        return
    for target in re.findall(r"\]\(([^)]*)\)", path.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file) if file else path
        if linked.name in {"CONTRIBUTING.md", "SECURITY.md", "LICENSE"}:
            continue
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
