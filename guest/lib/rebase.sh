# shellcheck shell=dash
# Finishing a rebase: the file that the host left says which tasks, and they are done before the network and before all
# services. The file goes last: a machine that is killed meanwhile does it again. What came of it stays beside it, as
# `rebase.done` or `rebase.failed`, and what was said in a log.

: "${ROOT:=}" "${RUN:=/run/skinnybox}" "${SYSTEMD:=/run/systemd/system}" "${REPORT_SECONDS:=3}"
: "${REBASE:=$ROOT/var/lib/skinnybox/rebase}" "${REBASE_LOG:=$ROOT/var/log/skinnybox-rebase.log}"
: "${POLICY:=$ROOT/usr/sbin/policy-rc.d}" "${CMDLINE:=/proc/cmdline}"

REBASE_MOST=65536 LOG_MOST=524288 TASK_MARK='skinnybox: the task ended with'
POLICY_TEXT='#!/bin/sh
# skinnybox: nothing is started while a rebase is finished
exit 101'

# finish_rebase: fails where a task did.
finish_rebase() {
    local word why=
    start_log
    release_services # those of a start that was cut short
    if read_rebase "$REBASE"; then
        hold_services
        for word in $TASKS_KNOWN; do
            case $REBASE_TASKS in *" $word "*) run_task "$word" || { why="$word: $TASK_WHY" && break; } ;; esac
        done
        release_services
        look_again
    else
        why="/var/lib/skinnybox/rebase: $REBASE_WRONG"
    fi
    sync
    end_rebase "$why"
}

# read_rebase FILE: sets REBASE_ID and REBASE_TASKS, with a blank around each; or fails, and sets REBASE_WRONG.
read_rebase() {
    local line key value
    REBASE_ID='' REBASE_TASKS=' ' REBASE_WRONG='cannot be read'
    [ -f "$1" ] && [ ! -L "$1" ] && [ "$(wc -c <"$1")" -le "$REBASE_MOST" ] || return 1
    {
        IFS= read -r line && [ "$line" = 'skinnybox-rebase 1' ] || { REBASE_WRONG='is of another kind' && return 1; }
        while read -r key value; do
            [ "$key" != end ] || { has_id && return || return 1; }
            take_line "$key" "$value" || return 1
        done
    } <"$1"
    REBASE_WRONG='is not whole'
    return 1
}

has_id() {
    REBASE_WRONG='names no id'
    [ -n "$REBASE_ID" ]
}

take_line() {
    REBASE_WRONG='has a line that nobody here understands'
    case $1 in
    id)
        case $REBASE_ID$2 in '' | *[!0-9a-f]*) return 1 ;; esac
        [ -z "$REBASE_ID" ] && [ "${#2}" -le 64 ] && REBASE_ID=$2
        ;;
    task)
        case " $TASKS_KNOWN " in *" $2 "*) ;; *) return 1 ;; esac
        case $2 in '' | *' '*) return 1 ;; esac
        REBASE_TASKS="$REBASE_TASKS$2 "
        ;;
    unit) ;;
    *) return 1 ;;
    esac
}

# hold_services: maintainer scripts start what they have brought. Under systemd that would wait for us, and we for it:
# with this its own programs, and all that call them, leave it be (a policy would not do: who calls systemctl never asks
# one). Elsewhere invoke-rc.d asks a policy, which is put there until the tasks have ended; one that is there already
# stays, and ours is mounted over it.
hold_services() {
    export SYSTEMD_OFFLINE=1
    [ ! -d "$SYSTEMD" ] || return 0
    printf '%s\n' "$POLICY_TEXT" >"$RUN/policy-rc.d" && chmod 0755 "$RUN/policy-rc.d"
    if [ -e "$POLICY" ]; then
        mount -o bind "$RUN/policy-rc.d" "$POLICY"
    else
        [ ! -d "${POLICY%/*}" ] || cp -p "$RUN/policy-rc.d" "$POLICY"
    fi
}

# release_services: no policy of ours stays, also not of a start that was cut short.
release_services() {
    unset SYSTEMD_OFFLINE
    [ ! -e "$RUN/policy-rc.d" ] || { umount "$POLICY" 2>/dev/null || : && rm -f "$RUN/policy-rc.d"; }
    [ ! -f "$POLICY" ] || [ "$(cat "$POLICY")" != "$POLICY_TEXT" ] || rm -f "$POLICY"
}

# run_task WORD: fails where that did, and sets TASK_WHY. A daemon that a script leaves behind holds our pipe: so the
# mark ends it, and not its end.
run_task() {
    local code=1
    tell_task "$1"
    say "task $1"
    {
        (
            export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true UCF_FORCE_CONFFOLD=1 HOME=/root
            export NEEDRESTART_SUSPEND=1
            cd "$ROOT/" && do_task "$1"
        ) </dev/null 2>&1
        printf '\n%s %s\n' "$TASK_MARK" "$?"
    } | keep_said
    { read -r code && read -r TASK_WHY; } <"$RUN/task-ended"
    LOG_SIZE=$(wc -c <"$REBASE_LOG") # the pipe's end is another shell
    [ "$code" != 0 ] || return 0
    TASK_WHY="it ended with $code${TASK_WHY:+: $TASK_WHY}"
    return 1
}

# keep_said: standard input, until a task's mark; its last two lines say best what went wrong.
keep_said() {
    local line last='' before=''
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        '') continue ;;
        "$TASK_MARK "*) break ;;
        esac
        say "  $line"
        before=$last last=$line
    done
    printf '%s\n%s\n' "${line##* }" "$(plain "$before $last")" >"$RUN/task-ended"
}

plain() {
    printf '%s' "$1" | tr -s '\t ' ' ' | tr -cd ' -~' | sed 's/^ *//; s/ *$//' | cut -c1-300
}

# say LINE: in the log, as long as there is room; and to whoever started us.
say() {
    LOG_SIZE=$((LOG_SIZE + ${#1} + 1))
    [ "$LOG_SIZE" -gt "$LOG_MOST" ] || printf '%s\n' "$1" >>"$REBASE_LOG"
    printf '%s\n' "$1"
}

# start_log: of this rebase; what a start that was cut short has said stays, if it leaves enough room.
start_log() {
    LOG_SIZE=0
    [ ! -L "$REBASE_LOG" ] || rm -f "$REBASE_LOG"
    [ ! -f "$REBASE_LOG" ] || LOG_SIZE=$(wc -c <"$REBASE_LOG")
    [ "$LOG_SIZE" -le $((LOG_MOST / 2)) ] || { : >"$REBASE_LOG" && LOG_SIZE=0; }
    say "skinnybox: finishing a rebase, $(date -u '+%Y-%m-%dT%H:%M:%SZ')"
}

# tell_task WORD: a sign of life, as nothing else is said until the network is up.
tell_task() {
    {
        report_head checking
        printf 'reason finishing a rebase: %s\nend\n' "$1"
    } >"$RUN/rebase-report"
    send_report "$RUN/rebase-report" "$REPORT_SECONDS" || :
}

# look_again: what maintainer scripts have enabled since is no part of what systemd is just starting. Not where somebody
# wanted to come up to less.
look_again() {
    case $REBASE_TASKS in *' configure '* | *' triggers '*) [ -d "$SYSTEMD" ] || return 0 ;; *) return 0 ;; esac
    systemctl daemon-reload || return 0
    case " $(cat "$CMDLINE") " in
    *' systemd.unit='* | *' single '* | *' rescue '* | *' emergency '* | *' 1 '* | *' s '* | *' S '*) ;;
    *) systemctl --no-block start default.target || : ;;
    esac
}

# end_rebase WHY: the result is on the disk before the tasks are gone from it.
end_rebase() {
    if [ -z "$1" ]; then
        say "done"
        rm -f "$REBASE.failed" "$REBASE.settled"
        mv -f "$REBASE" "$REBASE.done"
    else
        say "failed: $1"
        rm -f "$REBASE.done" "$REBASE.settled"
        failed_text "$1" >"$REBASE.new" && sync && mv -f "$REBASE.new" "$REBASE.failed" && sync && rm -f "$REBASE"
    fi
    sync
    [ -z "$1" ]
}

# failed_text WHY: who asked, and which units there are to be, as far as that could be understood.
failed_text() {
    local key value
    printf 'skinnybox-rebase 1\nid %s\nfailed %s\n' "${REBASE_ID:-0}" "$(plain "$1")"
    [ ! -f "$REBASE" ] || head -c "$REBASE_MOST" "$REBASE" | while read -r key value; do
        [ "$key" != unit ] || printf 'unit %s\n' "$value"
    done
    echo end
}
