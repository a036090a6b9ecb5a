# shellcheck shell=dash
# The data disk: folders of this machine that outlive its system. Which ones the seed says (`data FOLDER`), at every
# boot. Each is a folder of that disk, bound over the root filesystem before anything in there starts, so that what is
# written there never gets to the overlay. A machine that is to have the disk, and cannot get just its own, stays down:
# with an empty folder in its place a database would begin anew.

: "${RUN:=/run/skinnybox}" "${LIB:=/usr/lib/skinnybox/lib}"

# mount_data ROOT: no disk without such a line. What container engines keep (direct.sh) comes first: one of the folders
# may lie in theirs.
mount_data() {
    local folder
    message_values "$RUN/seed" data >"$RUN/data-folders"
    [ ! -s "$RUN/data-folders" ] || { open_data && own_folders "$1"; }
    mount_direct "$1"
    [ -s "$RUN/data-folders" ] || return 0
    while read -r folder; do
        require_way "$1" "$folder"
        fill_folder "$1" "$folder" "$(data_name "$folder")"
        bind_folder "$1" "$folder" "$(data_name "$folder")"
    done <"$RUN/data-folders"
    # The folders are mounts of their own by now; nothing leads to the rest of the disk.
    umount "$RUN/data" || refuse "the data disk cannot be left but for its folders"
}

# open_data: finds the one data disk of this machine, and mounts it on RUN/data.
open_data() {
    local options=rw wanted instance
    find_disk "$(host_parameter data || echo skinny-data)"
    format_data_if_ordered "$DISK"
    check_disk "$DISK" data
    can_discard "$DISK" && options=rw,discard
    [ -d "$RUN/data" ] || mkdir -m 0700 "$RUN/data"
    mount -t ext4 -o "$options" "$DISK" "$RUN/data" || refuse "the data disk on $DISK cannot be mounted"
    printf '%s\n' "$DISK" >"$RUN/data-disk" # for the reports of how full it is
    message_unpack "$RUN/data/skinnybox/base" base "$RUN/data-base" || refuse "the data disk on $DISK does not say whose it is (skinnybox/base)"
    wanted=$(host_parameter instance) || wanted=nobody
    instance=$(message_value "$RUN/data-base" instance) || instance=nobody
    [ "$instance" = "$wanted" ] || refuse "the data disk on $DISK belongs to the machine $instance, and this is $wanted"
    [ -d "$RUN/data/folders" ] && [ ! -L "$RUN/data/folders" ] || refuse "the data disk on $DISK has no folders"
    echo "$DISK" >"$RUN/data-disk"
}

# own_folders ROOT: by the numbers that accounts have in this system. Where no rebase has ever moved one, nothing is read.
own_folders() {
    [ -e "$1/var/lib/skinnybox/owners" ] || [ -e "$RUN/data/skinnybox/owners" ] ||
        [ -e "$RUN/data/skinnybox/owners.moving" ] || return 0
    # shellcheck source=/dev/null
    . "$LIB/owners.sh"
    follow_owners "$1"
}

# data_name FOLDER: what it is called on the data disk; no folder of a seed has a % in it.
data_name() {
    local rest=${1#/} name=
    while [ "$rest" != "${rest#*/}" ]; do
        name=$name${rest%%/*}%
        rest=${rest#*/}
    done
    printf '%s\n' "$name$rest"
}

# require_way ROOT FOLDER: all on the way to it are folders, or not there yet. What lies behind a symlink would be
# bound in another place than it is looked for, or outside of the root.
require_way() {
    local way='' rest=$2/
    case $2 in /*[!/]) ;; *) refuse "the seed names no folder for the data disk: $2" ;; esac
    while rest=${rest#/} && [ -n "$rest" ]; do
        case ${rest%%/*} in '' | . | ..) refuse "the seed names no folder for the data disk: $2" ;; esac
        way=$way/${rest%%/*}
        rest=/${rest#*/}
        [ ! -L "$1$way" ] || refuse "$2 cannot be on the data disk: $way is a symbolic link"
        [ ! -e "$1$way" ] || [ -d "$1$way" ] || refuse "$2 cannot be on the data disk: $way is no folder"
    done
}

# fill_folder ROOT FOLDER NAME: at first it is what lies there without the disk. It gets its name when all of it is
# written: a machine that is killed meanwhile begins anew.
fill_folder() {
    local made=$RUN/data/folders/$3 new=$RUN/data/folders/%new
    [ ! -L "$made" ] || refuse "$2 on the data disk is a symbolic link"
    if [ -d "$made" ]; then
        # A start that made it may not have come to the seed.
        [ ! -O "$made" ] || ! seed_is_due "$1" || ! is_empty "$made" || note_new "$1" "$2"
        return
    fi
    [ ! -e "$made" ] || refuse "$2 on the data disk is no folder"
    echo "skinnybox: filling $2 on the data disk"
    rm -rf "$new" || refuse "what an earlier start left on the data disk cannot be removed"
    if [ -d "$1$2" ]; then
        copy_in_root "$1" "$2"
    else
        note_new "$1" "$2"
        mkdir -m 0755 "$new" || refuse "$2 cannot be made on the data disk"
    fi
    sync
    mv -T "$new" "$made" || refuse "$2 on the data disk cannot be put in place"
    sync
}

# copy_in_root ROOT FOLDER: with the system's own cp, which keeps attributes, access lists, capabilities and hard links.
copy_in_root() {
    local code=0
    [ -d "$1$RUN" ] || mkdir -p "$1$RUN"
    mount -o bind "$RUN/data/folders" "$1$RUN" || refuse "the data disk cannot be shown to the new root"
    ROOT='' PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$1" cp -a "$2" "$RUN/%new" >"$RUN/said" 2>&1 || code=$?
    umount "$1$RUN" || refuse "the data disk cannot be hidden from the new root"
    [ "$code" -eq 0 ] || refuse "$2 cannot be copied to the data disk: $(tail -n 3 "$RUN/said")"
}

# bind_folder ROOT FOLDER NAME
bind_folder() {
    make_way "$1" "${2%/*}"
    [ -d "$1$2" ] || mkdir "$1$2" || refuse "$2 cannot be made"
    mount -o bind "$RUN/data/folders/$3" "$1$2" || refuse "$2 cannot be mounted from the data disk"
}

# make_way ROOT FOLDER: with each folder above it.
make_way() {
    local way='' rest=${2#/}/
    while [ -n "${rest#/}" ]; do
        way=$way/${rest%%/*} rest=${rest#*/}
        [ ! -d "$1$way" ] || continue
        note_new "$1" "$way"
        mkdir "$1$way" || refuse "$way cannot be made"
    done
}

# note_new ROOT FOLDER: it is root's, since somebody has to make it before there are users. Where it turns out to be, or to
# lie in, the home of one whom the seed makes, it becomes that one's (accounts.sh), also when this start is killed before.
note_new() {
    seed_is_due "$1" || return 0
    { [ -d "$1${DATA_NEW%/*}" ] || mkdir -p "$1${DATA_NEW%/*}"; } && echo "$2" >>"$1$DATA_NEW" ||
        refuse "nobody could know later that $2 is new"
    sync
}
