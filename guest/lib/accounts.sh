# shellcheck shell=dash
# The seed's users, made by the guest's own programs, so that they are as its family makes them. ROOT as in seed.sh.
# Whoever is there is brought to what the seed says, and keeps all else: other groups, files, a home of root's own.

SUDOERS=/etc/sudoers.d/skinnybox SUDO_RULES=''

# seed_user "NAME [groups A,B] [sudo yes] [shell PATH] [password HASH]" FOLDER NUMBER
seed_user() {
    local folder=$2 number=$3 name=${1%% *} groups='' sudo='' shell='' password=''
    # shellcheck disable=SC2086 # the words are what is wanted
    set -- $1
    shift
    while [ $# -ge 2 ]; do
        case $1 in
        groups) groups=$2 ;;
        sudo) sudo=$2 ;;
        shell) shell=$2 ;;
        password) password=$2 ;;
        *) cannot "user: unknown word $1" ;;
        esac
        shift 2
    done
    [ $# -eq 0 ] || cannot "user: nothing follows $1"
    [ -z "$shell" ] || [ -x "$ROOT$shell" ] || cannot "user: this master has no $shell, the shell of $name"
    case $sudo in
    '') ;;
    yes) allow_sudo "$name" "$password" ;;
    *) cannot "user: sudo: not $sudo, but yes" ;;
    esac
    unlock_accounts
    # shellcheck disable=SC2034 # for homes.sh
    HOME_OWNER=''
    if read_account "$name"; then
        bring_user "$name" "$groups" "$shell" "$password"
    else
        make_user "$name" "$groups" "$shell" "$password"
    fi
    read_account "$name" || cannot "user: $name was not made"
    make_home "$name"
    if [ -e "$folder/$number.b64" ]; then
        seed_authorized_keys "$name" "$folder" "$number"
    elif [ "$(message_value "$folder" authorized-keys)" != "$name" ]; then
        forget_authorized_keys
    fi
}

# forget_authorized_keys: of the account that was read, those of an earlier seed, which let somebody in still.
forget_authorized_keys() {
    local file=$ACCOUNT_HOME/.ssh/authorized_keys
    [ ! -L "$ROOT${file%/*}" ] && [ ! -L "$ROOT$file" ] && has_seeds_keys "$ROOT$file" || return 0
    put_file "$file" 0600 "$ACCOUNT_UID:$ACCOUNT_GID" other_keys "$ROOT$file"
    [ -s "$ROOT$file" ] || rm -f "$ROOT$file"
}

has_seeds_keys() {
    local line
    [ -f "$1" ] || return 1
    while read -r line; do
        [ "$line" != '# skinnybox: from the seed' ] || return 0
    done <"$1"
    return 1
}

# unlock_accounts: nobody else is here yet, so what locks them is left of a power cut. Who made it is told by a number
# that another process has by now, and the guest's programs would wait for that one's end, and then refuse.
unlock_accounts() {
    local name
    for name in passwd shadow group gshadow subuid subgid; do
        [ ! -e "$ROOT/etc/$name.lock" ] || rm -f "$ROOT/etc/$name.lock"
    done
}

has_program() {
    [ -e "$ROOT/usr/sbin/$1" ] || [ -e "$ROOT/sbin/$1" ]
}

# make_user NAME GROUPS SHELL PASSWORD: without a home, which is whole only when we make it. The password of one that has
# none is *, not !: that would be a locked account, which a sshd without PAM also keeps out with a key.
make_user() {
    local name=$1 shell=$3 own=''
    missing_groups "$1" "$2" ''
    choose_number "$name"
    [ -n "$shell" ] || [ ! -x "$ROOT/bin/bash" ] || shell=/bin/bash
    if has_program useradd; then
        if read_group "$name"; then own="-g $name"; else own=-U; fi
        # shellcheck disable=SC2086 # one or two words
        useradd -M -K UID_MIN=1000 -K GID_MIN=1000 ${NUMBER:+-u "$NUMBER"} $own ${MISSING:+-G "$MISSING"} ${shell:+-s "$shell"} \
            -p "${4:-*}" "$name" || cannot "user: $name cannot be made"
    elif has_program adduser; then # busybox's: the first free number from 1000 on
        ! read_group "$name" || own="-G $name"
        # shellcheck disable=SC2086
        adduser -D -H ${NUMBER:+-u "$NUMBER"} $own ${shell:+-s "$shell"} "$name" || cannot "user: $name cannot be made"
        join_groups "$name"
        set_password "$name" "${4:-*}"
    else
        cannot "user: this master has neither useradd nor adduser to make $name"
    fi
}

# bring_user NAME GROUPS SHELL PASSWORD: of one that read_account found. Programs run only for what is not so yet.
bring_user() {
    local gid=$ACCOUNT_GID
    missing_groups "$1" "$2" "$gid"
    [ "$3" != "$ACCOUNT_SHELL" ] || set -- "$1" "$2" '' "$4"
    [ -z "$4" ] || ! has_password "$1" "$4" || set -- "$1" "$2" "$3" ''
    [ -n "$MISSING$3$4" ] || return 0
    if has_program usermod; then
        usermod ${MISSING:+-a -G "$MISSING"} ${3:+-s "$3"} ${4:+-p "$4"} "$1" || cannot "user: $1 cannot be changed"
    else
        join_groups "$1"
        [ -z "$4" ] || set_password "$1" "$4"
        [ -z "$3" ] || put_file /etc/passwd 0644 root:root passwd_with_shell "$1" "$3"
    fi
}

# missing_groups USER GROUPS GID: sets MISSING to those of GROUPS, which must be there, that a user with the group GID is
# not in.
missing_groups() {
    local group IFS=,
    MISSING=
    for group in $2; do
        read_group "$group" || cannot "user: this master has no group $group for $1"
        [ "$GROUP_GID" != "$3" ] || continue
        case ,$GROUP_MEMBERS, in *,"$1",*) continue ;; esac
        MISSING=$MISSING${MISSING:+,}$group
    done
}

# read_group NAME: sets GROUP_GID and GROUP_MEMBERS; fails when there is no such group.
read_group() {
    local name
    while IFS=: read -r name _ GROUP_GID GROUP_MEMBERS; do
        [ "$name" != "$1" ] || return 0
    done <"$ROOT/etc/group"
    return 1
}

has_password() {
    local name hash
    [ -r "$ROOT/etc/shadow" ] || return 1
    while IFS=: read -r name hash _; do
        [ "$name:$hash" != "$1:$2" ] || return 0
    done <"$ROOT/etc/shadow"
    return 1
}

join_groups() {
    local group IFS=,
    for group in $MISSING; do addgroup "$1" "$group" || cannot "user: $1 cannot join $group"; done
}

set_password() {
    printf '%s:%s\n' "$1" "$2" | chpasswd -e || cannot "user: the password of $1 cannot be set"
}

passwd_with_shell() {
    awk -F: -v OFS=: -v name="$1" -v shell="$2" '$1 == name { $7 = shell } { print }' "$ROOT/etc/passwd"
}

# allow_sudo NAME PASSWORD: for its password, where the seed says one.
allow_sudo() {
    [ -e "$ROOT/usr/bin/sudo" ] || cannot "user: this master has no sudo, which $1 is to have"
    reads_sudoers_folder || cannot "user: this master's sudo does not read /etc/sudoers.d, where the right of $1 would be"
    if [ -n "$2" ]; then set -- "$1" ALL; else set -- "$1" 'NOPASSWD: ALL'; fi
    SUDO_RULES="$SUDO_RULES$1 ALL=(ALL:ALL) $2
"
}

reads_sudoers_folder() {
    local file word folder
    for file in "$ROOT/etc/sudoers" "$ROOT/usr/etc/sudoers"; do
        [ -r "$file" ] || continue
        while read -r word folder _; do
            case $word,${folder%/} in [@#]includedir,/etc/sudoers.d) return 0 ;; esac
        done <"$file"
        return 1
    done
    return 1
}

# users_done: all rights by sudo are in one file of ours, so that who is no longer to have it loses it. A mistake in
# there, whosesoever it is, would take it from all.
users_done() {
    if [ -n "$SUDO_RULES" ]; then
        put_file "$SUDOERS" 0440 root:root sudo_rules
        ! has_program visudo || visudo -cq || cannot "user: this master's sudo does not take its rules"
    elif [ -e "$ROOT$SUDOERS" ]; then
        rm -f "$ROOT$SUDOERS"
    fi
}

sudo_rules() {
    printf '# Written from the seed by skinnybox.\n%s' "$SUDO_RULES"
}
