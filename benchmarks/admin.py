"""How long the admin's pages take, by the number of emails.

python benchmarks/admin.py --at-most 2 --at-most-summary 5

Each number of emails has a database of its own, and the requests take turns. They are made in this process, so what is
measured is the pages, without a network and a server. The summary reads as many as 20,000 emails if there are as many
in a week, and no more: so it has a goal of its own.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from sys import path

path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import Goals, say_table
from benchmarks.support import Router, databases, own_database, say_where

# isort: split
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import reverse

from benchmarks.history import fill
from django_govuk_notify_outbox.statuses import Status

_NAME = "admin:django_govuk_notify_outbox_emailmessage"
#: Requests for each page that do not count.
_WARM_UP = 3


@dataclass(frozen=True)
class _Site:
    """The admin over one of the databases, for somebody who is logged in."""

    client: Client
    #: Addresses of pages, with their queries, by the words for them.
    pages: Mapping[str, str]

    def get(self, page: str) -> float:
        """Ask for a page; the seconds it took."""
        started_at = time.perf_counter()
        response = self.client.get(self.pages[page])
        taken = time.perf_counter() - started_at
        if response.status_code != 200:
            raise SystemExit(f"{self.pages[page]} was answered with {response.status_code}.")
        return taken


def _site(alias: str, emails: int) -> _Site:
    """Fill a database, and log in."""
    key, address = fill(alias, emails)
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    emails_page = reverse(f"{_NAME}_changelist")
    pages = {
        "list": emails_page,
        # Even among the few there is more than a page of these, so that all lists are as long
        "list of delivered": f"{emails_page}?status__exact={Status.NOTIFY_DELIVERED}",
        "search for an address": f"{emails_page}?q={address}",
        "one email": reverse(f"{_NAME}_change", args=[key]),
        "summary": reverse(f"{_NAME}_summary"),
    }
    found = client.get(pages["search for an address"]).content.decode()
    if reverse(f"{_NAME}_change", args=[key]) not in found:
        raise SystemExit("The search did not find the email.")
    return _Site(client, pages)


def _measure(router: Router, sites: Mapping[str, _Site], page: str, *, requests: int) -> dict[str, float]:
    """The median for each of the databases, in seconds."""
    taken: dict[str, list[float]] = {alias: [] for alias in sites}
    for number in range(_WARM_UP + requests):
        # Another one begins each round: whoever comes second finds the processor awake
        for alias in list(sites)[:: -1 if number % 2 else 1]:
            router.alias = alias
            taken[alias].append(sites[alias].get(page))
    return {alias: statistics.median(each[_WARM_UP:]) for alias, each in taken.items()}


def main() -> None:
    """Measure, print a table, and fail if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--few", type=int, default=1_000, help="emails, with about four events each (%(default)s)")
    add("--many", type=int, default=1_000_000, help="emails to compare with them (%(default)s)")
    add("--requests", type=int, default=30, help="requests for each page (%(default)s)")
    add("--at-most", type=float, help="fail above this ratio of many to few, of any page but the summary")
    add("--at-most-summary", type=float, help="fail above this ratio of the summary")
    options = parser.parse_args()
    router, goals = Router(), Goals()
    with ExitStack() as stack:
        stack.enter_context(own_database())
        stack.enter_context(databases(["few", "many"]))
        stack.enter_context(override_settings(DATABASE_ROUTERS=[router]))
        say_where()
        sites = {}
        for alias, emails in (("few", options.few), ("many", options.many)):
            router.alias = alias
            sites[alias] = _site(alias, emails)
        medians = {page: _measure(router, sites, page, requests=options.requests) for page in sites["few"].pages}
        router.alias = "default"
    ratios = {page: each["many"] / each["few"] for page, each in medians.items()}
    say_table(
        ("page", f"ms, {options.few} emails", f"ms, {options.many} emails", "ratio"),
        [
            (page, f"{each['few'] * 1000:.1f}", f"{each['many'] * 1000:.1f}", f"{ratios[page]:.2f}")
            for page, each in medians.items()
        ],
    )
    for page, ratio in ratios.items():
        goals.at_most(f"Ratio, {page}", ratio, options.at_most_summary if page == "summary" else options.at_most)
    goals.settle()


if __name__ == "__main__":
    main()
