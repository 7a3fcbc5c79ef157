"""The checks of single values.

A check raises ValueError with a text that says what is wrong and what to write; it never repeats the value, which may
be a secret in the wrong place. A secret may be "": that is what a reading command gets instead of a missing one.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import math
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from watcher.events import EVENT_TYPES

LANGUAGES = ("en", "ja", "ko")
LONGEST = 3650 * 86400.0
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = r"\d+(?:\.\d+)?\s*(?:ms|s|m|h|d|w)"
_DURATION = re.compile(rf"(?:{_PART}\s*)+", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_NO_ZONE = re.compile(r"(localtime|posixrules|Factory)$|(right|posix)/")
_SHORT_ZONES = {"KST": "Asia/Seoul", "SEOUL": "Asia/Seoul", "JST": "Asia/Tokyo", "TOKYO": "Asia/Tokyo"}
_OFFSET = re.compile(r"(UTC|GMT|KST|JST)?\s*[+-]\s*\d{1,2}(:?\d\d)?", re.IGNORECASE | re.ASCII)
_OTHER_LANGUAGES = {"kr": "ko", "kor": "ko", "korean": "ko", "jp": "ja", "jpn": "ja", "japanese": "ja", "english": "en"}
_MAIL = "mailtos://USER:PASSWORD@SMTP.EXAMPLE.COM?to=NAME@EXAMPLE.COM"
_TWO_SLASHES = {"mailto": _MAIL, "mailtos": _MAIL, "console": "console://"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ " Did you mean X?" with a leading space, or "" when nothing is near."""
    near = nearest(word, known)
    return f" Did you mean {near}?" if near else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like this one; "" when none is near."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), "")


def duration(value: object) -> float:
    """Seconds from `30s`, `1h30m`, `100ms`, `0.5` or a number."""
    example = "write 30s, 5m, 6h, 2d, or seconds"
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        seconds = float(text)
    elif _DURATION.fullmatch(text):
        parts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])", text)
        seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    else:
        raise ValueError(f"not a duration; {example}")
    if not 0.1 <= seconds <= LONGEST:
        raise ValueError(f"must be from 100ms to 3650d; {example}")
    return seconds


def number(value: object) -> float:
    """A finite number above zero, at most 10 million."""
    text = str(value).strip()
    if not _NUMBER.fullmatch(text) or not 0 < float(text) <= 10_000_000:
        raise ValueError("must be a number above 0 and at most 10000000, such as 30")
    return float(text)


def integer(lowest: int, highest: int, example: str) -> Callable[[object], int]:
    """A check for whole numbers in a range."""

    def check(value: object) -> int:
        text = str(value).strip()
        if not re.fullmatch(r"-?[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
            raise ValueError(f"must be a whole number from {lowest} to {highest}, such as {example}")
        return int(text)

    return check


def percent_share(value: object) -> float:
    """A share of 1 from `50%`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", str(value).strip(), re.ASCII)
    if isinstance(value, float) and math.isfinite(value) and value > 0:
        return value
    if not found or not 0 < float(found[1]) <= 1000:
        raise ValueError("must be a percentage, such as 50%")
    return float(found[1]) / 100


def boolean(value: object) -> bool:
    """true or false, and nothing else."""
    if str(value).lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return str(value).lower() == "true"


def one_of(*words: str) -> Callable[[object], str]:
    """A check for a word out of a few."""

    def check(value: object) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}.{did_you_mean(str(value), words)}".rstrip("."))
        return str(value)

    return check


def language(value: object) -> str:
    """en, ja or ko; also known by what people write instead (kr, ko-KR, Korean)."""
    if value in LANGUAGES:
        return str(value)
    word = re.split(r"[-_]", str(value).strip().lower())[0]
    mean = _OTHER_LANGUAGES.get(word) or (word if word in LANGUAGES else "")
    raise ValueError(f"must be one of {', '.join(LANGUAGES)}{f'. Did you mean {mean}?' if mean else ''}")


def task_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", value):
        raise ValueError("a task id is letters, digits, - and _, as CLOVA Studio shows it, such as czf9fbky")
    return value


def plain_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
        raise ValueError(
            "a name is letters, digits, -, _ and . (at most 64, the first a letter or digit), such as team"
        )
    return value


def label_key(value: str) -> str:
    if not re.fullmatch(r"[\w][\w./-]{0,63}", value):
        raise ValueError("a label's name is letters, digits, -, _, . and / (at most 64), such as team")
    return value


def shown_text(value: str) -> str:
    if not value.strip() or len(value) > 200 or _CONTROL.search(value):
        raise ValueError("must be 1 to 200 characters on one line, without control characters")
    return value


def glob(value: str) -> str:
    if not value or len(value) > 200 or _CONTROL.search(value):
        raise ValueError('must be a name, or a pattern such as "exp-lr-*"')
    return value


def event_glob(value: str) -> str:
    """`notable`, or a glob that at least one event type matches."""
    if value == "notable" or any(fnmatchcase(known, value) for known in EVENT_TYPES):
        return value
    mean = did_you_mean(value, ("notable", *EVENT_TYPES))
    raise ValueError(
        f'no event is called so.{mean} Write notable, an event such as task.failed, or a pattern: "task.*"'
    )


def time_zone(value: str) -> str:
    """An IANA time zone's name; what a system keeps beside them (localtime, right/UTC) is none."""
    try:
        if _NO_ZONE.match(value):
            raise KeyError(value)
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        if _OFFSET.fullmatch(value.strip()):
            raise ValueError("an offset isn't an IANA time zone; write a name such as Asia/Seoul or UTC") from None
        short = _SHORT_ZONES.get(value.upper())
        mean = f" Did you mean {short}?" if short else did_you_mean(value, available_timezones())
        raise ValueError(f"not an IANA time zone.{mean} Write a name such as Asia/Seoul or UTC") from None
    return value


def http_url(value: str) -> str:
    """An absolute http(s) URL."""
    problem = "must be a URL that starts with https:// or http://"
    if not value.isascii() or re.search(r"[\x00-\x20\x7f\\]", value):
        raise ValueError(f"{problem}, without blanks or control characters")
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError("its [ and ] don't hold an IPv6 address; write https://[::1]/path, or a host name") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(problem)
    try:
        usable = parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("its port must be a number from 1 to 65535, such as https://example.com:8443/path")
    return value


def base_url(value: str) -> str:
    """An http(s) URL to put a path behind: no user, query or fragment, no slash at the end."""
    parts = urlsplit(http_url(value))
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be a plain URL without user, ? and #, such as https://clovastudio.stream.ntruss.com")
    return value.rstrip("/")


def channel_url(value: str) -> str:
    """Any URL; http(s) ones are checked fully, the others by Apprise when the channel is built."""
    if value.lower().startswith(("http:", "https:")):
        return http_url(value)
    if value != value.strip():
        raise ValueError("has blanks around it; take them away")
    scheme, colon, rest = value.partition(":")
    if colon and re.fullmatch(r"[htps]{3,8}", scheme.lower()):
        raise ValueError("no address starts so; did you mean https://?")
    if colon and scheme.lower() in _TWO_SLASHES and not rest.startswith("//"):
        raise ValueError(f"lacks the // behind its first colon; write {_TWO_SLASHES[scheme.lower()]}")
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", value) or re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError("must be a URL: https://..., or an Apprise URL such as mailto://...")
    return value


def store_url(value: str) -> str:
    example = "write sqlite:///watcher.db (relative) or sqlite:////data/watcher.db"
    if value.startswith(("postgresql:", "postgresql+", "postgres:")):
        raise ValueError(f"PostgreSQL comes with a later version; {example}")
    if not value.startswith("sqlite:///") or len(value) == len("sqlite:///"):
        raise ValueError(f"must be the URL of a SQLite file; {example}")
    if ":memory:" in value or re.search(r"[?#\x00-\x1f]", value):
        raise ValueError(f"must name a file, without ? and #; {example}")
    return value


def header_safe(value: str) -> str:
    """What can stand in an HTTP header behind `Bearer `."""
    if value.lower().startswith("bearer "):
        raise ValueError("write it without Bearer")
    if not re.fullmatch(r"[\x21-\x7e]*", value):
        raise ValueError("has blanks, line ends or characters that no key has; copy it again, on one line")
    return value


def signing_secret(value: str) -> str:
    """`whsec_` and base64 of 24 to 64 bytes (Standard Webhooks)."""
    how = "make one with: echo whsec_$(openssl rand -base64 32)"
    if not value.startswith("whsec_"):
        raise ValueError(f"must be whsec_ followed by base64; {how}")
    try:
        size = len(base64.b64decode(value.removeprefix("whsec_"), validate=True))
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows whsec_ isn't base64; {how}") from None
    if not 24 <= size <= 64:
        raise ValueError(f"must hold 24 to 64 bytes; {how}")
    return value


def host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}|[0-9a-fA-F:.%]*:[0-9a-zA-Z:.%]*", value):
        raise ValueError("must be an address or host name without port, such as 127.0.0.1 or 0.0.0.0")
    return value


def milestones(value: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(value)))
