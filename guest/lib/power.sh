# shellcheck shell=dash
# The power button, which is how a host asks this machine to power off, where nobody else hears it.

: "${SYS:=/sys}" "${DEV:=/dev}" "${ROOT:=}"

# watch_power_button: returns when it is heard; what hears it stays behind. Not where an acpid has been told to.
watch_power_button() {
    local device
    modprobe -q -a button evdev 2>/dev/null || :
    ! acpid_hears || return 0
    device=$(power_button) || return 0
    (: <"$device") 2>/dev/null || return 0 # exec would end us
    exec 3<"$device"
    hear_power_button "$(event_size)" <&3 3<&- &
    exec 3<&-
}

acpid_hears() {
    pidof acpid >/dev/null || return 1
    [ -d "$ROOT/etc/acpi/PWRF" ] || grep -qs 'button.*power' "$ROOT"/etc/acpi/events/*
}

# power_button: the device of its events; fails when this machine has none.
power_button() {
    local input name
    for input in "$SYS"/class/input/event*; do
        [ -r "$input/device/name" ] && read -r name <"$input/device/name" || continue
        [ "$name" = "Power Button" ] && [ -e "$DEV/input/${input##*/}" ] || continue
        printf '%s\n' "$DEV/input/${input##*/}"
        return 0
    done
    return 1
}

# event_size: of a struct input_event, in bytes: two longs and eight more.
event_size() {
    case $(uname -m) in
    *64* | s390x) echo 24 ;;
    *) echo 16 ;;
    esac
}

# hear_power_button SIZE: on standard input, until it is pressed (EV_KEY, KEY_POWER, 1).
hear_power_button() {
    local event
    while event=$(dd bs="$1" count=1 2>/dev/null | od -A n -t u2 -j $(($1 - 8))) && [ -n "$event" ]; do
        # shellcheck disable=SC2086 # the words are what is wanted
        set -- "$1" $event
        [ "${2-}/${3-}/${4-}" != 1/116/1 ] || poweroff
        set -- "$1"
    done
}
