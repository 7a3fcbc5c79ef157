"""One channel per mail recipient: whoever gets a mail has a delivery of their own, which is retried for them alone.

`mailto://...?to=jiwon@example.com,minsu@example.com` in the channel `mail` becomes the channels `mail.jiwon` and
`mail.minsu`. Routes that name `mail` lead to both, those that name `mail.jiwon` to him alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import quote, unquote

from pydantic import SecretStr

from watcher.errors import ConfigError, Problem
from watcher.settings.schema import Settings
from watcher.settings.sections import Channel, Route

LONGEST_NAME = 64
_LISTS = ("to", "cc", "bcc")
_URL = re.compile(r"(?P<scheme>mailtos?)://(?P<place>[^/?]*)(?P<path>/[^?]*)?(?:\?(?P<query>.*))?", re.I | re.S)
_WORD = re.compile(r'(?:"[^"]*"|[^",;<>])*<[^<>]*>|[^\s,;<>]+')
_ADDRESS = re.compile(r"(?!.*[^\x21-\x7e])[^\s@,;:<>\"]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_NAMED = re.compile(r"(?P<name>[^<>]*?)\s*<\s*(?P<address>[^<>]*?)\s*>|(?:(?P<before>[^:@]*):)?(?P<bare>.*)", re.S)


class NoAddressError(Exception):
    """A word where a recipient belongs isn't a mail address. `where`: the argument, or "" for the path."""

    def __init__(self, where: str) -> None:
        place = f"a word after {where}=" if where else "a word after the host's /"
        super().__init__(f"{place} is no mail address; write ?to=NAME@EXAMPLE.COM, several with commas between them")
        self.where = where


@dataclass(frozen=True, slots=True)
class Recipient:
    """`address` decides who it is; `url` mails to nobody else."""

    address: str
    url: str


def expand(settings: Settings) -> Settings:
    """The same settings with one channel per mail recipient. Raises ConfigError with every problem."""
    problems: list[Problem] = []
    channels: dict[str, Channel] = {}
    made: dict[str, list[str]] = {}
    for name, channel in settings.channels.items():
        parts = _parts(settings, name, channel, problems)
        made[name] = list(parts)
        channels.update(parts)
    if problems:
        raise ConfigError(tuple(problems))
    routes = tuple(_led_on(route, made) for route in settings.routes)
    return settings.model_copy(update={"channels": channels, "routes": routes})


def meant(name: str, channels: Iterable[str]) -> list[str]:
    """The channels that somebody means who says `name`: the one, or all that were made of it; [] if there is none."""
    known = list(channels)
    return [name] if name in known else [each for each in known if each.startswith(f"{name}.")]


def single(channel: Channel) -> dict[str, Channel]:
    """The channel as it is, or one for each of its recipients, by name. Raises NoAddressError."""
    found = recipients(channel.url.get_secret_value() if channel.url else "")
    if len(found) < 2:
        return {channel.name: channel}
    names = channel_names(channel.name, [each.address for each in found])
    return {
        new: channel.model_copy(update={"name": new, "url": SecretStr(each.url)})
        for new, each in zip(names, found, strict=True)
    }


def names_made(name: str, url: object) -> list[str]:
    """What the channels are called that an address makes of the channel `name`; [] where that can't be told."""
    try:
        found = recipients(url) if isinstance(url, str) and url else None
    except NoAddressError:
        return []
    if found is None:
        return []
    return channel_names(name, [each.address for each in found]) if len(found) > 1 else [name]


def recipients(url: str) -> tuple[Recipient, ...]:
    """Who gets the mails of an address, each once; () for what isn't a mail address or names nobody.

    Raises NoAddressError.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return ()
    arguments = list(_arguments(match["query"] or ""))
    rest = [pair for key, pair in arguments if key not in _LISTS]
    named = _named_in("", unquote(match["path"] or "").replace("/", ","))
    copied: list[tuple[str, str]] = []
    for key, pair in arguments:
        if key in _LISTS:
            (named if key == "to" else copied).extend(_named_in(key, unquote(pair.partition("=")[2])))
    if copied and not named:
        named = [("", _sender(match["place"], rest))]
    base = f"{match['scheme']}://{match['place']}/?"
    return tuple(
        Recipient(address, base + "&".join([*rest, "to=" + quote(_written(name, address), safe="@")]))
        for name, address in _each_once([*named, *copied])
    )


def _parts(settings: Settings, name: str, channel: Channel, problems: list[Problem]) -> dict[str, Channel]:
    """A channel as it is, or one for each of its recipients."""
    try:
        made = single(channel)
    except NoAddressError as error:
        problems.append(settings.problem(f"channels.{name}.url", str(error)))
        return {name: channel}
    for each in made.keys() - {name}:
        if each in settings.channels:
            text = f"one of its recipients would be the channel {each}, and there is one already; rename one of the two"
            problems.append(settings.problem(f"channels.{name}.url", text))
        if len(each) > LONGEST_NAME:
            text = f"with several recipients its name may have {LONGEST_NAME - 12} characters; choose a shorter one"
            problems.append(settings.problem(f"channels.{name}", text))
    return made


def channel_names(name: str, addresses: Sequence[str]) -> list[str]:
    """`mail.jiwon` for each address, whatever their order; with the domain where two people are called so."""
    locals_ = Counter(_slug(address.rpartition("@")[0]) for address in addresses)
    first = [
        slug if slug and locals_[slug] == 1 else _slug(address.replace("@", "-"))
        for address in addresses
        for slug in [_slug(address.rpartition("@")[0])]
    ]
    count = Counter(first)
    room = LONGEST_NAME - len(name) - 1
    return [
        f"{name}.{slug if slug and count[slug] == 1 and len(slug) <= room else _short(slug, address, room)}"
        for slug, address in zip(first, addresses, strict=True)
    ]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")


def _short(slug: str, address: str, room: int) -> str:
    digest = blake2b(address.lower().encode(), digest_size=3).hexdigest()
    kept = slug[: max(room - len(digest) - 1, 0)].rstrip("-._")
    return f"{kept}-{digest}" if kept else f"m{digest}"


def _led_on(route: Route, made: dict[str, list[str]]) -> Route:
    channels = tuple(dict.fromkeys(new for name in route.channels for new in made.get(name) or [_known(name, made)]))
    return route if channels == route.channels else route.model_copy(update={"channels": channels})


def _known(name: str, made: dict[str, list[str]]) -> str:
    """A recipient's channel; the one that it would be made of where a command without secrets can't know."""
    whole = next((each for each, names in made.items() if names == [each] and name.startswith(f"{each}.")), name)
    return name if any(name in names for names in made.values()) else whole


def _arguments(query: str) -> Iterator[tuple[str, str]]:
    """Name and text of each argument. A `;` separates too, unless an address follows: then it stands in a list."""
    pairs: list[str] = []
    for part in query.split("&"):
        for index, word in enumerate(part.split(";")):
            before = word.partition("=")[0]
            if index and pairs and ("=" not in word or "@" in before):
                pairs[-1] += f";{word}"
            elif word:
                pairs.append(word)
    return ((pair.partition("=")[0].strip().lower(), pair) for pair in pairs)


def _named_in(where: str, text: str) -> list[tuple[str, str]]:
    """The name (often "") and address of everybody in a list."""
    found = []
    for word in _WORD.findall(text):
        match = _NAMED.fullmatch(word.strip())
        address = (match["address"] or match["bare"] or "") if match else ""
        if match is None or not _ADDRESS.fullmatch(address):
            raise NoAddressError(where)
        found.append(((match["name"] or match["before"] or "").strip(' "'), address))
    return found


def _sender(place: str, arguments: list[str]) -> str:
    """Who writes also gets the mail, where only copies are asked for."""
    for pair in arguments:
        key, _, value = pair.partition("=")
        address = unquote(value).rpartition("<")[2].rstrip("> ")
        if key.lower() == "from" and _ADDRESS.fullmatch(address):
            return address
    userinfo, _, host = place.rpartition("@")
    user = unquote(userinfo.partition(":")[0])
    return user if "@" in user else f"{user}@{host.partition(':')[0]}"


def _written(name: str, address: str) -> str:
    return f'"{name}" <{address}>' if name else address


def _each_once(found: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for name, address in found:
        if address.lower() not in seen:
            seen.add(address.lower())
            yield name, address
