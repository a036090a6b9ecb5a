# shellcheck shell=dash
# The text host and guest exchange: a first line with kind and version, lines of a key and a value, base64
# payloads indented below their line, `end`, then padding. An unpacked message is a folder: `lines` holds the
# lines, N.b64 the payload of the Nth.

# message_unpack FILE KIND FOLDER: fails, with nothing to trust in FOLDER, unless FILE holds a whole message.
message_unpack() {
    [ ! -e "$3" ] || rm -rf "$3"
    mkdir "$3" || return 1
    : >"$3/lines"
    awk -v head="skinnybox-$2 1" -v folder="$3" '
        NR == 1 { if ($0 != head) exit; next }
        $0 == "end" { whole = 1; exit }
        /^ / { if (!number) exit; print substr($0, 2) >(folder "/" number ".b64"); next }
        { close(folder "/" number ".b64"); number++; print >(folder "/lines") }
        END { exit !whole }
    ' "$1"
}

# message_values FOLDER KEY: the value of every line with that key, in order.
message_values() {
    local key value
    while read -r key value; do
        [ "$key" != "$2" ] || printf '%s\n' "$value"
    done <"$1/lines"
}

# message_value FOLDER KEY: the value of the first such line; fails when there is none.
message_value() {
    local key value
    while read -r key value; do
        [ "$key" = "$2" ] || continue
        printf '%s\n' "$value"
        return 0
    done <"$1/lines"
    return 1
}

# message_payload FOLDER NUMBER: the decoded bytes; nothing when that line carries none.
message_payload() {
    [ ! -e "$1/$2.b64" ] || base64 -d "$1/$2.b64"
}

# as_payload: standard input as the indented lines of a payload.
as_payload() {
    base64 | sed 's/^/ /'
}
