# shellcheck shell=dash
# One move of the files on the data disk to other numbers of their accounts (owners.sh, which sets FOLDERS, WAY and STEP).
#
# A move is a permutation of numbers (delta/rebase/moves.py), or it could not be undone. It may be cut short anywhere:
# numbers first go to a range that nobody has (phase `away`), and when all of them are there, to where they belong
# (`home`); within a phase nothing that was moved is found again, so it can be done again. One that did not come as far
# as `home` is taken back by the next start, which then sees what that system wants. What chown takes from files, setuid,
# setgid and capabilities, is written down before the first of them is touched, and given back after the last (`again`).

# Numbers are below 2^24, or parked: from 0x71000000 on. Away are 0x72000000 and more. systemd gives its containers less.
OWNERS_PARKED=1895825408 OWNERS_AWAY=1912602624 OWNERS_PARKED_AWAY=33554432

# begin_move ROOT: nothing is touched before all that it takes to go on, or back, is on the disk.
begin_move() {
    local moved
    rm -rf "$WAY" && mkdir -m 0700 "$WAY" && cp "$STEP/moves" "$STEP/owners" "$WAY/" || return 1
    MOVES=$WAY/moves
    moved=$(moved_numbers) || return 1
    # shellcheck disable=SC2086 # words of find
    if [ -n "$moved" ]; then
        found -o -type f \( $moved \) -perm -4000 -print0 >"$WAY/setuid" || return 1
        found -o -type f \( $moved \) -perm -2000 -print0 >"$WAY/setgid" || return 1
        # shellcheck source=/dev/null
        . "$LIB/attributes.sh"
        note_attributes "$1" || return 1
    fi
    sync && : >"$WAY/away" && sync
}

# settle_owners ROOT: what was begun is gone on with, from whichever phase its mark says; or taken back.
settle_owners() {
    MOVES=$WAY/moves
    [ -d "$WAY" ] && [ ! -L "$WAY" ] || { rm -f "$WAY" && return; }
    if [ -e "$WAY/away" ] && [ -n "${OWNERS_TOLD-}" ]; then
        change_owners away && sync && mv -f "$WAY/away" "$WAY/home" && sync || return 1
    elif [ -e "$WAY/away" ]; then
        echo "skinnybox: giving back what an earlier start has taken from files on the data disk"
        change_owners back && give_again "$1" before && sync && rm -f "$WAY/away" && sync || return 1
    fi
    if [ -e "$WAY/home" ]; then
        change_owners home && sync && mv -f "$WAY/home" "$WAY/again" && sync || return 1
    fi
    if [ -e "$WAY/again" ]; then
        give_again "$1" after && sync || return 1
        [ ! -e "$WAY/owners" ] || mv -f "$WAY/owners" "$RUN/data/skinnybox/owners" || return 1
        sync && rm -f "$WAY/again" && sync || return 1
    fi
    rm -rf "$WAY"
}

# change_owners PHASE: one walk for users and one for groups. In parentheses busybox forgets what `-exec +` collected.
change_owners() {
    local phase=$1 kind key from to
    for kind in user group; do
        set --
        while read -r key from to; do
            [ "$key" = "$kind" ] || continue
            away_of "$from"
            case $phase in
            away) to=$NOBODYS ;;
            home) from=$NOBODYS ;;
            back) to=$from from=$NOBODYS ;;
            esac
            [ "$kind" = user ] || to=":$to"
            set -- "$@" -o "-$kind" "$from" -exec chown -h "$to" {} +
        done <"$MOVES"
        [ $# -eq 0 ] || found "$@" || return 1
    done
}

# away_of NUMBER: sets NOBODYS.
away_of() {
    NOBODYS=$(($1 + OWNERS_AWAY))
    [ "$1" -lt "$OWNERS_PARKED" ] || NOBODYS=$(($1 + OWNERS_PARKED_AWAY))
}

# moved_numbers: words for find.
moved_numbers() {
    local key from or=''
    while read -r key from _; do
        case $key in user | group) printf '%s' "$or-$key $from" ;; *) continue ;; esac
        or=' -o '
    done <"$MOVES"
}

# found TESTS...: find, in all folders of the disk but what MOVES leaves alone: numbers in there are of other systems. A
# name that may hold a pattern is never one, as those stand for a folder of which a folder to leave is a part.
found() (
    cd "$FOLDERS" || return 1
    any=
    set -- \) -prune "$@"
    while read -r key left; do
        [ "$key" = leave ] || continue
        for name in * .[!.]*; do
            folder_called "$name"
            case $left in "$CALLED"/*) set -- -o -path "./$name${left#"$CALLED"}" "$@" ;; esac
        done
    done <"$MOVES"
    set -- \( -path ./% "$@"
    for name in * .[!.]*; do
        [ -d "./$name" ] && [ ! -L "./$name" ] && ! is_left "$name" || continue
        any=yes
        set -- "./$name" "$@"
    done
    [ -z "$any" ] || find "$@"
)

# folder_called NAME: sets CALLED to the folder of the machine that this one of the disk is.
folder_called() {
    local rest=$1%
    CALLED=
    while [ -n "$rest" ]; do CALLED=$CALLED/${rest%%[%]*} rest=${rest#*[%]}; done
}

is_left() {
    local key left
    folder_called "$1"
    while read -r key left; do
        [ "$key" = leave ] || continue
        case $CALLED in "$left" | "$left"/*) return 0 ;; esac
    done <"$MOVES"
    return 1
}

# give_again ROOT before|after: what chown has taken, and access lists that say other numbers. What busybox's xargs runs
# without its path shares its memory, and some names are others then.
give_again() {
    local bit kept
    if [ -s "$WAY/attributes" ]; then
        # shellcheck source=/dev/null
        # shellcheck source=/dev/null
        . "$LIB/attributes.sh" && give_attributes "$1" "$2" || return 1
    fi
    for bit in u:setuid g:setgid; do
        kept=$WAY/${bit#*:}
        [ ! -s "$kept" ] || (cd "$FOLDERS" && xargs -0 /bin/chmod "${bit%:*}+s" <"$kept") || return 1
    done
}
