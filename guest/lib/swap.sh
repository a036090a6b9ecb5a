# shellcheck shell=dash
# Swap, where the seed asks for it: a file beside the upper directory on the overlay's disk (overlayfs can hold none),
# or compressed memory. What it held before this boot is worth nothing: the file is made whenever it is missing or
# another is wanted, so that no copy of an overlay has to carry it.
#
# The view of that disk becomes read-only, and a file that is swapped to is open for writing: hence a mount of this one
# file at RUN/swap, where nobody but root gets to, and which is what /proc/swaps names. So the running system can end it.

: "${PROC:=/proc}" "${SYS:=/sys}" "${DEV:=/dev}" "${RUN:=/run/skinnybox}"

# start_swap: before the disk is read-only. A machine whose swap cannot be had starts without: to refuse would take
# away what its administrator cures it with. A word it does not know it refuses.
start_swap() {
    local asked kind size
    asked=$(message_value "$RUN/seed" swap) || asked='none '
    kind=${asked%% *} size=${asked#"$kind"} size=${size# }
    case $size in *[!0-9]* | ????????????????*) refuse "the seed asks for a swap of $size bytes" ;; esac
    [ "$kind" = file ] || [ ! -e "$RUN/overlay/swap" ] || rm -rf "$RUN/overlay/swap"
    case $kind in
    none) return 0 ;;
    file)
        [ -n "$size" ] || refuse "the seed asks for a swap file without a size"
        swap_to_file "$size" || no_swap "$WHY"
        ;;
    zram) swap_to_zram "$size" || no_swap "$WHY" ;;
    *) refuse "this master does not know what a seed's 'swap $kind' means" ;;
    esac
}

no_swap() {
    echo "skinnybox: this machine has no swap: $1"
}

# swap_to_file SIZE: one that cannot be used as it is (a hole in it, half of it on the disk) is made once more.
swap_to_file() {
    local file=$RUN/overlay/swap
    is_swap_file "$file" "$1" || make_swap_file "$file" "$1" || return 1
    use_swap_file "$file" && return
    make_swap_file "$file" "$1" && use_swap_file "$file"
}

# is_swap_file FILE SIZE
is_swap_file() {
    [ -f "$1" ] && [ ! -L "$1" ] && [ "$(stat -c '%s %a %u' "$1")" = "$2 600 0" ]
}

# make_swap_file FILE SIZE: without a hole in it, and without writing it: what was in those blocks reads as zeros.
make_swap_file() {
    rm -rf "$1"
    (umask 0177 && fallocate -l "$2" "$1") 2>"$RUN/said" && return
    WHY="no file of $2 bytes can be made on its overlay: $(tail -n 1 "$RUN/said")"
    rm -f "$1"
    return 1
}

# use_swap_file FILE
use_swap_file() {
    local disk options=
    read -r disk <"$RUN/disk"
    ! can_discard "$disk" || options=-d
    : >"$RUN/swap"
    # shellcheck disable=SC2086 # no word at all when it is empty
    { mount -o bind "$1" "$RUN/swap" && mkswap "$RUN/swap" && swapon $options "$RUN/swap"; } >"$RUN/said" 2>&1 && return
    WHY="$(tail -n 1 "$RUN/said")"
    umount "$RUN/swap" 2>/dev/null
    rm -f "$RUN/swap"
    return 1
}

# swap_to_zram SIZE: half of the memory where none is said.
swap_to_zram() {
    local size=${1:-$(half_of_memory)} disk=zram0
    modprobe -q -b -a lzo_rle zram 2>/dev/null
    [ -e "$SYS/block/$disk/disksize" ] || { WHY="its kernel has no zram" && return 1; }
    { echo "$size" >"$SYS/block/$disk/disksize" && mkswap "$DEV/$disk" && swapon "$DEV/$disk"; } >"$RUN/said" 2>&1 && return
    WHY="$(tail -n 1 "$RUN/said")"
    return 1
}

half_of_memory() {
    local key value
    while read -r key value _; do
        [ "$key" != MemTotal: ] || { echo $((value * 512)) && return; }
    done <"$PROC/meminfo"
}
