# shellcheck shell=dash
# Which services run. What ran before a rebase is to run after it: so that is kept, and what is missing is told.

: "${ROOT:=}" "${RUN:=/run/skinnybox}"
: "${REBASE:=$ROOT/var/lib/skinnybox/rebase}" "${ACTIVE_UNITS:=$ROOT/var/lib/skinnybox/active-units}"

UNITS_MOST=256

# keep_active_units: of systemd, for the next rebase's host, which reads it from the overlay; written where it changed.
keep_active_units() {
    local found
    found=$(active_units)
    [ -n "$found" ] || return 0
    found=$(printf 'skinnybox-active-units 1\n%s\nend' "$found")
    [ ! -f "$ACTIVE_UNITS" ] || [ "$found" != "$(head -c 131072 "$ACTIVE_UNITS")" ] || return 0
    rm -rf "$ACTIVE_UNITS.new"
    printf '%s\n' "$found" >"$ACTIVE_UNITS.new" && mv -f "$ACTIVE_UNITS.new" "$ACTIVE_UNITS"
}

# active_units: lines `unit NAME`. Not what comes with somebody who is logged in, what systemd does for itself and once,
# and what is ours.
active_units() {
    systemctl list-units --type=service --state=active --plain --no-legend 2>/dev/null |
        awk -v most="$UNITS_MOST" '
            $1 !~ /^[A-Za-z0-9:_.@\\\\-]+\.service$/ || length($1) > 255 { next }
            $1 ~ /^(user@|user-runtime-dir@|session-|run-|skinnybox-|modprobe@|.*getty@)/ { next }
            $1 ~ /^systemd-/ && $4 == "exited" { next }
            count++ < most { print "unit " $1 }
        ' | sort
}

# expected_units: of the last rebase; none once all of them have been seen to run.
expected_units() {
    local file key value count=0
    for file in "$REBASE.done" "$REBASE.failed"; do
        [ -f "$file" ] && [ ! -e "$REBASE.settled" ] || continue
        while read -r key value && [ "$count" -lt "$UNITS_MOST" ]; do
            case $key,$value in
            unit,*[!A-Za-z0-9:_.@\\-]* | unit,-* | unit,) continue ;;
            unit,?*.*) printf '%s\n' "$value" && count=$((count + 1)) ;;
            esac
        done <"$file"
    done
}

# inactive_units: those of them that do not run, the first 64. Not what has done its work and ended, and what systemd
# passed over by a condition of the unit's own.
inactive_units() {
    local units
    units=$(expected_units)
    [ -n "$units" ] && command -v systemctl >/dev/null || return 0
    # shellcheck disable=SC2086 # one word for each, of no letters that mean anything
    systemctl show -p ActiveState,Type,Result,ConditionResult,ConditionTimestampMonotonic,ExecMainExitTimestampMonotonic \
        $units 2>/dev/null | awk -v units="$units" '
        function judge() {
            if (!(active ~ /^(active|reloading|refreshing)$/) && !(active == "inactive" &&
                (condition == "no" && looked > 0 || type == "oneshot" && result == "success" && ended > 0)) &&
                shown++ < 64) print name[++number]
            else number++
            active = type = result = condition = ""; looked = ended = 0
        }
        BEGIN { count = split(units, name, "\n") }
        /^$/ { judge(); next }
        { value = substr($0, index($0, "=") + 1) }
        /^ActiveState=/ { active = value }
        /^Type=/ { type = value }
        /^Result=/ { result = value }
        /^ConditionResult=/ { condition = value }
        /^ConditionTimestampMonotonic=/ { looked = value + 0 }
        /^ExecMainExitTimestampMonotonic=/ { ended = value + 0 }
        END { while (number < count) judge() }
    '
}

# settle_units INACTIVE: when all are seen to run, in a start in which the host was told so, later starts do not ask.
settle_units() {
    [ -z "$1" ] && [ -f "$REBASE.done" ] && [ ! -e "$REBASE.settled" ] || return 0
    [ -z "$(expected_units)" ] || : >"$REBASE.settled"
}
