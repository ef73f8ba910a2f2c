"""The finishing touches that Notify gives to subjects and to HTML: curly quotes, en dashes, no space before a comma.

The rules are those of SmartyPants for quotes, which Notify uses.
"""

import re

_TAG = re.compile(r"(<[^>]*>)")
_SKIPPED = re.compile(r"<(/)?(pre|samp|code|tt|kbd|script|style|math|a)[^>]*>", re.IGNORECASE)
# In the order in which they are replaced. They stay entities: a backslash before a character asks for it as it is.
_ESCAPES = tuple((f"\\{character}", f"&#{ord(character)};") for character in "\\\"'.-`")

_PUNCTUATION = r"""[!"#$%'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"""
_BEFORE_OPENING = r"(?:\s|&nbsp;|--|&[mn]dash;|&#8211;|&#8212;|&#x201[34];)"
_BEFORE_CLOSING = r"[^ \t\r\n\[{(\-]"

# Each pattern in turn sees what the ones before it have left.
_QUOTES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\"'(?=\w)"), "“‘"),
    (re.compile(r"'\"(?=\w)"), "‘“"),
    (re.compile(r"\b'(?=\d{2}s)"), "’"),
    (re.compile(rf"({_BEFORE_OPENING})'(?=\w)"), r"\1‘"),
    (re.compile(rf"({_BEFORE_CLOSING})'(?!\s|s\b|\d)"), r"\1’"),
    (re.compile(rf"({_BEFORE_CLOSING})'(\s|s\b)"), r"\1’\2"),
    (re.compile(r"'"), "‘"),
    (re.compile(rf'({_BEFORE_OPENING})"(?=\w)'), r"\1“"),
    (re.compile(r'"(?=\s)'), "”"),
    (re.compile(rf'^"(?={_PUNCTUATION})'), "”"),
    (re.compile(rf'({_BEFORE_CLOSING})"'), r"\1”"),
    (re.compile(r'"'), "“"),
)

_SPACE_BEFORE_PUNCTUATION = re.compile(r"[ \t]+([,.])")
_AROUND_AN_AT = re.compile(r"(^|\s)\S+@\S+(\s|$)", re.MULTILINE)
_DASH = re.compile(r"\s+[-–—]{1,3}\s+")


def polish(text: str) -> str:
    """Return the text, or the HTML, as Notify sets it."""
    text = _SPACE_BEFORE_PUNCTUATION.sub(r"\1", text)
    if any(character in text for character in "'\"\\"):
        text = _curl_quotes(text)
        # An address keeps its apostrophe
        text = _AROUND_AN_AT.sub(lambda match: match[0].replace("‘", "'").replace("’", "'"), text)
    return _DASH.sub(" – ", text)


def _curl_quotes(text: str) -> str:
    pieces, before, open_tags = [], "", []
    for index, piece in enumerate(_TAG.split(text)):
        if index % 2:
            pieces.append(piece)
            skipped = _SKIPPED.match(piece)
            if skipped and not skipped[1]:
                open_tags.append(skipped[2].lower())
            elif skipped and open_tags and open_tags[-1] == skipped[2].lower():
                open_tags.pop()
        elif piece:
            pieces.append(piece if open_tags else _curled(piece, before))
            before = piece[-1]
    return "".join(pieces)


def _curled(text: str, before: str) -> str:
    for written, entity in _ESCAPES:
        text = text.replace(written, entity)
    if text in ("'", '"'):
        follows = before != "" and not before.isspace()
        return {"'": "’" if follows else "‘", '"': "”" if follows else "“"}[text]
    for pattern, curly in _QUOTES:
        text = pattern.sub(curly, text)
    return text
