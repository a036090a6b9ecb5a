# shellcheck shell=dash
# Machines that throw away at each start what they wrote (kiosks, workers of a CI), where the seed says so: the upper
# directory begins empty every time, on the overlay's disk or in memory, and so does what lies beside it (direct.sh). The seed is applied at each start then, since
# what says that it was lies in there; identity and seed lie beside it, and stay.

: "${RUN:=/run/skinnybox}" "${CHATTR:=/usr/lib/skinnybox/chattr}"

# prepare_upper: sets UPPER to the folder whose upper and work become the root filesystem's.
prepare_upper() {
    local asked kind size
    UPPER=$RUN/overlay LEFT=
    [ ! -d "$RUN/overlay/thrown" ] || LEFT=$(left_of_earlier_starts)
    asked=$(message_value "$RUN/seed" throw-away) || asked=no
    kind=${asked%% *} size=${asked#"$kind"} size=${size# }
    case $size in *[!0-9]* | ????????????????*) refuse "the seed asks to throw away memory of $size bytes" ;; esac
    case $kind in
    no) ;;
    disk)
        [ -z "$size" ] || refuse "the seed asks to throw away a disk, and says a size of memory, $size"
        throw_away
        ;;
    memory)
        is_empty "$UPPER/upper" && [ ! -e "$UPPER/direct" ] || throw_away # of when it was kept on the disk
        upper_in_memory "$size"
        ;;
    *) refuse "this master does not know what a seed's 'throw-away $kind' means" ;;
    esac
    [ ! -d "$RUN/overlay/thrown" ] || [ -L "$RUN/overlay/thrown" ] || finish_throwing
    [ -d "$UPPER/upper" ] && [ -d "$UPPER/work" ] || refuse "the overlay has no upper or work directory"
}

is_empty() {
    [ -d "$1" ] && [ -z "$(ls -A "$1")" ]
}

# throw_away: what is there is put aside, which is quick, or deleted where it is when there is no room even for that: a
# full disk is a reason to start. Killed in between, the next start makes what is missing.
throw_away() {
    local part number=0 old=$RUN/overlay/thrown
    [ -d "$old" ] && [ ! -L "$old" ] || { rm -rf "$old" && mkdir -m 0700 "$old"; } 2>/dev/null || old=$RUN/nowhere
    for part in upper work direct; do
        [ -e "$RUN/overlay/$part" ] || continue
        while [ -e "$old/$number" ]; do number=$((number + 1)); done
        put_aside "$RUN/overlay/$part" "$old/$number" || refuse "what this machine wrote cannot be thrown away"
    done
    make_folders
}

# put_aside FOLDER TO: also one that is itself immutable.
put_aside() {
    mv -T "$1" "$2" 2>/dev/null && return
    "$CHATTR" -f -ia "$1" 2>/dev/null && mv -T "$1" "$2" 2>/dev/null || remove "$1"
}

# remove FOLDER...: with what `chattr +i` and +a keep from being deleted. A kernel before 5.15 sets these flags on the
# files of the upper directory themselves; later ones only make the guest believe it.
remove() {
    rm -rf "$@" 2>/dev/null && return
    "$CHATTR" -R -f -ia "$@" 2>/dev/null
    rm -rf "$@"
}

# make_folders: those that were put aside; where even for them there is no room, what was is deleted before.
make_folders() {
    local part
    for part in upper work; do
        [ -d "$RUN/overlay/$part" ] || mkdir -m 0755 "$RUN/overlay/$part" 2>/dev/null && continue
        remove "$RUN/overlay/thrown"/[0-9]*
        mkdir -m 0755 "$RUN/overlay/$part" || refuse "the overlay has no room for a new $part directory"
    done
}

# left_of_earlier_starts: what was to be deleted, and is not.
left_of_earlier_starts() {
    local folder
    for folder in "$RUN/overlay/thrown"/[0-9]*; do
        [ ! -d "$folder" ] || [ -L "$folder" ] || case ${folder##*/} in *[!0-9]*) ;; *) printf '%s ' "${folder##*/}" ;; esac
    done
}

# finish_throwing: deletes what was put aside while the machine goes on starting. That is done through a mount of its
# own, which nobody sees and which ends with it: the view of the disk becomes read-only. What this leaves is immutable,
# or a power cut came in between; it is freed of its flags at the next start, so that no more of it gathers than of one
# start. In this order, as no program can be started once the new root is entered: busybox's rm is in the shell.
finish_throwing() {
    make_folders
    ! rmdir "$RUN/overlay/thrown" 2>/dev/null || return 0
    mkdir "$RUN/thrown" && mount -o bind "$RUN/overlay/thrown" "$RUN/thrown" && cd "$RUN/thrown" || refuse "what was thrown away cannot be deleted"
    umount -l "$RUN/thrown"
    {
        # shellcheck disable=SC2086 # numbers
        [ -z "$LEFT" ] || "$CHATTR" -R -f -ia $LEFT
        rm -rf -- [0-9]*
    } >/dev/null 2>&1 &
    cd /
}

# upper_in_memory SIZE: half of the memory where none is said. Mounted where nobody sees it, as overlayfs holds it.
upper_in_memory() {
    UPPER=$RUN/memory
    mkdir -m 0700 "$UPPER"
    mount -t tmpfs -o "mode=0755${1:+,size=$1}" skinnybox "$UPPER" || refuse "this machine's memory cannot hold what it writes"
    mkdir -m 0755 "$UPPER/upper" "$UPPER/work"
}

# hide_upper: nobody may write below a mounted overlayfs.
hide_upper() {
    [ ! -d "$RUN/memory" ] || umount "$RUN/memory" || refuse "the memory that holds what it writes cannot be hidden"
}
