"""Check that the wheel holds the whole package and nothing else, and what the source archive holds.

python scripts/check_wheel.py dist
"""

import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "django_govuk_notify_outbox"

# Named, because comparing with the source tree alone would not notice that the tree lost them.
WHEEL_MUST_HOLD = [
    f"{PACKAGE}/py.typed",
    f"{PACKAGE}/migrations/0001_initial.py",
    f"{PACKAGE}/templates/",
    f"{PACKAGE}/static/",
    f"{PACKAGE}/sandbox/__main__.py",
    f"{PACKAGE}/sandbox/migrations/0001_initial.py",
    f"{PACKAGE}/sandbox/mailbox/assets/",
    f"{PACKAGE}/sandbox/mailbox/pages/",
]
SDIST_MUST_HOLD = [
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "docs/",
    "example_project/manage.py",
    "pyproject.toml",
    "tests/settings.py",
    f"{PACKAGE}/py.typed",
]


def main() -> int:
    """Return 0 if one wheel and one source archive are there and hold what they should."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "dist")
    wheels, archives = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(archives) != 1:
        print(f"{folder}: expected one wheel and one source archive, found {len(wheels)} and {len(archives)}")
        return 1
    found = [*_wheel_problems(wheels[0]), *_sdist_problems(archives[0])]
    print("\n".join(found) or f"{wheels[0].name} and {archives[0].name} hold what they should.")
    return 1 if found else 0


def _wheel_problems(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        fields = Parser().parsestr(archive.read(metadata).decode())
    found = _missing(wheel, names, WHEEL_MUST_HOLD)
    packaged = {name for name in names if ".dist-info/" not in name}
    source = _source_files()
    found += [f"{wheel.name}: {name} is missing" for name in sorted(source - packaged)]
    found += [f"{wheel.name}: {name} should not be there" for name in sorted(packaged - source)]
    found += [f"{wheel.name}: {name} is a test" for name in sorted(packaged) if _is_test(name)]
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        found.append(f"{wheel.name}: the licence is missing")
    expected = {"License-Expression": "MIT", "Requires-Python": ">=3.11"}
    found += [f"{wheel.name}: {key} is {fields[key]}" for key, value in expected.items() if fields[key] != value]
    return found


def _sdist_problems(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        names = {member.name.partition("/")[2] for member in tar.getmembers() if member.isfile()}
    return _missing(archive, names, SDIST_MUST_HOLD)


def _missing(where: Path, names: set[str], required: list[str]) -> list[str]:
    return [f"{where.name}: {name} is missing" for name in required if not any(n.startswith(name) for n in names)]


def _source_files() -> set[str]:
    files = (path for path in (ROOT / PACKAGE).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


def _is_test(name: str) -> bool:
    parts = Path(name).parts
    return "tests" in parts or parts[-1].startswith("test_") or parts[-1] == "conftest.py"


if __name__ == "__main__":
    sys.exit(main())
