"""A project that keeps its emails in a database of their own, and reads from a replica that never catches up."""

from __future__ import annotations

import copy
import os
from typing import Any

from dj_database_url import DBConfig
from django.db.models import Model

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

#: The emails, and what is linked to them: no database has foreign keys into another.
APPS = {"django_govuk_notify_outbox", "linking"}


class Router:
    """Emails are written to one database, and read from another."""

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        return "outbox" if model._meta.app_label in APPS else None

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return "replica" if model._meta.app_label in APPS else None

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool | None:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return (app_label in APPS) == (db != "default")


def _beside(alias: str) -> DBConfig:
    """A database like the project's first, under another name."""
    database = copy.deepcopy(DATABASES["default"])
    database["NAME"] = os.environ.get(f"TESTS_{alias.upper()}_NAME", f"{database['NAME']}_{alias}")
    if "NAME" in database.get("TEST", {}):
        database["TEST"]["NAME"] += f"-{alias}"
    return database


DATABASES |= {"outbox": _beside("outbox"), "replica": _beside("replica")}
if "TESTS_DATABASE_NAME" not in os.environ:
    # The tests that run these tests have a database of that name
    DATABASES["default"]["NAME"] += "_two"
DATABASE_ROUTERS = [f"{__name__}.Router"]
