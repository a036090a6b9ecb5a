# shellcheck shell=dash
# From disks to a root filesystem: the overlay (overlay.sh), the lowers it belongs to, overlayfs on top.
# Every function here refuses (refuse.sh) rather than carry on with something else.

: "${PROC:=/proc}" "${SYS:=/sys}" "${RUN:=/run/skinnybox}"

# boot_stack ROOT: the whole way. Leaves the overlay's disk writable at ROOT/media/root-rw: close_stack ends that; and
# the memory that is thrown away, where there is some, at RUN/memory: hide_upper ends that.
boot_stack() {
    mkdir -m 0700 "$RUN" "$RUN/overlay" "$RUN/lower" "$RUN/lower/0"
    listen
    open_overlay
    read_base
    mount_lowers
    choose_seed "$RUN/overlay/skinnybox/seed"
    prepare_upper
    mount_root "$1"
    start_swap
    show_parts "$1"
}

# mount_lowers: every image named in base, the master first, on RUN/lower/N; sets LOWERS, topmost first.
mount_lowers() {
    local number=0 uuid
    LOWERS=
    : >"$RUN/images"
    : >"$RUN/dax"
    : >"$RUN/lowers"
    message_values "$RUN/base" image >"$RUN/wanted"
    while read -r _ uuid; do
        mount_lower "$(lower_name "$number")" "$uuid" "$RUN/lower/$number"
        LOWERS=$RUN/lower/$number${LOWERS:+:$LOWERS}
        number=$((number + 1))
    done <"$RUN/wanted"
    [ "$number" -gt 0 ] || refuse "the overlay names no image it belongs to"
}

lower_name() {
    if [ "$1" -eq 0 ]; then host_parameter master || echo skinny-master; else layer_name "$1"; fi
}

# layer_name NUMBER: of the names that the host said, from the lowest up; else the serial. Never nothing: that is the serial of
# every disk which has none.
layer_name() {
    local names number=$1
    names=$(host_parameter layers) || names=
    while [ "$number" -gt 1 ]; do
        case $names in *,*) names=${names#*,} ;; *) names= ;; esac
        number=$((number - 1))
    done
    names=${names%%,*}
    printf '%s\n' "${names:-skinny-layer-$1}"
}

# mount_lower NAME UUID FOLDER
mount_lower() {
    find_image "$1" "$2"
    read_image "$DISK" || refuse "the disk $1 ($DISK) holds no image"
    [ "$IMAGE_UUID" = "$2" ] || refuse "the overlay belongs to the image $2, and the disk $1 holds $IMAGE_UUID"
    [ -d "$3" ] || mkdir -p "$3"
    mount_image "$IMAGE_FORMAT" "$DISK" "$3" || refuse "the image on $1 ($DISK) cannot be mounted"
    echo "$IMAGE_UUID" >>"$RUN/images"
    echo "$DISK" >>"$RUN/lowers"
    mapped "$3" >>"$RUN/dax"
}

# mount_image FORMAT DISK FOLDER: memory is mapped where the kernel can; where it cannot, the host learns from the report.
# Nothing is ever written to an ext4, so there is no journal to be loaded.
mount_image() {
    case $1:${2##*/} in
    ext4:*)
        mount -t ext4 -o ro,noload "$2" "$3"
        return
        ;;
    erofs:pmem*) mount -t erofs -o ro,dax=always "$2" "$3" && return ;;
    esac
    mount -t erofs -o ro "$2" "$3"
}

# mapped FOLDER: on or off, as it is really mounted: a kernel that cannot map an image mounts it all the same.
mapped() {
    local place options found=off
    while read -r _ place _ options _; do
        [ "$place" = "$1" ] || continue
        case ,$options, in
        *,dax,* | *,dax=always,*) found=on ;;
        *) found=off ;;
        esac
    done <"$PROC/mounts"
    echo "$found"
}

# mount_root ROOT: what a mount of overlayfs says of its source means nothing to the kernel, and much to programs that
# look for the disk below the root: grub-probe fails where that is no device, and update-grub, dpkg and apt with it.
mount_root() {
    local kind=overlay options=lowerdir=$LOWERS,upperdir=$UPPER/upper source
    read -r source <"$RUN/disk"
    if knows_filesystem overlay || ! knows_filesystem overlayfs; then
        options=$options,workdir=$UPPER/work$(overlayfs_options)
    else
        # As Ubuntu 12.04 and 14.04 had it before Linux 3.18: no work directory, no options, a single lower.
        kind=overlayfs
        case $LOWERS in *:*) refuse "this kernel's overlayfs takes no layers above a master" ;; esac
    fi
    mount -t "$kind" -o "$options" "$source" "$1" || refuse "overlayfs cannot be mounted ($options)"
}

# knows_filesystem NAME: whether the kernel has it now: built in, or its module loaded.
knows_filesystem() {
    local known
    [ -r "$PROC/filesystems" ] || return 1
    while read -r known; do
        [ "${known##*[[:space:]]}" != "$1" ] || return 0
    done <"$PROC/filesystems"
    return 1
}

# overlayfs_options: each said aloud, because kernels are built with other defaults, and an overlay that once had
# one of them on cannot be moved to another master. A kernel without the parameter does not know the option.
overlayfs_options() {
    local option parameter
    while read -r parameter option; do
        [ ! -e "$SYS/module/overlay/parameters/$parameter" ] || printf ',%s' "$option"
    done <<-END
	redirect_always_follow redirect_dir=nofollow
	index index=off
	metacopy metacopy=off
	xino_auto xino=off
	nfs_export nfs_export=off
	END
}

# show_parts ROOT: the shared master and the overlay's disk, where what runs in the new root before its init finds them.
# They are no mount points any more once it runs, so somebody may have taken the empty folders away.
show_parts() {
    local view
    for view in root-ro root-rw; do [ -d "$1/media/$view" ] || mkdir -p "$1/media/$view" || :; done
    mount -o move "$RUN/lower/0" "$1/media/root-ro" || refuse "the master cannot be shown at /media/root-ro"
    mount -o move "$RUN/overlay" "$1/media/root-rw" || refuse "the overlay cannot be shown at /media/root-rw"
}

# close_stack ROOT: overlayfs holds its parts by itself, so no view of them stays. Nobody may write to an upper directory
# that is in use; and a master is full by nature, at which `df` and what watches filesystems would alarm for ever.
# `skinnybox-guest look` shows both again, to whom it was asked by.
close_stack() {
    local layer
    show_disk "$1"
    umount "$1/media/root-rw" || mount -o remount,bind,ro none "$1/media/root-rw" ||
        refuse "the view of the overlay cannot be made read-only"
    umount "$1/media/root-ro" || :
    for layer in "$RUN"/lower/[1-9]*; do
        [ ! -d "$layer" ] || umount "$layer"
    done
    tell_inside
}

# show_disk ROOT: an empty folder of the overlay's disk, which root alone enters. Most of what watches filesystems passes
# over the kind `overlay`, and over /media and /run, and saw no filesystem here at all. By this one it sees how full the
# disk is, fstrim trims it, and what freezes filesystems for a backup freezes it: overlayfs itself can do neither.
show_disk() {
    [ -d "$1/var/lib/skinnybox/disk" ] && [ -d "$1/media/root-rw/lost+found" ] || return 0
    mount -o bind "$1/media/root-rw/lost+found" "$1/var/lib/skinnybox/disk" || :
}

# tell_inside: what anybody in the machine may know of it; RUN is root's alone.
tell_inside() {
    local line
    umask 022
    {
        while read -r line; do printf '%s\n' "$line"; done <"$RUN/base/lines"
        while read -r line; do printf 'disk %s\n' "$line"; done <"$RUN/disk"
        while read -r line; do printf 'lower %s\n' "$line"; done <"$RUN/lowers"
        while read -r line; do printf 'dax %s\n' "$line"; done <"$RUN/dax"
        [ ! -d "$RUN/memory" ] || echo 'upper memory'
        [ ! -r "$RUN/direct" ] || while read -r line; do printf 'direct %s\n' "$line"; done <"$RUN/direct"
    } >"$RUN-inside"
}
