"""Every message is whole in every language: translated, with the same facts in it, and compiled."""

from __future__ import annotations

import gettext
import re
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.support import messages, pot
from tests.support.messages import FOLDER, NOW, READERS
from watcher import i18n
from watcher.i18n import translator
from watcher.models import Event, Window
from watcher.notifier.facts import Facts
from watcher.notifier.samples import sample_event

OTHERS = list(pot.LANGUAGES)


def reader(language: str, event: Event | None = None) -> Facts:
    zone = ZoneInfo(READERS[language])
    return Facts(event or sample_event("task.started", now=NOW), "chat", translator(language), zone, NOW)


# ── the catalogues ──


def test_the_template_holds_every_text() -> None:
    assert pot.TEMPLATE.read_text(encoding="utf-8") == pot.template(), "run: python -m tests.support.messages"


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_has_every_text_of_the_template_and_no_other(language: str) -> None:
    assert pot.po_file(language).read_text(encoding="utf-8") == pot.renewed(language), (
        "run: python -m tests.support.messages, then translate what is empty"
    )


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_translated(language: str) -> None:
    assert [message.id for message in pot.catalogue(language) if message.id and not all(said(message.string))] == []


@pytest.mark.parametrize("language", OTHERS)
def test_the_compiled_catalogue_is_in_step_with_its_source(language: str) -> None:
    with pot.mo_file(language).open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for message in pot.catalogue(language):
        if isinstance(message.id, tuple):
            assert compiled.ngettext(*message.id, 3) == said(message.string)[0], "run: python -m tests.support.messages"
        elif message.id:
            assert compiled.gettext(message.id) == message.string, "run: python -m tests.support.messages"


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_same_places(language: str) -> None:
    for message in pot.catalogue(language):
        if message.id:
            wanted = places(said(message.id)[-1])
            assert [places(text) for text in said(message.string)] == [wanted], message.id


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_isnt_the_english_text(language: str) -> None:
    alike = {message.id for message in pot.catalogue(language) if message.id and message.id == message.string}
    assert alike <= {", ", "{first}. {second}", "account {account}: {why}"}


PARTICLE = re.compile(r"\}(?:은|는|이|가|을|를|과|와|으로|로|이나|나|아|야|이라|라|이란|란)(?![가-힣])")


def test_no_korean_particle_depends_on_what_a_place_ends_with() -> None:
    """만 and 에 suit every word; 은/는, 이/가, 을/를, 과/와 and 으로/로 don't."""
    found = [text for message in pot.catalogue("ko") for text in said(message.string) if PARTICLE.search(text)]
    assert found == []


def test_a_language_without_a_catalogue_reads_english() -> None:
    assert translator("xx").gettext("training") == "training"
    assert [translator(language).gettext("training") for language in ("en", "ja", "ko")] == [
        "training",
        "学習中",
        "학습 중",
    ]


@pytest.mark.parametrize("content", [b"", b"PO files look otherwise", None], ids=["empty", "foreign", "cut off"])
def test_a_broken_catalogue_reads_english(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ko" / "LC_MESSAGES" / "watcher.mo"
    file.parent.mkdir(parents=True)
    file.write_bytes(pot.mo_file("ko").read_bytes()[:2000] if content is None else content)
    monkeypatch.setattr(i18n, "LOCALE_DIR", tmp_path)
    assert i18n.translator.__wrapped__("ko").gettext("training") == "training"


def said(string_: object) -> tuple[str, ...]:
    return tuple(map(str, string_)) if isinstance(string_, tuple | list) else (str(string_),)


def places(text: str) -> set[str]:
    """The {names} and the %(names)s of a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name} | set(re.findall(r"%\(\w+\)\w", text))


# ── what a reader sees ──


@pytest.mark.parametrize("language", READERS)
def test_the_messages_are_those_that_were_looked_at(language: str) -> None:
    kept = {path.name: path.read_text(encoding="utf-8") for path in (FOLDER / language).iterdir()}
    assert kept == messages.written(language), "run: python -m tests.support.messages, and look at what has changed"


NAMES = re.compile(
    r"support-bot|faq-bot with a rather long name, as names come to be|faq-bot[^·]*…[^·]*|\bexp-lr[\w-]*(?:…[\w-]*)?|"
    r"lr-sweep|czf9fbky?|seed|jiwon|U012AB3CD|default|\blab\b|\bteam\b|HCX-003|CLOVA Studio|KST|JST|PAUSED|"
    r"watcher(?: deliveries --failed| redeliver --failed| check)?"
)
RAW = re.compile(
    r"file\.format|Invalid dataset:[ \w.]*…?|401, 40104 Invalid key|HTTP 503|NaN|GPU|ID|timeout|\d+(?:\.\d+)?e-?\d+|"
    r"dataset column Completion is empty|fill Completion in every row[^\n]*|\bv3\b|"
    r"watcher\.yaml:.*"
)
"""What the upstream and the loader of the configuration write is shown as it is, as are units and words of YAML."""


@pytest.mark.parametrize("language", OTHERS)
def test_no_english_word_is_left_in_a_message(language: str) -> None:
    for name, text in messages.written(language).items():
        if name.endswith(".json"):
            text = "\n".join(re.findall(r'"text": "(.*)"', text))
        lines = [line for line in text.replace("\\n", "\n").splitlines() if not line.startswith("──")]
        left = re.findall(r"[A-Za-z]{2,}", NAMES.sub("", RAW.sub("", "\n".join(lines))))
        assert left == [], name


@pytest.mark.parametrize(
    ("seconds", "en", "ja", "ko"),
    [
        (45, "45 s", "45秒", "45초"),
        (720, "12 m", "12分", "12분"),
        (4320, "1 h 12 m", "1時間12分", "1시간 12분"),
        (97_200, "1 d 3 h", "1日3時間", "1일 3시간"),
    ],
)
def test_durations_are_written_as_the_reader_does(seconds: float, en: str, ja: str, ko: str) -> None:
    assert [reader(language).span(seconds) for language in ("en", "ja", "ko")] == [en, ja, ko]


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("en", "Between 2026-02-27 23:02:10 and 2026-02-28 00:02:10 KST"),
        ("ja", "2026年2月27日 23:02〜2026年2月28日 00:02 JST の間"),
        ("ko", "2026년 2월 27일 23:02 ~ 2026년 2월 28일 00:02 KST 사이"),
    ],
)
def test_dates_and_zones_are_the_readers_own(language: str, line: str) -> None:
    after = datetime(2026, 2, 27, 14, 2, 10, tzinfo=UTC)
    event = sample_event("task.started", now=NOW)
    shown = reader(language, event=event).when()
    assert shown.endswith({"en": "KST", "ja": "JST の間", "ko": "KST 사이"}[language])
    wide = replace(event, window=Window(after, after + timedelta(hours=1)))
    minutes = line.replace("23:02:10", "23:02").replace("00:02:10", "00:02")
    assert reader(language, event=wide).when().startswith(minutes)
