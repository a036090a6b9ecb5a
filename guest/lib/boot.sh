# shellcheck shell=dash
# The whole way from a kernel with an initramfs to a root filesystem, whatever made the initramfs.

# boot_root ROOT: mounts this machine's root filesystem there, and lets it become what the seed says.
boot_root() {
    boot_stack "$1"
    seed_if_due "$1"
    close_stack "$1"
}

# seed_if_due ROOT: once per generation, so that an administrator's edits survive a boot.
seed_if_due() {
    local generation instance
    message_unpack "$1/media/root-rw/skinnybox/seed" seed "$RUN/seed" || refuse "the seed on the overlay cannot be read"
    generation=$(message_value "$RUN/seed" generation) || refuse "the seed on the overlay has no generation"
    instance=$(message_value "$RUN/seed" instance) || refuse "the seed on the overlay names no machine"
    [ "$instance" = "$(host_parameter instance)" ] || refuse "the seed on the overlay is for the machine $instance"
    [ "$(applied_seed "$1")" = "$generation $instance" ] || apply_seed "$1"
}

# apply_seed ROOT: with the guest's own programs, before its own init starts. They get /dev and our own folder.
apply_seed() {
    local folder
    for folder in /dev "$RUN"; do
        [ -d "$1$folder" ] || mkdir -p "$1$folder"
        mount -o bind "$folder" "$1$folder" || refuse "$folder cannot be shown to the new root"
    done
    # initramfs-tools exports a ROOT of its own, which means something else.
    if ! ROOT='' chroot "$1" /usr/lib/skinnybox/apply-seed "$RUN/seed" >"$RUN/said" 2>&1; then
        refuse "the seed cannot be applied: $(tail -n 3 "$RUN/said")"
    fi
    umount "$1$RUN" && umount "$1/dev"
}
