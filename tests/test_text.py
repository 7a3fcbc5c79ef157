"""Text from outside is shown literally, whole, and calls nobody."""

from __future__ import annotations

import pytest

from watcher.notifier.text import (
    break_mentions,
    clean,
    columns,
    cut,
    escape_html,
    escape_markdown,
    escape_slack,
    fit,
    narrow,
    narrow_name,
    part_marks,
)

Z = "\u200b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("support-bot v3", "support-bot v3"),
        ("지원 봇", "지원 봇"),
        ("two\nlines\r\nand\ttabs\u2028more", "two lines and tabs more"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x9b31m", "\ufffd31m"),
        ("a\x00b\x7f", "a␀b\ufffd"),
        ("evil\u202egpj.exe", "evilgpj.exe"),
        ("\u2066x\u2069\u200f", "x"),
        ("in\u200bvisible\u00ad\ufeff", "invisible"),
        ("\ud800", "\ufffd"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("  spaced   out  ", "spaced out"),
        (12, "12"),
    ],
)
def test_every_character_can_be_seen(text: object, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("ends here", 6, "ends…"),
        ("anything", 1, "…"),
        ("anything", 0, ""),
        ("abce\u0301f", 5, "abc…"),
        ("ab👨\u200d👩\u200d👧cd", 5, "ab…"),
        ("ab👍🏽cd", 4, "ab…"),
        ("a🇰🇷🇯🇵b", 4, "a🇰🇷…"),
        ("a🇰🇷🇯🇵b", 5, "a🇰🇷…"),
        ("ab❤\ufe0fcd", 4, "ab…"),
        ("a1\ufe0f\u20e3bcd", 4, "a…"),
        ("ab\u1112\u1161\u11abcd", 5, "ab…"),
        ("👨\u200d👩\u200d👧", 3, "…"),
    ],
)
def test_a_cut_never_falls_within_what_a_reader_sees_as_one_character(text: str, limit: int, shown: str) -> None:
    assert cut(text, limit) == shown


@pytest.mark.parametrize(
    ("mention", "shown"),
    [
        ("@everyone", f"@{Z}everyone"),
        ("@here", f"@{Z}here"),
        ("@jiwon", f"@{Z}jiwon"),
        ("@**jiwon**", f"@{Z}**jiwon**"),
        ("<!channel>", f"<{Z}!channel>"),
        ("<!subteam^S01>", f"<{Z}!subteam^S01>"),
        ("<users/all>", f"<{Z}users/all>"),
        ("<@U012AB3CD>", f"<{Z}@{Z}U012AB3CD>"),
        ("<@&8>", f"<{Z}@{Z}&8>"),
        ("<#C012>", f"<{Z}#C012>"),
        ("<http://x|y>", f"<{Z}http://x|y>"),
        (":tada:", f":{Z}tada:"),
        ("at 14:02:10, 3 < 4", "at 14:02:10, 3 < 4"),
    ],
)
def test_mentions_of_every_service_are_broken(mention: str, shown: str) -> None:
    assert break_mentions(mention) == shown


def test_each_escape_keeps_its_services_signs_from_meaning_anything() -> None:
    assert escape_slack("<a> & b") == "&lt;a&gt; &amp; b"
    assert escape_html("<a href='x'>&") == "&lt;a href=&#x27;x&#x27;&gt;&amp;"
    assert escape_markdown("*a* _b_ [c](d) `e` ~~f~~ ||g|| \\") == (
        "\\*a\\* \\_b\\_ \\[c\\](d) \\`e\\` \\~\\~f\\~\\~ \\|\\|g\\|\\| \\\\"
    )
    assert escape_markdown("# h\n> q\n- i\n1. one\nHCX-003 #4 > 3") == "\\# h\n\\> q\n\\- i\n1\\. one\nHCX-003 #4 > 3"
    assert part_marks("*a*") == f"{Z}*{Z}a{Z}*{Z}"


def test_a_text_is_made_to_fit_before_its_signs_are_escaped() -> None:
    fitted = fit("*" * 100, 21, escape_markdown)
    assert len(fitted) <= 21
    assert fitted == "\\*" * 9 + "…"
    assert fit("short", 20, escape_markdown) == "short"
    assert fit("&&&&", 3, escape_html) == "…"


@pytest.mark.parametrize(
    ("text", "wide"),
    [
        ("support-bot", 11),
        ("봇", 2),
        ("要約ボット", 10),
        ("\u1112\u1161\u11ab", 2),
        ("e\u0301", 1),
        ("👍🏽", 2),
        ("👨\u200d👩\u200d👧", 2),
        ("❤\ufe0f", 2),
        ("🇰🇷", 2),
        (f"@{Z}here", 5),
    ],
)
def test_columns_are_counted_as_a_terminal_shows_them(text: str, wide: int) -> None:
    assert columns(text) == wide


@pytest.mark.parametrize(
    ("text", "width", "shown", "name"),
    [
        ("exp-lr-0001", 11, "exp-lr-0001", "exp-lr-0001"),
        ("exp-lr-sweep-0001", 11, "exp-lr-swe…", "exp-l…-0001"),
        ("요약봇 버전 일", 8, "요약봇…", "요약…일"),
        ("ab👨\u200d👩\u200d👧cd👨\u200d👩\u200d👧", 6, "ab👨\u200d👩\u200d👧c…", "ab👨\u200d👩\u200d👧c…"),
        ("e" + "\u0301" * 100, 4, "…", "…"),
        ("abc", 1, "…", "…"),
        ("abc", 0, "", ""),
        ("", 0, "", ""),
    ],
)
def test_a_cell_is_cut_to_its_columns_never_within_a_character(text: str, width: int, shown: str, name: str) -> None:
    assert (narrow(text, width), narrow_name(text, width)) == (shown, name)
    assert max(columns(shown), columns(name)) <= width
