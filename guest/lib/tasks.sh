# shellcheck shell=dash
# What a rebase may ask a machine to do at its first start: a few words, and nothing that a file says is ever run.
# A program that is missing is a note: then nothing of it was there to be regenerated.

: "${ROOT:=}" "${TASK_SECONDS:=7200}"

# In this order, whatever the file's is: a postinst needs libraries and alternatives; what it leaves is regenerated.
# shellcheck disable=SC2034 # for rebase.sh
TASKS_KNOWN='updated ldconfig alternatives configure triggers certificates locales hwdb catalog mime schemas icons'

# do_task WORD: in a shell of its own, as the environment is for these programs alone.
do_task() {
    case $1 in
    updated) systemd_updates ;;
    ldconfig) with ldconfig ;;
    alternatives) all_alternatives ;;
    configure) limited dpkg --force-confold --configure -a ;;
    triggers) with dpkg --triggers-only -a ;;
    certificates) with update-ca-certificates --fresh ;;
    locales) with locale-gen ;;
    hwdb) with systemd-hwdb update ;;
    catalog) with journalctl --update-catalog ;;
    mime) with update-mime-database /usr/share/mime ;;
    schemas) with glib-compile-schemas /usr/share/glib-2.0/schemas ;;
    icons) with update-icon-caches /usr/share/icons/hicolor ;;
    *) return 2 ;;
    esac
}

# with PROGRAM ARGUMENT...
with() {
    if command -v "$1" >/dev/null; then limited "$@"; else echo "note: this machine has no $1"; fi
}

# limited PROGRAM ARGUMENT...: one that hangs must not keep the machine from ever being reached.
limited() {
    timeout "$TASK_SECONDS" "$@"
}

# systemd_updates: the master's are marked as done when it is sealed. Without the marks systemd's own units, which come
# after us, do theirs and mark them; Debian has none of those but systemd-sysusers, and so nobody who marks.
systemd_updates() {
    local place
    with systemd-sysusers || return 1
    for place in etc var; do
        rm -f "$ROOT/$place/.updated"
        [ -e "$ROOT/usr/lib/systemd/systemd-update-done" ] || [ -e "$ROOT/lib/systemd/systemd-update-done" ] ||
            : >"$ROOT/$place/.updated"
    done
}

# all_alternatives: each link as its record says.
all_alternatives() {
    command -v update-alternatives >/dev/null || { echo "note: this machine has no update-alternatives" && return; }
    update-alternatives --get-selections | limited update-alternatives --set-selections
}
