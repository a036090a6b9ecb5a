# shellcheck shell=dash
# Where the seed says this system stands: its time zone, its locale, whom it asks for the time. ROOT as in seed.sh.

# seed_timezone ZONE: a path below zoneinfo.
seed_timezone() {
    if [ -f "$ROOT/usr/share/zoneinfo/$1" ]; then
        ln -sfn "../usr/share/zoneinfo/$1" "$ROOT/etc/localtime" || cannot "timezone: /etc/localtime cannot be written"
    else
        case $1 in
        UTC | Etc/UTC) rm -f "$ROOT/etc/localtime" ;; # what systems are in that know of none
        *) cannot "timezone: this master does not know $1 (it may lack tzdata)" ;;
        esac
    fi
    [ ! -e "$ROOT/etc/timezone" ] || put_file /etc/timezone 0644 root:root echo "$1"
}

# seed_locale LOCALE: Debian 13 has made /etc/default/locale a link to the file that all others have.
seed_locale() {
    has_locale "$1" || cannot "locale: this master has not generated $1"
    if [ ! -e "$ROOT/etc/debian_version" ] || [ -L "$ROOT/etc/default/locale" ]; then
        put_lang /etc/locale.conf "$1"
        return
    fi
    put_lang /etc/default/locale "$1"
    [ ! -e "$ROOT/etc/locale.conf" ] || put_lang /etc/locale.conf "$1"
}

# has_locale LOCALE: de_DE.UTF-8 is told as de_DE.utf8.
has_locale() {
    case $1 in C | POSIX | C.UTF-8 | C.utf8) return 0 ;; esac
    [ -e "$ROOT/usr/bin/locale" ] || return 1
    locale -a 2>/dev/null | awk -v wanted="$1" '
        function plain(name) { name = tolower(name); gsub(/-/, "", name); return name }
        plain($0) == plain(wanted) { found = 1 }
        END { exit !found }
    '
}

put_lang() {
    put_file "$1" 0644 root:root lang_file "$ROOT$1" "$2"
}

# lang_file FILE LOCALE: with what else stands in the file.
lang_file() {
    local line
    echo "LANG=$2"
    [ ! -r "$1" ] || while read -r line; do
        case $line in LANG=*) ;; *) printf '%s\n' "$line" ;; esac
    done <"$1"
}

# seed_ntp "SERVER...": for whatever keeps the time here. Fedora has systemd-timesyncd as well, and does not start it.
seed_ntp() {
    local file
    for file in chrony/chrony.conf chrony.conf; do
        [ -e "$ROOT/usr/sbin/chronyd" ] && [ -e "$ROOT/etc/$file" ] || continue
        chrony_servers "/etc/$file" "$1"
        return
    done
    for file in ntpsec/ntp.conf ntp.conf; do
        [ -e "$ROOT/usr/sbin/ntpd" ] && [ -e "$ROOT/etc/$file" ] || continue
        put_file "/etc/$file" 0644 root:root with_servers "$ROOT/etc/$file" "$1"
        return
    done
    systemd_has timesyncd || cannot "ntp: this master has none of systemd-timesyncd, chrony and ntpd"
    put_file /etc/systemd/timesyncd.conf.d/skinnybox.conf 0644 root:root timesyncd_file "$1"
}

timesyncd_file() {
    printf '# Written from the seed by skinnybox.\n[Time]\nNTP=%s\n' "$1"
}

# chrony_servers FILE "SERVER...": in the folder of sources that FILE names, as chrony has it from version 4 on.
chrony_servers() {
    local word folder
    while read -r word folder _; do
        case $word,$folder in
        sourcedir,/etc/*)
            put_file "${folder%/}/skinnybox.sources" 0644 root:root server_lines "$2"
            return
            ;;
        esac
    done <"$ROOT$1"
    put_file "$1" 0644 root:root with_servers "$ROOT$1" "$2"
}

# with_servers FILE "SERVER...": our block of it is renewed; what else stands there is the master's.
with_servers() {
    sed '/^# skinnybox: from the seed$/,/^# skinnybox: end$/d' "$1"
    echo '# skinnybox: from the seed'
    server_lines "$2"
    echo '# skinnybox: end'
}

# server_lines "SERVER...": beside those that the master has, which is why they are preferred.
server_lines() {
    local server
    for server in $1; do printf 'server %s iburst prefer\n' "$server"; done
}
