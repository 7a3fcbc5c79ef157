"""What Slack's refusals mean and what to do about them, for translators; `channels/slack_errors.py` says which when."""

from __future__ import annotations

from watcher.i18n import sentence

SLACK = (
    # what is wrong
    sentence("HTTP {status} from Slack"),
    sentence("HTTP {status}: the address isn't Slack's API; check url"),
    sentence("Slack asks for fewer messages"),
    sentence("Slack asks for fewer messages, to wait {seconds} s"),
    sentence("Slack couldn't edit the message"),
    sentence("Slack denies access"),
    sentence("Slack denies access from this network"),
    sentence("Slack didn't get the whole request"),
    sentence("Slack doesn't know the token"),
    sentence("Slack doesn't take the message's layout"),
    sentence("Slack failed, maybe after it had posted"),
    sentence("Slack is temporarily unavailable"),
    sentence("Slack says {code}"),
    sentence("administrators have suspended posting"),
    sentence("no token reached Slack"),
    sentence("the Enterprise organization doesn't allow it"),
    sentence("the answer isn't Slack's; check url and proxy"),
    sentence("the app isn't in {channel}"),
    sentence("the app may not post in {channel}"),
    sentence("the app or its workspace was switched off"),
    sentence("the app takes no direct messages"),
    sentence("the app wasn't granted this workspace"),
    sentence("the message couldn't be made"),
    sentence("the message is too long for Slack"),
    sentence("the token has expired"),
    sentence("the token lacks the scope {scope}"),
    sentence("the token was revoked, or the app was removed"),
    sentence("the token's user must set up two-factor authentication"),
    sentence("the workspace doesn't let the app post"),
    sentence("the workspace has used up its messages"),
    sentence("the workspace is being moved to an organization"),
    sentence("there is no {channel}, or it is private and the app isn't in it"),
    sentence("this kind of token may not post"),
    sentence("{channel} is archived"),
    sentence("{channel} is being moved"),
    sentence("{channel} is read-only"),
    sentence("{channel} only takes replies"),
    sentence("{channel} takes no replies"),
    sentence("{reason}, after it was sent"),
    # what to do
    sentence("add it under OAuth & Permissions, and install the app again"),
    sentence("ask an administrator of the workspace to allow it"),
    sentence("ask an administrator of the workspace to allow it, or name another channel"),
    sentence("install the app in the workspace again and put its new Bot User OAuth Token into slack_token"),
    sentence("invite it there with /invite {app}"),
    sentence("mend channel, or invite the app there with /invite {app}"),
    sentence("name another channel"),
    sentence("name another channel for cards"),
    sentence("nothing to do: it is tried again"),
    sentence("put the app's Bot User OAuth Token (xoxb-...) into slack_token"),
    sentence("switch on its Messages Tab under App Home"),
    sentence(
        "switch token rotation off in the app's settings; then install the app in the workspace again and put its new "
        "Bot User OAuth Token into slack_token"
    ),
    sentence("unarchive it, or name another channel"),
    sentence("use a bot token"),
)
