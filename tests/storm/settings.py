"""The project that the storm runs: the tests' own, with short times, on what ``places.py`` gives it.

The times are scaled down so that a storm of minutes sees what would otherwise take hours. A lease lasts 12 seconds
instead of 70. Nothing else of the library is changed.
"""

from __future__ import annotations

import os

from tests import settings as tests_settings
from tests.settings import *  # noqa: F403

DATABASES = tests_settings.DATABASES
DATABASES["default"]["CONN_MAX_AGE"] = int(os.environ.get("STORM_CONN_MAX_AGE", "0"))
if "STORM_DATABASE" in os.environ:
    # The database that the storm makes for itself, see databases.py
    DATABASES["default"].setdefault("TEST", {})["NAME"] = os.environ["STORM_DATABASE"]

DJANGO_GOVUK_NOTIFY_OUTBOX__TIMEOUT = 1.0
# Many and short. An email that ran out of them would have failed rightly, and that would hide a loss
DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = [0.5, 1.0, 1.0] + [2.0] * 5000
DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_ABANDON_AFTER = 24 * 3600

CELERY_BEAT_SCHEDULE = {
    "django-govuk-notify-outbox": {
        "task": "django_govuk_notify_outbox.tasks.sync",
        "schedule": 0.5,
        "options": {"expires": 5.0},
    }
}
CELERY_BROKER_TRANSPORT_OPTIONS = dict(tests_settings.CELERY_BROKER_TRANSPORT_OPTIONS)
if tests_settings.CELERY_BROKER_URL.startswith("redis"):
    # All keys of the storm's own, so that it can delete them; and what a killed worker had taken comes back soon
    CELERY_BROKER_TRANSPORT_OPTIONS |= {
        "global_keyprefix": f"{tests_settings.CELERY_TASK_DEFAULT_QUEUE}-",
        "visibility_timeout": 20,
    }
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# They would only be more queues to leave behind
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
