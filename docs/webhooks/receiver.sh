#!/bin/sh
# A webhook receiver in shell, with openssl: reads one HTTP request, verifies it, hands each delivery on once, answers.
#
#   export WEBHOOK_SECRET=whsec_... WEBHOOK_SEEN=/var/lib/hooks
#   socat TCP-LISTEN:8000,bind=127.0.0.1,fork,reuseaddr EXEC:"./receiver.sh ./on-event"
#
# ./on-event gets the event (JSON) on its standard input; when it fails, the watcher tries again. Several secrets, with a
# blank between them, are taken while one replaces another. systemd (Accept=yes) and inetd can start it as well.
set -eu
umask 077
LC_ALL=C

tolerance=300     # seconds that a message may be old, or ahead of this machine's clock
largest=1048576   # bytes of a message; larger ones aren't the watcher's
seen=${WEBHOOK_SEEN:?names a folder for the ids of what was handled}
: "${WEBHOOK_SECRET:?is the secret of the channel: whsec_ and base64}"

answer() {
    printf 'HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1"
    exit 0
}

# The key's bytes, each changed by $1, filled up to the 64 bytes of a SHA-256 block. printf is the shell's own, so
# the key is in no list of processes, as it would be with `openssl dgst -hmac`.
padded() {
    count=0
    for byte in $key; do
        printf "\\$(printf %03o $((0x$byte ^ $1)))"
        count=$((count + 1))
    done
    while [ "$count" -lt 64 ]; do
        printf "\\$(printf %03o "$1")"
        count=$((count + 1))
    done
}

# HMAC-SHA256 of what was signed, by its definition. Nothing for a secret of less than 24 bytes.
signature() {
    key=$(printf %s "${1#whsec_}" | openssl base64 -d -A | od -An -v -tx1)
    [ "${#key}" -ge 72 ] || return 0
    { padded $((0x36)); printf '%s.%s.' "$id" "$sent"; cat "$work/body"; } | openssl dgst -sha256 -binary >"$work/inner"
    { padded $((0x5c)); cat "$work/inner"; } | openssl dgst -sha256 -binary | openssl base64 -A
}

# Digests with a number that nobody knows are compared: how long that takes says nothing about the texts.
same() {
    one=$(printf %s "$nonce$1" | openssl dgst -sha256)
    other=$(printf %s "$nonce$2" | openssl dgst -sha256)
    [ -n "$one" ] && [ "$one" = "$other" ]
}

verified() {
    nonce=$(openssl rand -hex 16)
    for secret in $WEBHOOK_SECRET; do
        wanted="v1,$(signature "$secret")"
        [ "${#wanted}" -eq 47 ] || continue # what couldn't be computed proves nothing
        for given in $signatures; do
            if same "$wanted" "$given"; then return 0; fi
        done
    done
    return 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
set -f

length='' id='' sent='' signatures=''
read -r request
while read -r line; do
    line=$(printf %s "$line" | tr -d '\r')
    [ -n "$line" ] || break
    value=${line#*:}
    value=${value# }
    case $(printf %s "${line%%:*}" | tr '[:upper:]' '[:lower:]') in
        content-length) length=$value ;;
        webhook-id) id=$value ;;
        webhook-timestamp) sent=$value ;;
        webhook-signature) signatures=$value ;;
    esac
done

case $request in POST\ *) ;; *) answer '405 Method Not Allowed' ;; esac
case $length in '' | *[!0-9]* | ????????*) answer '413 Content Too Large' ;; esac
[ "$length" -le "$largest" ] || answer '413 Content Too Large'
head -c "$length" >"$work/body"

# 401 is tried again, so nothing is lost while a secret is mended.
case $sent in '' | 0* | *[!0-9]* | ????????????*) answer '401 Unauthorized' ;; esac
case $id in '' | *[!A-Za-z0-9_-]*) answer '401 Unauthorized' ;; esac
age=$(($(date +%s) - sent))
[ "${age#-}" -le "$tolerance" ] || answer '401 Unauthorized'
verified || answer '401 Unauthorized'

# The delivery's id is the same on every try. It is noted after the work is done: rather twice than never.
mkdir -p "$seen"
[ ! -e "$seen/$id" ] || answer '204 No Content'
if [ $# -gt 0 ]; then
    "$@" <"$work/body" >&2 || answer '500 Internal Server Error'
else
    { cat "$work/body"; echo; } >>"$seen/events.jsonl" || answer '500 Internal Server Error'
fi
: >"$seen/$id"
answer '204 No Content'
