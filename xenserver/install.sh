#!/bin/sh
# Installs the dom0 plugin of Skinnybox on this host, checks it, or takes it away. To be run on every host of
# the pool on which it is to be called, the pool's master at least.
#
#   sh install.sh [--root FOLDER] [--python PROGRAM]     install, or upgrade
#   sh install.sh [--root FOLDER] --check                is it installed, and does its Python run it?
#   sh install.sh [--root FOLDER] --uninstall            machines stay as they are
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root="" python="" action=install

cannot() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

usage() {
    sed -n '/^#   sh/s/^#   //p' "$0"
}

while [ $# -gt 0 ]; do
    case $1 in
    --root | --python) [ $# -gt 1 ] || cannot "$1 needs a value" ;;
    esac
    case $1 in
    --root) root=${2%/} && shift ;;
    --python) python=$2 && shift ;;
    --check) action=check ;;
    --uninstall) action=uninstall ;;
    --help) usage && exit ;;
    *) cannot "$1: not known; --help shows what is" ;;
    esac
    shift
done

folder=$root/etc/xapi.d/plugins
plugin=$folder/skinnybox

# runs PROGRAM: it is a Python that the plugin works under, with xapi's modules.
runs() {
    "$1" - <<'END' >/dev/null 2>&1
import sys
import XenAPI, XenAPIPlugin
sys.exit(not (sys.version_info[:2] == (2, 7) or sys.version_info[:2] >= (3, 6)))
END
}

# dom0_python: python3 where xapi has its modules for it (XCP-ng 8.3, XenServer 8), else python (2.7, before that).
dom0_python() {
    for each in python3 python python2; do
        if runs "$each"; then
            echo "$each"
            return
        fi
    done
    return 1
}

# shebang FILE: the program that its first line names.
shebang() {
    sed -n '1s|^#!/usr/bin/env ||p' "$1"
}

install_plugin() {
    [ -d "$folder" ] || cannot "$folder is not there: is this the control domain of a XenServer or XCP-ng host?"
    [ -f "$here/skinnybox" ] || cannot "$here/skinnybox is missing"
    [ -n "$python" ] || python=$(dom0_python) ||
        cannot "no Python 2.7 or 3.6 and later here has the modules XenAPI and XenAPIPlugin"
    runs "$python" || cannot "$python does not run, is older than 2.7 or 3.6, or lacks XenAPI or XenAPIPlugin"
    new=$(mktemp "$root/etc/xapi.d/.skinnybox.XXXXXX")
    trap 'rm -f "$new"' EXIT
    sed "1s|.*|#!/usr/bin/env $python|" "$here/skinnybox" >"$new"
    chmod 0755 "$new"
    check "$new"
    # xapi runs whatever lies in the folder: nothing half-written ever does
    mv -f "$new" "$plugin"
    trap - EXIT
    echo "$plugin: installed, for $python"
}

# check FILE: its Python runs it and it answers with its version, and with nothing beside it.
check() {
    [ -x "$1" ] || cannot "$1 cannot be executed"
    with=$(shebang "$1")
    runs "$with" || cannot "$1 is for $with, which does not run here or lacks XenAPI or XenAPIPlugin"
    call='<?xml version="1.0"?><methodCall><methodName>version</methodName><params>'
    call="$call<param><value><string>OpaqueRef:NULL</string></value></param>"
    call="$call<param><value><struct></struct></value></param></params></methodCall>"
    answer=$("$1" "$call") || cannot "$1 does not run"
    case $answer in
    *Success*'"version"'*) ;;
    *) cannot "$1 answers something else: $answer" ;;
    esac
}

case $action in
install) install_plugin ;;
check)
    [ -f "$plugin" ] || cannot "$plugin is not installed"
    check "$plugin"
    version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' "$plugin")
    echo "$plugin: version $version, runs under $(shebang "$plugin")"
    ;;
uninstall)
    [ -f "$plugin" ] || cannot "$plugin is not installed"
    rm -f "$plugin"
    echo "$plugin: gone"
    ;;
esac
