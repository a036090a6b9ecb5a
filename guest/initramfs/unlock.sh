# shellcheck shell=dash
# An encrypted overlay (LUKS2). This lies in an archive of its own, which only machines that have one boot with
# (masters/initramfs/encryption.py), over the initramfs of a master of any age: so it takes open_overlay's place, and
# uses of the library what every initramfs with this protocol has.
#
# The host hands over in firmware (fw_cfg), at each start: key; seed and base, which it cannot write to this disk; and,
# for a disk that it never saw written, format and volume-key. Nothing else is formatted: what is neither blank nor
# encrypted for this machine is left as it is, and the machine stays down. It never starts without its overlay.

: "${SYS:=/sys}" "${DEV:=/dev}" "${RUN:=/run/skinnybox}" "${CRYPT:=/usr/lib/skinnybox/crypt}"

MAPPED=skinny-overlay
# An overlay is LUKS_NEW from its header's first write on until its filesystem is whole.
LUKS_NEW=skinny-new LUKS_WHOLE=skinny-overlay
LUKS2=4c554b53babe0002
# One passphrase more a second is no danger to a key of 256 random bits: no time and no memory is spent on it, of which
# a small machine has too little for what is usual (argon2 takes up to 1 GiB). What is below 2 MiB is the header.
LUKS_FORMAT='--type luks2 --cipher aes-xts-plain64 --key-size 512 --hash sha256 --pbkdf pbkdf2 --pbkdf-force-iterations 1000
    --sector-size 4096 --luks2-metadata-size 16k --luks2-keyslots-size 2016k'

# open_overlay: finds the one overlay of this machine, opens it with the host's key, mounts it on RUN/overlay.
open_overlay() {
    local options=rw disk label
    hear_key
    find_disk "$(host_parameter overlay || echo skinny-overlay)"
    disk=$DISK
    load_cryptography
    if label=$(luks_label "$disk"); then
        check_owner "$disk"
    else
        encrypt_blank "$disk"
        label=$LUKS_NEW
    fi
    unlock "$disk"
    case $label in
    "$LUKS_WHOLE") ;;
    "$LUKS_NEW") fill_new "$disk" ;;
    *) refuse "the encrypted disk $disk is no overlay of ours" ;;
    esac
    check_disk "$DISK" overlay
    can_discard "$DISK" && options=rw,discard
    mount -t ext4 -o "$options" "$DISK" "$RUN/overlay" || refuse "the overlay in $disk cannot be mounted"
    fill_disk "$DISK"
    echo "$DISK" >"$RUN/disk"
}

# hear_key: and what else is said in firmware only.
hear_key() {
    local name
    for name in base seed; do hear_message firmware "$name"; done
    firmware_says format >"$RUN/host/format" || :
    [ "$(firmware_says key | head -c 1 | wc -c)" -eq 1 ] || refuse "the host gave no key for the encrypted overlay"
}

# load_cryptography: what of it is built in, or loaded already, or for other processors, fails.
load_cryptography() {
    local module
    while read -r module; do
        insmod "$CRYPT/modules/$module.ko" 2>/dev/null || :
    done <"$CRYPT/modules.list"
}

# luks_field DISK OFFSET LENGTH: a text of the header.
luks_field() {
    dd if="$1" bs=1 skip="$2" count="$3" 2>/dev/null | tr -cd ' -~'
}

# luks_label DISK: what its header is called; fails where there is none.
luks_label() {
    [ "$(dd if="$1" bs=8 count=1 2>/dev/null | od -A n -v -t x1 | tr -d ' \n')" = "$LUKS2" ] && luks_field "$1" 24 48
}

# check_owner DISK: a header's UUID is its machine's.
check_owner() {
    local owner wanted
    owner=$(luks_field "$1" 168 40)
    wanted=$(host_parameter instance) || refuse "the host did not say which machine this is (skinnybox.instance)"
    [ "$owner" = "$wanted" ] || refuse "the encrypted overlay on $1 belongs to the machine $owner, and this is $wanted"
}

# encrypt_blank DISK: on the host's order only.
encrypt_blank() {
    local size
    is_blank "$1" || refuse "the overlay on $1 is neither blank nor encrypted: it is left as it is (skinnybox reset makes it anew)"
    require_order "$1"
    size=$(firmware_says volume-key | wc -c)
    [ "$size" -eq 64 ] || refuse "the overlay on $1 is blank, and the host gave nothing to encrypt it with"
    echo "skinnybox: encrypting the blank overlay on $1"
    # Random bytes of the host's: a machine that has just begun may have too few of its own.
    (umask 0177 && firmware_says volume-key >"$RUN/volume-key")
    # shellcheck disable=SC2086 # words
    with_key luksFormat --batch-mode $LUKS_FORMAT --label "$LUKS_NEW" --uuid "$(host_parameter instance)" \
        --volume-key-file "$RUN/volume-key" --key-file - "$1" || refuse "the overlay on $1 cannot be encrypted: $(tail -n 1 "$RUN/said")"
    rm -f "$RUN/volume-key"
}

# require_order DISK
require_order() {
    local ordered
    ordered=$(host_parameter format) || refuse "the overlay on $1 is blank, and the host gave no order to format it"
    [ "$ordered" = "$(host_parameter instance)" ] || refuse "the overlay on $1 is blank, and the order to format is for the machine $ordered"
}

# unlock DISK: sets DISK to what is in it.
unlock() {
    local code=0 name found
    with_key open --type luks2 --allow-discards --key-file - "$1" "$MAPPED" || code=$?
    [ "$code" -ne 2 ] || refuse "the key does not open the encrypted overlay on $1"
    [ "$code" -eq 0 ] || refuse "the encrypted overlay on $1 cannot be opened: $(tail -n 1 "$RUN/said")"
    for found in "$SYS"/block/dm-*; do
        [ -r "$found/dm/name" ] && read -r name <"$found/dm/name" && [ "$name" = "$MAPPED" ] || continue
        DISK=$DEV/${found##*/}
        return 0
    done
    refuse "the encrypted overlay on $1 was opened, and is nowhere"
}

# fill_new DISK: a filesystem, also where a start was killed that made one. What is not written yet reads as noise, not
# as zeros.
fill_new() {
    require_order "$1"
    names_us base && names_us seed || refuse "the overlay on $1 is blank, and the host did not say what to put on it"
    # shellcheck disable=SC2034 # format.sh's
    FORMAT_EXTENDED=lazy_itable_init=1,lazy_journal_init=0,nodiscard,root_owner=0:0
    fill_format
    make_filesystem "$DISK" skinny-overlay >"$RUN/said" 2>&1 || refuse "the blank overlay on $1 cannot be formatted: $(tail -n 2 "$RUN/said")"
    rm -rf "$RUN/format" "$RUN/mke2fs.conf"
    sync
    program cryptsetup config --label "$LUKS_WHOLE" "$1" >"$RUN/said" 2>&1 || refuse "the overlay on $1 cannot be named: $(tail -n 1 "$RUN/said")"
}

# fill_disk DISK: the filesystem takes all of a disk that the host made larger. It is well without.
fill_disk() {
    # shellcheck disable=SC2046 # one word per byte
    set -- "$1" $(superblock "$1")
    [ $# -gt 9 ] && [ "$((0x$9$8$7$6))" -lt "$(($(mib_of "$1") * 256))" ] || return 0
    echo "skinnybox: the overlay's filesystem grows with its disk"
    program resize2fs "$1" >"$RUN/said" 2>&1 || echo "skinnybox: it does not: $(tail -n 1 "$RUN/said")"
}

# with_key WORD...: cryptsetup, with the key where `--key-file -` reads it.
with_key() {
    firmware_says key | program cryptsetup "$@" >"$RUN/said" 2>&1
}

# program NAME WORD...: one of this archive, with its own libraries. There is no udev yet to make devices.
program() {
    local name=$1
    shift
    if [ -x "$CRYPT/loader" ]; then
        DM_DISABLE_UDEV=1 "$CRYPT/loader" --library-path "$CRYPT" "$CRYPT/$name" "$@"
    else
        DM_DISABLE_UDEV=1 "$CRYPT/$name" "$@"
    fi
}
