# shellcheck shell=dash
# What the host said to this machine beside its disks (channels.sh), and what this machine says back.

: "${SYS:=/sys}" "${DEV:=/dev}" "${RUN:=/run/skinnybox}"

# host_parameter NAME: fails when the host did not say it.
host_parameter() {
    local value=
    [ -s "$RUN/host/$1" ] || return 1
    read -r value <"$RUN/host/$1" || : # not every channel ends it with a newline
    printf '%s\n' "$value"
}

# report_port: the device of the host's report port; fails when this machine has none. (The name under
# /dev/virtio-ports comes from udev, which does not run in the initramfs.)
report_port() {
    local port name
    for port in "$SYS"/class/virtio-ports/*; do
        [ -r "$port/name" ] && read -r name <"$port/name" || continue
        [ "$name" = skinnybox.report ] && printf '%s\n' "$DEV/${port##*/}" && return 0
    done
    return 1
}

can_report() {
    report_port >/dev/null || has_xenstore
}

# send_report FILE SECONDS: fails when nobody took it within that time; a port without a reader blocks for ever.
send_report() {
    local port
    if port=$(report_port); then
        timeout "$2" cat "$1" >"$port" 2>/dev/null
    else
        has_xenstore && report_to_xenstore "$1"
    fi
}

# report_head STATE: the lines every report starts with.
report_head() {
    printf 'skinnybox-report 1\nstate %s\n' "$1"
    printf 'nonce %s\n' "$(host_parameter nonce)"
    printf 'instance %s\n' "$(host_parameter instance)"
}
