"""Check that the migrations match the models, whatever DEFAULT_AUTO_FIELD a project has chosen.

A project's default must not make Django ask for a migration inside an installed package.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LABELS = ["django_govuk_notify_outbox", "govuk_notify_sandbox"]
AUTO_FIELDS = ["AutoField", "BigAutoField", "SmallAutoField"]


def main() -> int:
    """Return 0 if no choice of DEFAULT_AUTO_FIELD calls for a new migration."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for auto_field in AUTO_FIELDS:
            failed += _check(Path(folder), auto_field)
    return 1 if failed else 0


def _check(folder: Path, auto_field: str) -> int:
    settings = f"migrations_{auto_field.lower()}"
    (folder / f"{settings}.py").write_text(
        "from tests.settings import *\n"
        f'DEFAULT_AUTO_FIELD = "django.db.models.{auto_field}"\n'
        'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}\n',
    )
    answer = subprocess.run(
        [sys.executable, "-m", "django", "makemigrations", "--check", "--dry-run", *LABELS],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": settings, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = (answer.stdout + answer.stderr).strip()
    print(f"DEFAULT_AUTO_FIELD {auto_field}: {said if answer.returncode else 'no changes'}")
    return answer.returncode


if __name__ == "__main__":
    sys.exit(main())
