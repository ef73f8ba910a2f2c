"""What a template looks like filled in: subjects, and the HTML of previews."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest

from django_govuk_notify_outbox.sandbox import rendering
from django_govuk_notify_outbox.sandbox.services import Template

_ID = UUID("6f1d2c3b-5a69-4c0e-9f7d-2b8c4e1a3d50")


def _template(subject: str = "s", body: str = "b", **values: Any) -> Template:
    return Template(id=_ID, subject=subject, body=body, **values)


def test_placeholders_are_named_as_they_are_written() -> None:
    template = _template("((Name)) ((date))", "((name)) ((Full Name)) ((show??x)) ((a (b)) ((date)) (( c ))")

    assert rendering.placeholders_of(template) == ("Name", "date", "name", "Full Name", "show", " c ")


@pytest.mark.parametrize(
    ("subject", "values", "expected"),
    [
        ('"((a))"', {"a": "it's"}, "“it’s”"),
        ("((a))", {"a": '"quoted"  -  O\'Neil , x'}, "“quoted” – O’Neil, x"),
        ("((a))", {"a": "o'neil@example.com"}, "o'neil@example.com"),
        ("((a))", {"a": "a\u00a0b\u200bc\td\r\ne"}, "a bc d e"),
        ("((a))", {"a": "the '80s 'til \"'x'\""}, "the ‘80s ‘til “‘x’”"),
        ("((a))", {"a": "\\."}, "&#46;"),
        ("((a))((b))", {"a": "'", "b": ""}, "‘"),
        ("((a))", {"a": '"'}, "“"),
        ("((a??yes)) ((b??no))", {"a": "1", "b": 0}, "yes"),
        ("((a?? x??y))", {"a": "yes"}, "x??y"),
        ("((a))", {"a": ["\u00a0x\u200b ", "", None, 2]}, "x and 2"),
        ("{{ a }} {% now %} ((a))", {"a": "{{ a }}"}, "{{ a }} {% now %} {{ a }}"),
    ],
)
def test_subject_is_set_as_by_notify(subject: str, values: dict[str, Any], expected: str) -> None:
    assert rendering.subject_of(_template(subject), values) == expected


def _bare(html: str) -> str:
    """Return the HTML without its styles."""
    return re.sub(r' (style|role)="[^"]*"', "", html)


@pytest.mark.parametrize(
    ("body", "values", "expected"),
    [
        ("Hello ((a)),\n\nBye", {"a": '<b>&amp; "x"'}, "<p>Hello &lt;b&gt;&amp; “x”,</p><p>Bye</p>"),
        ("one\ntwo  \nthree", {}, "<p>one<br>two<br>three</p>"),
        ("# One #\ntext\n## Two\n### Three", {}, "<h2>One</h2><p>text</p><h3>Two</h3><p>Three</p>"),
        ("One\n===\nTwo\n---", {}, "<h2>One</h2><h3>Two</h3>"),
        ("* a\n* b\n\n1. c\n2. d", {}, ("<table><tr><td><ul><li>a</li><li><p> b</p></li><li><p> c</p></li>"
         "<li>d</li></ul></td></tr></table>")),
        ("((a))", {"a": ["x", "y"]}, "<br><table><tr><td><ul><li>x</li><li>y</li></ul></td></tr></table>"),
        ("* a\n\n* b", {}, "<table><tr><td><ul><li><p> a</p></li><li><p> b</p></li></ul></td></tr></table>"),
        ("* a\n  * b\n  more", {}, ("<table><tr><td><ul><li>a<table><tr><td><ul><li>b<br>more</li></ul></td></tr>"
         "</table></li></ul></td></tr></table>")),
        ("* a\n\n\n* b", {}, ("<table><tr><td><ul><li>a</li></ul></td></tr></table>"
         "<table><tr><td><ul><li>b</li></ul></td></tr></table>")),
        ("* a\n***\nb", {}, "<table><tr><td><ul><li>a</li></ul></td></tr></table><hr><p>b</p>"),
        ("• a", {}, "<table><tr><td><ul><li>a</li></ul></td></tr></table>"),
        ("^ inset\nstill\n\n^ # more\n\nout", {}, ("<blockquote><p>inset<br>still</p><h2>more</h2></blockquote>"
         "<p>out</p>")),
        ("a\n\n---\n\nb", {}, "<p>a</p><hr><p>b</p>"),
        ("https://a.gov.uk/x?y=1&z=2.", {}, ('<p><a href="https://a.gov.uk/x?y=1&amp;z=2">https://a.gov.uk/x?y=1&amp;z=2'
         "</a>.</p>")),
        ('[in](https://a.uk "T") [ref][k] [K] ![i](https://b.uk)\n\n[k]: https://c.uk "U"', {},
         ('<p><a href="https://a.uk" title="T">in</a> <a href="https://c.uk" title="U">ref</a> '
         '<a href="https://c.uk" title="U">K</a> </p>')),
        ("[see https://a.uk](https://b.uk)", {}, '<p><a href="https://b.uk">see https://a.uk</a></p>'),
        ("\\*not a list\\* [no link] *plain* **too** `x`", {}, "<p>*not a list* [no link] *plain* **too** `x`</p>"),
        ("a | b\n--|--\n1 | 2\n\nafter", {}, "<p>after</p>"),
        ("    indented\n\nafter", {}, "indented\n\n<p>after</p>"),
        ("```\ncode\n```\nafter", {}, "code<p>after</p>"),
        ("Go to GOV.UK", {}, "<p>Go to GOV.\u200bUK</p>"),
        ("a &nbsp; b &lt; c &copy; d & e", {}, "<p>a &nbsp; b &lt; c © d &amp; e</p>"),
        ("((a??<i>x</i>)) ((b & c))", {"a": "yes", "B&C": "1"}, "<p>&lt;i&gt;x&lt;/i&gt; 1</p>"),
        ("```\none\n\ntwo\n```", {}, "one\n\ntwo"),
        ("```\ncode", {}, "<p>```<br>code</p>"),
        ("* a\n\n  more", {}, "<table><tr><td><ul><li><p>a</p><br><p> more</p></li></ul></td></tr></table>"),
        ("#", {}, "<p>#</p>"),
        ("*", {}, "<p>*</p>"),
        ("^", {}, "<p>^</p>"),
    ],
)  # fmt: skip
def test_preview_is_the_html_that_notify_makes(body: str, values: dict[str, Any], expected: str) -> None:
    assert _bare(rendering.html_of(_template(body=body), values)) == expected


@pytest.mark.parametrize(
    "value",
    [
        "<script>alert(1)</script>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&#60;img src=x onerror=alert(1)&#62;",
        "[x](javascript:alert(1))",
        "[x](JaVa\nScript:alert(1))",
        "[x](java&#115;cript:alert(1))",
        "[x](data:text/html,1)",
        '[x](https://a.uk" onmouseover="alert(1))',
        '[x](https://a.uk "t" onmouseover="alert(1)")',
        'https://a.uk/"onmouseover="alert(1)',
        "[k]: javascript:alert(1)\n\n[k]",
        '<a href="x">',
    ],
)
def test_nothing_that_a_caller_gives_becomes_a_tag_or_runs(value: str) -> None:
    html = rendering.html_of(_template(body="((a))"), {"a": value})

    tags = re.findall(r"<[^>]*>", html)
    assert all(re.fullmatch(r'</?(p|a|br)( (style|href|title)="[^"]*")*>', tag) for tag in tags), tags
    assert not re.search(r'href="\s*(javascript|data|vbscript)', html, re.IGNORECASE)


def test_lists_and_insets_may_be_nested_only_so_deep() -> None:
    nested = "\n".join("  " * depth + f"* {depth}" for depth in range(12))
    inset = "^ " * 12 + "deep"

    assert rendering.html_of(_template(body=nested), {}).count("<ul") == 7
    assert rendering.html_of(_template(body=inset), {}).count("<blockquote") == 7


def test_placeholder_without_a_value_stays_as_it_is_written() -> None:
    assert rendering.body_of(_template(body="Hello ((name)) ((show??x))"), {}) == "Hello ((name)) ((show??x))"
