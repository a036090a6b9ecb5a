# shellcheck shell=dash
# What this machine tells its host, and when.

: "${ROOT:=}" "${PROC:=/proc}" "${SYS:=/sys}" "${RUN:=/run/skinnybox}"
: "${ADDRESS_POLLS:=150}" "${LOOK_SECONDS:=15}" "${SEND_SECONDS:=5}" "${SETTLE_SECONDS:=30}"

# addresses: lines `IFNAME ADDRESS/PREFIX` of what others can reach.
addresses() {
    local name address rest
    ip -o address show scope global 2>/dev/null | while read -r _ name _ address rest; do
        case $rest in
        *tentative*) ;;
        *) printf '%s %s\n' "$name" "$address" ;;
        esac
    done
}

# has_card: also one whose driver udev has not loaded yet: on a slow machine that comes after sshd, and a machine that
# is told to be ready without an address is not.
has_card() {
    local found class
    for found in "$SYS"/class/net/*/device "$SYS"/bus/xen/devices/vif-*; do
        [ ! -e "$found" ] || return 0
    done
    for found in "$SYS"/bus/pci/devices/*/class; do
        [ -r "$found" ] && read -r class <"$found" || continue
        case $class in 0x02*) return 0 ;; esac
    done
    return 1
}

# wait_for_devices: udev comes to them after sshd is up where the machine is slow. A machine that is told to be ready
# before its power button is watched loses the word to power off; without an address it is not reached.
wait_for_devices() {
    command -v udevadm >/dev/null || return 0
    udevadm settle --timeout="$SETTLE_SECONDS" || :
}

# wait_for_address: 30 s at most, and not at all without a network card.
wait_for_address() {
    local polls=0
    has_card || return 0
    while [ "$polls" -lt "$ADDRESS_POLLS" ] && [ -z "$(addresses)" ]; do
        sleep 0.2
        polls=$((polls + 1))
    done
}

# space: `SIZE FREE` of where this machine writes to, the overlay or memory, in bytes.
space() {
    local disk
    if [ -d "$RUN/memory" ]; then
        # shellcheck disable=SC2046 # three words
        set -- $(stat -f -c '%S %b %f' "$ROOT/")
        echo "$(($1 * $2)) $(($1 * $3))"
        return
    fi
    read -r disk <"$RUN/disk"
    space_on "$disk"
}

# space_on DISK [PLACE]: `SIZE FREE` of the overlay, or of the disk that is mounted on PLACE, in bytes. Free for root,
# as root is who fills a server: what ext4 keeps for root counts, what it keeps from everybody for its own metadata
# does not.
space_on() {
    local block total free disk=${1##*/} kept=0 place=${2-$ROOT/var/lib/skinnybox/disk}
    [ -d "$place" ] || place=$ROOT/ # overlayfs has the numbers of its upper directory's filesystem
    # shellcheck disable=SC2046 # three words
    set -- $(stat -f -c '%S %b %f' "$place")
    block=$1 total=$2 free=$3
    [ ! -r "$SYS/fs/ext4/$disk/reserved_clusters" ] || read -r kept <"$SYS/fs/ext4/$disk/reserved_clusters"
    [ "$free" -ge "$kept" ] || kept=$free
    echo "$((block * total)) $((block * (free - kept)))"
}

# data_space: the same of the data disk, which any of its folders shows; nothing without one, or where somebody has
# unmounted and removed that folder.
data_space() {
    local disk folder
    [ -r "$RUN/data-disk" ] && read -r disk <"$RUN/data-disk" || return 0
    read -r folder <"$RUN/data-folders"
    [ ! -d "$ROOT$folder" ] || space_on "$disk" "$ROOT$folder"
}

# dax: whether every image is mapped straight from the host's memory, as stack.sh found it when it mounted them.
dax() {
    local mapped found=off
    [ -r "$RUN/dax" ] || { echo off && return; }
    while read -r mapped; do
        found=$mapped
        [ "$mapped" = on ] || break
    done <"$RUN/dax"
    echo "$found"
}

# swap: bytes of all there is of it, whoever switched it on.
swap() {
    local key value
    while read -r key value _; do
        [ "$key" != SwapTotal: ] || { echo "$((value * 1024))" && return; }
    done <"$PROC/meminfo"
    echo 0
}

# prefixed WORD: standard input, each line after WORD.
prefixed() {
    local line
    while read -r line; do printf '%s %s\n' "$1" "$line"; done
}

host_keys() {
    local file type key
    for file in "$ROOT"/etc/ssh/ssh_host_*_key.pub; do
        [ -r "$file" ] && read -r type key _ <"$file" && printf 'ssh-host-key %s %s\n' "$type" "$key"
    done
}

# seed_generation: of the seed that was applied.
seed_generation() {
    local applied
    applied=$(applied_seed "$ROOT")
    printf '%s\n' "${applied%% *}"
}

# ready_report ADDRESSES SIZE FREE FAILED DISKS [DATA-SIZE DATA-FREE [INACTIVE]]: or why it is not ready (readiness.sh).
ready_report() {
    local uptime kernel
    read -r uptime _ <"$PROC/uptime"
    read -r kernel <"$PROC/sys/kernel/osrelease"
    report_head "$STANDING"
    if [ -n "$STANDING_WHY" ]; then
        printf 'reason %s\n' "$STANDING_WHY"
    elif [ -r "$RUN/data-told" ]; then
        prefixed reason <"$RUN/data-told" # nothing that keeps it from being ready (attributes.sh)
    fi
    rebase_lines
    prefixed image <"$RUN/images"
    printf 'seed %s\ndax %s\noverlay %s %s\n' "$(seed_generation)" "$(dax)" "$2" "$3"
    [ "${6:-0}" = 0 ] || printf 'data %s %s\n' "$6" "$7"
    [ ! -r "$PROC/meminfo" ] || printf 'swap %s\n' "$(swap)"
    [ "$3" -ge "$(($2 / 50))" ] || echo full
    [ -z "$1" ] || printf '%s\n' "$1" | prefixed address
    host_keys
    [ -z "${4-}" ] || printf '%s\n' "$4" | prefixed failed-unit
    [ -z "${8-}" ] || printf '%s\n' "$8" | prefixed inactive-unit
    [ -z "${5-}" ] || printf '%s\n' "$5" | prefixed disk
    printf 'kernel %s\nuptime %s\nend\n' "$kernel" "$uptime"
}

# tell ADDRESSES SIZE FREE FAILED DISKS [DATA-SIZE DATA-FREE [INACTIVE]]: until the host took it.
tell() {
    until ready_report "$@" >"$RUN/report" && send_report "$RUN/report" "$SEND_SECONDS"; do
        sleep "$SEND_SECONDS"
    done
}

# differs OLD NEW SIZE: free space by more than 5 % of SIZE, or 1 % when less than a quarter is free: the host warns of
# a full overlay.
differs() {
    local change=$(($1 - $2)) step=$(($3 / 20))
    [ "$2" -ge $(($3 / 4)) ] || step=$(($3 / 100))
    [ "${change#-}" -gt "$step" ]
}

# tell_now: all but what a first report leaves to the next look.
tell_now() {
    local found
    found=$(addresses)
    # shellcheck disable=SC2046 # two words, or four
    set -- $(space) $(data_space)
    tell "$found" "$1" "$2" "$(failed_units)" '' "${3-0}" "${4-0}"
}

# tell_for_ever: what fails in a boot fails soon after the way in is open, so the first looks follow one another quickly.
tell_for_ever() {
    local told now size free was failed failing disks room data_size data_free data_was inactive idle look=1 round=0
    inactive=$(inactive_units)
    told=$(addresses) failed=$(failed_units) disks='' # these at the next look: a boot does not wait for it
    # shellcheck disable=SC2046 # two words, or four
    set -- $(space) $(data_space)
    size=$1 was=$2 data_size=${3-0} data_was=${4-0}
    tell "$told" "$size" "$was" "$failed" '' "$data_size" "$data_was" "$inactive"
    while sleep "$look"; do
        look=$((look * 2)) round=$((round + 1))
        [ "$look" -lt "$LOOK_SECONDS" ] || look=$LOOK_SECONDS
        [ $((round % 4)) != 0 ] || { keep_active_units && settle_units "$inactive"; }
        now=$(addresses) failing=$(failed_units) room=$(told_disks_room) idle=$(inactive_units)
        # shellcheck disable=SC2046 # two words, or four
        set -- $(space) $(data_space)
        size=$1 free=$2 data_size=${3-0} data_free=${4-0}
        [ "$now$failing$room$idle" = "$told$failed$disks$inactive" ] && ! differs "$was" "$free" "$size" &&
            ! differs "$data_was" "$data_free" "$data_size" && continue
        told=$now was=$free failed=$failing disks=$room data_was=$data_free inactive=$idle
        tell "$told" "$size" "$was" "$failed" "$disks" "$data_size" "$data_was" "$inactive"
    done
}
