"""How a message is written as a mail: headers that nothing gets out of, one thread per task, text and HTML."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from watcher.models import Call, Message
from watcher.notifier.mail import Letter, composed, header, page

NOW = datetime(2026, 5, 4, 14, 2, tzinfo=UTC)
KOREAN = "✖ 지원 봇 3판 🇰🇷 실패: 데이터셋의 Completion 열이 비어 있음"
LONG_JAPANESE = "✔ サポートボット第三版の学習が完了しました 👨‍👩‍👧‍👦 " * 5


def letter(title: str = "✔ support-bot v3 is ready", body: str = "loss 0.41\nKST", **more: Any) -> Letter:
    return Letter(Message(title, body), **{"id": "dlv-7", "about": "task main/czf9fbky", **more})


def source(what: Letter, **more: Any) -> str:
    people = {"sender": ("watcher", "watcher@example.com"), "recipient": ("", "jiwon@example.com"), "now": NOW}
    return composed(what, **people | more)


def read(text: str) -> EmailMessage:
    return email.message_from_bytes(text.encode("ascii"), policy=email.policy.default)  # type: ignore[return-value]


def test_the_headers_of_a_mail() -> None:
    mail = read(source(letter(), headers={"X-Application": "watcher"}, reply_to=["team@example.com"]))
    headers = {name: value for name, value in mail.items() if not name.startswith(("Content-", "MIME-"))}
    assert headers == {
        "X-Application": "watcher",
        "Subject": "✔ support-bot v3 is ready",
        "From": "watcher <watcher@example.com>",
        "To": "jiwon@example.com",
        "Reply-To": "team@example.com",
        "Date": "Mon, 04 May 2026 14:02:00 +0000",
        "Message-ID": "<dlv-7@example.com>",
        "In-Reply-To": headers["References"],
        "References": headers["References"],
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }


def test_what_is_said_of_one_task_is_one_thread_and_nothing_else_is_in_it() -> None:
    one, again = read(source(letter(id="dlv-1"))), read(source(letter("other words", id="dlv-2")))
    other = read(source(letter(about="task lab/czf9fbky")))
    alone = read(source(letter(about="")))
    assert one["References"] == one["In-Reply-To"] == again["References"]
    assert one["Message-ID"] != again["Message-ID"]
    assert other["References"] not in (None, one["References"])
    assert alone["References"] is alone["In-Reply-To"] is None


@pytest.mark.parametrize("title", [KOREAN, LONG_JAPANESE.strip(), "plain", "a " * 100 + "b", "=?utf-8?q?=3Cb=3E?= x"])
def test_subjects_arrive_whole_in_lines_of_76_characters(title: str) -> None:
    text = source(letter(title))
    lines = text.partition("\r\n\r\n")[0].split("\r\n")
    subject = "\n".join(lines).split("Subject: ")[1].split("\nFrom")[0]
    assert read(text)["Subject"] == title
    assert all(len(line) <= 76 for line in f"Subject: {subject}".split("\n"))
    assert read(text).defects == []


HOSTILE = [
    "x\r\nBcc: spy@example.com\r\n\r\n<script>alert(1)</script>",
    "x\nBcc: spy@example.com",
    "=?utf-8?B?DQpCY2M6IHNweUBleGFtcGxlLmNvbQ==?=",
    "\u2028Bcc: spy@example.com\x85Cc: spy@example.com\x0b\x0c",
    "\ud800 lone",
    "\u202ecilbup",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_adds_no_header_and_no_markup(name: str) -> None:
    text = source(letter(name, name, id=f"dlv {name}"), sender=(name, "watcher@example.com"), headers={"X-A": name})
    mail = read(text)
    assert [name for name in ("Bcc", "Cc") if name in mail] == []
    assert len(mail.get_all("Subject", [])) == 1
    assert mail["From"].addresses[0].addr_spec == "watcher@example.com"
    assert "<script>" not in (mail.get_body(("html",)).get_content())  # type: ignore[union-attr]
    assert mail.is_multipart()


def test_headers_of_ones_own_cannot_replace_ours() -> None:
    mail = read(
        source(letter(), headers={"subject": "no", "Bcc": "spy@x.com", "Content-Type": "x", "X Y": "z", "X-Ok": "한"})
    )
    assert (mail["X-Ok"], mail["Bcc"], mail.get_all("Subject")) == ("한", None, ["✔ support-bot v3 is ready"])


def test_a_header_that_fits_stays_as_it_is() -> None:
    assert header("X-Application", "watcher") == "X-Application: watcher"


class _Asked(HTMLParser):
    """What an HTML page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "img", "link", "iframe", "form", "object", "base"}:
            self.asked.append(tag)
        self.asked += [f"{name}={value}" for name, value in attrs if name in {"src", "href"} or "url(" in (value or "")]


@pytest.mark.parametrize("title", [KOREAN, "<script src=//x>", "<img src=x onerror=alert(1)>", "a & b </td></table>"])
def test_the_html_is_well_formed_and_asks_nobody_for_anything(title: str) -> None:
    html = page(letter(title, f"{title}\n\nFix: {title}"))
    tree = ElementTree.fromstring(html.removeprefix("<!doctype html>"))
    asked = _Asked()
    asked.feed(html)
    assert asked.asked == []
    assert [text for text in tree.find("body").itertext() if text.strip()] == [title, title, f"Fix: {title}"]  # type: ignore[union-attr]


def test_the_colour_tells_how_grave_it_is() -> None:
    pages = {severity: page(letter(severity=severity)) for severity in ("failure", "warning", "success", "info")}
    assert len(set(pages.values())) == 4
    assert page(letter(severity="unheard-of")) == pages["info"]


def test_the_text_says_the_same_as_the_html() -> None:
    mail = read(source(letter(KOREAN, "첫째 줄\n둘째 줄")))
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert text.splitlines() == [KOREAN, "", "첫째 줄", "둘째 줄"]


def test_who_would_be_called_is_named_in_subject_text_and_html() -> None:
    calls = (Call("U012AB3CD", "jiwon"), Call("U3", "<b>민호</b>"))
    what = Letter(Message("✖ support-bot v3 failed", "KST", calls=calls), "dlv-7")
    mail = read(source(what))
    text, shown = mail.get_body(("plain",)), page(what)
    assert mail["Subject"] == "✖ support-bot v3 failed @jiwon @<b>민호</b>"
    assert text is not None
    assert text.get_content().splitlines() == ["✖ support-bot v3 failed  @jiwon @<b>민호</b>", "", "KST"]
    assert "<strong>✖ support-bot v3 failed  @jiwon @&lt;b&gt;민호&lt;/b&gt;</strong>" in shown
    assert "U012AB3CD" not in shown + mail.as_string()


def test_korean_words_stay_whole_at_the_end_of_a_line_and_japanese_may_break_anywhere() -> None:
    assert ["keep-all" in page(letter(language=language)) for language in ("en", "ja", "ko")] == [False, False, True]
