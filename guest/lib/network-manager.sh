# shellcheck shell=dash
# A card's settings for NetworkManager: a keyfile for each, which must be its owner's alone to be read.

write_network_manager() {
    local folder=/etc/NetworkManager/system-connections name
    name=$(numbered skinnybox)
    if [ -n "$CARD_VLAN" ]; then
        put_file "$folder/$name-vlan.nmconnection" 0600 root:root network_manager_vlan "$name-vlan"
        put_file "$folder/$name.nmconnection" 0600 root:root network_manager_parent "$name"
    else
        put_file "$folder/$name.nmconnection" 0600 root:root network_manager_file "$name"
    fi
}

# network_manager_parent NAME: a card that nothing is said of would ask by DHCP. put_file runs it in a shell of its own.
network_manager_parent() {
    CARD_METHOD=none
    network_manager_file "$1"
}

# network_manager_file NAME
network_manager_file() {
    printf '# Written from the seed by skinnybox.\n[connection]\nid=%s\ntype=ethernet\n' "$1"
    if [ -n "$CARD_MAC" ]; then
        printf 'autoconnect-priority=100\n\n[ethernet]\nmac-address=%s' "$CARD_MAC"
    else
        printf 'autoconnect-priority=100\nmulti-connect=3\n\n[match]\ninterface-name=' # 3: for each card that matches
        set -f
        # shellcheck disable=SC2086 # the words are what is wanted
        printf '%s;' $INTERFACES
        set +f
    fi
    network_manager_family ipv4
    network_manager_family ipv6
}

# network_manager_vlan NAME: without a `parent` it is that of the MAC.
network_manager_vlan() {
    printf '# Written from the seed by skinnybox.\n[connection]\nid=%s\ntype=vlan\ninterface-name=%s\n' "$1" "$(vlan_name)"
    printf '\n[vlan]\nid=%s\n\n[ethernet]\nmac-address=%s' "$CARD_VLAN" "$CARD_MAC"
    network_manager_family ipv4
    network_manager_family ipv6
}

network_manager_family() {
    local own gateway each number=0
    # shellcheck disable=SC2086 # one by one
    own=$(of_family "$1" $CARD_ADDRESSES) gateway=$(of_family "$1" $CARD_GATEWAYS)
    printf '\n\n[%s]\n' "$1"
    case $CARD_METHOD,$own,$1 in
    none,* | static,,ipv4) echo method=disabled && return ;;
    dhcp,* | static,,ipv6) echo method=auto ;;
    *) echo method=manual ;;
    esac
    for each in $own; do
        number=$((number + 1))
        printf 'address%s=%s%s\n' "$number" "$each" "${gateway:+,${gateway% }}"
        gateway=''
    done
    # shellcheck disable=SC2086 # one by one
    each=$(of_family "$1" $CARD_DNS)
    # shellcheck disable=SC2086
    [ -z "$each" ] || { printf 'dns=' && printf '%s;' $each; }
}
