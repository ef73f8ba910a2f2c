"""A field that keeps JSON as the text that it was."""

from __future__ import annotations

import json
from typing import Any

from django.db import models


class JSONTextField(models.TextField):  # type: ignore[type-arg]  # Django's own class takes none at run time
    """A JSON value, kept as text, so that it goes out exactly as it came in.

    Not ``models.JSONField``: PostgreSQL's ``jsonb`` sorts an object's keys, and Notify cares about their order (of two
    keys that name the same placeholder, the later wins). An empty text stands for "nothing given", read as None.
    """

    def from_db_value(self, value: str, *_args: object) -> Any:
        """The value that was stored."""
        return json.loads(value) if value else None

    def get_prep_value(self, value: Any) -> str:
        """The text to store."""
        return "" if value is None else json.dumps(value)

    def value_to_string(self, obj: models.Model) -> str:
        """The text that ``dumpdata`` writes and ``loaddata`` reads."""
        return self.get_prep_value(self.value_from_object(obj))

    def to_python(self, value: Any) -> Any:
        """The value behind what ``loaddata`` and forms give."""
        return self.from_db_value(value) if isinstance(value, str) else value
