# shellcheck shell=dash
# Making this root filesystem what a seed says. Runs inside it, before its init; ROOT is "" but in tests.
# Nothing is marked as done before all of it is on the disk: a machine killed half-way applies it again.
# Every program started here costs a first boot 50 ms without KVM, so builtins do what they can.

: "${ROOT:=}"

CHECK=/var/lib/skinnybox/check

# cannot REASON: ends the whole application; the initramfs shows the reason and powers off.
cannot() {
    printf '%s\n' "$*" >&2
    exit 1
}

# note WHAT: for the console, of what is applied all the same.
note() {
    printf 'note: %s\n' "$*"
}

# seed_apply FOLDER: FOLDER is the unpacked seed.
seed_apply() {
    local number=0 key value
    [ ! -e "$ROOT$CHECK" ] || rm -f "$ROOT$CHECK" # one that is no longer said
    while read -r key value; do
        number=$((number + 1))
        check_words "$key" "$value"
        seed_line "$1" "$number" "$key" "$value"
    done <"$1/lines"
    users_done
    cloud_done
}

# check_words KEY VALUE: of those that are one word, or none, what else stood there would be written somewhere, or be
# passed over in silence.
check_words() {
    case $1,$2 in
    hostname,*[[:space:]]* | machine-id,*[[:space:]]* | run-once,?* | user-data,?* | check,?*) cannot "$1: more is said than it can be: $2" ;;
    hostname, | machine-id, | user, | network, | ntp,) cannot "$1: nothing is said of it" ;;
    esac
}

seed_line() {
    case $3 in
    generation | instance) ;;
    swap | throw-away) ;; # the initramfs saw to it
    data) ;; # mounted before this, at every boot (data.sh)
    hostname-from) [ "$4" = host ] || cannot "hostname-from: not $4, but host" ;;
    hostname) seed_hostname "$4" ;;
    machine-id) put_file /etc/machine-id 0444 root:root echo "$4" ;;
    network) seed_network "$4" ;;
    nic) seed_nic "$4" ;;
    authorized-keys) seed_authorized_keys "$4" "$1" "$2" ;;
    file) seed_file "$4" "$1" "$2" ;;
    run-once) seed_run_once "$1" "$2" ;;
    user) seed_user "$4" "$1" "$2" ;;
    timezone) seed_timezone "$4" ;;
    locale) seed_locale "$4" ;;
    ntp) seed_ntp "$4" ;;
    user-data) seed_user_data "$1" "$2" ;;
    check) put_file "$CHECK" 0700 root:root message_payload "$1" "$2" ;;
    *) cannot "this master does not know what a seed's '$3' means" ;;
    esac
}

# put_file PATH MODE OWNER COMMAND...: what COMMAND prints, in place at once or not at all. A symlink is replaced, also
# where it has the name that the file has until then: its folder may be a user's, who would lead us to any file.
put_file() {
    local path=$ROOT$1 mode=$2 owner=$3
    shift 3
    [ -d "${path%/*}" ] || mkdir -p "${path%/*}" || cannot "$path: its folder cannot be made"
    [ ! -e "$path.skinnybox-new" ] && [ ! -L "$path.skinnybox-new" ] || rm -rf "$path.skinnybox-new"
    (umask 0177 && "$@" >"$path.skinnybox-new") || cannot "$path: cannot be written"
    [ "$owner" = root:root ] || chown "$owner" "$path.skinnybox-new" || cannot "$path: cannot belong to $owner"
    [ $((0$mode)) -eq $((0600)) ] || chmod "$mode" "$path.skinnybox-new" || cannot "$path: cannot have the mode $mode"
    mv -fT "$path.skinnybox-new" "$path" || cannot "$path: cannot be put in place"
}

seed_hostname() {
    put_file /etc/hostname 0644 root:root echo "$1"
    put_file /etc/hosts 0644 root:root hosts_with_name "$1"
}

# hosts_with_name NAME: the hosts file with NAME at 127.0.1.1, as Debian has it; other lines stay.
hosts_with_name() {
    if [ -s "$ROOT/etc/hosts" ]; then
        awk -v name="$1" '
            $1 == "127.0.1.1" { if (!done++) print "127.0.1.1\t" name; next }
            { print }
            END { if (!done) print "127.0.1.1\t" name }
        ' "$ROOT/etc/hosts"
    else
        printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n' "$1"
        printf '::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n'
    fi
}

# seed_file "PATH MODE OWNER:GROUP" FOLDER NUMBER: the path may hold blanks.
seed_file() {
    local rest=${1% *} owner=${1##* }
    case ${rest% *},${rest##* } in
    /*,*[!0-7]* | /*, | [!/]* | ,*) cannot "file: not a path, a mode and an owner: $1" ;;
    esac
    clear_way "${rest% *}"
    put_file "${rest% *}" "${rest##* }" "$owner" message_payload "$2" "$3"
}

# seed_authorized_keys USER FOLDER NUMBER
seed_authorized_keys() {
    local user group home kept
    read_account "$1" || cannot "authorized-keys: this master has no user $1"
    user=$ACCOUNT_UID group=$ACCOUNT_GID home=$ACCOUNT_HOME kept=$ROOT$ACCOUNT_HOME/.ssh/authorized_keys
    clear_way "$home/.ssh/authorized_keys"
    [ "$user" = 0 ] || is_safe -f "$kept" || rm -rf "$kept"
    [ -d "$ROOT$home/.ssh" ] || mkdir -m 0700 "$ROOT$home/.ssh" || cannot "$home/.ssh cannot be made"
    own "$user:$group" "$ROOT$home/.ssh" || cannot "$home/.ssh cannot be given to $1"
    [ "$user:$group" != 0:0 ] || user=root group=root
    put_file "$home/.ssh/authorized_keys" 0600 "$user:$group" authorized_keys "$kept" "$2" "$3"
}

# clear_way PATH: whatever is no folder on the way to it, and lies in one that is not root's: whose that is could lead us
# anywhere, and be given, or shown, what is another's; or keep the machine from starting. A link of theirs to a folder of
# theirs stays.
clear_way() {
    local way='' above rest=${1#/}
    while [ "$rest" != "${rest#*/}" ]; do
        above=$ROOT$way/ way=$way/${rest%%/*} rest=${rest#*/}
        [ -O "$above" ] && [ ! -k "$above" ] || is_safe -d "$ROOT$way" || rm -f "$ROOT$way"
    done
}

# is_safe -d|-f PATH: there is nothing, or what is to be there. Of a link it is the folder's owner who counts: it could
# have another name by now than whoever made it gave it.
is_safe() {
    local whose
    if [ -L "$2" ]; then
        if [ -k "${2%/*}/" ]; then whose=$(stat -c %u "$2"); else whose=$(stat -L -c %u "${2%/*}/"); fi
        test "$1" "$2" && [ "$(stat -L -c %u "$2")" = "$whose" ]
    else
        test "$1" "$2" || [ ! -e "$2" ]
    fi
}

own() {
    [ "$1" = 0:0 ] || chown "$1" "$2"
}

# authorized_keys FILE FOLDER NUMBER: our block of it is renewed; what else stands there is the administrator's.
authorized_keys() {
    echo '# skinnybox: from the seed'
    message_payload "$2" "$3"
    echo
    echo '# skinnybox: end'
    [ ! -f "$1" ] || other_keys "$1"
}

other_keys() {
    sed '/^# skinnybox: from the seed$/,/^# skinnybox: end$/d' "$1"
}

# read_account USER: sets ACCOUNT_UID, _GID, _HOME and _SHELL; fails when there is no such user.
# shellcheck disable=SC2034 # the shell is for accounts.sh
read_account() {
    local name
    while IFS=: read -r name _ ACCOUNT_UID ACCOUNT_GID _ ACCOUNT_HOME ACCOUNT_SHELL; do
        [ "$name" != "$1" ] || return 0
    done <"$ROOT/etc/passwd"
    return 1
}

# seed_run_once FOLDER NUMBER: the unit is enabled only while there is something to run, as it awaits the network. A
# script that ran already, for an earlier seed, does not run again. An init without units looks at each boot (after-boot).
seed_run_once() {
    local wants=$ROOT/etc/systemd/system/multi-user.target.wants ran=$ROOT/var/lib/skinnybox/run-once.ran
    if [ -f "$ran" ] && message_payload "$1" "$2" | cmp -s - "$ran"; then
        return 0
    fi
    put_file /var/lib/skinnybox/run-once 0700 root:root message_payload "$1" "$2"
    [ ! -e "$ROOT/usr/lib/skinnybox/after-boot" ] || return 0
    mkdir -p "$wants" && ln -sf /usr/lib/systemd/system/skinnybox-run-once.service "$wants/" ||
        cannot "the unit for the run-once script cannot be enabled"
}

# seed_done FOLDER: the mark has its bytes on the disk before its name. A power cut would leave it empty otherwise, and
# the seed would be applied again, over what an administrator changed since.
seed_done() {
    put_file "$APPLIED-new" 0644 root:root echo "$(message_value "$1" generation) $(message_value "$1" instance)"
    [ ! -e "$ROOT$DATA_NEW" ] || rm -f "$ROOT$DATA_NEW"
    sync
    mv -fT "$ROOT$APPLIED-new" "$ROOT$APPLIED" || cannot "$ROOT$APPLIED: cannot be put in place"
}
