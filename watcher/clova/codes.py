"""HTTP status + envelope code -> one typed error with a sentence and what to do.

The HTTP status decides; only under HTTP 200 the envelope's code stands in for it (40104 reads as 401). Within that
family an exactly known code says more. A 404 is believed only with code 40400: gateways answer 404 too.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from watcher import errors

Subject = Literal["task", "list"]


class Meaning(NamedTuple):
    error: type[errors.UpstreamError]
    says: str
    hint: str


_NEW_KEY = "issue a new key in CLOVA Studio and replace the secret (a key from the environment needs a restart)"
_RIGHTS = "check that the key belongs to this account and may use tuning, and that base_url is the right cloud"
_OURS = "check base_url; if it is right, report the request id to the makers of watcher"
_WAITS = "nothing: it is asked again, more slowly"
_SLOWER = "nothing: it waits; if this happens often, lower the account's queries_per_minute"
_WRONG_PLACE = "check the account's base_url, and what stands between (proxy, gateway)"

_REFUSED_KEY = Meaning(errors.KeyRejected, "the key is refused", _NEW_KEY)
_REFUSED = Meaning(errors.RequestRefused, "the request is refused", _OURS)
_TROUBLE = Meaning(errors.ServerTrouble, "CLOVA Studio has trouble", _WAITS)
_REDIRECT = Meaning(
    errors.BadAnswer, "the address redirects elsewhere", "write the address it leads to into the account's base_url"
)
_STRANGE = Meaning(errors.BadAnswer, "an answer that the API doesn't give", _WRONG_PLACE)

_BY_CODE = {
    "40103": Meaning(errors.KeyRejected, "the key has expired", _NEW_KEY),
    "40170": Meaning(
        errors.KeyRejected,
        "the account has no subscription",
        "subscribe to CLOVA Studio in the console, or use the key of an account that did",
    ),
    "40301": Meaning(
        errors.NotOwned,
        "the task belongs to another account",
        "check the task's id and under which account it is listed",
    ),
    "40400": Meaning(
        errors.TaskUnknown,
        "no such task",
        "check the id and under which account it is listed; a deleted task can be taken out of the list",
    ),
    "42902": Meaning(errors.RateLimited, "CLOVA Studio is overloaded", _WAITS),
}

_BY_STATUS = {
    401: _REFUSED_KEY,
    403: Meaning(errors.KeyRejected, "the key may not do this", _RIGHTS),
    404: Meaning(errors.BadAnswer, "nothing is found at this address", _WRONG_PLACE),
    407: Meaning(errors.Unreachable, "the proxy wants a password", "write it into proxy: http://user:password@host"),
    408: Meaning(errors.ServerTrouble, "CLOVA Studio didn't get the request in time", _WAITS),
    429: Meaning(errors.RateLimited, "too many queries", _SLOWER),
    501: Meaning(errors.RequestRefused, "CLOVA Studio doesn't offer this", _OURS),
}

_OF_LIST = {
    # A list can't be unknown or another's: there the same codes speak of the address and of the key's rights.
    "40400": Meaning(errors.BadAnswer, "the list of tasks isn't found at this address", _WRONG_PLACE),
    "40301": Meaning(errors.NotOwned, "the key may not list the account's tasks", _RIGHTS),
}


def error_for(
    status: int, code: str, text: str, *, subject: Subject = "task", retry_after: float | None = None
) -> errors.UpstreamError:
    """The error for an answer that refuses. `text` is what the upstream said, already redacted and on one line."""
    meaning = meaning_of(status, code, subject)
    said = " ".join(filter(None, (code, text)))
    detail = f"{status}, {said}" if said else str(status)
    return meaning.error(f"{meaning.says} ({detail})", meaning.hint, status=status, code=code, retry_after=retry_after)


def meaning_of(status: int, code: str, subject: Subject = "task") -> Meaning:
    """What a status and code ("" if none) mean; never fails."""
    family = status if status != 200 else _family(code)
    if code.startswith(str(family)):
        exact = _OF_LIST.get(code) if subject == "list" else None
        if exact := exact or _BY_CODE.get(code):
            return exact
    return _BY_STATUS.get(family) or _by_hundred(family)


def _family(code: str) -> int:
    return int(code[:3]) if code[:3].isascii() and code[:3].isdigit() else 0


def _by_hundred(family: int) -> Meaning:
    return {3: _REDIRECT, 4: _REFUSED, 5: _TROUBLE}.get(family // 100, _STRANGE)
