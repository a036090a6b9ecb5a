# shellcheck shell=dash
# What the host says to this machine beside its disks, and what this machine says back.

: "${PROC:=/proc}" "${SYS:=/sys}" "${DEV:=/dev}"

# host_parameter NAME: the one place that knows how a host passes parameters; fails when it passed none.
host_parameter() {
    local line word
    read -r line <"$PROC/cmdline"
    set -f
    # shellcheck disable=SC2086 # the words are what is wanted; -f keeps them from matching file names
    set -- "$1" $line
    set +f
    for word; do
        case $word in
        "skinnybox.$1="*) printf '%s\n' "${word#*=}" && return 0 ;;
        esac
    done
    return 1
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

# send_report FILE SECONDS: fails when nobody took it within that time; a port without a reader blocks for ever.
send_report() {
    local port
    port=$(report_port) || return 1
    timeout "$2" cat "$1" >"$port" 2>/dev/null
}

# report_head STATE: the lines every report starts with.
report_head() {
    printf 'skinnybox-report 1\nstate %s\n' "$1"
    printf 'nonce %s\n' "$(host_parameter nonce)"
    printf 'instance %s\n' "$(host_parameter instance)"
}
