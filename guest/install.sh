#!/bin/sh
# install.sh files|configure|all ROOT: puts the guest part of Skinnybox into a root filesystem. Idempotent.
#   files      only copies; may run before any package is configured, so that the kernel's initramfs is made once
#   configure  what needs the packages: run as root (chroot), after they are configured
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)

# inside COMMAND...: in the root filesystem, which may be the one we run in.
inside() {
    if [ -n "$root" ]; then chroot "$root" "$@"; else "$@"; fi
}

# put SOURCE TARGET MODE: a file that is already right keeps its time.
put() {
    if ! cmp -s "$here/$1" "$root$2"; then
        mkdir -p "$(dirname "$root$2")"
        cp "$here/$1" "$root$2"
        changed=yes
    fi
    chmod "$3" "$root$2"
}

put_programs() {
    local file
    for file in "$here"/lib/*.sh; do put "lib/${file##*/}" "/usr/lib/skinnybox/lib/${file##*/}" 0644; done
    for file in "$here"/bin/*; do put "bin/${file##*/}" "/usr/lib/skinnybox/${file##*/}" 0755; done
}

put_initramfs() {
    local tools=/usr/share/initramfs-tools
    put initramfs-tools/hooks/skinnybox $tools/hooks/skinnybox 0755
    put initramfs-tools/scripts/skinnybox $tools/scripts/skinnybox 0644
    put initramfs-tools/scripts/init-top/skinnybox $tools/scripts/init-top/skinnybox 0755
    put initramfs-tools/scripts/init-bottom/skinnybox $tools/scripts/init-bottom/skinnybox 0755
    put initramfs-tools/conf.d/skinnybox $tools/conf.d/skinnybox 0644
}

# shutdown_folder: where systemd looks, and nowhere else: beside its own programs, which Debian 11 has in a /lib that
# is a folder of its own. Of units and configuration it also reads those in /usr/lib.
shutdown_folder() {
    if [ -d "$root/lib" ] && [ ! -L "$root/lib" ]; then
        echo /lib/systemd/system-shutdown
    else
        echo /usr/lib/systemd/system-shutdown
    fi
}

put_units() {
    local system=/usr/lib/systemd/system
    put systemd/skinnybox-report.service $system/skinnybox-report.service 0644
    put systemd/skinnybox-run-once.service $system/skinnybox-run-once.service 0644
    put systemd/wait-online.conf $system/systemd-networkd-wait-online.service.d/skinnybox.conf 0644
    put systemd/emergency.conf $system/emergency.service.d/skinnybox.conf 0644
    put systemd/emergency.conf $system/rescue.service.d/skinnybox.conf 0644
    put systemd/journald.conf /usr/lib/systemd/journald.conf.d/skinnybox.conf 0644
    put systemd/shutdown "$(shutdown_folder)/skinnybox" 0755
    mkdir -p "$root$system/multi-user.target.wants"
    ln -sf ../skinnybox-report.service "$root$system/multi-user.target.wants/"
}

# The version file goes last: it is there only when all of the rest is, and is newer than any file that changed.
install_files() {
    changed=no
    put_programs
    put_initramfs
    put_units
    mkdir -p "$root/media/root-ro" "$root/media/root-rw"
    [ "$changed" = no ] || rm -f "$root/usr/lib/skinnybox/protocol"
    put protocol /usr/lib/skinnybox/protocol 0644
}

# A skinny machine's root is no line of its fstab, it boots from no disk, and its swap is not the master's; other
# lines are kept.
empty_fstab() {
    [ -f "$root/etc/fstab" ] || return 0
    awk '/^[[:space:]]*#/ || ($2 !~ /^\/(boot|boot\/efi|efi)?$/ && $3 != "swap")' "$root/etc/fstab" >"$root/etc/fstab.new"
    cmp -s "$root/etc/fstab.new" "$root/etc/fstab" || cat "$root/etc/fstab.new" >"$root/etc/fstab"
    rm "$root/etc/fstab.new"
}

# Kernel and initramfs belong to the master: one installed in a machine would fill its overlay and never boot.
hold_kernel() {
    local kernels
    # shellcheck disable=SC2016 # dpkg-query's own variables
    kernels=$(inside dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'linux-image*' | awk '$1 == "installed" { print $2 }')
    # shellcheck disable=SC2086 # one word per package
    [ -z "$kernels" ] || inside apt-mark hold $kernels >/dev/null
}

enable_network() {
    [ ! -e "$root/usr/lib/systemd/systemd-networkd" ] && [ ! -e "$root/lib/systemd/systemd-networkd" ] || inside systemctl enable systemd-networkd.service
}

# What a machine of this kind has no use for: LVM snapshots to check, crash dumps in firmware, and drivers that would
# be loaded when first used anyway. Kept in /etc, where an administrator can undo it.
spare_boot() {
    local unit
    for unit in e2scrub_reap.service e2scrub_all.timer systemd-pstore.service; do
        inside systemctl disable "$unit" 2>/dev/null || :
    done
    for unit in configfs dm_mod drm efi_pstore fuse loop; do
        inside systemctl mask "modprobe@$unit.service" 2>/dev/null || :
    done
    # Else the first boot of every machine would find /usr newer than this and run ldconfig, sysusers and hwdb.
    [ ! -x "$root/usr/lib/systemd/systemd-update-done" ] || inside /usr/lib/systemd/systemd-update-done
}

# Every kernel whose initramfs is older than the newest file of ours, or not there.
make_initramfs() {
    local image version
    for image in "$root"/boot/vmlinuz-*; do
        [ -e "$image" ] || continue
        version=${image##*/vmlinuz-}
        [ "$root/boot/initrd.img-$version" -nt "$root/usr/lib/skinnybox/protocol" ] ||
            inside update-initramfs -c -k "$version"
    done
}

# In a machine a new initramfs would cost seconds at every upgrade of a package, and never boot.
stop_initramfs() {
    local conf=$root/etc/initramfs-tools/update-initramfs.conf
    [ ! -f "$conf" ] || sed -i 's/^update_initramfs=.*/update_initramfs=no/' "$conf"
}

install_configuration() {
    empty_fstab
    hold_kernel
    enable_network
    spare_boot
    make_initramfs
    stop_initramfs
}

usage() {
    echo "usage: install.sh files|configure|all ROOT" >&2
    exit 2
}

[ $# -eq 2 ] && [ -d "$2" ] || usage
root=${2%/}
case $1 in
files) install_files ;;
configure) install_configuration ;;
all) install_files && install_configuration ;;
*) usage ;;
esac
