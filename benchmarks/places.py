"""Sets Django up, on the database of DATABASE_URL, and finds the broker of CELERY_BROKER_URL. Import it first."""

from __future__ import annotations

import getpass
import os

import django

_DATABASE = f"postgresql://{getpass.getuser()}@127.0.0.1:5432/postgres"
_BROKER = "amqp://guest:guest@127.0.0.1:5672//"

os.environ["DATABASE_URL"] = os.environ.get("DATABASE_URL") or _DATABASE
#: Out of the environment: Celery would take it for the broker of this process, whatever the settings say.
BROKER = os.environ.pop("CELERY_BROKER_URL", "") or _BROKER
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()
