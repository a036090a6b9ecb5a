# shellcheck shell=dash
# Which seed this root filesystem was made from: a line of generation and instance, in the overlay's upper.

APPLIED=/var/lib/skinnybox/seed-applied
# shellcheck disable=SC2034 # for data.sh, which writes it, and accounts.sh: folders that were made for a data disk
DATA_NEW=/var/lib/skinnybox/data-new

# applied_seed ROOT: `GENERATION INSTANCE`; nothing when there was none yet.
applied_seed() {
    local line=
    [ ! -r "$1$APPLIED" ] || read -r line <"$1$APPLIED" || :
    printf '%s\n' "$line"
}
