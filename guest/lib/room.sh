# shellcheck shell=dash
# This machine's own disks, which the host may make larger while it runs: their filesystems follow. The kernel knows the
# new size at once, whatever the disk is (virtio, xen-blkfront), and nobody has to tell us: who reports looks every now
# and then, which works under any init, with udev and without.

: "${SYS:=/sys}" "${RUN:=/run/skinnybox}"

# own_disks: lines `KIND DEVICE`.
own_disks() {
    local device
    [ ! -r "$RUN/disk" ] || { read -r device <"$RUN/disk" && printf 'overlay %s\n' "$device"; }
    [ ! -r "$RUN/data-disk" ] || { read -r device <"$RUN/data-disk" && printf 'data %s\n' "$device"; }
}

# told_disks_room: of each `KIND BYTES FILESYSTEM [WHY]`, where what is larger than its filesystem was taken by that, or
# WHY not. It is tried once for each size: what is too little for a block group of its own stays unused.
told_disks_room() {
    local kind device sectors known
    own_disks | while read -r kind device; do
        known=
        [ -r "$SYS/block/${device##*/}/size" ] && read -r sectors <"$SYS/block/${device##*/}/size" || continue
        [ ! -r "$RUN/room-$kind" ] || read -r _ known _ <"$RUN/room-$kind"
        [ "$known" = $((sectors * 512)) ] || follow_disk "$kind" "$device" $((sectors * 512))
        read -r known <"$RUN/room-$kind" && printf '%s\n' "$known"
    done
}

# follow_disk KIND DEVICE BYTES
follow_disk() {
    local now why=
    now=$(filesystem_bytes "$2")
    if [ "$now" -lt "$3" ]; then
        why=$(grow_filesystem "$2")
        now=$(filesystem_bytes "$2")
    fi
    printf '%s %s %s%s\n' "$1" "$3" "$now" "${why:+ $why}" >"$RUN/room-$1"
}

# grow_filesystem DEVICE: prints why not, when it cannot.
grow_filesystem() {
    command -v resize2fs >/dev/null || { echo "it has no resize2fs (Debian: e2fsprogs)" && return; }
    # It may print whatever it likes where it works: a filesystem that is as large as it can be has nothing to do.
    resize2fs "$1" >"$RUN/room-said" 2>&1 || tail -n 1 "$RUN/room-said" | tr -cd ' -~' | cut -c 1-200
}

# filesystem_bytes DEVICE: of an ext4, as its superblock says now; 0 when there is none.
filesystem_bytes() {
    # shellcheck disable=SC2046 # one word per number
    set -- $(od -A n -v -t u4 -j 1024 -N 60 "$1" 2>/dev/null)
    # Blocks, the logarithm of their size, and the magic number with the state behind it.
    [ $# -eq 15 ] && [ $((${15} & 65535)) -eq 61267 ] && [ "$7" -le 6 ] || { echo 0 && return; }
    echo $(($2 * (1024 << $7)))
}
