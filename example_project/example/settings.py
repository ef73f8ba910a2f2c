"""Settings of the example project.

Two sections are there to be copied: "GOV.UK Notify outbox" and "Celery". The rest is what `django-admin startproject`
writes, or keeps the example self-contained. Every value that differs from place to place comes from the environment.
"""

import importlib.util
import os
from pathlib import Path

import dj_database_url

from django_govuk_notify_outbox.sandbox import defaults as sandbox_defaults
from example import folder_broker

env = os.environ.get

BASE_DIR = Path(__file__).resolve().parent.parent

# Where the example keeps what it writes: the SQLite file and the broker's folder
VAR = Path(env("EXAMPLE_VAR", BASE_DIR / "var"))
VAR.mkdir(parents=True, exist_ok=True)

# For your own computer only: a real service keeps its key secret and DEBUG off
SECRET_KEY = "the-example-project-has-no-secrets"  # noqa: S105
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]


# --- Apps ---------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_govuk_notify_outbox",
    "appointments",
]


# --- GOV.UK Notify outbox -----------------------------------------------------------------------------------------

# Without the environment variables, the example talks to the sandbox that `manage.py run` starts. In your project,
# write os.environ["GOVUK_NOTIFY_API_KEY"]: without a key, it should not start
DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = env("GOVUK_NOTIFY_API_KEY", sandbox_defaults.API_KEY)
# Leave this one out to use GOV.UK Notify itself
DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = env("GOVUK_NOTIFY_BASE_URL", "http://127.0.0.1:8020")

# With a token, Notify tells by itself what became of an email: `manage.py run` gives one to the sandbox. Several, for a
# change of token, are set apart by spaces. In your project, leave this out until you have told Notify the address
DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS = env("GOVUK_NOTIFY_RECEIPT_TOKENS", "").split()

# Seconds to wait after each failed attempt. Rarely needed: the defaults suit a real service, the example has no time
if env("NOTIFY_RETRY_INTERVALS"):
    DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = [
        float(seconds) for seconds in env("NOTIFY_RETRY_INTERVALS", "").split(",")
    ]

# A template belongs to a Notify service, so its id is a setting too
APPOINTMENT_TEMPLATE_ID = env("APPOINTMENT_TEMPLATE_ID", sandbox_defaults.APPOINTMENT_TEMPLATE_ID)


# --- Celery -------------------------------------------------------------------------------------------------------

# In your project: redis://… or amqp://…
CELERY_BROKER_URL = env("CELERY_BROKER_URL", "folder://localhost")
if CELERY_BROKER_URL.startswith("folder:"):
    CELERY_BROKER_TRANSPORT_OPTIONS = folder_broker.options(VAR / "broker")

# Emails that failed to be sent, and those whose fate is open, are looked after by this task. While no worker runs,
# beat goes on adding it to the queue; "expires" makes the worker throw away all but the last of those.
SYNC_INTERVAL = float(env("SYNC_INTERVAL", "5"))
CELERY_BEAT_SCHEDULE = {
    "sync-with-notify": {
        "task": "django_govuk_notify_outbox.tasks.sync",
        "schedule": SYNC_INTERVAL,
        "options": {"expires": SYNC_INTERVAL},
    },
}

# With django-celery-beat the schedule lives in the database, where the admin shows it; beat copies the one above
# there when it starts. Celery's own beat needs none of this, and keeps a file instead. In your project, write the
# two lines without the question.
if importlib.util.find_spec("django_celery_beat"):
    INSTALLED_APPS += ["django_celery_beat"]
    CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
else:
    CELERY_BEAT_SCHEDULE_FILENAME = str(VAR / "beat-schedule")

# Two worker processes are plenty for one computer
CELERY_WORKER_CONCURRENCY = 2
# The outbox keeps its results in the database
CELERY_TASK_IGNORE_RESULT = True
# Log by LOGGING below in the worker and beat too, rather than by Celery's own rules
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# A queue of another name keeps two projects, or two runs of `manage.py demo`, on one broker apart
CELERY_TASK_DEFAULT_QUEUE = env("CELERY_QUEUE", "celery")


# --- Database -----------------------------------------------------------------------------------------------------

DATABASES = {"default": dj_database_url.config(default=f"sqlite:///{VAR / 'db.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # SQLite has one writer at a time, and web, worker and beat all write. IMMEDIATE: a transaction asks for its turn at
    # its start, where it can wait, rather than at its first write, where it could only fail. WAL: readers never wait
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }


# --- Logging ------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s", "datefmt": "%H:%M:%S"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # Pages that ask for an email's status every second would fill the screen
        "django.server": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        # "Sending due task" and "succeeded in", twice a second
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}


# --- The usual ----------------------------------------------------------------------------------------------------

ROOT_URLCONF = "example.urls"
WSGI_APPLICATION = "example.wsgi.application"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
            ],
        },
    },
]

STATIC_URL = "static/"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "Europe/London"
USE_TZ = True
