# shellcheck shell=dash
# The whole way from a kernel with an initramfs to a root filesystem, whatever made the initramfs.

# boot_root ROOT: mounts this machine's root filesystem there, and lets it become what the seed says.
boot_root() {
    boot_stack "$1"
    mount_data "$1"
    hide_upper
    seed_if_due "$1"
    follow_name "$1"
    bound_journal "$1"
    close_stack "$1"
}

# finish_before_init ROOT: what a rebase has left is done before any service, which an init without units cannot say: it
# is run by what does that first.
# shellcheck disable=SC2034 # init's
finish_before_init() {
    [ ! -e "$1/var/lib/skinnybox/rebase" ] || [ ! -x "$1/usr/lib/skinnybox/before-init" ] ||
        BEFORE=/usr/lib/skinnybox/before-init
}

# seed_if_due ROOT: the chosen one, once per generation, so that an administrator's edits survive a boot.
seed_if_due() {
    ! seed_is_due "$1" || apply_seed "$1"
}

seed_is_due() {
    [ "$(applied_seed "$1")" != "$GENERATION $(host_parameter instance)" ]
}

# choose_seed FILE: of the overlay's seed and what the host says now, the newer; RUN/seed and GENERATION are its own
# then. A newer one is kept on the overlay first: a host that says nothing the next time must not bring the old one back.
choose_seed() {
    local kept=0
    if [ -s "$RUN/host/seed" ]; then
        if seed_of_this_machine "$1"; then kept=$GENERATION; fi
        seed_of_this_machine "$RUN/host/seed" || refuse "the seed the host says $UNFIT"
        [ "$GENERATION" -le "$kept" ] || { keep_seed "$RUN/host/seed" "$1" && return; }
    fi
    seed_of_this_machine "$1" || refuse "the seed on the overlay $UNFIT"
}

# seed_of_this_machine FILE: unpacks it and sets GENERATION; or fails, and sets UNFIT to why.
seed_of_this_machine() {
    local instance
    UNFIT='cannot be read'
    message_unpack "$1" seed "$RUN/seed" || return 1
    UNFIT='has no generation'
    GENERATION=$(message_value "$RUN/seed" generation) || return 1
    case $GENERATION in *[!0-9]* | ??????????*) return 1 ;; esac
    UNFIT='names no machine'
    instance=$(message_value "$RUN/seed" instance) || return 1
    UNFIT="is for the machine $instance"
    [ "$instance" = "$(host_parameter instance)" ]
}

# keep_seed FROM FILE: in place, as the host has preallocated the file and knows its blocks; what follows is padding.
keep_seed() {
    [ "$(wc -c <"$1")" -le "$(wc -c <"$2")" ] || refuse "the seed the host says is larger than the overlay's place for it"
    dd if="$1" of="$2" bs=65536 conv=notrunc,fsync 2>/dev/null || refuse "the seed the host says cannot be kept on the overlay"
}

# apply_seed ROOT
apply_seed() {
    local line
    in_root "$1" /usr/lib/skinnybox/apply-seed "$RUN/seed" || refuse "the seed cannot be applied: $(tail -n 3 "$RUN/said")"
    while read -r line; do
        case $line in 'note: '*) printf 'skinnybox: %s\n' "${line#note: }" ;; esac
    done <"$RUN/said"
}

# follow_name ROOT: where the seed says so, this machine's hostname is what it is called at its host, at each boot.
follow_name() {
    local name now=
    message_value "$RUN/seed" hostname-from >/dev/null && name=$(hostname_of "$(host_parameter name)") || return 0
    [ ! -r "$1/etc/hostname" ] || read -r now <"$1/etc/hostname" || :
    [ "$now" != "$name" ] || return 0
    in_root "$1" /usr/lib/skinnybox/apply-seed --hostname "$name" || refuse "the hostname cannot be changed to $name: $(tail -n 3 "$RUN/said")"
}

# hostname_of NAME: what of it a hostname can hold; fails when that is nothing.
hostname_of() {
    local name
    name=$(printf '%s' "$1" | tr 'A-Z _.' 'a-z---' | tr -cd 'a-z0-9-' | cut -c1-63 | sed 's/^-*//; s/-*$//')
    [ -n "$name" ] && printf '%s\n' "$name"
}

# in_root ROOT PROGRAM...: with the guest's own programs, before its own init starts. They get /dev and our own folder;
# what they say is in RUN/said.
in_root() {
    local root=$1 folder code=0
    shift
    for folder in /dev "$RUN"; do
        [ -d "$root$folder" ] || mkdir -p "$root$folder"
        mount -o bind "$folder" "$root$folder" || refuse "$folder cannot be shown to the new root"
    done
    # An init before us may export a ROOT of its own, which means something else.
    ROOT='' chroot "$root" "$@" >"$RUN/said" 2>&1 || code=$?
    umount "$root$RUN" && umount "$root/dev"
    return "$code"
}
