#!/bin/sh
# The first domain of the test's Xen: starts the guests of /guests, says on the console what they wrote to
# xenstore, ends them, and switches off. Lines for the test begin with @; the guests' own consoles are on ttyS1.
export PATH=/bin LC_ALL=C
/bin/busybox --install -s /bin
TURNS=300 # of a second: how long a guest may take to be ready, or to end

start_xen() {
    mount -t devtmpfs dev /dev && mount -t proc proc /proc && mount -t sysfs sys /sys
    mkdir -p /dev/pts /run/xen /run/xenstored /var/lib/xen /var/lib/xenstored /var/log/xen/console
    mount -t devpts pts /dev/pts
    ln -s /run /var/run
    while read -r module; do insmod "/lib/$module.ko"; done </lib/modules
    mount -t xenfs xen /proc/xen
    echo 'autoballoon="off"' >/etc/xen/xl.conf
    xenstored --pid-file /run/xenstored.pid
    xen-init-dom0
    xenconsoled --log=guest --log-dir=/var/log/xen/console
    for guest in /guests/*; do : >"/var/log/xen/console/guest-${guest##*/}.log"; done
    tail -f /var/log/xen/console/*.log >/dev/ttyS1 &
}

# start NAME START: as a pool does: what it is told is there before its first instruction.
start() {
    xl create -p "/guests/$1/config" >/dev/null || say "$1" "$2" error "xl create: $?"
    id=$(xl domid "$1")
    while read -r key value; do
        xenstore-write "/local/domain/$id/$key" "$value"
    done <"/guests/$1/told-$2"
    xl unpause "$1"
    echo "$id" >"/run/$1"
}

# in_time COMMAND...: waits until it succeeds; fails when that takes too long.
in_time() {
    turn=0
    until "$@"; do
        turn=$((turn + 1))
        [ "$turn" -lt "$TURNS" ] || return 1
        sleep 1
    done
}

reported_or_off() {
    xenstore-exists "/local/domain/$1/data/updated" || is_off "$1"
}

# is_off ID: what is off stays for us to read what it wrote.
is_off() {
    case $(state_of "$1") in *s* | *c*) ;; *) return 1 ;; esac
}

state_of() {
    xl list "$1" | awk 'NR == 2 { print $5 }'
}

# await_report NAME START
await_report() {
    id=$(cat "/run/$1")
    in_time reported_or_off "$id" || say "$1" "$2" error 'no report'
    for key in data/updated data/ts data/os_uname attr/vif/0/ipv4/0; do
        say "$1" "$2" "$key" "$(xenstore-read "/local/domain/$id/$key" 2>/dev/null)"
    done
}

# shut_down NAME START
shut_down() {
    id=$(cat "/run/$1")
    is_off "$id" || xl shutdown "$id" >/dev/null || say "$1" "$2" error "xl shutdown: $?"
}

# await_end NAME START
await_end() {
    id=$(cat "/run/$1")
    if in_time is_off "$id"; then say "$1" "$2" state "$(state_of "$id")"; else say "$1" "$2" error 'no end'; fi
    xl destroy "$id"
}

say() {
    echo "@ $(cut -d' ' -f1 /proc/uptime) $*" | head -c 5000
}

# each WHAT START: with every guest that has such a start.
each() {
    for guest in /guests/*; do
        [ ! -e "$guest/told-$2" ] || "$1" "${guest##*/}" "$2"
    done
}

start_xen
for number in 1 2; do
    each start "$number"
    each await_report "$number"
    each shut_down "$number"
    each await_end "$number"
done
echo '@ over'
sync
poweroff -f
