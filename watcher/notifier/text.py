"""Text from outside, made harmless: shown literally in every terminal, chat and mail, and never interpreted."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

ELLIPSIS = "…"
ZERO_WIDTH_SPACE = "\u200b"

_BIDI = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_SPACES = re.compile(r"\s+")
_JOINER, _KEYCAP, _EMOJI_SIGN = "\u200d", "\u20e3", "\ufe0f"
_REGIONAL = range(0x1F1E6, 0x1F200)
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_TAGS = range(0xE0020, 0xE0080)

_MENTION = re.compile(r"[@＠]")
_ANGLE = re.compile(r"<(?=[!@#/:a-zA-Z])")
_EMOJI_CODE = re.compile(r":(?=[a-zA-Z+_-][\w+-]*:)")
_MARKDOWN = re.compile(r"([\\`*_\[\]~|])")
_MARKDOWN_LINE = re.compile(r"^(\s*)(?=[#>+=-])|^(\s*\d+)(?=[.)])", re.MULTILINE)
_CHAT_MARKS = re.compile(r"[*_~`]")


def clean(text: object) -> str:
    """One line in which every character can be seen: no terminal escapes, control or text-direction characters.

    An escape sequence is shown, as `␛[31m`, instead of being obeyed or hidden.
    """
    line = _SPACES.sub(" ", str(text).translate(_BIDI)).strip()
    return line if line.isascii() and line.isprintable() else "".join(map(_visible, line))


def _visible(char: str) -> str:
    code, category = ord(char), unicodedata.category(char)
    if code < 0x20:
        return chr(0x2400 + code)  # the pictures of control characters
    if category in {"Cc", "Cs"}:
        return "\ufffd"
    # Invisible characters hide text, but the joiners make emoji, Indic and Persian words, and tags make flags.
    return "" if category == "Cf" and char not in "\u200c\u200d" and code not in _TAGS else char


def cut(text: str, limit: int) -> str:
    """At most `limit` code points, ended by an ellipsis where something is missing; never in the midst of a character.

    What a reader sees as one character stays whole: accents, emoji sequences, flags, Hangul syllables made of parts.
    """
    if len(text) <= limit:
        return text
    if limit < 1:
        return ""
    end = limit - 1
    while end > 0 and not _is_boundary(text, end):
        end -= 1
    return text[:end].rstrip() + ELLIPSIS


def _is_boundary(text: str, at: int) -> bool:
    before, after = text[at - 1], text[at]
    if before == _JOINER or after in (_JOINER, _KEYCAP) or unicodedata.category(after) in {"Mn", "Me", "Mc"}:
        return False
    if ord(after) in _SKIN_TONES or ord(after) in _TAGS:
        return False
    if 0x1160 <= ord(after) <= 0x11FF:  # the vowels and final consonants of Hangul written in parts
        return False
    return ord(after) not in _REGIONAL or _regionals_before(text, at) % 2 == 0


def _regionals_before(text: str, at: int) -> int:
    count = 0
    while count < at and ord(text[at - 1 - count]) in _REGIONAL:
        count += 1
    return count


def break_mentions(text: str) -> str:
    """`@everyone`, `<!channel>`, `<users/all>`, `<@U012>`, `@jiwon`, `:code:`: seen as written, calling nobody.

    A zero-width space after the sign keeps every service from reading it, and every reader from noticing.
    """
    text = _MENTION.sub(rf"\g<0>{ZERO_WIDTH_SPACE}", text)
    text = _ANGLE.sub(rf"\g<0>{ZERO_WIDTH_SPACE}", text)
    return _EMOJI_CODE.sub(rf"\g<0>{ZERO_WIDTH_SPACE}", text)


def escape_html(text: str) -> str:
    """For mail and for services that read HTML (Telegram, Matrix)."""
    return html.escape(text)


def escape_slack(text: str) -> str:
    """Slack's three characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_markdown(text: str) -> str:
    """For services that read every message as Markdown and know backslashes (Discord, Mattermost, Zulip).

    Only where a sign would mean something: a backslash that a service doesn't take back is seen by all.
    """
    return _MARKDOWN_LINE.sub(r"\g<0>\\", _MARKDOWN.sub(r"\\\1", text))


def part_marks(text: str) -> str:
    """For services that read `*bold*` but know no escape (Google Chat, WhatsApp): the marks lose their neighbours."""
    return _CHAT_MARKS.sub(rf"{ZERO_WIDTH_SPACE}\g<0>{ZERO_WIDTH_SPACE}", text)


def as_written(text: str) -> str:
    """For services that interpret nothing."""
    return text


def fit(text: str, limit: int, escape: Callable[[str], str] = as_written) -> str:
    """`text`, escaped, in at most `limit` characters: cut before escaping, so that no escape is cut in two."""
    escaped, keep = escape(text), len(text)
    while len(escaped) > limit and keep > 1:
        keep = max(1, min(keep - 1, keep * limit // len(escaped)))
        escaped = escape(cut(text, keep))
    return escaped


def all_that_fit(parts: Sequence[str], limit: int) -> list[str]:
    """The first of `parts`, which stand beside each other with blanks between them; `+7` for those left out."""
    for kept in range(len(parts), -1, -1):
        shown = [*parts[:kept], *([f"+{len(parts) - kept}"] if kept < len(parts) else [])]
        if len(" ".join(shown)) <= limit:
            return shown
    return []


def columns(text: str) -> int:
    """How many columns `text` takes where every letter is as wide as another, and CJK and emoji as wide as two."""
    return len(text) if text.isascii() else sum(_widths(text))


def _widths(text: str) -> Iterator[int]:
    """The columns of each code point; what joins the character before it takes none."""
    before = ""
    for char in text:
        yield _width(before, char)
        before = char


def _width(before: str, char: str) -> int:
    if char.isascii():
        return 1
    code = ord(char)
    if before == _JOINER or code in _SKIN_TONES or code in _TAGS or 0x1160 <= code <= 0x11FF:
        return 0
    if char == _EMOJI_SIGN:
        return 1 if before and unicodedata.east_asian_width(before) not in "WF" else 0
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def narrow(text: str, width: int) -> str:
    """`text` cut like `cut`, to at most `width` columns and twice as many code points."""
    return text if _is_narrow(text, width) else text[: _head(text, width - 1)].rstrip() + ELLIPSIS if width > 0 else ""


def narrow_name(text: str, width: int) -> str:
    """As `narrow`, but what is left out stands in the midst: names of one experiment differ at their ends."""
    if _is_narrow(text, width) or width < 1:
        return narrow(text, width)
    start = _tail(text, (width - 1) // 2)
    head = text[: _head(text, width - 1 - columns(text[start:]))].rstrip()
    return head + ELLIPSIS + text[start:].lstrip()


def _is_narrow(text: str, width: int) -> bool:
    return len(text) <= 2 * width and columns(text) <= width


def _head(text: str, width: int) -> int:
    """Where the longest beginning of at most `width` columns ends."""
    taken = end = 0
    for at, wide in enumerate(_widths(text[: 2 * width + 1])):
        taken += wide
        if taken > width or at >= 2 * width:
            break
        if at + 1 < len(text) and _is_boundary(text, at + 1):
            end = at + 1
    return end


def _tail(text: str, width: int) -> int:
    """Where the longest end of at most `width` columns begins."""
    start = len(text)
    for at in range(len(text) - 1, max(len(text) - 2 * width, 0) - 1, -1):
        if columns(text[at:]) > width:
            break
        start = at if at == 0 or _is_boundary(text, at) else start
    return start
