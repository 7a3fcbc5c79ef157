"""The reader's language: every text that a person reads goes through gettext.

Texts are written in English in the code; `locale/LANGUAGE/LC_MESSAGES/watcher.mo` holds other languages. A language
without a catalogue, or with a broken one, reads English: a translation never costs a message.

How to add a language: its code in `LANGUAGES` of `tests/support/pot.py` and in the setting `language`, a zone in
`READERS` of `tests/support/messages.py`, then `python -m tests.support.messages`, fill in the new `.po`, run it again.
"""

from __future__ import annotations

import gettext
import struct
from functools import lru_cache
from pathlib import Path

DOMAIN = "watcher"
LOCALE_DIR = Path(__file__).parent / "locale"


@lru_cache(maxsize=32)
def translator(language: str) -> gettext.NullTranslations:
    """The translations for a language code such as `en`, `ko` or `ja`; English where there are none."""
    try:
        return gettext.translation(DOMAIN, localedir=LOCALE_DIR, languages=[language], fallback=True)
    except (OSError, ValueError, struct.error):
        return gettext.NullTranslations()


def sentence(text: str) -> str:
    """Marks a text for translators that is put into the reader's language later, where it is shown."""
    return text
