"""Check that the version, the changelog and, if one is given, the tag agree.

python scripts/check_release.py          between releases, or just before one
python scripts/check_release.py v1.2.0   when a tag is about to be published
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = re.compile(r'^__version__(?:: [\w.]+)? = "([^"]+)"$', re.MULTILINE)
HEADING = re.compile(r"^## \[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)
RELEASE = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")


def problems(*, version: str, changelog: str, tag: str | None) -> list[str]:
    """Say in words what does not agree; an empty list means that all does."""
    headings = HEADING.findall(changelog)
    released = [name for name, _date in headings if name != "Unreleased"]
    found = [f"CHANGELOG.md: [{name}] has no date" for name, date in headings if name != "Unreleased" and not date]
    if tag is None:
        if ".dev" in version and headings[:1] != [("Unreleased", "")]:
            found.append(f"CHANGELOG.md: version {version} is in development, so the first heading is [Unreleased]")
        if ".dev" not in version and version not in released[:1]:
            found.append(f"CHANGELOG.md: the newest release is not version {version}")
        return found
    if not RELEASE.fullmatch(version):
        found.append(f"__version__ is {version}, which is no release")
    if tag != f"v{version}":
        found.append(f"the tag is {tag}, and __version__ is {version}")
    if version not in released[:1]:
        found.append(f"CHANGELOG.md: the newest release is not {version}, but {released[0] if released else 'none'}")
    return found


def main() -> int:
    """Return 0 if everything agrees."""
    source = (ROOT / "django_govuk_notify_outbox" / "__init__.py").read_text(encoding="utf-8")
    match = VERSION.search(source)
    if match is None:
        print('django_govuk_notify_outbox/__init__.py has no line __version__ = "…"')
        return 1
    tag = sys.argv[1] if len(sys.argv) > 1 else None
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = problems(version=match[1], changelog=changelog, tag=tag)
    print("\n".join(found) or f"Version {match[1]}: the changelog{' and the tag agree' if tag else ' agrees'}.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
