"""The Celery app of the tests' project."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

if "TESTS_CLOCK_OFFSET" in os.environ:
    # A host whose clock is some seconds off. Now, before anything remembers what time it is
    import datetime as dt

    from freezegun import freeze_time

    freeze_time(
        dt.datetime.now(tz=dt.UTC) + dt.timedelta(seconds=float(os.environ["TESTS_CLOCK_OFFSET"])), tick=True
    ).start()

app = Celery("tests")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["django_govuk_notify_outbox"])
