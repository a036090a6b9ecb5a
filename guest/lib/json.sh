# shellcheck shell=dash
# Strings for programs to read.

# quoted TEXT: as a string of JSON, whatever is in it: names of files may hold anything. Bytes that are no UTF-8 become
# U+DC80 to U+DCFF, as Python writes and reads them.
quoted() {
    case $1 in
    *[!A-Za-z0-9\ ./_:@%+,=~-]*) printf '%s' "$1" | od -A n -v -t u1 | awk "$QUOTE" ;;
    *) printf '"%s"\n' "$1" ;;
    esac
}

# Numbers of bytes to a JSON string. Sequences of UTF-8 go through as \u escapes, so the output is ASCII.
# shellcheck disable=SC2016 # awk's own
QUOTE='
{ for (i = 1; i <= NF; i++) byte[++count] = $i }
END {
    printf "\""
    for (i = 1; i <= count; i++) {
        first = byte[i]
        if (first == 34 || first == 92) printf "\\%c", first
        else if (first >= 32 && first < 127) printf "%c", first
        else if (first < 128) printf "\\u%04x", first
        else {
            more = first >= 240 && first < 245 ? 3 : first >= 224 && first < 240 ? 2 : first >= 194 && first < 224 ? 1 : 0
            code = more == 3 ? first - 240 : more == 2 ? first - 224 : first - 192
            for (k = 1; k <= more; k++) {
                if (byte[i + k] < 128 || byte[i + k] > 191) more = 0
                else code = code * 64 + byte[i + k] - 128
            }
            if (more == 2 && (code < 2048 || (code >= 55296 && code < 57344))) more = 0
            if (more == 3 && (code < 65536 || code > 1114111)) more = 0
            if (!more) printf "\\udc%02x", first
            else if (code < 65536) printf "\\u%04x", code
            else printf "\\u%04x\\u%04x", 55296 + int((code - 65536) / 1024), 56320 + (code - 65536) % 1024
            i += more
        }
    }
    print "\""
}'
