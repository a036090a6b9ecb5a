# shellcheck shell=dash
# What eats this machine's own disk, and what gives back what is deleted: `skinnybox-guest usage` and `trim`. For root.

: "${PROC:=/proc}" "${RUN:=/run/skinnybox}" "${ROOT:=}"

# usage_of DISK: lines `SIZE PATH` of what the machine wrote, the largest first, of a view of its disk at DISK. Bytes,
# whole KiB; folders down to the third.
usage_of() {
    (cd "$1/upper" && du -x -k -d 3 .) | sort -k 1,1nr -k 2 | head -n 21 | largest
    for part in work thrown swap; do
        [ ! -e "$1/$part" ] || printf '%s %s\n' "$(du -x -s -k "$1/$part" | cut -f 1)" "$part"
    done | while read -r size part; do [ "$size" -lt 64 ] || printf '%8s  (%s)\n' "$(human $((size * 1024)))" "$part"; done
}

# largest: of du's lines; names that would do something to a terminal stay quoted.
largest() {
    local size path
    while IFS='	' read -r size path; do
        path=${path#.}
        path=$(quoted "${path:-/}")
        case $path in *\\*) ;; *) path=${path#\"} && path=${path%\"} ;; esac
        printf '%8s  %s\n' "$(human $((size * 1024)))" "$path"
    done
}

# trim_disks: of each disk of its own, by any folder of it that is to be seen.
trim_disks() {
    local kind place code=0
    command -v fstrim >/dev/null || { echo "there is no fstrim (Debian: util-linux)" >&2 && return 1; }
    for kind in overlay data; do
        place=$(place_on "$kind")
        [ -z "$place" ] || fstrim -v "$place" || code=1
    done
    return "$code"
}

# place_on KIND: nothing, where it is not to be seen.
place_on() {
    local place=$ROOT/var/lib/skinnybox/disk
    [ "$1" = overlay ] || { place= && [ ! -r "$RUN/data-folders" ] || read -r place <"$RUN/data-folders"; }
    [ -z "$place" ] || ! grep -qF " $place " "$PROC/mounts" || printf '%s\n' "$place"
}
