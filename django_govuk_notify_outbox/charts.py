"""Bar charts as SVG, made on the server: no script, no style attribute, nothing that a strict policy would stop.

Each bar has its words and its number beside it, and a pattern and an outline as well as a colour. Who does not see it
is told the same in words. The colours are in ``admin.css``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

# In the units of the drawing, which is as wide as a small telephone and scales with the page
_WIDTH = 300
_ROW = 38
_TEXT = 14
_BAR_TOP = 20
_BAR_HEIGHT = 12

#: What is drawn over a colour, by its name: a tile of 6 by 6. "good" is plain, and "waiting" is only an outline.
_TILES = {
    "bad": "M-1 1L1 -1M0 6L6 0M5 7L7 5",
    "worrying": "M0 0L6 6M0 6L6 0",
    "under-way": "M3 0V6",
}


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar of a chart."""

    label: str
    number: int
    #: The colour and pattern: ``good``, ``bad``, ``worrying``, ``waiting`` or ``under-way``.
    mood: str


def grouped(number: int) -> str:
    """The number with its thousands apart."""
    return number_format(number, force_grouping=True)


def percentage(part: int, whole: int) -> str:
    """The share in words, rounded down: what is not all of it is never told to be 100%, nor what is some of it 0%."""
    if not part:
        return "0%"
    tenths = part * 1000 // whole
    if not tenths:
        return gettext("under 0.1%")
    return f"{tenths / 10:.1f}".removesuffix(".0") + "%"


def bar_chart(name: str, *, title: str, bars: Sequence[Bar]) -> SafeString:
    """A chart of horizontal bars, each as long as its share of them all.

    ``name`` tells it from others on the page: it becomes part of ids.
    """
    whole = sum(bar.number for bar in bars)
    rows = [
        (index * _ROW, f"{bar.label}: {grouped(bar.number)} ({percentage(bar.number, whole)})", bar)
        for index, bar in enumerate(bars)
    ]
    return format_html(
        '<svg class="outbox-chart" viewBox="0 0 {width} {height}" role="img" '
        'aria-labelledby="outbox-chart-{name}-title outbox-chart-{name}-words">'
        '<title id="outbox-chart-{name}-title">{title}</title>'
        '<desc id="outbox-chart-{name}-words">{words}</desc>'
        "<defs>{patterns}</defs>{rows}</svg>",
        width=_WIDTH,
        height=len(bars) * _ROW,
        name=name,
        title=title,
        words=". ".join(words for _, words, _ in rows) + ".",
        patterns=format_html_join(
            "",
            '<pattern id="outbox-pattern-{}-{}" width="6" height="6" patternUnits="userSpaceOnUse">'
            '<path class="outbox-stroke--{}" d="{}"/></pattern>',
            ((name, mood, mood, tile) for mood, tile in _TILES.items()),
        ),
        rows=format_html_join(
            "",
            '<text x="1" y="{}">{}</text>{}',
            ((top + _TEXT, words, _drawn(name, bar, whole, top + _BAR_TOP)) for top, words, bar in rows),
        ),
    )


def _drawn(name: str, bar: Bar, whole: int, top: int) -> SafeString | str:
    """The bar itself, nothing if it is 0; a sliver if it is next to nothing."""
    if not bar.number:
        return ""
    place = format_html(
        'x="1" y="{}" width="{}" height="{}"',
        top,
        max(round((_WIDTH - 2) * bar.number / whole, 1), 2.0),
        _BAR_HEIGHT,
    )
    colour = format_html('<rect class="outbox-bar outbox-bar--{}" {}/>', bar.mood, place)
    if bar.mood not in _TILES:
        return colour
    # The fill is an attribute: in a style sheet, its id would be looked for in that
    return format_html('{}<rect fill="url(#outbox-pattern-{}-{})" {}/>', colour, name, bar.mood, place)
