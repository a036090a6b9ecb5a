# shellcheck shell=dash
# What keeps a machine that is up from being ready: a rebase that could not be finished, and its own check, a command of
# its seed that is tried until it succeeds.

: "${ROOT:=}" "${RUN:=/run/skinnybox}" "${CHECK_SECONDS:=30}" "${CHECK_PAUSE:=2}"
: "${REBASE:=$ROOT/var/lib/skinnybox/rebase}" "${OWN_CHECK:=$ROOT/var/lib/skinnybox/check}"

# shellcheck disable=SC2034 # for status.sh
# How this machine stands by its own word: ready, checking or failed, and why it is not ready.
STANDING=ready STANDING_WHY=''

# stand: by what a rebase has left.
stand() {
    local why
    STANDING=ready STANDING_WHY=''
    if [ -e "$REBASE" ]; then
        why='its tasks were not done' # the service that does them could not even be started
    else
        why=$(rebase_value failed failed) || return 0
    fi
    STANDING=failed STANDING_WHY="the rebase was not finished: $why"
}

# rebase_value KIND KEY: from rebase.done or rebase.failed; fails where there is none.
rebase_value() {
    local key value
    [ -f "$REBASE.$1" ] || return 1
    while read -r key value; do
        [ "$key" = "$2" ] || continue
        printf '%s\n' "$value"
        return
    done <"$REBASE.$1"
    return 1
}

# rebase_lines: what a report says of it.
rebase_lines() {
    local id why
    if id=$(rebase_value failed id); then
        why=$(rebase_value failed failed)
        printf 'rebase %s failed %s\n' "$id" "$why"
    elif id=$(rebase_value "done" id); then
        printf 'rebase %s done\n' "$id"
    fi
}

# check_once: whether it succeeds, in a shell of its own; else CHECK_WHY is the last line of what it said. What it leaves
# running may hold our pipe: nobody waits for that.
check_once() {
    local code=1 said=''
    { try_check | timeout "$((CHECK_SECONDS + 2))" tail -c 2048 >"$RUN/check-said"; } 2>/dev/null
    read -r code <"$RUN/check-code" || :
    [ "$code" != 0 ] || return 0
    said=$(tr -cd ' -~\n' <"$RUN/check-said" | sed -n '/[^ ]/h; ${ x; p; }' | cut -c1-200)
    case $code in 124 | 137) said="it took longer than $CHECK_SECONDS s${said:+: $said}" ;; esac
    CHECK_WHY="check fails: ${said:-it ended with $code}"
    return 1
}

# try_check: what it says; how it ended is in RUN/check-code.
try_check() {
    (
        cd "$ROOT/" && export HOME=/root PATH="/usr/local/sbin:/usr/local/bin:$PATH"
        timeout -s KILL "$CHECK_SECONDS" sh "$OWN_CHECK" </dev/null 2>&1
    )
    printf '%s\n' "$?" >"$RUN/check-code"
}

# await_check COMMAND...: returns when the check has succeeded, or there is none; whenever it fails in another way than
# before, COMMAND tells that.
await_check() {
    local told=
    [ -f "$OWN_CHECK" ] && [ "$STANDING" = ready ] || return 0
    until check_once; do
        STANDING=checking STANDING_WHY=$CHECK_WHY
        [ "$told" = "$CHECK_WHY" ] || "$@"
        told=$CHECK_WHY
        sleep "$CHECK_PAUSE"
    done
    # shellcheck disable=SC2034 # for status.sh
    STANDING=ready STANDING_WHY=''
}
