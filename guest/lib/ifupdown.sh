# shellcheck shell=dash
# A card's settings for ifupdown: Debian's, and Alpine's of busybox, which knows no patterns and reads one file; and for
# wicked. Where cards are known by their names only, eth0, eth1 and so on are taken to be in the machine's own order.

write_ifupdown() {
    put_file "/etc/network/interfaces.d/$(numbered skinnybox)" 0644 root:root ifupdown_file "$(numbered skinnybox)"
}

write_alpine() {
    put_file /etc/network/interfaces 0644 root:root alpine_file "eth$CARD_NUMBER"
}

write_wicked() {
    local name=eth$CARD_NUMBER
    if [ -n "$CARD_VLAN" ]; then
        put_file "/etc/sysconfig/network/ifcfg-$name" 0644 root:root wicked_head none
        name=$(vlan_name)
    fi
    put_file "/etc/sysconfig/network/ifcfg-$name" 0644 root:root wicked_file
    [ -z "$CARD_GATEWAYS" ] || put_file "/etc/sysconfig/network/ifroute-$name" 0644 root:root wicked_routes "$name"
}

# ifupdown_file LOGICAL: for whichever card is the one.
ifupdown_file() {
    local pattern
    printf '# Written from the seed by skinnybox.\n'
    if [ -n "$CARD_MAC" ]; then
        printf 'auto mac/%s/1=%s\n' "$CARD_MAC" "$1" # 1: not its VLANs, which have the same
    else
        set -f
        for pattern in $INTERFACES; do printf 'auto /%s=%s\n' "$pattern" "$1"; done
        set +f
    fi
    if [ -z "$CARD_VLAN" ]; then
        interface "$1"
        return
    fi
    interface_without_address "$1"
    # shellcheck disable=SC2016 # ifup's own variable
    printf '    up [ -e /sys/class/net/%s ] || ip link add link $IFACE name %s type vlan id %s\n' \
        "$(vlan_name)" "$(vlan_name)" "$CARD_VLAN"
    printf '    up ifup %s\n    down ifdown %s; ip link delete %s\n' "$(vlan_name)" "$(vlan_name)" "$(vlan_name)"
    interface "$(vlan_name)"
}

# alpine_file NAME: behind those of the cards before it.
alpine_file() {
    if [ "$CARD_NUMBER" = 0 ]; then
        printf '# Written from the seed by skinnybox.\nauto lo\niface lo inet loopback\n'
    else
        cat "$ROOT/etc/network/interfaces"
    fi
    printf '\nauto %s\n' "$1"
    if [ -z "$CARD_VLAN" ]; then
        interface "$1"
        return
    fi
    interface_without_address "$1"
    printf '\nauto %s\n' "$(vlan_name)"
    interface "$(vlan_name)" "    pre-up ip link add link $1 name $(vlan_name) type vlan id $CARD_VLAN"
}

# interface NAME [LINE]: LINE is in its first stanza.
interface() {
    local line=${2:-} family families
    case $CARD_METHOD in
    none)
        interface_without_address "$1"
        [ -z "$line" ] || printf '%s\n' "$line"
        ;;
    dhcp)
        printf 'iface %s inet dhcp\n' "$1"
        [ -z "$line" ] || printf '%s\n' "$line"
        [ "$CARD_NUMBER" = 0 ] || printf '    metric %s\n' $((100 * CARD_NUMBER)) # the way out is the first card's
        ;;
    *)
        families='ipv4 ipv6'
        [ "$(family_of "${CARD_ADDRESSES%% *}")" = ipv4 ] || families='ipv6 ipv4'
        for family in $families; do
            # shellcheck disable=SC2046,SC2086 # the addresses, one by one
            interface_of_family "$1" "$family" "$line" $(of_family "$family" $CARD_ADDRESSES)
            line=''
        done
        ;;
    esac
}

# interface_of_family NAME FAMILY LINE [ADDRESS]...: more addresses are added by hand: busybox knows one for each family.
interface_of_family() {
    local name=$1 family=$2 line=$3 each
    shift 3
    [ $# -gt 0 ] || return 0
    [ "$family" = ipv4 ] && printf 'iface %s inet static\n' "$name" || printf 'iface %s inet6 static\n' "$name"
    [ -z "$line" ] || printf '%s\n' "$line"
    printf '    address %s\n' "$1"
    shift
    # shellcheck disable=SC2086 # one by one
    for each in $(of_family "$family" $CARD_GATEWAYS); do printf '    gateway %s\n' "$each"; done
    # shellcheck disable=SC2016 # ifup's own variable
    for each in "$@"; do printf '    up ip address add %s dev $IFACE\n' "$each"; done
}

interface_without_address() {
    # shellcheck disable=SC2016 # ifup's own variable
    printf 'iface %s inet manual\n    up ip link set $IFACE up\n' "$1"
}

# wicked_head METHOD
wicked_head() {
    printf "# Written from the seed by skinnybox.\nSTARTMODE='auto'\nBOOTPROTO='%s'\n" "$1"
}

wicked_file() {
    local each suffix='' number=0
    wicked_head "$CARD_METHOD"
    [ -z "$CARD_VLAN" ] || printf "ETHERDEVICE='eth%s'\nVLAN_ID='%s'\n" "$CARD_NUMBER" "$CARD_VLAN"
    for each in $CARD_ADDRESSES; do
        printf "IPADDR%s='%s'\n" "$suffix" "$each"
        number=$((number + 1)) suffix=_$number
    done
}

wicked_routes() {
    local each
    printf '# Written from the seed by skinnybox.\n'
    for each in $CARD_GATEWAYS; do echo "default $each - $1"; done
}
