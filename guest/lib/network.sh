# shellcheck shell=dash disable=SC2034 # what is read here is written by the others
# The seed's network, for what brings networks up here: systemd-networkd, NetworkManager, wicked or ifupdown. ROOT as in
# seed.sh. What is read of a line stands in CARD_*, for the files of networkd.sh, ifupdown.sh and network-manager.sh.

# Names, not kinds: containers on this machine bring interfaces of their own, which are not ours to configure.
INTERFACES='en* eth*'

# seed_network "dhcp | static ADDRESS/PREFIX [WORD VALUE]...": the first card. Where there are others the host names its
# `mac`, as no card may have two settings.
seed_network() {
    forget_cards
    # shellcheck disable=SC2086 # the words are what is wanted
    read_card $1
    CARD_NUMBER=0
    write_card
    if [ -n "$CARD_DNS" ]; then write_resolvers "$CARD_DNS"; else forget_resolvers; fi
}

# seed_nic "NUMBER MAC dhcp | none | static ADDRESS/PREFIX [WORD VALUE]...": one more card. It is known by its MAC: the
# kernel and udev name cards as they find them.
seed_nic() {
    local number=${1%% *} rest=${1#* }
    case $number in '' | *[!0-9]*) cannot "nic: $number is no number of a card" ;; esac
    # shellcheck disable=SC2086 # the words are what is wanted
    read_card ${rest#* } mac "${rest%% *}"
    CARD_NUMBER=$number
    write_card
}

# forget_cards: what an earlier seed had written here, as its cards and VLANs may be gone. By its first line: what is called
# so and is not ours stays. A first boot has none, and starts no program for it.
forget_cards() {
    local file
    for file in "$ROOT"/etc/systemd/network/??-skinnybox* "$ROOT"/etc/network/interfaces.d/skinnybox* \
        "$ROOT"/etc/NetworkManager/system-connections/skinnybox* \
        "$ROOT"/etc/sysconfig/network/ifcfg-* "$ROOT"/etc/sysconfig/network/ifroute-*; do
        ! is_from_a_seed "$file" || rm -f "$file"
    done
}

is_from_a_seed() {
    local line=''
    [ ! -f "$1" ] || read -r line <"$1" || :
    [ "$line" = '# Written from the seed by skinnybox.' ]
}

# read_card METHOD [ADDRESS] [gateway A] [also A,B] [other-gateway A] [dns A,B] [mac M] [vlan N]
read_card() {
    CARD_METHOD=$1 CARD_ADDRESSES='' CARD_GATEWAYS='' CARD_DNS='' CARD_MAC='' CARD_VLAN=''
    case $1 in
    dhcp | none) ;;
    static) [ $# -ge 2 ] && CARD_ADDRESSES=$2 && shift || cannot "network: static, and no address" ;;
    *) cannot "network: neither dhcp nor static: $1" ;;
    esac
    shift
    while [ $# -ge 2 ]; do
        case $1 in
        gateway | other-gateway) CARD_GATEWAYS="$CARD_GATEWAYS$2 " ;;
        also) CARD_ADDRESSES="$CARD_ADDRESSES $(words "$2")" ;;
        dns) CARD_DNS=$(words "$2") ;;
        mac) CARD_MAC=$2 ;;
        vlan) CARD_VLAN=$2 ;;
        *) cannot "network: unknown word $1" ;;
        esac
        shift 2
    done
    [ $# -eq 0 ] || cannot "network: nothing follows $1"
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

write_card() {
    if uses_network_manager; then
        write_network_manager
    elif systemd_has networkd; then
        write_networkd
    elif [ -e "$ROOT/usr/sbin/wicked" ]; then
        write_wicked
    elif [ -e "$ROOT/etc/alpine-release" ]; then
        write_alpine
    elif [ -e "$ROOT/sbin/ifup" ] || [ -e "$ROOT/usr/sbin/ifup" ]; then
        write_ifupdown
    else
        cannot "network: this master has none of systemd-networkd, NetworkManager, wicked and ifupdown"
    fi
}

# numbered NAME: NAME for the first card, NAME-1 for the next.
numbered() {
    if [ "$CARD_NUMBER" = 0 ]; then echo "$1"; else echo "$1-$CARD_NUMBER"; fi
}

# vlan_name: of the interface that has the tagged part of a card; it begins as no card does.
vlan_name() {
    echo "nic${CARD_NUMBER}v$CARD_VLAN"
}

family_of() {
    case $1 in *:*) echo ipv6 ;; *) echo ipv4 ;; esac
}

# of_family FAMILY ADDRESS...: those of them that are of this family.
of_family() {
    local family=$1 each
    shift
    for each in "$@"; do
        [ "$(family_of "$each")" != "$family" ] || printf '%s ' "$each"
    done
}

# write_resolvers "DNS...": only where nobody else does it.
write_resolvers() {
    if uses_network_manager || systemd_has resolved; then
        forget_resolvers # of an earlier master
        return
    fi
    put_file /etc/resolv.conf 0644 root:root resolvers "$1"
}

# forget_resolvers: those of an earlier seed, which nobody else would ever replace. What the master has is there again,
# unless it was a machine once and has a seed's, too.
forget_resolvers() {
    local masters=$ROOT/media/root-ro/etc/resolv.conf
    is_from_a_seed "$ROOT/etc/resolv.conf" || return 0
    if { [ -e "$masters" ] || [ -L "$masters" ]; } && ! is_from_a_seed "$masters"; then
        cp -a "$masters" "$ROOT/etc/resolv.conf.skinnybox-new" &&
            mv -fT "$ROOT/etc/resolv.conf.skinnybox-new" "$ROOT/etc/resolv.conf" ||
            cannot "network: /etc/resolv.conf cannot be put back"
    else
        rm -f "$ROOT/etc/resolv.conf"
    fi
}

resolvers() {
    local server
    printf '# Written from the seed by skinnybox.\n'
    for server in $1; do printf 'nameserver %s\n' "$server"; done
}
