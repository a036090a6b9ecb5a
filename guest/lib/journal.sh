# shellcheck shell=dash
# How much of systemd's journal a thin machine keeps: a share of its overlay, which is small and of fixed size, unless
# its administrator, or its master, says how much. Said in /run at each boot, so that it follows a disk that has grown,
# is part of no delta, and is out of the way as soon as somebody says otherwise.

: "${SYS:=/sys}" "${RUN:=/run/skinnybox}" "${JOURNAL:=/run/systemd/journald.conf.d}"

# One part of so many, in bytes at least and at most.
JOURNAL_PART=20 JOURNAL_LEAST=8388608 JOURNAL_MOST=268435456

# bound_journal ROOT
bound_journal() {
    local disk sectors=0 size
    [ -e "$1/usr/lib/systemd/systemd-journald" ] || [ -e "$1/lib/systemd/systemd-journald" ] || return 0
    ! journal_is_bounded "$1" || return 0
    read -r disk <"$RUN/disk" && [ -r "$SYS/block/${disk##*/}/size" ] && read -r sectors <"$SYS/block/${disk##*/}/size"
    size=$((sectors * 512 / JOURNAL_PART))
    [ "$size" -le "$JOURNAL_MOST" ] || size=$JOURNAL_MOST
    [ "$size" -ge "$JOURNAL_LEAST" ] && [ ! -d "$RUN/memory" ] || size=$JOURNAL_LEAST
    mkdir -p "$JOURNAL" || return 0
    printf '[Journal]\nSystemMaxUse=%s\nRuntimeMaxUse=%s\n' "$size" "$JOURNAL_LEAST" >"$JOURNAL/10-skinnybox.conf"
}

# journal_is_bounded ROOT: whether somebody says how much is kept, in any file that journald reads.
journal_is_bounded() {
    local file line
    for file in "$1"/etc/systemd/journald.conf "$1"/etc/systemd/journald.conf.d/*.conf \
        "$1"/usr/lib/systemd/journald.conf.d/*.conf "$1"/usr/local/lib/systemd/journald.conf.d/*.conf; do
        [ -f "$file" ] || continue
        while read -r line || [ -n "$line" ]; do
            case $line in SystemMaxUse*=*[0-9]*) return 0 ;; esac
        done <"$file"
    done
    return 1
}
