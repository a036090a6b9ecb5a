# shellcheck shell=dash
# What this machine changed, seen from within: `skinnybox-guest changes`. The same question asked on the host leaves out
# what the seed brought, and needs nobody in here to be believed. Kinds are those of the host: added, modified, deleted,
# metadata, type.

# changes MASTER UPPER ROOT: folders; ROOT shows both together, and nothing that is mounted below it. Prints lines
# `KIND TYPE SIZE "PATH"`, the path as in JSON, sorted by it. One path is one line: a folder beside the upper directory
# is mounted on one that may be in it, and comes before it by its size.
changes() {
    # Each folder of the batch's own shell is a global there: find starts it anew for every few thousand paths.
    {
        (cd "$2" && MASTER=$1 MERGED=$3 LIB=$LIB find . -exec sh -uc '
            . "$LIB/json.sh"
            . "$LIB/upper.sh"
            for path; do change "${path#.}"; done' changes {} +)
        changes_beside "$1" "${2%/*}/direct"
    } | sort -k 4 -k 3,3nr | awk '{ path = substr($0, index($0, "\"")) } path != last; { last = path }'
}

# changes_beside MASTER DIRECT: what container engines keep (direct.sh): counted, not looked into.
changes_beside() {
    local folder path size kind
    for folder in "$2"/[!%]*; do
        [ -d "$folder" ] && [ ! -L "$folder" ] || continue
        path=/$(printf '%s' "${folder##*/}" | tr % /) kind=added size=0
        [ ! -d "$1$path" ] || kind=modified
        [ -z "$(ls -A "$folder")" ] || { size=$(du -sk "$folder") && size=${size%%[!0-9]*}; }
        [ "$kind,$size" = modified,0 ] || printf '%s d %s %s\n' "$kind" "$((size * 1024))" "$(quoted "$path")"
    done
}

# change PATH: one of the upper directory, which is the current one; "" is its root.
change() {
    local type below
    type=$(type_of "$MERGED$1")
    [ -n "$type" ] || return 0 # a whiteout: found in the folder it lies in
    below=$(type_of "$MASTER$1")
    if [ -z "$below" ]; then
        told added "$type" "$1"
    elif [ "$below" != "$type" ]; then
        told type "$type" "$1"
    else
        differs_from_master "$type" "$1"
        [ "$type" != d ] || gone "$1"
    fi
}

# type_of FILE: its letter of `ls -l`; nothing when there is none.
type_of() {
    if [ -L "$1" ]; then echo l
    elif [ -f "$1" ]; then echo -
    elif [ -d "$1" ]; then echo d
    elif [ -c "$1" ]; then echo c
    elif [ -b "$1" ]; then echo b
    elif [ -p "$1" ]; then echo p
    elif [ -S "$1" ]; then echo s
    fi
}

# told KIND TYPE PATH
told() {
    local size=0
    [ "$2$1" != -deleted ] && [ "$2" = - ] && size=$(stat -c %s "$MERGED$3")
    printf '%s %s %s %s\n' "$1" "$2" "${size:-0}" "$(quoted "$3")"
}

# differs_from_master TYPE PATH: the time is no difference; an access list is one where ls marks it.
differs_from_master() {
    case $1 in
    -) cmp -s "$MASTER$2" "$MERGED$2" || { told modified "$1" "$2" && return; } ;;
    l) [ "$(readlink "$MASTER$2")" = "$(readlink "$MERGED$2")" ] || { told modified "$1" "$2" && return; } ;;
    esac
    [ "$(rights "$MASTER$2")" = "$(rights "$MERGED$2")" ] || told metadata "$1" "$2"
}

# rights FILE: mode, owner and group.
rights() {
    # shellcheck disable=SC2046 # the first words of it
    set -f && set -- $(ls -dn "$1") && set +f
    echo "$1 $3 $4"
}

# gone FOLDER: what of the master is not there any more: whited out, or below a folder that was made anew.
gone() {
    local path
    for path in "$MASTER$1"/* "$MASTER$1"/.[!.]* "$MASTER$1"/..?*; do
        path=${path#"$MASTER"}
        [ ! -e "$MASTER$path" ] && [ ! -L "$MASTER$path" ] || [ -e "$MERGED$path" ] || [ -L "$MERGED$path" ] ||
            told deleted "$(type_of "$MASTER$path")" "$path"
    done
}

# as_text: of the lines of `changes`; names that would do something to a terminal stay quoted.
as_text() {
    local kind type size path
    while read -r kind type size path; do
        case $path in *\\*) ;; *) path=${path#\"} && path=${path%\"} ;; esac
        printf '%-8s  %s  %10s  %s\n' "$kind" "$type" "$size" "$path"
    done
}

# as_json: the same, as a list.
as_json() {
    local kind type size path between=''
    printf '['
    while read -r kind type size path; do
        printf '%s\n{"kind": "%s", "type": "%s", "size": %s, "path": %s}' "$between" "$kind" "$type" "$size" "$path"
        between=,
    done
    printf '\n]\n'
}
