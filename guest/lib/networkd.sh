# shellcheck shell=dash
# A card's settings for systemd-networkd. Of all files, in whatever folder, the first by name that fits a card counts, and
# no other: a card's own before those of the first card, which may fit by name; a VLAN's before its card's, as it has the
# same MAC; and all before netplan's (/run/systemd/network/10-netplan-*.network). Where a system has netplan, what it was
# made with names its own cards and addresses there, or asks by DHCP on all; a seed that came behind that went unheard. It
# is not written as netplan's YAML: that is merged with what lies there already, by names we do not know.

write_networkd() {
    local file=/etc/systemd/network/10-skinnybox
    [ ! -e "$ROOT/etc/netplan" ] || file=/etc/systemd/network/05-skinnybox
    file=$(numbered "$file")
    if [ -n "$CARD_VLAN" ]; then
        put_file "$file.netdev" 0644 root:root networkd_vlan
        put_file "$file-vlan.network" 0644 root:root networkd_file "Name=$(vlan_name)"
        put_file "$file.network" 0644 root:root networkd_parent
    else
        put_file "$file.network" 0644 root:root networkd_file "$(networkd_match)"
    fi
}

networkd_match() {
    if [ -n "$CARD_MAC" ]; then echo "MACAddress=$CARD_MAC"; else echo "Name=$INTERFACES"; fi
}

networkd_vlan() {
    printf '# Written from the seed by skinnybox.\n[NetDev]\nName=%s\nKind=vlan\n\n[VLAN]\nId=%s\n' "$(vlan_name)" "$CARD_VLAN"
}

networkd_parent() {
    printf '# Written from the seed by skinnybox.\n[Match]\n%s\n\n[Network]\nVLAN=%s\n' "$(networkd_match)" "$(vlan_name)"
    printf 'LinkLocalAddressing=no\nIPv6AcceptRA=no\n'
}

# networkd_file MATCH
networkd_file() {
    local each
    printf '# Written from the seed by skinnybox.\n[Match]\n%s\n\n[Network]\n' "$1"
    case $CARD_METHOD in
    none) printf 'LinkLocalAddressing=no\nIPv6AcceptRA=no\n' ;;
    dhcp)
        printf 'DHCP=yes\n'
        # The way out is the first card's, whoever answers first.
        [ "$CARD_NUMBER" = 0 ] || printf '\n[DHCP]\nRouteMetric=%s\n' $((1024 + 100 * CARD_NUMBER))
        ;;
    *)
        for each in $CARD_ADDRESSES; do printf 'Address=%s\n' "$each"; done
        for each in $CARD_GATEWAYS; do printf 'Gateway=%s\n' "$each"; done
        [ -z "$CARD_DNS" ] || printf 'DNS=%s\n' "$CARD_DNS"
        ;;
    esac
}
