"""What the tests in a real browser share: Chromium, pages that are watched, and a scan for accessibility."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.needs import need

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

_OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
#: Milliseconds until what is waited for is given up.
PATIENCE = 20_000.0
WIDE: ViewportSize = {"width": 1200, "height": 900}
NARROW: ViewportSize = {"width": 320, "height": 640}

Open = Callable[..., "Page"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium, as the machine has it.

    While it runs, Django takes the thread for one that must not use the database.
    """
    need(importlib.util.find_spec("playwright"), "the package playwright")
    need(importlib.util.find_spec("axe_playwright_python"), "the package axe-playwright-python")
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    need(executable, "the program chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=_OPTIONS.split())
        yield running
        running.close()


@contextmanager
def watched(browser: Browser, base_url: str, *, expected: str) -> Iterator[Open]:
    """Opens pages of this site. In the end: none had an error, asked elsewhere or ran what it was given.

    ``expected`` is a regular expression for what the browser's console may tell of: a message, and where it is from.
    """
    contexts: list[BrowserContext] = []
    trouble: list[str] = []

    def open_one(path: str = "/", *, cookies: dict[str, str] | None = None, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": WIDE, **options})
        contexts.append(context)
        for name, value in (cookies or {}).items():
            context.add_cookies([{"name": name, "value": value, "url": base_url}])
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda said: _hear(f"{said.text} {said.location.get('url')}"))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("dialog", lambda dialog: trouble.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: trouble.append(request.url) if _is_foreign(request.url) else None)
        page.goto(base_url + path)
        return page

    def _hear(said: str) -> None:
        if not re.search(expected, said):
            trouble.append(said)

    def _is_foreign(url: str) -> bool:
        return not url.startswith((base_url, "data:", "about:"))

    yield open_one
    for context in contexts:
        context.close()
    assert trouble == []


def violations(page: Page, without: str | None = None, *, but: tuple[tuple[str, str], ...] = ()) -> list[str]:
    """What axe finds wrong with the page as it looks once it is at rest, of all its rules, or all but one.

    ``but`` are pairs of a rule and a selector: what the rule finds in exactly such an element is left out.
    """
    package = importlib.util.find_spec("axe_playwright_python")
    assert package is not None
    assert package.origin is not None
    if not page.evaluate("'axe' in window"):
        page.evaluate((Path(package.origin).parent / "axe.min.js").read_text())
    # Colours that fade into others are neither
    page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished))")
    rules = {without: {"enabled": False}} if without else {}
    found = page.evaluate("(rules) => axe.run({rules}).then(({violations}) => violations)", rules)
    return [
        re.sub(r"\s+", " ", f"{rule['id']}: {node['html'][:200]}")
        for rule in found
        for node in rule["nodes"]
        if not any(rule["id"] == name and _matches(page, node["target"], selector) for name, selector in but)
    ]


def _matches(page: Page, target: list[str], selector: str) -> bool:
    """Whether the element that axe names is one of these."""
    ask = "([target, selector]) => document.querySelector(target).matches(selector)"
    return len(target) == 1 and bool(page.evaluate(ask, [target[0], selector]))


def sticks_out(page: Page) -> bool:
    """Whether the page is wider than the window, so that it scrolls sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
