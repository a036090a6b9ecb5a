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
        ! read_image "$disk" || [ "$IMAGE_UUID" != "$2" ] || printf '%s\n' "$disk"
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
    for disk in $(memories); do
        read_image "$disk" || IMAGE_UUID='no image'
        others="$others $disk with $IMAGE_UUID"
    done
    if [ -n "$others" ]; then
        echo "the overlay belongs to the image $2, and the host gave$others"
    else
        echo "no disk called $1 appeared"
    fi
}

# read_superblock DISK: sets SUPERBLOCK to 136 bytes from offset 1024, in hexadecimal; both EROFS and ext4 keep theirs
# there. What is found in it is set as well, and not printed: each process of a boot that is there to print something
# costs it more than all that is done here with what was read.
read_superblock() {
    SUPERBLOCK=$(od -A n -v -t x1 -j 1024 -N 136 "$1" 2>/dev/null)
}

# join OFFSET COUNT BYTE...: sets JOINED to COUNT of the given bytes; to nothing, and fails, when there are fewer.
join() {
    local count=$2 joined=
    JOINED=
    [ $# -ge $(($1 + $2 + 2)) ] || return 1
    shift $(($1 + 2))
    while [ "$count" -gt 0 ]; do
        joined=$joined$1
        shift
        count=$((count - 1))
    done
    JOINED=$joined
}

# superblock DISK and bytes OFFSET COUNT BYTE...: the same, printed, for what is laid over initramfs of any age (unlock.sh,
# ordinary).
superblock() {
    read_superblock "$1"
    printf '%s\n' "$SUPERBLOCK"
}

bytes() {
    join "$@" && printf '%s\n' "$JOINED"
}

# shellcheck disable=SC2034
# read_image DISK: sets IMAGE_FORMAT to erofs, or ext4, as masters have it whose kernel has no EROFS, and IMAGE_UUID; fails
# when there is neither.
read_image() {
    local at
    read_superblock "$1"
    # shellcheck disable=SC2086 # one word per byte
    set -- $SUPERBLOCK
    if join 0 4 "$@" && [ "$JOINED" = "$EROFS_MAGIC" ]; then
        IMAGE_FORMAT=erofs at=48
    elif join 56 2 "$@" && [ "$JOINED" = "$EXT4_MAGIC" ]; then
        IMAGE_FORMAT=ext4 at=104
    else
        return 1
    fi
    join_uuid "$at" "$@"
}

# join_uuid OFFSET BYTE...: sets IMAGE_UUID.
join_uuid() {
    local at=$1 count
    shift
    IMAGE_UUID=
    for count in 4 2 2 2 6; do
        join "$at" "$count" "$@" || return 1
        IMAGE_UUID=$IMAGE_UUID${IMAGE_UUID:+-}$JOINED at=$((at + count))
    done
}

# shellcheck disable=SC2034
# read_ext4 DISK: sets EXT4_LABEL (hexadecimal) and EXT4_CLEAN (yes or no); fails when there is no ext4.
read_ext4() {
    read_superblock "$1"
    # shellcheck disable=SC2086 # one word per byte
    set -- $SUPERBLOCK
    join 56 2 "$@" && [ "$JOINED" = "$EXT4_MAGIC" ] && join 120 16 "$@" || return 1
    EXT4_LABEL=$JOINED EXT4_CLEAN=no
    # State 1 is "unmounted cleanly, no errors seen"; bit 2 of the features says the journal wants a replay.
    join 58 2 "$@" && [ "$JOINED" = 0100 ] && join 96 1 "$@" && [ $((0x$JOINED & 4)) -eq 0 ] || return 0
    EXT4_CLEAN=yes
}
