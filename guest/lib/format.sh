# shellcheck shell=dash
# The first boot of a machine whose overlay arrived blank: it is formatted here, as the host would have done it.
# Only on the host's order, which names this machine and is taken back once it was ready; and only a disk that is
# blank where filesystems, partition tables and volume managers begin: what lost its superblock is not new.

: "${SYS:=/sys}" "${RUN:=/run/skinnybox}" "${MKE2FS:=/usr/lib/skinnybox/mke2fs}"

FORMAT_FEATURES=none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum,metadata_csum_seed
# The disk reads as zeros: whoever gives the order made it so.
FORMAT_EXTENDED=assume_storage_prezeroed=1,lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0

# format_data_if_ordered DISK: an order of its own, as a machine may be given a data disk long after its overlay.
format_data_if_ordered() {
    local ordered
    ordered=$(host_parameter format-data) || return 0
    is_blank "$1" || return 0
    [ "$ordered" = "$(host_parameter instance)" ] || refuse "the data disk on $1 is blank, and the order to format is for the machine $ordered"
    echo "skinnybox: formatting the blank data disk on $1"
    rm -rf "$RUN/format"
    mkdir -m 0755 "$RUN/format" "$RUN/format/folders"
    mkdir -m 0700 "$RUN/format/skinnybox"
    printf 'skinnybox-base 1\ninstance %s\nend\n' "$ordered" >"$RUN/format-base"
    (umask 0177 && padded "$RUN/format-base" 4096 >"$RUN/format/skinnybox/base")
    make_filesystem "$1" skinny-data >"$RUN/said" 2>&1 || refuse "the blank data disk on $1 cannot be formatted: $(tail -n 2 "$RUN/said")"
    rm -rf "$RUN/format" "$RUN/mke2fs.conf"
}

# format_if_ordered DISK
format_if_ordered() {
    local ordered
    ordered=$(host_parameter format) || return 0
    is_blank "$1" || return 0
    [ "$ordered" = "$(host_parameter instance)" ] || refuse "the overlay on $1 is blank, and the order to format is for the machine $ordered"
    names_us base && names_us seed || refuse "the overlay on $1 is blank, and the host did not say what to put on it"
    echo "skinnybox: formatting the blank overlay on $1"
    fill_format
    make_filesystem "$1" skinny-overlay >"$RUN/said" 2>&1 || refuse "the blank overlay on $1 cannot be formatted: $(tail -n 2 "$RUN/said")"
    rm -rf "$RUN/format" "$RUN/mke2fs.conf"
}

# names_us NAME: that message of the host is whole, and for this machine.
names_us() {
    [ -e "$RUN/host/$1" ] && message_unpack "$RUN/host/$1" "$1" "$RUN/format-$1" || return 1
    [ "$(message_value "$RUN/format-$1" instance)" = "$(host_parameter instance)" ]
}

# mib_of DISK: its size, in whole MiB.
mib_of() {
    local sectors
    read -r sectors <"$SYS/block/${1##*/}/size" && echo $((sectors / 2048))
}

# is_blank DISK: zeros in its first and last MiB, and where ext4 keeps its first copies of the superblock.
is_blank() {
    local mib at
    mib=$(mib_of "$1") && [ "$mib" -gt 0 ] || return 1
    for at in 0 128 384 $((mib - 1)); do
        [ "$at" -ge "$mib" ] || is_zero "$1" "$at" || return 1
    done
}

# is_zero DISK MIB: what cannot be read is not zero.
is_zero() {
    dd if="$1" of="$RUN/piece" bs=1048576 skip="$2" count=1 2>/dev/null || return 1
    [ "$(tr -d '\000' <"$RUN/piece" | wc -c)" -eq 0 ] && [ -s "$RUN/piece" ]
}

# fill_format: what a fresh overlay holds, in RUN/format.
fill_format() {
    local size
    rm -rf "$RUN/format"
    mkdir -m 0755 "$RUN/format" "$RUN/format/upper" "$RUN/format/work"
    mkdir -m 0700 "$RUN/format/skinnybox"
    size=$(wc -c <"$RUN/host/seed")
    (
        umask 0177
        padded "$RUN/host/base" 4096 >"$RUN/format/skinnybox/base"
        padded "$RUN/host/seed" "$(seed_place "$size")" >"$RUN/format/skinnybox/seed"
        padded /dev/null 32768 >"$RUN/format/skinnybox/identity"
    )
}

# padded FILE SIZE: with newlines: mke2fs leaves blocks of zeros out, and these files must have their place.
padded() {
    { cat "$1" && yes ''; } 2>/dev/null | head -c "$2"
}

# seed_place SIZE: the bytes that are kept for a seed, the next power of two.
seed_place() {
    local place=16384
    while [ "$place" -lt "$1" ]; do place=$((place * 2)); done
    echo "$place"
}

# make_filesystem DISK LABEL: filesystem and content in one go. mke2fs writes the superblock last, so that what a power cut
# leaves is blank again.
make_filesystem() {
    local mib ratio=16384 journal=128 grown
    mib=$(mib_of "$1")
    [ "$mib" -ge 512 ] || ratio=8192
    [ "$mib" -ge 16384 ] || journal=64
    [ "$mib" -ge 2048 ] || journal=16
    [ "$mib" -ge 256 ] || journal=4
    grown=$((mib * 16))
    [ "$grown" -ge 32768 ] || grown=32768
    printf '[defaults]\n\tbase_features = none\n\tdefault_mntopts = acl,user_xattr\n\tenable_periodic_fsck = 0\n' >"$RUN/mke2fs.conf"
    printf '[fs_types]\n\tskinny = {\n\t}\n' >>"$RUN/mke2fs.conf"
    MKE2FS_CONFIG=$RUN/mke2fs.conf "$MKE2FS" -q -F -T skinny -O "$FORMAT_FEATURES" -b 4096 -I 256 -m 1 -i "$ratio" \
        -J "size=$journal" -L "$2" -E "$FORMAT_EXTENDED,resize=$((grown * 256))" \
        -d "$RUN/format" "$1" "$((mib * 1024))k"
}
