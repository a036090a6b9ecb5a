# shellcheck shell=dash
# A report in xenstore. A pool shows its clients a fixed list of keys and nothing else, so most of it is one line:
#   data/ts              1 STATE NONCE IMAGE[,IMAGE...] GENERATION, then NAME=VALUE words:
#                        dax=on|off overlay=SIZE/FREE key=TYPE:BASE64 failed=UNIT swap=SIZE rebase=ID/done|failed
#                        inactive=UNIT, and behind them why it is not ready
#   attr/vif/N/ipv4/M    addresses; data/os_uname the kernel; data/updated makes the pool look at all of them

: "${SYS:=/sys}"

# report_to_xenstore FILE
report_to_xenstore() {
    local key value state=- nonce=- images='' seed=- tail='' kernel='' units='' reason=''
    while read -r key value; do
        case $key in
        state) state=$value ;;
        nonce) nonce=${value:--} ;;
        image) images=$images,$value ;;
        seed) seed=${value:--} ;;
        overlay) tail="$tail overlay=${value% *}/${value#* }" ;;
        dax) tail="$tail dax=$value" ;;
        swap) tail="$tail swap=$value" ;;
        ssh-host-key) tail="$tail key=${value% *}:${value#* }" ;;
        failed-unit) [ "${#units}" -gt 1024 ] || units="$units failed=$value" ;; # all of it is 4,096 bytes at most
        inactive-unit) [ "${#units}" -gt 1024 ] || units="$units inactive=$value" ;;
        rebase) tail="$tail $(rebase_word "$value")" ;;
        reason) reason=" $value" ;;
        kernel) kernel=$value ;;
        esac
    done <"$1"
    images=${images#,}
    addresses_to_xenstore "$1"
    [ -z "$kernel" ] || xenstore_write data/os_uname "$kernel" || return 1
    xenstore_write data/ts "1 $state $nonce ${images:--} $seed$units$tail$reason" && xenstore_write data/updated 1
}

# rebase_word "ID done|failed WHY": why it failed is the report's reason as well.
rebase_word() {
    set -f
    # shellcheck disable=SC2086 # words
    set -- $1
    set +f
    printf 'rebase=%s/%s\n' "$1" "$2"
}

# addresses_to_xenstore FILE: of each card, what the report says of it now.
addresses_to_xenstore() {
    local card vif key value number=0 last='' family
    for card in "$SYS"/class/net/*; do
        vif=$(vif_of "${card##*/}") || continue
        xenstore_remove "attr/vif/$vif/ipv4"
        xenstore_remove "attr/vif/$vif/ipv6"
    done
    while read -r key card value; do
        [ "$key" = address ] && vif=$(vif_of "$card") || continue
        case $value in *:*) family=ipv6 ;; *) family=ipv4 ;; esac
        [ "$last" = "$vif/$family" ] || number=0
        xenstore_write "attr/vif/$vif/$family/$number" "${value%/*}"
        last=$vif/$family number=$((number + 1))
    done <"$1"
}

# vif_of INTERFACE: its number in the pool; fails for one that is not Xen's.
vif_of() {
    local name
    [ -r "$SYS/class/net/$1/device/nodename" ] && read -r name <"$SYS/class/net/$1/device/nodename" || return 1
    case $name in device/vif/*) printf '%s\n' "${name##*/}" ;; *) return 1 ;; esac
}
