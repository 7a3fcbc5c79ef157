"""What a YAML parser complains of, in words that say what to write."""

from __future__ import annotations

import re

_TAB = "a tab can't indent YAML; use blanks"
_SENTENCES = (
    ("found character '\\t'", _TAB),
    ("found character", "this character can't start a value; put the value in quotes"),
    (
        "mapping values are not allowed",
        'a ":" stands where none can; put the value in quotes, or check the indentation',
    ),
    ("could not find expected ':'", 'a ":" is missing after the key, or the indentation is wrong'),
    ("expected <block end>", "the indentation doesn't fit the lines above"),
    ("expected ',' or ']'", "a list in [ ] lacks a comma or its end"),
    ("expected ',' or '}'", "a mapping in { } lacks a comma or its end"),
    ("found unexpected end of stream", "a quote isn't closed"),
    ("found unknown escape character", "a backslash in double quotes starts an escape; use single quotes"),
)


def sentence(problem: str, line: str) -> str:
    """What is wrong, from the parser's own words and the line that it means."""
    if re.match(r" *\t", line):
        return _TAB
    if problem.startswith("expected ',' or") and "${" in line:
        return 'inside { } and [ ] a ${VAR} needs quotes: "${VAR}"'
    known = (words for start, words in _SENTENCES if problem.startswith(start))
    return next(known, "check quotes, colons, brackets and indentation here")
