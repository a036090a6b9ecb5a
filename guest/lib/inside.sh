# shellcheck shell=dash
# What whoever works in this machine may ask of it: `skinnybox-guest status`. Nothing here needs root.

: "${ROOT:=}" "${SYS:=/sys}" "${PROC:=/proc}" "${RUN:=/run/skinnybox}"

# is_thin: whether this system was started as a thin machine, with an initramfs that says so (stack.sh).
is_thin() {
    [ -r "$RUN-inside" ]
}

# inside_values KEY: the value of every such line that the initramfs left, in order.
inside_values() {
    local key value
    while read -r key value; do
        [ "$key" != "$1" ] || printf '%s\n' "$value"
    done <"$RUN-inside"
}

# system_name: as the master's maker calls it.
system_name() {
    local line
    [ -r "$ROOT/etc/os-release" ] || return 0
    while read -r line; do
        case $line in PRETTY_NAME=*) line=${line#*=} && line=${line#[\"\']} && printf '%s\n' "${line%[\"\']}" && return ;; esac
    done <"$ROOT/etc/os-release"
}

# idle_kernels: those that lie here and never boot: this machine boots what its master was sealed with.
idle_kernels() {
    local file running
    read -r running <"$PROC/sys/kernel/osrelease"
    for file in "$ROOT"/boot/vmlinu[xz]-*; do
        [ -f "$file" ] && [ ! -L "$file" ] || continue
        case ${file##*/vmlinu?-} in "$running" | *rescue*) ;; *) printf '%s\n' "${file##*/vmlinu?-}" ;; esac
    done
}

# own_name: `hostname` is not everywhere.
own_name() {
    local name=
    read -r name <"$PROC/sys/kernel/hostname" || :
    printf '%s\n' "$name"
}

# disk_errors: how often ext4 found something wrong on the overlay since its last check, which the next boot makes.
disk_errors() {
    local disk count=0
    disk=$(inside_values disk)
    [ ! -r "$SYS/fs/ext4/${disk##*/}/errors_count" ] || read -r count <"$SYS/fs/ext4/${disk##*/}/errors_count"
    echo "$count"
}

# on_overlayfs: folders of container engines that came since this machine started (direct.sh). Another way than ours to
# have them on a disk is as good.
on_overlayfs() {
    local folder place
    direct_folders "$ROOT" | while read -r folder; do
        [ ! -L "$ROOT$folder" ] || continue
        while read -r _ place _; do
            [ "$place" != "$folder" ] || continue 2
        done <"$PROC/mounts"
        printf '%s\n' "$folder"
    done
}

# human BYTES: 7.0M, as the host writes sizes.
human() {
    awk -v size="$1" 'BEGIN {
        for (unit = 1; size >= 1024 && unit < 5; unit++) size /= 1024
        printf (unit == 1 ? "%d%s\n" : "%.1f%s\n"), size, substr("BKMGT", unit, 1)
    }'
}

# is_full SIZE FREE: what the report calls full, too.
is_full() {
    [ "$2" -lt "$(($1 / 50))" ]
}

# space_here DISK: `SIZE FREE` of where this machine writes to: the overlay, or memory that is thrown away (throwaway.sh).
space_here() {
    [ -n "$(inside_values upper)" ] || { space_on "$1" && return; }
    # shellcheck disable=SC2046 # three words
    set -- $(stat -f -c '%S %b %f' "$ROOT/")
    echo "$(($1 * $2)) $(($1 * $3))"
}

# status_text
status_text() {
    local disk image size free kernel idle direct number=0
    disk=$(inside_values disk)
    # shellcheck disable=SC2046 # two words
    set -- $(space_here "$disk")
    size=$1 free=$2
    printf 'machine  %s (%s)\n' "$(own_name)" "$(inside_values instance)"
    inside_values image | while read -r image _; do
        [ "$number" = 0 ] && printf 'master   %s\n' "$image" || printf 'layer    %s\n' "$image"
        number=1
    done
    printf '         %s, shared and read-only' "$(system_name)"
    case $(inside_values dax) in on*) echo ", mapped from the host's memory" ;; *) echo ;; esac
    printf 'overlay  %s: %s, of which %s are used (%s %%) and %s free\n' \
        "$disk" "$(human "$size")" "$(human $((size - free)))" "$(((size - free) * 100 / size))" "$(human "$free")"
    direct=$(inside_values direct | tr '\n' ' ')
    [ -z "$direct" ] || printf 'direct   %s: not on overlayfs\n' "${direct% }"
    read -r kernel <"$PROC/sys/kernel/osrelease"
    printf 'kernel   %s, the master'\''s\n' "$kernel"
    idle=$(idle_kernels | tr '\n' ' ')
    [ -z "$idle" ] || printf 'look     kernels in /boot that this machine never boots: %s\n' "${idle% }"
    on_overlayfs | while read -r direct; do
        echo "look     $direct is on overlayfs: start this machine anew before its engine keeps anything there"
    done
    ! is_full "$size" "$free" || echo "look     the overlay is full: delete files here, or let it grow from the host (skinnybox grow)"
    [ "$(disk_errors)" = 0 ] || echo "look     the overlay's filesystem has errors: the next start checks it"
}

# status_json
status_json() {
    local disk image uuid size free kernel between=''
    disk=$(inside_values disk)
    # shellcheck disable=SC2046 # two words
    set -- $(space_here "$disk")
    size=$1 free=$2
    read -r kernel <"$PROC/sys/kernel/osrelease"
    printf '{"thin": true, "hostname": %s, "instance": %s, "system": %s, "images": [' \
        "$(quoted "$(own_name)")" "$(quoted "$(inside_values instance)")" "$(quoted "$(system_name)")"
    inside_values image | while read -r image uuid; do
        printf '%s{"digest": %s, "uuid": %s}' "$between" "$(quoted "$image")" "$(quoted "$uuid")"
        between=', '
    done
    printf '], "dax": %s, "overlay": {"disk": %s, "size": %s, "free": %s, "full": %s, "errors": %s}, ' \
        "$(case $(inside_values dax) in on*) echo true ;; *) echo false ;; esac)" "$(quoted "$disk")" "$size" "$free" \
        "$(is_full "$size" "$free" && echo true || echo false)" "$(disk_errors)"
    printf '"kernel": %s, "idle_kernels": [' "$(quoted "$kernel")"
    idle_kernels | quoted_list
    printf '], "direct": ['
    inside_values direct | quoted_list
    printf '], "on_overlayfs": ['
    on_overlayfs | quoted_list
    printf ']}\n'
}

# quoted_list: standard input, each line a string.
quoted_list() {
    local one between=''
    while read -r one; do
        printf '%s%s' "$between" "$(quoted "$one")"
        between=', '
    done
}
