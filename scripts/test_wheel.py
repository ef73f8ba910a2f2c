"""Run the tests against the built wheel, in an environment made for it, away from the source tree.

    python3.12 scripts/test_wheel.py dist/*.whl --with "django~=6.0.0" --group mariadb

The Python that runs this is the one tested. The tests and what they read are copied to a temporary folder
that lacks the package, so that a file missing from the wheel is missing from the tests too. DATABASE_URL and
CELERY_BROKER_URL choose the database and the broker. Arguments after "--" go to pytest.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "django_govuk_notify_outbox"
COPIED = [
    "benchmarks",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "docs",
    "example_project",
    "pyproject.toml",
    "tests",
]

BROWSER = "browser"

SERVICES = ["DATABASE_URL", "CELERY_BROKER_URL"]

# django-celery-beat 2.9.0, the newest, declares "Django<6.1": no installer puts it beside Django 6.1, though
# it works there, its migrations, admin pages and scheduler included. It is no dependency of the package but
# one way to schedule tasks.sync, which the example project uses. So it is installed without its own
# requirements, and these follow, except the one on Django.
UNDECLARED = "django-celery-beat"


def main() -> int:
    """Return pytest's exit code."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="wheel-") as folder:
        environment = Path(folder) / "environment"
        tests = Path(folder) / "tests"
        _copy_tests(tests)
        python = _install(environment, options)
        _check_installed(python, tests)
        # Tests in a browser need what comes with their group
        chosen = [] if BROWSER in options.groups else ["-m", f"not {BROWSER}"]
        command = [str(python), "-m", "pytest", *chosen, *options.pytest]
        if options.coverage:
            command[1:1] = ["-m", "coverage", "run"]
        return subprocess.run(command, cwd=tests, env=_variables(options), check=False).returncode


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Run the tests against the built wheel.", epilog='Arguments after "--" go to pytest.'
    )
    parser.add_argument("wheel", type=Path, help="the wheel, or the folder that holds it alone")
    parser.add_argument(
        "--with", dest="requirements", action="append", default=[], metavar="REQUIREMENT",
        help='a version to test with, such as "django~=6.0.0"; may be repeated',
    )  # fmt: skip
    parser.add_argument(
        "--group", dest="groups", action="append", default=[],
        help="a dependency group to install beside the group test; may be repeated",
    )  # fmt: skip
    parser.add_argument("--coverage", type=Path, metavar="FOLDER", help="measure coverage, and put its data there")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options = parser.parse_args(sys.argv[1:split])
    options.pytest = sys.argv[split + 1 :]
    if options.wheel.is_dir():
        (options.wheel,) = options.wheel.glob("*.whl")
    return options


def _copy_tests(folder: Path) -> None:
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*", "var"))
        else:
            shutil.copy2(source, folder / name)


def _install(environment: Path, options: argparse.Namespace) -> Path:
    """Make the environment and return its Python."""
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    wanted = [name for group in ["test", *options.groups] for name in _requirements(groups, group)]
    declared = [name for name in wanted if not name.startswith(UNDECLARED)]
    undeclared = [name for name in wanted if name.startswith(UNDECLARED)]
    _pip(python, "--upgrade", "pip")
    _pip(python, str(options.wheel.resolve()), *options.requirements, *declared)
    if undeclared:
        print(f"{UNDECLARED} comes without its own requirement on Django. pip may call that a conflict.")
        _pip(python, "--no-deps", *undeclared)
        _pip(python, *options.requirements, *_requirements_of(python, UNDECLARED, without="django"))
    return python


def _requirements(groups: dict[str, list[str | dict[str, str]]], name: str) -> Iterator[str]:
    for entry in groups[name]:
        if isinstance(entry, str):
            yield entry
        else:
            yield from _requirements(groups, entry["include-group"])


def _requirements_of(python: Path, distribution: str, *, without: str) -> list[str]:
    script = f"import importlib.metadata as m; print(*m.requires({distribution!r}) or [], sep='\\n')"
    answer = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    lines = [line for line in answer.stdout.splitlines() if line]
    return [line for line in lines if re.split(r"[^\w.-]", line.lower(), maxsplit=1)[0] != without]


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)


def _check_installed(python: Path, tests: Path) -> None:
    """Stop unless the package that the tests will import is the one from the wheel."""
    script = (
        "import importlib.metadata as m, platform, sys;"
        f"import {PACKAGE} as package;"
        "versions = [m.version(name) for name in ('django', 'celery', 'notifications-python-client')];"
        "print('Python {}, Django {}, Celery {}, notifications-python-client {}'"
        ".format(platform.python_version(), *versions), flush=True);"
        "sys.exit('site-packages' not in package.__file__ and f'imported from {package.__file__}')"
    )
    subprocess.run([python, "-c", script], cwd=tests, check=True)


def _variables(options: argparse.Namespace) -> dict[str, str]:
    # A workflow sets a variable to nothing where it means the default.
    variables = {name: value for name, value in os.environ.items() if value or name not in SERVICES}
    if options.coverage:
        options.coverage.mkdir(parents=True, exist_ok=True)
        variables["COVERAGE_FILE"] = str(options.coverage.resolve() / ".coverage")
    return variables


if __name__ == "__main__":
    sys.exit(main())
