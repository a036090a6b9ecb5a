#!/bin/sh
# In place of Xen's scripts for disks (block) and network cards (vif-bridge), which need a distribution around them:
# tells the backend which device it serves, and that it may begin.
export PATH=/bin

case ${0##*/} in
block)
    [ "$1" = add ] || exit 0
    disk=$(xenstore-read "$XENBUS_PATH/params")
    numbers=$(cat "/sys/block/${disk##*/}/dev")
    xenstore-write "$XENBUS_PATH/physical-device" "$(printf '%x:%x' "${numbers%:*}" "${numbers#*:}")"
    ;;
*)
    [ "$1" = online ] || exit 0
    # shellcheck disable=SC2154 # Xen's name for the card
    ip link set "$vif" up
    ;;
esac
xenstore-write "$XENBUS_PATH/hotplug-status" connected
