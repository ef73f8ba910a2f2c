"""A project that uses the library, as small as can be. DATABASE_URL chooses another database."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import dj_database_url

from django_govuk_notify_outbox.sandbox import defaults

_folder = Path(tempfile.gettempdir()) / f"govuk-notify-outbox-tests-{os.getuid()}"
_folder.mkdir(exist_ok=True)

SECRET_KEY = "only-for-tests"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "Europe/London"
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_govuk_notify_outbox",
    "django_govuk_notify_outbox.sandbox",
    "tests.linking",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

DATABASES = {"default": dj_database_url.config(default=f"sqlite:///{_folder / 'db.sqlite3'}")}
_database = DATABASES["default"]
_database["NAME"] = os.environ.get("TESTS_DATABASE_NAME", _database["NAME"])
if "sqlite" in _database["ENGINE"]:
    # A file, not memory: worker processes read it too
    _database.setdefault("TEST", {})["NAME"] = str(_folder / f"test-{os.getpid()}.sqlite3")
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
    }
elif "mysql" in _database["ENGINE"]:
    _database["OPTIONS"] = {"charset": "utf8mb4"}
    _database["TEST"] = {"CHARSET": "utf8mb4"}

# The sandbox refuses to run without DEBUG, which tests turn off
GOVUK_NOTIFY_SANDBOX_ALLOWED_WITHOUT_DEBUG = True

DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = os.environ.get("NOTIFY_API_KEY", defaults.API_KEY)
DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = os.environ.get("NOTIFY_BASE_URL", "http://127.0.0.1:9")
if "NOTIFY_TIMEOUT" in os.environ:
    DJANGO_GOVUK_NOTIFY_OUTBOX__TIMEOUT = float(os.environ["NOTIFY_TIMEOUT"])
if "SYNC_THREADS" in os.environ:
    DJANGO_GOVUK_NOTIFY_OUTBOX__SYNC_THREADS = int(os.environ["SYNC_THREADS"])

# Tests in one process push to memory. Those that start workers give them, and themselves, the broker of
# CELERY_BROKER_URL, and the database that pytest made: see project.py
CELERY_BROKER_URL = os.environ.get("TESTS_BROKER_URL", "memory://")
CELERY_BROKER_TRANSPORT_OPTIONS = {}
if CELERY_BROKER_URL.startswith("folder:"):
    sys.path.append(str(Path(__file__).resolve().parents[1] / "example_project"))
    from example import folder_broker

    folder_broker.register()
    CELERY_BROKER_TRANSPORT_OPTIONS = folder_broker.options(Path(os.environ["TESTS_BROKER_FOLDER"]))
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("TESTS_QUEUE", "celery")
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
_interval = float(os.environ.get("TESTS_SYNC_INTERVAL", "5"))
CELERY_BEAT_SCHEDULE = {
    "django-govuk-notify-outbox": {
        "task": "django_govuk_notify_outbox.tasks.sync",
        "schedule": _interval,
        "options": {"expires": _interval},
    }
}
