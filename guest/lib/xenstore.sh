# shellcheck shell=dash
# Xen's configuration store, without any program of Xen: one request and its answer over the kernel's own device
# (struct xsd_sockmsg: four little-endian numbers of four bytes, type, request, transaction, length, then the body).

: "${DEV:=/dev}" "${RUN:=/run/skinnybox}"

XENSTORE_READ=002 XENSTORE_WRITE=013 XENSTORE_REMOVE=015 # octal, for printf

has_xenstore() {
    [ -c "$DEV/xen/xenbus" ]
}

# xenstore_read PATH: its value; a path that does not begin with / is this machine's own. Fails when there is none.
xenstore_read() {
    xenstore_ask "$XENSTORE_READ" "$1" && tail -c +17 "$RUN/xenstore"
}

# xenstore_write PATH VALUE
xenstore_write() {
    xenstore_ask "$XENSTORE_WRITE" "$1" "$2"
}

# xenstore_remove PATH: with all below it.
xenstore_remove() {
    xenstore_ask "$XENSTORE_REMOVE" "$1"
}

# xenstore_ask TYPE PATH [VALUE]: leaves the whole answer in RUN/xenstore; fails when it is an error. ASCII only, as the
# length is counted in characters.
xenstore_ask() {
    local length=$((${#2} + 1))
    [ $# -lt 3 ] || length=$((length + ${#3}))
    {
        # shellcheck disable=SC2059 # the format is the header
        printf "\\$1\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000$(octal "$length")$(octal $((length / 256)))\\000\\000%s\\000%s" \
            "$2" "${3-}" >&3
        dd bs=4112 count=1 <&3 >"$RUN/xenstore" 2>/dev/null
    } 3<>"$DEV/xen/xenbus" || return 1
    # An answer has the type of its request.
    [ "$(od -A n -t o1 -N 1 "$RUN/xenstore" | tr -d ' ')" = "$1" ]
}

# octal NUMBER: its lowest byte, as printf takes it.
octal() {
    printf '\\%d%d%d' $(($1 >> 6 & 3)) $(($1 >> 3 & 7)) $(($1 & 7))
}
