# shellcheck shell=dash
# Failing closed: a machine that cannot get exactly its own disks says why and goes off.

: "${RUN:=/run/skinnybox}" "${REPORT_SECONDS:=3}" "${LAST_WORDS_SECONDS:=2}"

# refuse REASON: does not return.
refuse() {
    local reason
    reason=$(printf '%s' "$*" | tr '\n\t' '  ' | tr -cd ' -~' | cut -c1-400 | sed 's/^ *//; s/ *$//')
    tell_console "$reason"
    {
        report_head failed
        printf 'reason %s\nend\n' "$reason"
    } >"$RUN/report"
    send_report "$RUN/report" "$REPORT_SECONDS" || echo "skinnybox: the host did not take the report"
    sleep "$LAST_WORDS_SECONDS"
    go_off
}

tell_console() {
    printf '\n*** skinnybox: this machine does not start: %s\n' "$1"
    printf '*** skinnybox: nothing was changed but what is said above; powering off\n\n'
}

# go_off: there is no way back to a boot from here, whatever the machine makes of the request.
go_off() {
    # They may be another machine's, which is to find their journals as they were.
    umount "$RUN/overlay" 2>/dev/null || :
    umount "$RUN/data" 2>/dev/null || :
    sync
    poweroff -f
    echo o >"$PROC/sysrq-trigger"
    while :; do sleep 60; done
}
