# shellcheck shell=dash
# Folders that may not lie on overlayfs. A container engine keeps its images as layers and puts them together with
# overlayfs itself, for which the kernel takes no upper directory that lies on overlayfs: the engine would copy every
# image whole for every container, or not start at all. So each such folder is bound over the root from a filesystem of
# another kind before anything in there starts: from the data disk, where this machine has one, else from `direct` beside
# the upper directory. Which ones, is told by the engines' programs: those that the master has, and those that somebody
# installed here since, from the next start on. Nobody ordered it, so a machine that cannot have it starts without.

: "${RUN:=/run/skinnybox}"

# direct_folders ROOT: one a line. kubelet is no engine: it asks which disk its folder is on, and overlayfs is on none.
direct_folders() {
    local folder programs
    while read -r folder programs; do
        ! has_program "$1" "$programs" || printf '%s\n' "$folder"
    done <<-END
	/var/lib/containerd containerd
	/var/lib/containers podman buildah crio
	/var/lib/docker dockerd
	/var/lib/incus incusd
	/var/lib/kubelet kubelet
	/var/lib/lxc lxc-create
	/var/lib/lxd lxd
	/var/lib/rancher k3s rke2
	END
}

# has_program ROOT "NAME...": any of them. A symlink counts wherever it leads: that is seen in the new root only.
has_program() {
    local folder name
    for name in $2; do
        for folder in usr/bin usr/sbin usr/local/bin usr/libexec/incus; do
            [ ! -e "$1/$folder/$name" ] && [ ! -L "$1/$folder/$name" ] || return 0
        done
    done
    return 1
}

# mount_direct ROOT: once the overlay's disk is at ROOT/media/root-rw, and the data disk, if any, at RUN/data.
mount_direct() {
    local folder
    : >"$RUN/direct"
    direct_folders "$1" >"$RUN/direct-folders"
    [ -s "$RUN/direct-folders" ] || return 0
    DIRECT=$1/media/root-rw/direct
    [ ! -d "$RUN/memory" ] || DIRECT=$RUN/memory/direct
    is_folder "$DIRECT" || { rm -rf "$DIRECT" && mkdir -m 0700 "$DIRECT"; } 2>/dev/null || DIRECT=$RUN/nowhere
    WHY=
    while read -r folder; do
        direct_folder "$1" "$folder" "$(data_name "$folder")" || echo "skinnybox: $folder stays on overlayfs: $WHY"
    done <"$RUN/direct-folders"
}

# direct_folder ROOT FOLDER NAME: where it has been once, it stays; but the seed's word counts, and what is on the data
# disk is never hidden by something older. One that the seed names is mounted by data.sh, which fills it with what it
# sees, so that is shown to it here: what is beside the upper directory goes at the next start.
direct_folder() {
    is_way "$1" "$2" || { WHY="$2 or a folder above it is none, or a symbolic link" && return 1; }
    if is_folder "$RUN/data/folders/$3"; then
        rm -rf "${DIRECT:?}/$3"
        is_named "$2" || bind_direct "$1" "$2" "$RUN/data/folders/$3"
    elif is_folder "$DIRECT/$3"; then
        bind_direct "$1" "$2" "$DIRECT/$3"
    elif [ -s "$RUN/data-folders" ] && fill_direct "$1" "$2" "$3" "$RUN/data/folders"; then
        is_named "$2" || bind_direct "$1" "$2" "$RUN/data/folders/$3"
    else
        is_named "$2" || { fill_direct "$1" "$2" "$3" "$DIRECT" && bind_direct "$1" "$2" "$DIRECT/$3"; }
    fi
}

is_folder() {
    [ -d "$1" ] && [ ! -L "$1" ]
}

# is_way ROOT FOLDER: all on the way to it are folders, or not there yet.
is_way() {
    local way='' rest=${2#/}/
    while [ -n "$rest" ]; do
        way=$way/${rest%%/*}
        rest=${rest#*/}
        [ ! -L "$1$way" ] || return 1
        [ ! -e "$1$way" ] || [ -d "$1$way" ] || return 1
    done
}

# is_named FOLDER: by the seed, as one for the data disk.
is_named() {
    local named
    while read -r named; do
        [ "$named" != "$1" ] || return 0
    done <"$RUN/data-folders"
    return 1
}

# fill_direct ROOT FOLDER NAME PLACE: at first it is what lies there without it. It gets its name when all of it is
# written: a machine that is killed meanwhile begins anew. What is not there yet needs none of that.
fill_direct() {
    local new=$4/%new
    rm -rf "${4:?}/$3" "$new" 2>"$RUN/said"
    if [ ! -d "$1$2" ]; then
        mkdir -m 0711 "$4/$3" 2>"$RUN/said" && return
    else
        echo "skinnybox: filling $2 beside overlayfs"
        copy_direct "$1" "$2" "$4" && sync && mv -T "$new" "$4/$3" 2>"$RUN/said" && return
    fi
    WHY="$(tail -n 1 "$RUN/said")"
    rm -rf "$new"
    return 1
}

# copy_direct ROOT FOLDER PLACE: by the system's own cp (as in data.sh). What the master alone has is taken from its
# image: among the layers of an engine are marks and whiteouts of its own, and seen through our overlayfs they would do
# their work there.
copy_direct() {
    local from=$1 code=0 upper=${DIRECT%/*}/upper$2
    [ -e "$upper" ] || [ -L "$upper" ] || [ -d "$RUN/lower/1" ] || ! is_folder "$1/media/root-ro$2" ||
        from=$1/media/root-ro
    mount -o bind "$3" "$from/media/root-rw" 2>"$RUN/said" || return
    ROOT='' PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$from" cp -a "$2" /media/root-rw/%new >"$RUN/said" 2>&1 || code=$?
    umount "$from/media/root-rw" || refuse "the new root cannot be left with $2 half shown"
    return "$code"
}

# bind_direct ROOT FOLDER FROM: what is there once is never left out, as an engine would begin anew in an empty folder.
# Where there is no folder and, on a full disk, no room to make one, none can begin; the machine starts, to be cured.
bind_direct() {
    [ -d "$1$2" ] || mkdir -p "$1$2" 2>"$RUN/said" || { WHY="$(tail -n 1 "$RUN/said")" && return 1; }
    mount -o bind "$3" "$1$2" || refuse "$2 cannot be mounted"
    printf '%s\n' "$2" >>"$RUN/direct"
}
