# shellcheck shell=dash
# The seed's network, for what brings networks up here: systemd-networkd, NetworkManager, wicked or ifupdown. ROOT as in
# seed.sh.

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

# uses_network_manager: where a tree has networkd as well, fitting it enabled one of them, by the same signs: Debian's
# kin has it, and other things beside it that decide what it may touch.
uses_network_manager() {
    local wants=$ROOT/etc/systemd/system/multi-user.target.wants
    [ -L "$wants/NetworkManager.service" ] && [ ! -L "$wants/systemd-networkd.service" ] &&
        [ ! -e "$ROOT/etc/network/interfaces" ] && [ ! -e "$ROOT/etc/netplan" ]
}

# write_network METHOD ADDRESS GATEWAY "DNS..."
write_network() {
    if uses_network_manager; then
        put_file /etc/NetworkManager/system-connections/skinnybox.nmconnection 0600 root:root network_manager_file "$@"
        return
    elif systemd_has networkd; then
        put_file /etc/systemd/network/10-skinnybox.network 0644 root:root networkd_file "$@"
    elif [ -e "$ROOT/usr/sbin/wicked" ]; then
        put_file /etc/sysconfig/network/ifcfg-eth0 0644 root:root wicked_file "$@"
        [ -z "$3" ] || put_file /etc/sysconfig/network/ifroute-eth0 0644 root:root echo "default $3 - eth0"
    elif [ -e "$ROOT/etc/alpine-release" ]; then # its ifup knows no patterns, and reads this file alone
        put_file /etc/network/interfaces 0644 root:root alpine_file "$@"
    elif [ -e "$ROOT/sbin/ifup" ] || [ -e "$ROOT/usr/sbin/ifup" ]; then
        put_file /etc/network/interfaces.d/skinnybox 0644 root:root ifupdown_file "$@"
    else
        cannot "network: this master has none of systemd-networkd, NetworkManager, wicked and ifupdown"
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
    local pattern
    printf '# Written from the seed by skinnybox.\n'
    set -f
    for pattern in $INTERFACES; do printf 'auto /%s=skinnybox\n' "$pattern"; done
    set +f
    interface skinnybox "$@"
}

alpine_file() {
    printf '# Written from the seed by skinnybox.\nauto lo\niface lo inet loopback\n\nauto eth0\n'
    interface eth0 "$@"
}

# interface NAME METHOD ADDRESS GATEWAY
interface() {
    local family=inet
    [ "$(family_of "$3")" = ipv4 ] || family=inet6
    printf 'iface %s %s %s\n' "$1" "$family" "$2"
    [ -z "$3" ] || printf '    address %s\n' "$3"
    [ -z "$4" ] || printf '    gateway %s\n' "$4"
}

network_manager_file() {
    printf '# Written from the seed by skinnybox.\n[connection]\nid=skinnybox\ntype=ethernet\n'
    printf 'autoconnect-priority=100\nmulti-connect=3\n\n[match]\ninterface-name=' # 3: for each card that matches
    set -f
    # shellcheck disable=SC2086 # the words are what is wanted
    printf '%s;' $INTERFACES
    set +f
    network_manager_family ipv4 "$@"
    network_manager_family ipv6 "$@"
}

# network_manager_family ipv4|ipv6 METHOD ADDRESS GATEWAY "DNS..."
network_manager_family() {
    local server
    printf '\n\n[%s]\n' "$1"
    case $2,$(family_of "$3"),$1 in
    dhcp,* | static,ipv4,ipv6) echo method=auto ;;
    static,ipv6,ipv4) echo method=disabled && return ;;
    *) printf 'method=manual\naddress1=%s%s\n' "$3" "${4:+,$4}" ;;
    esac
    for server in $5; do
        [ "$(family_of "$server")" != "$1" ] || printf '%s;' "$server"
    done | sed 's/^/dns=/'
}

family_of() {
    case $1 in *:*) echo ipv6 ;; *) echo ipv4 ;; esac
}

wicked_file() {
    printf "# Written from the seed by skinnybox.\nSTARTMODE='auto'\nBOOTPROTO='%s'\n" "$1"
    [ -z "$2" ] || printf "IPADDR='%s'\n" "$2"
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
