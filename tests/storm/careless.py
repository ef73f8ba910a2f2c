"""The storm's project with a library that does not look for an email whose answer was lost: it sends it again."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from django.apps import AppConfig

from tests.storm.settings import *  # noqa: F403
from tests.storm.settings import INSTALLED_APPS as _APPS


class CarelessConfig(AppConfig):
    """Breaks the library in every process of the storm."""

    name = "tests.storm"
    label = "careless"

    def ready(self) -> None:
        """Have nothing ever found."""
        patch("django_govuk_notify_outbox.matching.share_of", return_none).start()


def return_none(*args: Any, **kwargs: Any) -> None:
    """Find nothing."""


INSTALLED_APPS = [*_APPS, f"{__name__}.CarelessConfig"]
