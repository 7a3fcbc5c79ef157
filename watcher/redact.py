"""Takes known secrets out of text, by value: whoever lets text in from outside or out to a person asks a Redactor."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST = 5
"""Shorter values would mask ordinary words, and are no secrets."""


class Redactor:
    """Replaces every secret that it knows by `***`, also percent-encoded, escaped, or inside base64.

    Secrets may be added at any time, from any thread; they are never forgotten, since text with an old key may
    still be on its way.
    """

    __slots__ = ("_forms",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: tuple[str, ...] = ()
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Values shorter than 5 characters are left alone."""
        forms = set(self._forms)
        for secret in secrets:
            for value in (secret, secret.strip()):
                if len(value) >= SHORTEST:
                    forms.update(_forms(value))
        # The longest first: a secret inside another one mustn't leave the rest of the longer one readable.
        self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))

    def __call__(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def __repr__(self) -> str:
        return f"Redactor({len(self._forms)} forms)"


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield from _percent(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield html.escape(secret)
    yield from _base64(secret)


def _percent(secret: str) -> Iterator[str]:
    # Lone surrogates can't be percent-encoded strictly, and a secret may hold anything.
    for safe in ("", "/", ":/?&=@+#%", "!$&'()*+,;=:@/?"):
        encoded = quote(secret, safe=safe, errors="surrogatepass")
        yield encoded
        yield _lower_hex(encoded)
    encoded = quote_plus(secret, errors="surrogatepass")
    yield encoded
    yield _lower_hex(encoded)


def _lower_hex(encoded: str) -> str:
    first, *rest = encoded.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _base64(secret: str) -> Iterator[str]:
    """The part of a base64 text that the secret alone decides, at each of the three places where it may begin."""
    raw = secret.encode(errors="surrogatepass")
    for before in range(3):
        start = (0, 2, 3)[before]
        end = (before + len(raw)) * 8 // 6
        encoded = base64.b64encode(bytes(before) + raw).decode()[start:end]
        if len(encoded) > SHORTEST:
            yield encoded
            yield encoded.replace("+", "-").replace("/", "_")
