"""What may stand inside a line of Notify's Markdown: links, line ends and escaped characters. No emphasis, no code.

What goes in has been escaped: see rendering.py. What is written into an attribute here is escaped once more.
"""

import re
from urllib.parse import quote, unquote

Links = dict[str, tuple[str, str | None]]

BREAK = "<br>"

_LINK = '<a style="word-wrap: break-word; color: #1D70B8;" href="{}"{}>{}</a>'
_ESCAPED = re.compile(r"\\([\\`*{}\[\]()#+\-.!_>~|])")
_URL = re.compile(r"https?://[^\s<]+[^<.,:\"')\]\s]")
_BRACKETS = r"!?\[((?:\[[^\[\]]*\]|[^\[\]])*)\]"
_INLINE_LINK = re.compile(_BRACKETS + r"\(\s*(.*?)(?:\s+['\"](.*?)['\"])?\s*\)", re.DOTALL)
_REFERENCE = re.compile(_BRACKETS + r"(?:\s*\[([^^\]]*)\])?")
_LINE_END = re.compile(r" *\n(?!\s*$)")
_PLAIN = re.compile(r"(?:(?!https?://)[^\\!\[\n ])+")
_AMPERSAND = re.compile(r"&(?!#?\w+;)")
# Notify would let them through. A page that shows the HTML must not.
_SCRIPTS = ("javascript:", "vbscript:", "data:")


def to_html(text: str, links: Links, *, in_link: bool = False) -> str:
    """Return the HTML of a text without blocks. Links may be defined elsewhere in the document."""
    text = text.rstrip("\n")
    html, at = [], 0
    while at < len(text):
        match = _PLAIN.match(text, at)
        if match:
            html.append(_escape(match[0]))
            at = match.end()
            continue
        piece, at = _piece(text, at, links, in_link=in_link)
        html.append(piece)
    return "".join(html)


def _piece(text: str, at: int, links: Links, *, in_link: bool) -> tuple[str, int]:
    if match := _ESCAPED.match(text, at):
        return _escape(match[1]), match.end()
    if match := _URL.match(text, at):
        return (_escape(match[0]) if in_link else _linked_address(match[0])), match.end()
    if match := _INLINE_LINK.match(text, at):
        return _link(match, match[2], match[3], links), match.end()
    match = _REFERENCE.match(text, at)
    if match and (found := links.get(key(match[2] or match[1]))):
        return _link(match, *found, links), match.end()
    if match := _LINE_END.match(text, at):
        return BREAK, match.end()
    return _escape(text[at]), at + 1


def _link(match: re.Match[str], address: str, title: str | None, links: Links) -> str:
    if match[0].startswith("!"):
        return ""
    told = f' title="{_attribute(title)}"' if title else ""
    return _LINK.format(_safe_address(address), told, to_html(match[1], links, in_link=True))


def key(text: str) -> str:
    """Return what a defined link is found by."""
    return " ".join(text.lower().split())


def _escape(text: str) -> str:
    return _AMPERSAND.sub("&amp;", text).replace("<", "&lt;").replace(">", "&gt;")


def _attribute(text: str) -> str:
    return _escape(text).replace('"', "&quot;")


def _safe_address(address: str) -> str:
    """Return the address for an attribute; an empty one in place of a script."""
    bare = re.sub(r"[^a-z:]+", "", re.sub(r"&#?\w+;", "", unquote(address)).lower())
    return "" if bare.startswith(_SCRIPTS) else _attribute(address)


def _linked_address(address: str) -> str:
    return _LINK.format(quote(unquote(address), safe=":/?#=&;"), "", address)
