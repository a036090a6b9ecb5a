# shellcheck shell=dash
# This machine's own disk: found, formatted or repaired where that is safe, mounted, and asked whose it is.
# Every function here refuses (refuse.sh) rather than carry on with something else.

: "${SYS:=/sys}" "${RUN:=/run/skinnybox}"

# open_overlay: finds the one overlay of this machine, repairs what is safe to repair, mounts it on RUN/overlay.
open_overlay() {
    local options=rw
    find_disk "$(host_parameter overlay || echo skinny-overlay)"
    format_if_ordered "$DISK"
    check_disk "$DISK" overlay
    can_discard "$DISK" && options=rw,discard
    mount -t ext4 -o "$options" "$DISK" "$RUN/overlay" || refuse "the overlay on $DISK cannot be mounted"
    echo "$DISK" >"$RUN/disk"
}

# check_disk DISK KIND: whose label is another is not even repaired. A clean superblock is all that e2fsck -p would look
# at as well, so a clean boot does not start it. KIND is overlay or data.
check_disk() {
    local code=0 what=overlay
    [ "$2" = overlay ] || what='data disk'
    if read_ext4 "$1"; then
        check_label "$1" "$2"
        [ "$EXT4_CLEAN" = no ] || return 0
    fi
    ! is_blank "$1" || refuse "the $what on $1 is blank, and the host gave no order to format it"
    e2fsck -p "$1" || code=$?
    [ "$code" -lt 4 ] || refuse "the $what on $1 is damaged beyond repair (e2fsck ended with $code)"
    read_ext4 "$1" || refuse "the $what on $1 is no ext4 filesystem"
    check_label "$1" "$2"
}

check_label() {
    local label=$OVERLAY_LABEL
    [ "$2" = overlay ] || label=$DATA_LABEL
    [ "$EXT4_LABEL" = "$label" ] || refuse "the disk $1 is not labelled skinny-$2"
}

can_discard() {
    local most=0
    [ ! -r "$SYS/block/${1##*/}/queue/discard_max_bytes" ] || read -r most <"$SYS/block/${1##*/}/queue/discard_max_bytes"
    [ "$most" -gt 0 ]
}

# read_base: what this overlay belongs to; refuses another machine's overlay.
read_base() {
    local wanted instance
    message_unpack "$RUN/overlay/skinnybox/base" base "$RUN/base" || refuse "the overlay does not say what it belongs to (skinnybox/base)"
    wanted=$(host_parameter instance) || refuse "the host did not say which machine this is (skinnybox.instance)"
    instance=$(message_value "$RUN/base" instance) || instance=nobody
    [ "$instance" = "$wanted" ] || refuse "the overlay belongs to the machine $instance, and this is $wanted"
}
