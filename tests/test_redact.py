"""Secrets are replaced by value, in whatever form they come."""

from __future__ import annotations

import base64
import json
import random
import string
from urllib.parse import quote, quote_plus

import pytest

from watcher.redact import Redactor

SECRET = 'nv-Ab/9+z "é" ?&=\n%x'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower().replace("nv-ab", "nv-Ab"),
        quote_plus(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
        "nv-Ab/9+z &quot;é&quot; ?&amp;=\n%x",
    ],
)
def test_a_secret_is_masked_in_every_spelling(form: str) -> None:
    shown = Redactor([SECRET])(f"before {form} after")
    assert "***" in shown
    assert "9+z" not in shown
    assert "9%2" not in shown


@pytest.mark.parametrize("user", ["", "a:", "ab:", "watcher:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_is_masked_inside_base64_wherever_it_begins(user: str, encode: object) -> None:
    secret = "xoxb-12345-ÿÿÿ>>>"
    encoded = encode((user + secret + "!").encode()).decode()  # type: ignore[operator]
    shown = Redactor([secret])(f"Authorization: Basic {encoded}")
    assert "***" in shown
    assert len(shown) < len("Authorization: Basic ") + len(user) * 2 + 10


def test_a_secret_inside_another_leaves_nothing_of_the_longer_one() -> None:
    url = "https://hooks.example.com/services/T000/B000/verysecret"
    assert Redactor(["verysecret", url])(f"POST {url} failed") == "POST *** failed"


def test_short_values_are_words_and_stay() -> None:
    assert Redactor(["abcd", "", "e"])("abcde") == "abcde"


def test_secrets_can_be_added_and_old_ones_are_remembered() -> None:
    redactor = Redactor(["old-secret"])
    redactor.add("new-secret")
    assert redactor("old-secret new-secret") == "*** ***"


def test_a_secret_read_with_its_newline_is_known_without_it() -> None:
    assert Redactor(["token-value\n"])("token-value") == "***"


def test_text_without_secrets_is_the_same_object() -> None:
    text = "nothing to see"
    assert Redactor([SECRET])(text) is text


def test_the_redactor_itself_prints_no_secret() -> None:
    assert "hunter22" not in repr(Redactor(["hunter22"]))


def test_any_secret_can_be_taken() -> None:
    redactor = Redactor(["\ud800\ud800\ud800\ud800\ud800", "(*[+?\\)", "******"])
    assert redactor("x(*[+?\\)x") == "x***x"


def test_random_secrets_never_survive() -> None:
    chance = random.Random(7)
    for _ in range(300):
        secret = "".join(chance.choices(string.printable + "äé한", k=chance.randint(5, 40)))
        if len(secret.strip()) < 5:
            continue
        text = "".join(f"|{form}" for form in (secret, quote(secret), quote_plus(secret), json.dumps(secret)))
        assert secret not in Redactor([secret])(text).replace("***", "\x00")
