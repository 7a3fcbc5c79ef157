"""What Slack's Web API says instead of yes: what it means for a delivery, and what a person should do. Pure.

What an operator can mend is tried again; what is about this one message is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from watcher.models import Outcome, Refused, Retry, Unknown


class SlackTrouble(Exception):
    """A call that failed. `code` is Slack's word for it, or "" where nothing of Slack's came back.

    `why` says what happened where there is no code. `needed` are the scopes that are missing, `after` the seconds that
    Slack wants to be left alone. `maybe`: it may have been done all the same.
    """

    def __init__(
        self, code: str = "", *, why: str = "", needed: str = "", after: float | None = None, maybe: bool = False
    ) -> None:
        super().__init__(code or why)
        self.code = code
        self.why = why
        self.needed = needed
        self.after = after
        self.maybe = maybe


@dataclass(frozen=True, slots=True)
class Place:
    """What the advice speaks of: the channel as it is configured, and the app's name."""

    channel: str
    app: str = "@watcher"


NOBODY_KNOWS = frozenset({"fatal_error", "internal_error"})
"""Slack's own words: "some aspect of the operation may have succeeded before the error was raised"."""

LIMITED = frozenset({"ratelimited", "rate_limited"})

LOST = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "block_mismatch", "is_inactive"})
"""A message that can't be edited any more: it is posted anew."""

ORPHANED = frozenset({"thread_not_found", "message_not_found", "cannot_reply_to_message"})
"""A message that can't be replied to."""

TOO_MUCH = frozenset(
    {
        "invalid_arguments",
        "invalid_attachments",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "metadata_must_be_sent_from_app",
        "metadata_too_large",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
    }
)
"""About the message itself: bare text may still be taken."""

BLIND = frozenset(
    {
        "access_denied",
        "channel_not_found",
        "method_not_supported_for_channel_type",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_in_channel",
        "thread_not_found",
    }
)
"""Why the app can't look at what a channel holds: it does without."""

_REINSTALL = "install the app in the workspace again and put its new Bot User OAuth Token into slack_token"
_ADMIN = "ask an administrator of the workspace to allow it"
_WAIT = "nothing to do: it is tried again"

_MEANINGS: dict[str, tuple[str, str]] = {
    "not_in_channel": ("the app isn't in {channel}", "invite it there with /invite {app}"),
    "channel_not_found": (
        "there is no {channel}, or it is private and the app isn't in it",
        "mend channel, or invite the app there with /invite {app}",
    ),
    "is_archived": ("{channel} is archived", "unarchive it, or name another channel"),
    "invalid_auth": (
        "Slack doesn't know the token",
        "put the app's Bot User OAuth Token (xoxb-...) into slack_token",
    ),
    "not_authed": ("no token reached Slack", "put the app's Bot User OAuth Token (xoxb-...) into slack_token"),
    "token_revoked": ("the token was revoked, or the app was removed", _REINSTALL),
    "account_inactive": ("the app or its workspace was switched off", _REINSTALL),
    "token_expired": ("the token has expired", "switch token rotation off in the app's settings; then " + _REINSTALL),
    "not_allowed_token_type": (
        "this kind of token may not post",
        "put the app's Bot User OAuth Token (xoxb-...) into slack_token",
    ),
    "missing_scope": (
        "the token lacks the scope {needed}",
        "add it under OAuth & Permissions, and install the app again",
    ),
    "no_permission": ("the app may not post in {channel}", "invite it there with /invite {app}"),
    "restricted_action": ("the workspace doesn't let the app post", _ADMIN),
    "restricted_action_read_only_channel": ("{channel} is read-only", _ADMIN + ", or name another channel"),
    "restricted_action_thread_only_channel": ("{channel} only takes replies", "name another channel"),
    "restricted_action_non_threadable_channel": ("{channel} takes no replies", "name another channel for cards"),
    "access_denied": ("Slack denies access", _ADMIN),
    "accesslimited": ("Slack denies access from this network", _ADMIN),
    "ekm_access_denied": ("administrators have suspended posting", _ADMIN),
    "enterprise_is_restricted": ("the Enterprise organization doesn't allow it", _ADMIN),
    "team_access_not_granted": ("the app wasn't granted this workspace", _ADMIN),
    "two_factor_setup_required": ("the token's user must set up two-factor authentication", "use a bot token"),
    "org_login_required": ("the workspace is being moved to an organization", _WAIT),
    "team_added_to_org": ("the workspace is being moved to an organization", _WAIT),
    "external_channel_migrating": ("{channel} is being moved", _WAIT),
    "message_limit_exceeded": ("the workspace has used up its messages", _ADMIN),
    "messages_tab_disabled": ("the app takes no direct messages", "switch on its Messages Tab under App Home"),
    "service_unavailable": ("Slack is temporarily unavailable", _WAIT),
    "request_timeout": ("Slack didn't get the whole request", _WAIT),
    "fatal_error": ("Slack failed, maybe after it had posted", _WAIT),
    "internal_error": ("Slack failed, maybe after it had posted", _WAIT),
    "update_failed": ("Slack couldn't edit the message", _WAIT),
    "msg_too_long": ("the message is too long for Slack", ""),
    "msg_blocks_too_long": ("the message is too long for Slack", ""),
    "invalid_blocks": ("Slack doesn't take the message's layout", ""),
    "invalid_blocks_format": ("Slack doesn't take the message's layout", ""),
}


def meaning(trouble: SlackTrouble, place: Place) -> tuple[str, str]:
    """What is wrong, beginning with Slack's own word, and what to do ("" for nothing)."""
    if trouble.code in LIMITED:
        wait = f", to wait {trouble.after:.0f} s" if trouble.after else ""
        return f"{trouble.code}: Slack asks for fewer messages{wait}", _WAIT
    if not trouble.code:
        return trouble.why, ""
    wrong, fix = _MEANINGS.get(trouble.code, ("", ""))
    values = {"channel": place.channel, "app": place.app, "needed": trouble.needed or "that this takes"}
    wrong, fix = wrong.format(**values), fix.format(**values)
    return f"{trouble.code}: {wrong}" if wrong else f"Slack says {trouble.code}", fix


def of_trouble(trouble: SlackTrouble, place: Place) -> Outcome:
    """The outcome of a delivery that ended with this."""
    wrong, fix = meaning(trouble, place)
    reason = f"{wrong}; {fix}" if fix else wrong
    if trouble.maybe or trouble.code in NOBODY_KNOWS:
        return Unknown(reason)
    return Refused(reason) if trouble.code in TOO_MUCH else Retry(reason, trouble.after)
