"""A message as a mail: text and HTML, in one thread with whatever else is said of the same task. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from hashlib import blake2b

from watcher.models import Message
from watcher.notifier.render import with_owners
from watcher.notifier.text import clean, cut, escape_html

SUBJECT_LIMIT = 250
_LINE = 76
"""Characters of a header line that holds encoded words (RFC 2047)."""
_TEXT_ON_LINE = 45
"""Bytes that fit, in base64, into an encoded word of at most 75 characters."""
_COLOURS = {"failure": "#d1242f", "warning": "#bf8700", "success": "#1a7f37", "info": "#0969da"}
_BREAKS = {"ko": ";word-break:keep-all"}
"""Korean has blanks between its words: lines break there, as they do in English."""

_OURS = frozenset(
    {"subject", "from", "to", "cc", "bcc", "reply-to", "date", "message-id", "references", "in-reply-to"}
    | {"auto-submitted", "mime-version", "sender"}
)


@dataclass(frozen=True, slots=True)
class Letter:
    """What is mailed. Letters with the same `about` (a task, an account) make one thread; "": it stands alone.

    `id` becomes the Message-ID: a mail that comes twice has the same one twice.
    """

    message: Message
    id: str
    about: str = ""
    severity: str = "info"
    language: str = "en"


def composed(
    letter: Letter,
    *,
    sender: tuple[str, str],
    recipient: tuple[str, str],
    now: datetime,
    reply_to: Collection[str] = (),
    headers: Mapping[str, str] | None = None,
) -> str:
    """The whole mail in ASCII, its lines ended by CRLF. People are pairs of a name, maybe "", and an address."""
    domain = clean(sender[1].rpartition("@")[2]) or "watcher.invalid"
    lines = [
        *(header(name, value) for name, value in (headers or {}).items() if _is_allowed(name)),
        header("Subject", cut(with_owners(letter.message), SUBJECT_LIMIT)),
        _people("From", sender),
        _people("To", recipient),
        *([header("Reply-To", ", ".join(reply_to))] if reply_to else []),
        f"Date: {format_datetime(now)}",
        f"Message-ID: <{_token(letter.id)}@{domain}>",
        *_thread(letter.about, domain),
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: All",
    ]
    return "\r\n".join(lines) + "\r\n" + _content(letter).as_string(policy=SMTP)


def header(name: str, value: str) -> str:
    """A header line, folded, in which nothing of the value is taken for another header or for an encoding."""
    text = clean(value)
    if text.isascii() and "=?" not in text and len(name) + len(text) + 2 <= _LINE:
        return f"{name}: {text}"
    return f"{name}: " + "\r\n ".join(_encoded_words(text, len(name) + 2))


def _encoded_words(text: str, before: int) -> list[str]:
    """`text` in pieces of whole characters, each encoded by itself; `before`: what the first line has already."""
    words, piece = [], b""
    room = (_LINE - before - len("=?utf-8?b??=")) // 4 * 3
    for char in text:
        data = char.encode("utf-8", "replace")
        if len(piece) + len(data) > room:
            words.append(piece)
            piece, room = b"", _TEXT_ON_LINE
        piece += data
    return [f"=?utf-8?b?{base64.b64encode(each).decode()}?=" for each in (*words, piece)]


def _people(name: str, person: tuple[str, str]) -> str:
    shown, address = clean(person[0]), clean(person[1])
    if not shown:
        return f"{name}: {address}"
    if shown.isascii() and "=?" not in shown:
        return f"{name}: {formataddr((cut(shown, 60), address))}"
    return header(name, cut(shown, 60)) + f"\r\n <{address}>"


def _thread(about: str, domain: str) -> list[str]:
    """Every letter about something answers the same one, which nobody ever wrote."""
    if not about:
        return []
    root = f"<thread.{blake2b(about.encode('utf-8', 'replace'), digest_size=10).hexdigest()}@{domain}>"
    return [f"In-Reply-To: {root}", f"References: {root}"]


def _is_allowed(name: str) -> bool:
    lower = name.lower()
    return bool(re.fullmatch(r"[!-9;-~]{1,60}", name)) and lower not in _OURS and not lower.startswith("content-")


def _token(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)


def _content(letter: Letter) -> MIMEMultipart:
    message = letter.message
    both = MIMEMultipart("alternative")
    text = f"{with_owners(message)}\n\n{message.body}".rstrip() + "\n"
    for kind, content in (("plain", text), ("html", page(letter))):
        # What UTF-8 can't hold was replaced when it entered; a leftover mustn't block the queue for ever.
        sound = content.encode("utf-8", "replace").decode()
        both.attach(MIMEText("\r\n".join(sound.split("\n")), kind, "utf-8"))
    return both


def page(letter: Letter) -> str:
    """The HTML: headline and lines beside a stripe in the colour of its severity. It asks nobody for anything."""
    colour = _COLOURS.get(letter.severity, _COLOURS["info"])
    title = escape_html(with_owners(letter.message))
    lines = "\n".join(
        f'<p style="margin:0 0 6px 0;font-size:14px;line-height:1.5">{escape_html(line)}</p>'
        for line in letter.message.body.splitlines()
        if line.strip()
    )
    breaks = _BREAKS.get(letter.language, "")
    return _PAGE.format(language=escape_html(letter.language), colour=colour, breaks=breaks, title=title, lines=lines)


# Tables and inline styles are what every mail client understands; without backgrounds it follows a dark theme.
_PAGE = """<!doctype html>
<html lang="{language}"><head>
<meta charset="utf-8" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<meta name="color-scheme" content="light dark" />
<title>{title}</title>
</head><body style="margin:0;padding:16px;font-family:system-ui,-apple-system,'Segoe UI',sans-serif">
<table role="presentation" cellpadding="0" cellspacing="0" style="width:100%;max-width:640px;border-collapse:collapse">
<tr><td style="border-left:4px solid {colour};padding:4px 0 4px 16px;overflow-wrap:anywhere{breaks}">
<p style="margin:0 0 10px 0;font-size:17px;line-height:1.4"><strong>{title}</strong></p>
{lines}
</td></tr></table>
</body></html>
"""
