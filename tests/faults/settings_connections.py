"""The tests' project with connections to the database that are kept for longer, as the environment says."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES["default"]["CONN_MAX_AGE"] = json.loads(os.environ["TESTS_CONN_MAX_AGE"])
# With this, Celery does not close connections between tasks, but after so many
CELERY_DB_REUSE_MAX = json.loads(os.environ["TESTS_DB_REUSE_MAX"])
