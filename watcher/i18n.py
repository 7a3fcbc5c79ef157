"""The reader's language: every text that a person reads goes through gettext.

Texts are written in English in the code; `locale/LANGUAGE/LC_MESSAGES/watcher.mo` holds other languages. A language
without a catalogue reads English, so a missing translation never costs a message.
"""

from __future__ import annotations

import gettext
from functools import lru_cache
from pathlib import Path

DOMAIN = "watcher"
LOCALE_DIR = Path(__file__).parent / "locale"


@lru_cache(maxsize=32)
def translator(language: str) -> gettext.NullTranslations:
    """The translations for a language code such as `en`, `ko` or `ja`; English where there are none."""
    return gettext.translation(DOMAIN, localedir=LOCALE_DIR, languages=[language], fallback=True)
