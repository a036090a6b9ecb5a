# shellcheck shell=dash
# The seed's network, for systemd-networkd or else ifupdown. ROOT as in seed.sh.

# Names, not kinds: containers on this machine bring interfaces of their own, which are not ours to configure.
INTERFACES='en* eth*'

# seed_network "dhcp" | "static ADDRESS/PREFIX [gateway A] [dns A,B]"
seed_network() {
    local method=$1 address='' gateway='' dns=''
    # shellcheck disable=SC2086 # the words are what is wanted
    set -- $1
    case $method in
    dhcp) ;;
    static\ *)
        method=static
        address=$2
        shift 2
        while [ $# -ge 2 ]; do
            case $1 in
            gateway) gateway=$2 ;;
            dns) dns=$2 ;;
            *) cannot "network: unknown word $1" ;;
            esac
            shift 2
        done
        ;;
    *) cannot "network: neither dhcp nor static: $method" ;;
    esac
    write_network "$method" "$address" "$gateway" "$(words "$dns")"
}

# words A,B: as A B.
words() {
    local IFS=,
    # shellcheck disable=SC2086 # the commas part it
    set -- $1
    IFS=' '
    printf '%s\n' "$*"
}

# systemd_has PART: /lib is a folder of its own before Debian 12.
systemd_has() {
    [ -e "$ROOT/usr/lib/systemd/systemd-$1" ] || [ -e "$ROOT/lib/systemd/systemd-$1" ]
}

# write_network METHOD ADDRESS GATEWAY "DNS..."
write_network() {
    if systemd_has networkd; then
        put_file /etc/systemd/network/10-skinnybox.network 0644 root:root networkd_file "$@"
    elif [ -e "$ROOT/sbin/ifup" ] || [ -e "$ROOT/usr/sbin/ifup" ]; then
        put_file /etc/network/interfaces.d/skinnybox 0644 root:root ifupdown_file "$@"
    else
        cannot "network: this master has neither systemd-networkd nor ifupdown"
    fi
    write_resolvers "$4"
}

networkd_file() {
    printf '# Written from the seed by skinnybox.\n[Match]\nName=%s\n\n[Network]\n' "$INTERFACES"
    if [ "$1" = dhcp ]; then
        printf 'DHCP=yes\n'
        return
    fi
    printf 'Address=%s\n' "$2"
    [ -z "$3" ] || printf 'Gateway=%s\n' "$3"
    [ -z "$4" ] || printf 'DNS=%s\n' "$4"
}

ifupdown_file() {
    local pattern family=inet
    case $2 in *:*) family=inet6 ;; esac
    printf '# Written from the seed by skinnybox.\n'
    set -f
    for pattern in $INTERFACES; do printf 'auto /%s=skinnybox\n' "$pattern"; done
    set +f
    printf 'iface skinnybox %s %s\n' "$family" "$1"
    [ -z "$2" ] || printf '    address %s\n' "$2"
    [ -z "$3" ] || printf '    gateway %s\n' "$3"
}

# write_resolvers "DNS...": only where no systemd-resolved does it.
write_resolvers() {
    [ -n "$1" ] && ! systemd_has resolved || return 0
    put_file /etc/resolv.conf 0644 root:root resolvers "$1"
}

resolvers() {
    local server
    for server in $1; do printf 'nameserver %s\n' "$server"; done
}
