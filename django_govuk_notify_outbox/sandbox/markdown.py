"""Notify's kind of Markdown as the HTML of its emails: headings, lists, inset text, rules, links, and no emphasis.

What goes in has been escaped: see rendering.py. So no tag of a caller or a template gets through, and what is written
into an attribute here is escaped once more.
"""

import re
from collections.abc import Iterator

from . import markdown_inline as inline

_PARAGRAPH = '<p style="Margin: 0 0 20px 0; font-size: 19px; line-height: 25px; color: #0B0C0C;">{}</p>'
_HEADING = (
    '<{0} style="Margin: 0 0 15px 0; padding: 10px 0 0 0; font-size: {1}; font-weight: bold; color: #0B0C0C;">{2}</{0}>'
)
_HEADINGS = {1: ("h2", "27px; line-height: 35px"), 2: ("h3", "19px; line-height: 25px")}
_LIST = (
    '<table role="presentation" style="padding: 0 0 20px 0;"><tr>'
    '<td style="font-family: Helvetica, Arial, sans-serif;">'
    '<{0} style="Margin: 0 0 0 20px; padding: 0; list-style-type: {1};">{2}</{0}></td></tr></table>'
)
_ITEM = '<li style="Margin: 5px 0 5px; padding: 0 0 0 5px; font-size: 19px;line-height: 25px; color: #0B0C0C;">{}</li>'
_INSET = (
    '<blockquote style="Margin: 0 0 20px 0; border-left: 10px solid #B1B4B6;'
    'padding: 15px 0 0.1px 15px; font-size: 19px; line-height: 25px;">{}</blockquote>'
)
_RULE = '<hr style="border: 0; height: 1px; background: #B1B4B6; Margin: 30px 0 30px 0;">'

_BULLET = re.compile(r"( *)(?:[•*-]|\d+\.)")
_LIST_IN_PARAGRAPH = re.compile(r" *(?:[*+-](?:\d+\.)?|\d+\.) ")
_IS_RULE = re.compile(r" {0,3}[-*_](?: *[-*_]){2,} *")
_INSET_LINE = re.compile(r" *\^[^\n]")
_IS_HEADING = re.compile(r" *(#{1,6}) *(.+?) *#* *")
_UNDERLINE = re.compile(r" *[=-]+ *")
_FENCE = re.compile(r" *(`{3,}|~{3,}) *[^`\s]* *")
_TABLE_LINE = re.compile(r" *\|? *[-:]+ *\|[-| :]*| *\| *[-:]+[-| :]*")
_DEFINITION = re.compile(r" *\[([^^\]]+)\]: *(\S+)(?: +[\"(](.+)[\")])? *")
_INSET_MARK = re.compile(r"^ *\^ ?", re.MULTILINE)
_DEEPEST = 6


def to_html(text: str) -> str:
    """Return escaped text with Markdown as the HTML that Notify puts into the body of an email."""
    text = re.sub(r"\r\n?", "\n", text).expandtabs(4)
    text = re.sub(r"^ +$", "", text, flags=re.MULTILINE)
    return _Document().blocks(text)


class _Document:
    """One text on its way to HTML, with the links that it defines."""

    def __init__(self) -> None:
        self._links: inline.Links = {}
        self._list_depth = 0
        self._inset_depth = 0

    def blocks(self, text: str) -> str:
        lines = text.rstrip("\n").split("\n")
        self._define_links(lines)
        html, at = [inline.BREAK] if lines[:2] == ["", ""] and len(lines) > 2 else [], 0
        while at < len(lines):
            if lines[at]:
                block, at = self._block(lines, at)
                html.append(block)
            else:
                at += 1
        return "".join(html)

    def _inline(self, text: str) -> str:
        return inline.to_html(text, self._links)

    def _define_links(self, lines: list[str]) -> None:
        for line in lines:
            match = _DEFINITION.fullmatch(line)
            if match and not _BULLET.match(line):
                self._links[inline.key(match[1])] = (match[2], match[3])

    def _block(self, lines: list[str], at: int) -> tuple[str, int]:
        """Return the HTML of the block that begins at this line, and the line after it."""
        line = lines[at]
        following = lines[at + 1] if at + 1 < len(lines) else ""
        heading = _IS_HEADING.fullmatch(line)
        if heading and not line.startswith("    "):
            return self._heading(heading[2], len(heading[1])), at + 1
        if "|" in line and _TABLE_LINE.fullmatch(following) and not _IS_RULE.fullmatch(line):
            return "", _end_of_table(lines, at + 2)
        if _DEFINITION.fullmatch(line):
            return "", at + 1
        if block := self._block_anywhere(lines, at):
            return block
        end = _end_of_paragraph(lines, at)
        return self._paragraph("\n".join(lines[at:end])), end

    def _block_anywhere(self, lines: list[str], at: int) -> tuple[str, int] | None:
        """Return the block that begins at this line if it's of a kind that lists may hold too."""
        line = lines[at]
        following = lines[at + 1] if at + 1 < len(lines) else ""
        if line.startswith("    "):
            return _code(lines, at)
        if end := _end_of_fence(lines, at):
            return "\n".join(lines[at + 1 : end]).rstrip(), end + 1
        if following and _UNDERLINE.fullmatch(following) and not (_IS_RULE.fullmatch(line) and not self._list_depth):
            return self._heading(line, 1 if following.rstrip().endswith("=") else 2), at + 2
        if _IS_RULE.fullmatch(line):
            return _RULE, at + 1
        if _INSET_LINE.match(line):
            return self._inset(lines, at)
        if _BULLET.match(line) and len(line.strip(" ")) > 1:
            return self._list(lines, at)
        return None

    def _heading(self, text: str, level: int) -> str:
        if level not in _HEADINGS:
            return self._paragraph(text)
        tag, size = _HEADINGS[level]
        return _HEADING.format(tag, size, self._inline(text))

    def _paragraph(self, text: str) -> str:
        html = self._inline(text)
        return _PARAGRAPH.format(html) if html.strip() else ""

    def _inset(self, lines: list[str], at: int) -> tuple[str, int]:
        end = at
        while end < len(lines) and lines[end].lstrip(" ").startswith("^"):
            while end < len(lines) and lines[end]:
                end += 1
            while end < len(lines) and not lines[end]:
                end += 1
        text = "\n".join(lines[at:end])
        self._inset_depth += 1
        inner = self.blocks(_INSET_MARK.sub("", text)) if self._inset_depth <= _DEEPEST else self._paragraph(text)
        self._inset_depth -= 1
        return _INSET.format(inner), end

    def _list(self, lines: list[str], at: int) -> tuple[str, int]:
        end = _end_of_list(lines, at)
        is_ordered = "." in lines[at][: _length_of_bullet(lines[at])]
        self._list_depth += 1
        if self._list_depth <= _DEEPEST:
            items = "".join(self._items(lines[at:end]))
        else:
            items = _ITEM.format(self._inline("\n".join(lines[at:end])).strip())
        self._list_depth -= 1
        tag, style = ("ol", "decimal") if is_ordered else ("ul", "disc")
        return _LIST.format(tag, style, items), end

    def _items(self, lines: list[str]) -> Iterator[str]:
        texts = list(_item_texts(lines))
        follows_gap = False
        for index, text in enumerate(texts):
            is_loose = follows_gap or re.search(r"\n\n(?!\s*$)", text) is not None
            if index < len(texts) - 1:
                follows_gap = text.endswith("\n")
                is_loose = is_loose or follows_gap
            yield _ITEM.format(self._item(text, is_loose=is_loose).strip())

    def _item(self, text: str, *, is_loose: bool) -> str:
        lines = text.rstrip("\n").split("\n")
        html: list[str] = []
        words: list[str] = []

        def flush() -> None:
            if words:
                joined = "\n".join(words)
                html.append(self._paragraph(joined) if is_loose else self._inline(joined))
                words.clear()

        at = 0
        while at < len(lines):
            if not lines[at]:
                flush()
                html.append(inline.BREAK)
                while at < len(lines) and not lines[at]:
                    at += 1
            elif block := self._block_anywhere(lines, at):
                flush()
                html.append(block[0])
                at = block[1]
            else:
                words.append(lines[at])
                at += 1
        flush()
        return "".join(html)


def _length_of_bullet(line: str) -> int:
    match = _BULLET.match(line)
    return match.end() if match else 0


def _code(lines: list[str], at: int) -> tuple[str, int]:
    """Return indented lines as they are: Notify has no style for code."""
    end = at
    while end < len(lines) and (not lines[end] or lines[end].startswith("    ")):
        end += 1
    text = "\n".join(line[4:] for line in lines[at:end])
    return text + ("\n" if end < len(lines) else ""), end


def _end_of_fence(lines: list[str], at: int) -> int:
    opening = _FENCE.fullmatch(lines[at])
    if opening:
        for end in range(at + 2, len(lines)):
            if lines[end].strip(" ") == opening[1]:
                return end
    return 0


def _end_of_table(lines: list[str], at: int) -> int:
    while at < len(lines) and "|" in lines[at]:
        at += 1
    return at


def _end_of_paragraph(lines: list[str], at: int) -> int:
    end = at + 1
    while end < len(lines) and lines[end]:
        line = lines[end]
        following = lines[end + 1] if end + 1 < len(lines) else ""
        if (
            _IS_RULE.fullmatch(line)
            or _IS_HEADING.fullmatch(line)
            or _LIST_IN_PARAGRAPH.match(line)
            or _DEFINITION.fullmatch(line)
            or _end_of_fence(lines, end)
            or (following and _UNDERLINE.fullmatch(following))
        ):
            break
        end += 1
    return end


def _end_of_list(lines: list[str], at: int) -> int:
    indent = re.escape(lines[at][: len(lines[at]) - len(lines[at].lstrip(" "))])
    goes_on = re.compile(rf" |{indent}(?:[•*-]|\d+\.) ")
    end = at + 1
    while end < len(lines):
        first = end
        while not lines[end]:
            end += 1  # there is more: no text ends with an empty line here
        gap = end - first
        line = lines[end]
        if gap > 1 or (gap and not goes_on.match(line)) or _IS_RULE.fullmatch(line) or _DEFINITION.fullmatch(line):
            return end
        end += 1
    return end


def _item_texts(lines: list[str]) -> Iterator[str]:
    """Return the texts of a list's items, without their bullets and as far out as these were."""
    starts, own = [], None
    for index, line in enumerate(lines):
        match = _BULLET.match(line)
        if match and (own is None or match[1] == own):
            own = match[1]
            starts.append(index)
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        bullet = _length_of_bullet(lines[start])
        text = "\n".join([lines[start][bullet:], *lines[start + 1 : end]])
        yield re.sub(rf"^ {{1,{bullet}}}", "", text, flags=re.MULTILINE) if "\n " in text else text
