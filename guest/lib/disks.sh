# shellcheck shell=dash
# Finding disks as the host named them, and reading superblocks. No device name is assumed that the host did not say.

: "${SYS:=/sys}" "${DEV:=/dev}" "${DISK_POLLS:=50}"

EXT4_MAGIC=53ef
EROFS_MAGIC=e2e1f5e0
# shellcheck disable=SC2034 # the variables in capitals are for stack.sh
OVERLAY_LABEL=736b696e6e792d6f7665726c61790000 # skinny-overlay, as 16 bytes
# shellcheck disable=SC2034
DATA_LABEL=736b696e6e792d646174610000000000 # skinny-data

# disks_called NAME: the device of every whole disk with that serial; on Xen a disk has none, and that name itself.
disks_called() {
    local disk serial
    for disk in "$SYS"/block/*; do
        serial=
        if [ -r "$disk/serial" ]; then
            read -r serial <"$disk/serial" || : # virtio-blk ends it without a newline
        elif [ -r "$disk/device/vpd_pg80" ]; then
            serial=$(tail -c +5 "$disk/device/vpd_pg80" | tr -d '\000') # a SCSI disk's, after four bytes of header
        fi
        [ "$serial" != "$1" ] && [ "${disk##*/}" != "$1" ] || printf '%s\n' "$DEV/${disk##*/}"
    done
}

# await_disk COMMAND...: waits (5 s and more) until it prints something, which is DISK then.
await_disk() {
    local polls=0
    DISK=$("$@")
    [ -n "$DISK" ] || load_late_drivers
    while [ -z "$DISK" ] && [ "$polls" -lt "$DISK_POLLS" ]; do
        sleep 0.1
        polls=$((polls + 1))
        DISK=$("$@")
    done
}

# load_late_drivers: of hardware that most machines lack; the others' are loaded when this begins.
load_late_drivers() {
    # shellcheck disable=SC2046 # one word per module
    [ ! -s /conf/skinnybox-late-modules ] || modprobe -q -b -a $(cat /conf/skinnybox-late-modules) 2>/dev/null || :
}

# find_disk NAME: waits for it, sets DISK; refuses when there is none, or more than one.
find_disk() {
    await_disk disks_called "$1"
    case $DISK in
    '') refuse "no disk called $1 appeared" ;;
    *[[:space:]]*) refuse "several disks are called $1:" "$DISK" ;;
    esac
}

# find_image NAME UUID: the same for an image, which lies on a disk of that name or, since persistent memory has none,
# in memory that holds the image with that UUID.
find_image() {
    await_disk image_candidates "$1" "$2"
    case $DISK in
    '') refuse "$(without_image "$1" "$2")" ;;
    *[[:space:]]*) refuse "several disks may be $1:" "$DISK" ;;
    esac
}

image_candidates() {
    local disk
    for disk in $(disks_called "$1"); do image_on "$disk"; done
    for disk in $(memories); do
        [ "$(image_uuid "$disk")" != "$2" ] || printf '%s\n' "$disk"
    done
}

# image_on DISK: its partition for the image where firmware boots from that disk, else all of it.
image_on() {
    local part line
    for part in "$SYS/block/${1##*/}/${1##*/}"*; do
        [ -r "$part/uevent" ] || continue
        while read -r line; do
            [ "$line" != PARTNAME=skinny-master ] || { printf '%s\n' "$DEV/${part##*/}" && return; }
        done <"$part/uevent"
    done
    printf '%s\n' "$1"
}

# memories: the device of each piece of persistent memory.
memories() {
    local disk
    for disk in "$SYS"/block/pmem*; do
        [ ! -e "$disk" ] || printf '%s\n' "$DEV/${disk##*/}"
    done
}

# without_image NAME UUID: why nothing fits.
without_image() {
    local disk others=
    for disk in $(memories); do others="$others $disk with $(image_uuid "$disk" || echo 'no image')"; done
    if [ -n "$others" ]; then
        echo "the overlay belongs to the image $2, and the host gave$others"
    else
        echo "no disk called $1 appeared"
    fi
}

# superblock DISK: 136 bytes from offset 1024, in hexadecimal; both EROFS and ext4 keep theirs there.
superblock() {
    od -A n -v -t x1 -j 1024 -N 136 "$1" 2>/dev/null
}

# bytes OFFSET COUNT BYTE...: COUNT of the given bytes, joined.
bytes() {
    local count=$2 joined=
    [ $# -ge $(($1 + $2 + 2)) ] || return 1
    shift $(($1 + 2))
    while [ "$count" -gt 0 ]; do
        joined=$joined$1
        shift
        count=$((count - 1))
    done
    printf '%s\n' "$joined"
}

# image_format DISK: erofs, or ext4, as masters have it whose kernel has no EROFS; fails when there is neither.
image_format() {
    # shellcheck disable=SC2046 # one word per byte
    set -- $(superblock "$1")
    if [ $# -ge 64 ] && [ "$(bytes 0 4 "$@")" = "$EROFS_MAGIC" ]; then
        echo erofs
    elif [ $# -ge 120 ] && [ "$(bytes 56 2 "$@")" = "$EXT4_MAGIC" ]; then
        echo ext4
    else
        return 1
    fi
}

# image_uuid DISK: fails when there is no image.
image_uuid() {
    local at
    case $(image_format "$1") in
    erofs) at=48 ;;
    ext4) at=104 ;;
    *) return 1 ;;
    esac
    # shellcheck disable=SC2046 # one word per byte
    set -- $(superblock "$1")
    set -- "$(bytes "$at" 4 "$@")" "$(bytes $((at + 4)) 2 "$@")" "$(bytes $((at + 6)) 2 "$@")" \
        "$(bytes $((at + 8)) 2 "$@")" "$(bytes $((at + 10)) 6 "$@")"
    printf '%s-%s-%s-%s-%s\n' "$@"
}

# shellcheck disable=SC2034
# read_ext4 DISK: sets EXT4_LABEL (hexadecimal) and EXT4_CLEAN (yes or no); fails when there is no ext4.
read_ext4() {
    local incompatible
    # shellcheck disable=SC2046 # one word per byte
    set -- $(superblock "$1")
    [ "$(bytes 56 2 "$@")" = "$EXT4_MAGIC" ] || return 1
    EXT4_LABEL=$(bytes 120 16 "$@")
    incompatible=$(bytes 96 1 "$@")
    EXT4_CLEAN=no
    # State 1 is "unmounted cleanly, no errors seen"; bit 2 of the features says the journal wants a replay.
    [ "$(bytes 58 2 "$@")" != 0100 ] || [ $((0x$incompatible & 4)) -ne 0 ] || EXT4_CLEAN=yes
}
