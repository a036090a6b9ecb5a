# shellcheck shell=dash
# Homes of the seed's users, and the numbers that go with them: a home may have been there before its user, on a data disk
# or in a layer. ROOT as in seed.sh; accounts.sh makes the users.

: "${RUN:=/run/skinnybox}"
FIRST_NUMBER=1000 LAST_NUMBER=59999 # of people: what is below are services', and above is nobody

# shellcheck disable=SC2034 # the number is for accounts.sh
# choose_number NAME: sets NUMBER to what a new user is to have: that of the owner of its home, where one is there (it
# outlived the user, on a data disk, or came with a layer), and none that a home of somebody else has, whose files it
# would get. Nothing where that leaves it to the guest's own program.
choose_number() {
    local base number
    NUMBER=''
    base=$(homes_folder)
    read_numbers
    if [ -d "$ROOT$base/$1" ] && [ ! -L "$ROOT$base/$1" ]; then
        HOME_OWNER=$(stat -c %u "$ROOT$base/$1")
        ! is_free_number "$HOME_OWNER" || { NUMBER=$HOME_OWNER && return; }
    fi
    number=$FIRST_NUMBER
    with_homes_of_nobody "$base"
    [ -n "$WITH_HOMES" ] || return 0
    while ! is_free_number "$number"; do
        [ "$number" -le "$LAST_NUMBER" ] || cannot "user: no number is left for $1"
        number=$((number + 1))
    done
    NUMBER=$number
}

# homes_folder: where the guest's own program puts homes.
homes_folder() {
    local line place=/home
    [ ! -r "$ROOT/etc/default/useradd" ] || while read -r line; do
        case $line in HOME=/*) place=${line#HOME=} ;; esac
    done <"$ROOT/etc/default/useradd"
    printf '%s\n' "$place"
}

# read_numbers: sets TAKEN to the numbers of all users, and HOMES to their homes.
read_numbers() {
    local number home
    TAKEN=' ' HOMES=: WITH_HOMES=''
    while IFS=: read -r _ _ number _ _ home _; do
        TAKEN="$TAKEN$number " HOMES=$HOMES$home:
    done <"$ROOT/etc/passwd"
}

# is_free_number NUMBER: one of a person, whom there is not yet.
is_free_number() {
    [ "$1" -ge "$FIRST_NUMBER" ] && [ "$1" -le "$LAST_NUMBER" ] || return 1
    case "$TAKEN$WITH_HOMES" in *" $1 "*) return 1 ;; esac
}

# with_homes_of_nobody FOLDER: sets WITH_HOMES to the numbers of the owners of homes that no user has.
with_homes_of_nobody() {
    local home number
    set -- "$ROOT$1"/*
    for home; do
        shift
        [ -d "$home" ] && [ ! -L "$home" ] || continue
        case $HOMES in *":${home#"$ROOT"}:"*) ;; *) set -- "$@" "$home" ;; esac
    done
    [ $# -gt 0 ] || return 0
    for number in $(stat -c %u "$@"); do
        ! is_free_number "$number" || WITH_HOMES="$WITH_HOMES $number "
    done
}

# make_home NAME: of the account that was read, from the skeleton; in place at once, so that what is there is whole.
# Accounts of services may have none, and whoever has one keeps it as it is, unless it was made for a data disk just now.
make_home() {
    local new=$ROOT$ACCOUNT_HOME.skinnybox-new
    [ "$ACCOUNT_UID" -ge "$FIRST_NUMBER" ] && [ "$ACCOUNT_UID" -le "$LAST_NUMBER" ] || return 0
    case $ACCOUNT_HOME in '' | / | /nonexistent* | /dev/*) return 0 ;; esac
    if [ -d "$ROOT$ACCOUNT_HOME" ]; then
        take_new_folders
        say_whose_home "$1"
        return
    fi
    [ -d "${new%/*}" ] || mkdir -p "${new%/*}" || cannot "user: ${ACCOUNT_HOME%/*} cannot be made"
    copy_skeleton "$new" && mv -T "$new" "$ROOT$ACCOUNT_HOME" || cannot "user: $ACCOUNT_HOME cannot be made"
}

# copy_skeleton FOLDER: to there, as the account's.
copy_skeleton() {
    [ ! -e "$1" ] || rm -rf "$1"
    if [ -d "$ROOT/etc/skel" ]; then
        (umask 0077 && cp -R "$ROOT/etc/skel" "$1")
    else
        mkdir -m 0700 "$1"
    fi
    chown -R "$ACCOUNT_UID:$ACCOUNT_GID" "$1"
}

# take_new_folders: those of DATA_NEW that are its home or lie in it, and are root's still. The home comes last, as it
# being root's says that it is not whole.
take_new_folders() {
    local folder home=''
    [ -r "$ROOT$DATA_NEW" ] || return 0
    while read -r folder; do
        [ -O "$ROOT$folder" ] && [ ! -L "$ROOT$folder" ] || continue
        case $folder in
        "$ACCOUNT_HOME") home=$folder ;;
        "$ACCOUNT_HOME"/*) give "$folder" ;;
        esac
    done <"$ROOT$DATA_NEW"
    [ -z "$home" ] || fill_home
}

give() {
    chown "$ACCOUNT_UID:$ACCOUNT_GID" "$ROOT$1" || cannot "user: $1 cannot be given to $ACCOUNT_UID"
}

# fill_home: one that is there, and may be a mount.
fill_home() {
    local new=$ROOT$ACCOUNT_HOME/.skinnybox-new file name
    copy_skeleton "$new" || cannot "user: $ACCOUNT_HOME cannot be filled"
    for file in "$new"/* "$new"/.[!.]* "$new"/..?*; do
        name=${file##*/}
        [ -e "$file" ] || [ -L "$file" ] || continue
        [ -e "$ROOT$ACCOUNT_HOME/$name" ] || mv -T "$file" "$ROOT$ACCOUNT_HOME/$name" || cannot "user: $ACCOUNT_HOME cannot be filled"
    done
    rm -rf "$new"
    chmod 0700 "$ROOT$ACCOUNT_HOME" && give "$ACCOUNT_HOME"
}

# say_whose_home NAME: where a home that was there is another's, and stays so: who of the two is right, nobody here knows.
say_whose_home() {
    local owner=$HOME_OWNER why
    [ -n "$owner" ] || [ ! -s "$RUN/data-folders" ] || owner=$(stat -c %u "$ROOT$ACCOUNT_HOME")
    case ${owner:-0} in 0 | "$ACCOUNT_UID") return 0 ;; esac
    read_numbers
    case $TAKEN in
    *" $owner "*) why="another user has $owner" ;;
    *) if is_free_number "$owner"; then why="$1 was there before"; else why="$owner is none of a person"; fi ;;
    esac
    note "$ACCOUNT_HOME belongs to the number $owner, and $1 has $ACCOUNT_UID: $why"
}
