# shellcheck shell=dash
# The ssh host key this machine made for itself. Its home is the overlay's /skinnybox/identity, which outlives a
# reset of everything else; /etc/ssh holds a copy.

: "${ROOT:=}" "${DISK_VIEW:=/media/root-rw}" "${RUN:=/run/skinnybox}"
HOST_KEY=ssh_host_ed25519_key
IDENTITY_SIZE=32768

# identity_apply INSTANCE NEW: NEW is yes when this upper has never been seeded for this machine.
identity_apply() {
    command -v ssh-keygen >/dev/null || return 0
    identity_is_of "$1" || make_identity "$1"
    forget_shared_keys "$2"
    [ "$2" = no ] && [ -s "$ROOT/etc/ssh/$HOST_KEY" ] || install_identity
    rm -rf "$RUN/identity" # the private key
}

# identity_is_of INSTANCE: an identity of another machine came with a copied disk, and is not ours.
identity_is_of() {
    message_unpack "$ROOT$DISK_VIEW/skinnybox/identity" identity "$RUN/identity" &&
        [ "$(message_value "$RUN/identity" instance)" = "$1" ] &&
        [ "$(message_value "$RUN/identity" ssh-host-key)" = "$HOST_KEY" ]
}

# make_identity INSTANCE: only ed25519; every other kind costs seconds or is on its way out.
make_identity() {
    local key=$RUN/new-key
    rm -f "$key" "$key.pub"
    ssh-keygen -q -t ed25519 -N '' -C "skinnybox $1" -f "$key" || cannot "ssh-keygen failed"
    identity_of "$1" "$key" >"$RUN/new-identity" || cannot "the identity cannot be encoded"
    write_in_place "$RUN/new-identity" "$ROOT$DISK_VIEW/skinnybox/identity"
    rm -f "$key" "$key.pub" "$RUN/new-identity"
    identity_is_of "$1" || cannot "the identity on the overlay's disk cannot be read back"
}

# identity_of INSTANCE KEY: padded with newlines, as the host has preallocated the file and knows its blocks.
identity_of() {
    {
        printf 'skinnybox-identity 1\ninstance %s\nssh-host-key %s\n' "$1" "$HOST_KEY"
        as_payload <"$2"
        printf 'ssh-host-key %s.pub\n' "$HOST_KEY"
        as_payload <"$2.pub"
        echo end
    } | awk -v size="$IDENTITY_SIZE" '
        { print; size -= length($0) + 1 }
        END { while (size-- > 0) print "" }
    '
}

# write_in_place FROM FILE: never another size, never other blocks.
write_in_place() {
    [ -f "$2" ] || cannot "$2 is not there"
    dd if="$1" of="$2" bs="$IDENTITY_SIZE" count=1 conv=notrunc,fsync 2>/dev/null || cannot "$2 cannot be written"
}

# forget_shared_keys NEW: a key that came with the master would be the key of every machine on it.
forget_shared_keys() {
    local key
    for key in "$ROOT"/etc/ssh/ssh_host_*; do
        [ -e "$key" ] || continue
        [ "$1" = no ] && [ -e "$ROOT$DISK_VIEW/upper/etc/ssh/${key##*/}" ] || rm -f "$key"
    done
}

install_identity() {
    local number=0 key value mode
    while read -r key value; do
        number=$((number + 1))
        [ "$key" = ssh-host-key ] || continue
        case $value in
        "$HOST_KEY") mode=0600 ;;
        "$HOST_KEY.pub") mode=0644 ;;
        *) continue ;;
        esac
        put_file "/etc/ssh/$value" "$mode" root:root message_payload "$RUN/identity" "$number"
    done <"$RUN/identity/lines"
}
