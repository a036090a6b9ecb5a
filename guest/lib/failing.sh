# shellcheck shell=dash
# What went wrong in this machine's boot, for its host.

: "${ROOT:=}" "${PROC:=/proc}" "${RUN:=/run/skinnybox}" "${OPENRC:=/run/openrc}"

# failed_units: what init could not start, or what ended badly since: the first few. systemd and OpenRC remember it;
# of other inits it is only what we started ourselves.
failed_units() {
    local name
    {
        systemctl list-units --failed --plain --no-legend 2>/dev/null
        for name in "$OPENRC"/failed/* "$RUN"/failed/*; do [ ! -e "$name" ] || printf '%s\n' "${name##*/}"; done
    } | head -n 64 | while read -r name _; do printf '%s\n' "$name"; done
}

# ended_badly NAME: what no init remembers.
ended_badly() {
    mkdir -p "$RUN/failed" && : >"$RUN/failed/$1"
}

# unmounted: the places of fstab at which nothing is, of those that a boot waits for.
unmounted() {
    local device place kind options
    while read -r device place kind options _; do
        case $device,$place,$kind,$options in
        \#* | ,* | *,swap,* | *noauto* | *nofail*) continue ;;
        esac
        case $place in /?*) ;; *) continue ;; esac
        grep -qF " $place " "$PROC/mounts" || printf '%s\n' "$place"
    done <"$ROOT/etc/fstab"
}

# emergency_report MODE: that it came no further than a shell for its administrator, and why.
emergency_report() {
    local reason failed missing
    failed=$(failed_units | tr '\n' ' ') missing=$(unmounted 2>/dev/null | tr '\n' ' ')
    reason="it came up in $1 mode only"
    [ -z "$missing" ] || reason="$reason; not mounted: ${missing% }"
    [ -z "$failed" ] || reason="$reason; failed units: ${failed% }"
    report_head failed
    printf 'reason %s\nend\n' "$(printf '%s' "$reason" | tr -cd ' -~' | cut -c1-400)"
}
