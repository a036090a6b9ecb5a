#!/bin/sh
# install-into.sh TREE: the whole of install.sh in a tree that strangers may have made, so all of it happens chrooted.
# Run it in mount and pid namespaces of its own: what is mounted here goes with them.
set -eu
[ $# -eq 1 ] && [ -d "$1" ] || { echo "usage: install-into.sh TREE" >&2 && exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
tree=$1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive

# mount_point NAME: a symlink there could lead outside.
mount_point() {
    [ ! -L "$tree/$1" ] || { echo "install-into.sh: /$1 of the tree is a symlink" >&2 && exit 1; }
    mkdir -p "$tree/$1"
}

# A tree without device files would get plain files of their names. Bound, not made: that needs no real root.
mount_devices() {
    local name
    mount_point dev
    mount -t tmpfs -o mode=0755 dev "$tree/dev"
    for name in null zero random urandom; do
        : >"$tree/dev/$name"
        mount --bind "/dev/$name" "$tree/dev/$name"
    done
}

mount_point proc
mount -t proc proc "$tree/proc" || mount --rbind /proc "$tree/proc"
mount_devices
mkdir "$tree/dev/guest"
cp -R "$here/." "$tree/dev/guest/"
chroot "$tree" sh /dev/guest/install.sh all / </dev/null
