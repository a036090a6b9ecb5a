# shellcheck shell=dash
# How the host's word gets into this machine. One channel is listened to, the first that says which machine this is:
#   command_line   skinnybox.NAME=VALUE, where the host boots the kernel itself
#   xenstore       vm-data/skinnybox/NAME
#   firmware       opt/skinnybox/NAME, handed over by QEMU (fw_cfg)
#   told_disk      a small disk that holds nothing but a message of the kind `told`, for hosts that have none of these
# Names: instance, nonce, master, overlay and data (names of disks), layers (those of several, with commas, the lowest layer first),
# format and format-data (the one-time orders), name (what this machine is called there), and two messages, base and seed: how
# many parts its base64 is cut into; NAME-0, NAME-1 and so on.

: "${PROC:=/proc}" "${SYS:=/sys}" "${DEV:=/dev}" "${RUN:=/run/skinnybox}"

# listen: takes all that is said into RUN/host, a file for each name.
listen() {
    local channel
    [ -d "$RUN/host" ] || mkdir -m 0700 "$RUN/host"
    for channel in command_line xenstore firmware told_disk; do
        "${channel}_says" instance >"$RUN/host/instance" || continue
        [ -s "$RUN/host/instance" ] || continue
        hear "$channel"
        return 0
    done
}

hear() {
    local name
    for name in nonce master layers overlay data format format-data name; do "$1_says" "$name" >"$RUN/host/$name" || :; done
    for name in base seed; do hear_message "$1" "$name"; done
}

# hear_message CHANNEL NAME: what is not whole is no message, and is found out where it is unpacked.
hear_message() {
    local number=0 parts=
    "$1_says" "$2" >"$RUN/host/parts" || return 0
    read -r parts <"$RUN/host/parts" || :
    case $parts in '' | *[!0-9]* | ????*) return 0 ;; esac
    : >"$RUN/host/parts"
    while [ "$number" -lt "$parts" ]; do
        "$1_says" "$2-$number" >>"$RUN/host/parts" || return 0
        number=$((number + 1))
    done
    base64 -d <"$RUN/host/parts" >"$RUN/host/$2" 2>/dev/null || rm -f "$RUN/host/$2"
}

command_line_says() {
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

# A machine's name is not among what is said to it, but Xen's own word.
xenstore_says() {
    has_xenstore || return 1
    case $1 in
    name) xenstore_read name ;;
    *) xenstore_read "vm-data/skinnybox/$1" ;;
    esac
}

firmware_says() {
    local file=$SYS/firmware/qemu_fw_cfg/by_name/opt/skinnybox/$1/raw
    [ -r "$file" ] && cat "$file"
}

told_disk_says() {
    [ -d "$RUN/told" ] || find_told || return 1
    case $1 in
    base | seed) [ -z "$(told_payload "$1")" ] || echo 1 ;;
    base-0 | seed-0) cat "$(told_payload "${1%-0}")" ;;
    *) message_value "$RUN/told" "$1" ;;
    esac
}

# told_payload NAME: the file with the base64 of that message; nothing when it is not told.
told_payload() {
    local number=0 key
    while read -r key _; do
        number=$((number + 1))
        [ "$key" != "$1" ] || printf '%s\n' "$RUN/told/$number.b64"
    done <"$RUN/told/lines"
}

# find_told: the one disk there is of that kind; several are none.
# shellcheck disable=SC2153 # await_disk sets DISK
find_told() {
    await_disk told_disks
    case $DISK in
    '' | *[[:space:]]*) return 1 ;;
    esac
    message_unpack "$DISK" told "$RUN/told"
}

# told_disks: of at most 8 MiB, and with the message's first words at its beginning.
told_disks() {
    local disk sectors
    for disk in "$SYS"/block/*; do
        [ -r "$disk/size" ] && read -r sectors <"$disk/size" && [ "$sectors" -gt 0 ] && [ "$sectors" -le 16384 ] || continue
        [ "$(dd if="$DEV/${disk##*/}" bs=16 count=1 2>/dev/null | tr -d '\000')" != 'skinnybox-told 1' ] ||
            printf '%s\n' "$DEV/${disk##*/}"
    done
}
