"""Why polls and deliveries fail and what to do about it, as the watcher itself writes it into the store.

Events keep such texts in English, for programs. Here they are recognised again, so that a person reads them in the
reader's language; what isn't listed is somebody else's text and stays as it is. `tests/test_reasons.py` tells which
sentence was forgotten.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from watcher.i18n import sentence
from watcher.notifier.reasons_slack import SLACK

MOST = 800
"""Longer texts are nobody's sentence."""

MOST_PARTS = 5

_PLACE = re.compile(r"\\\{(\w+)\\\}")
_WORD = re.compile(r"[a-z_]{1,60}: ")
_DETAIL = re.compile(r"(.+?) \((.*)\)", re.DOTALL)


class Found(NamedTuple):
    """A sentence of ours, the values of its {places}, and what stood in brackets behind it ("" for nothing)."""

    sentence: str
    values: dict[str, str]
    detail: str = ""


def find(text: str) -> Found | None:
    """The sentence that `text` is; None for a text from elsewhere."""
    return _recall(text) if len(text) <= MOST else None


@lru_cache(maxsize=256)
def _recall(text: str) -> Found | None:
    if whole := _find(text):
        return whole
    parts = _DETAIL.fullmatch(text)
    said = _find(parts[1]) if parts else None
    return Found(said.sentence, said.values, parts[2]) if parts and said else None


def parted(text: str) -> tuple[str, str]:
    """What is wrong and what to do, which stand in one text parted by a semicolon; "" where nothing is to be done."""
    if text in _PLAIN or len(text) > MOST:
        return text, ""
    parts = text.split("; ")
    ends = (("; ".join(parts[:count]), "; ".join(parts[count:])) for count in range(1, min(len(parts), MOST_PARTS)))
    return next(((first, second) for first, second in ends if find(second)), (text, ""))


def named(text: str) -> tuple[str, str]:
    """The service's own word before a sentence of ours, with its colon (`not_in_channel: `); "" where there is none."""
    word = _WORD.match(text)
    return (word[0], text[word.end() :]) if word and find(text[word.end() :]) else ("", text)


def _find(text: str) -> Found | None:
    if text in _PLAIN:
        return Found(text, {})
    matches = ((known, pattern.fullmatch(text)) for known, pattern in _PATTERNS)
    return next((Found(known, match.groupdict()) for known, match in matches if match), None)


_UPSTREAM = (
    sentence("CLOVA Studio didn't get the request in time"),
    sentence("CLOVA Studio doesn't offer this"),
    sentence("CLOVA Studio has trouble"),
    sentence("CLOVA Studio is overloaded"),
    sentence("TLS fails: {reason}"),
    sentence("an HTML page came instead of an answer"),
    sentence("an answer that the API doesn't give"),
    sentence("base_url isn't an address"),
    sentence("no answer within {seconds} s"),
    sentence("no key is set"),
    sentence("no reason given"),
    sentence("no such task"),
    sentence("nothing is found at this address"),
    sentence("the account has no subscription"),
    sentence("the address redirects elsewhere"),
    sentence("the answer can't be unpacked"),
    sentence("the answer has no list of tasks"),
    sentence("the answer has no status code in it"),
    sentence("the answer has no usable result"),
    sentence("the answer has no usable task: {reason}"),
    sentence("the answer is about another task"),
    sentence("the answer is cut off"),
    sentence("the answer is empty"),
    sentence("the answer is larger than {size} MiB"),
    sentence("the answer is nested too deep"),
    sentence("the answer isn't HTTP: {reason}"),
    sentence("the answer isn't JSON, or is cut off"),
    sentence("the answer isn't UTF-8"),
    sentence("the answer isn't a JSON object"),
    sentence("the answer says one key twice"),
    sentence("the connection broke before an answer came"),
    sentence("the key contains characters that no key has"),
    sentence("the key has expired"),
    sentence("the key is refused"),
    sentence("the key may not do this"),
    sentence("the key may not list the account's tasks"),
    sentence("the list of tasks isn't found at this address"),
    sentence("the name of the proxy can't be looked up"),
    sentence("the name of the upstream can't be looked up"),
    sentence("the proxy can't be connected to"),
    sentence("the proxy has an impossible port"),
    sentence("the proxy refuses the connection"),
    sentence("the proxy refuses: {reason}"),
    sentence("the proxy wants a password"),
    sentence("the request is refused"),
    sentence("the task belongs to another account"),
    sentence("the task id is empty"),
    sentence("the upstream can't be connected to"),
    sentence("the upstream has an impossible port"),
    sentence("the upstream refuses the connection"),
    sentence("the upstream's certificate isn't trusted: {reason}"),
    sentence("this key sees none of the {count} known tasks"),
    sentence("too many queries"),
)

_HINTS = (
    sentence("check base_url: https or http?"),
    sentence("check base_url; if it is right, report the request id to the makers of watcher"),
    sentence("check that the key belongs to this account and may use tuning, and that base_url is the right cloud"),
    sentence("check the account's base_url, and what stands between (proxy, gateway)"),
    sentence("check the address of the proxy, and that it may reach the upstream"),
    sentence("check the id and under which account it is listed; a deleted task can be taken out of the list"),
    sentence("check the network and base_url; it is asked again by itself"),
    sentence("check the network, or raise the account's timeout"),
    sentence("check the task's id and under which account it is listed"),
    sentence("copy the key anew: one line, letters, digits and signs"),
    sentence("if a proxy inspects TLS, give its CA as ca_file; else check base_url and this machine's clock"),
    sentence("issue a new key in CLOVA Studio and replace the secret (a key from the environment needs a restart)"),
    sentence("it is asked again by itself; if it stays so, check base_url and what stands between (proxy, gateway)"),
    sentence("nothing: it is asked again, more slowly"),
    sentence("nothing: it waits; if this happens often, lower the account's queries_per_minute"),
    sentence("put back a key of the account that owns them, or list the tasks of the new key's account"),
    sentence("put the account's key into CLOVA_API_KEY or its api_key_file"),
    sentence("subscribe to CLOVA Studio in the console, or use the key of an account that did"),
    sentence("write a port from 1 to 65535"),
    sentence("write base_url as https://host"),
    sentence("write it into proxy: http://user:password@host"),
    sentence("write the address it leads to into the account's base_url"),
    sentence("write the id that the console shows"),
    sentence("unarchive the channel, or put the URL of another one's webhook"),
    sentence("turn the workflow on again in Teams"),
    sentence("put the chat's id, and add the bot to the chat"),
    sentence("put the chat's new id: the group has become a supergroup"),
)

_CHANNELS = (
    sentence("HTTP {status}, but the service says no: {reason}"),
    sentence("HTTP {status}: the address has moved, and redirects aren't followed"),
    sentence("SMTP {code} at {command}: {reason}"),
    sentence("a webhook takes no digest"),
    sentence("each of its last tries ended with the death of the process"),
    sentence("given up: {reason}"),
    sentence("it can't be reached: {reason}"),
    sentence("it didn't answer in time"),
    sentence("it doesn't speak TLS as expected"),
    sentence("its certificate isn't trusted: {reason}"),
    sentence("its host name can't be resolved"),
    sentence("not done after {seconds} s"),
    sentence("nothing listens at its address"),
    sentence("stopped before the answer came"),
    sentence("the broker didn't answer in time"),
    sentence("the broker refuses us: {reason}"),
    sentence("the channel isn't in the configuration; it goes on when its name returns"),
    sentence("the connection broke"),
    sentence("the connection broke after the mail was sent"),
    sentence("the connection broke: {reason}"),
    sentence("the mail server didn't take it"),
    sentence("the mail server hung up"),
    sentence("the service didn't confirm it"),
    sentence("the service didn't confirm it: {reason}"),
    sentence("the service's plug-in failed"),
    sentence("the terminal can't be written: {reason}"),
    sentence("{reason}, after the message was sent"),
)

_LEARNING = (sentence("the loss is not a number"),)

SENTENCES = (*_UPSTREAM, *_HINTS, *_CHANNELS, *SLACK, *_LEARNING)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(_PLACE.sub(r"(?P<\1>.+?)", re.escape(text)), re.DOTALL)


_PLAIN = frozenset(text for text in SENTENCES if "{" not in text)
_PATTERNS = tuple((text, _pattern(text)) for text in SENTENCES if "{" in text)
