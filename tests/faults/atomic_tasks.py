"""The tests' project with another Celery app, each of whose tasks runs in a transaction, as some projects have it."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, Task
from django.db import transaction

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")


class AtomicTask(Task):  # type: ignore[type-arg]  # the stubs have parameters, and not every version of the class
    """A task that does all of its work or nothing."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with transaction.atomic():
            return super().__call__(*args, **kwargs)


app = Celery("tests", task_cls=AtomicTask, set_as_current=False)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["django_govuk_notify_outbox"])
