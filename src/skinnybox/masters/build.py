"""A master built from packages, by mmdebstrap."""

import platform
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from skinnybox import run
from skinnybox.errors import CommandFailed, SkinnyboxError, Unsupported, UsageError
from skinnybox.masters import lineage, namespace, numbers, sources
from skinnybox.masters.catalogue import deleting
from skinnybox.masters.clean import clean
from skinnybox.masters.fitting.fit import fit
from skinnybox.masters.initramfs import programs
from skinnybox.masters.kernel import find_kernel
from skinnybox.masters.recipe import Copy, Recipe
from skinnybox.masters.seal import refuse_taken, seal
from skinnybox.masters.workspace import workspace
from skinnybox.model import Master
from skinnybox.operation import Operation

_PACKAGES = (
    "apt", "systemd-sysv", "udev", "dbus", "openssh-server", "iproute2", "kmod", "e2fsprogs",
)  # fmt: skip
# There systemd-resolved is no package of its own.
_RESOLVED_INSIDE = {"bullseye", "buster", "focal", "jammy"}
_SLIM = (
    "path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/info/*", "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/locale/*", "path-include=/usr/share/locale/locale.alias",
)  # fmt: skip
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_STAGES = (
    "apt-get update",
    "downloading",
    "extracting",
    "essential packages",
    "remaining packages",
    "cleaning",
)
_HOOK = re.compile(r"running --\w+-hook directly: \S*/[a-z]+\d+-(\S+) .*")
_ABOUT_ITSELF = re.compile(
    r"I: |W: Download is performed unsandboxed|"
    r"E: mmdebstrap failed to run|E: setup failed: E: command failed"
)
_NO_INITRAMFS = {"INITRD": "No"}
"""What the hooks of kernel packages go by: ours is made at sealing (see initramfs)."""
_RESOLV = "run/systemd/resolve/stub-resolv.conf"


def build(recipe: Recipe, *, store: Path, name: str, version: str, operation: Operation) -> Master:
    """Install, clean up, seal. Killed at any instant, the master is there whole or not at all.

    Its accounts keep the numbers of the master it follows (see lineage), and new ones get a master's (see
    numbers). Raises Conflict at once when NAME:VERSION is taken, UsageError for a package nobody has or a
    script that fails, Unsupported for who is not root (see namespace), NoSpace.
    """
    refuse_taken(store, name, version)
    namespace.require_root()
    programs.require()
    before = lineage.predecessor(store, name, version, after=recipe.after, unrelated=recipe.unrelated)
    with workspace(store, "work") as work:
        tree = work / "tree"
        _install(recipe, work, tree, operation)
        lineage.follow(tree, before, operation)
        numbers.leave_to_machines(tree)
        fit(tree)
        clean(tree, operation)
        return seal(
            tree, store=store, name=name, version=version, kernel=find_kernel(tree), operation=operation,
            dax=recipe.dax, image_format=recipe.image_format, unread=deleting(tree),
        )  # fmt: skip


def packages(recipe: Recipe, suite: str) -> list[str]:
    """What is installed beyond the essential: the recipe's packages and what every master needs."""
    resolved = () if suite in _RESOLVED_INSIDE else ("systemd-resolved",)
    kernel = recipe.kernel or _kernel_package()
    return list(dict.fromkeys([*_PACKAGES, *resolved, kernel, *recipe.packages]))


def _install(recipe: Recipe, work: Path, tree: Path, operation: Operation) -> None:
    suite = recipe.suite or sources.release().codename
    folder = work / "hooks"
    folder.mkdir()
    for hook, text in hooks(recipe):
        (folder / hook).write_text(f"#!/bin/sh\nset -eu\n{text}\n")
        (folder / hook).chmod(0o755)
    argv = [
        "mmdebstrap", "--mode=root", f"--variant={recipe.variant}", "--format=directory",
        f"--include={','.join(packages(recipe, suite))}", f"--hook-directory={folder}",
        "--dpkgopt=force-unsafe-io", *(f"--dpkgopt={option}" for option in _SLIM if recipe.slim),
        suite, str(tree), "-",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as stanzas:
        stanzas.write("\n".join(source.stanza() for source in _sources(recipe, suite)).encode())
        stanzas.seek(0)
        try:
            said = Reported(operation)
            run.run(run.tied(argv), stdin=stanzas, output=said, keep=run.FETCHING, env=_NO_INITRAMFS)
        except CommandFailed as error:
            raise explained(error) from error


def _sources(recipe: Recipe, suite: str) -> list[sources.Source]:
    if recipe.sources:
        found = [source for text in recipe.sources for source in sources.parse(text)]
        if not found:
            raise UsageError(
                "the recipe's sources name none", hint="as in: deb http://deb.debian.org/debian trixie main"
            )
        return found
    if recipe.mirror:
        components = recipe.components or ("main",)
        return [sources.Source(uris=(recipe.mirror,), suites=(suite,), components=components)]
    return sources.own_sources(suite)


def hooks(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Names, as mmdebstrap orders them, and shell texts that get the tree as $1."""
    yield "essential10-numbers", numbers.HOLD
    yield (
        "customize10-resolver",
        f'mkdir -p "$1/{Path(_RESOLV).parent}"\ncp -L /etc/resolv.conf "$1/{_RESOLV}" || :',
    )
    for number, copy in enumerate(recipe.copy, start=1):
        yield f"customize20-copy-{number:03}", _copy_hook(copy)
    for number, script in enumerate(recipe.scripts, start=1):
        yield f"customize30-script-{number:03}", _script_hook(script)
    yield "customize85-numbers", numbers.RELEASE
    yield "customize90-settle", _SETTLE


# What mmdebstrap leaves of its own options and of this machine must not stay in the master.
_SETTLE = f"""\
cd "$1/etc/dpkg/dpkg.cfg.d"
grep '^path-' 99mmdebstrap >skinnybox-slim || rm skinnybox-slim
cd "$1"
rm -f etc/dpkg/dpkg.cfg.d/99mmdebstrap etc/apt/apt.conf.d/99mmdebstrap
if [ ! -L etc/resolv.conf ]; then
    rm -f etc/resolv.conf
    ln -s ../{_RESOLV} etc/resolv.conf
    chroot "$1" systemctl enable systemd-resolved.service
fi"""


def _copy_hook(copy: Copy) -> str:
    """Everything that names a path of the tree happens inside it: its symlinks may be absolute."""
    source, dest, owner = (shlex.quote(text) for text in (str(copy.source), copy.dest, copy.owner))
    mode = "" if copy.mode is None else f"{copy.mode:o}"
    if copy.source.is_dir():
        inner = 'mkdir -p "$1"; tar -x -C "$1"; chown -hR "$2" "$1"; [ -z "$3" ] || chmod "$3" "$1"'
        feed, end = f"tar -c -C {source} . |", ""
    else:
        inner = 'mkdir -p "${1%/*}/"; cat >"$1"; chown "$2" "$1"; chmod "$3" "$1"'
        mode = mode or f"{copy.source.stat().st_mode & 0o7777:o}"
        feed, end = "", f" <{source}"
    return f"{feed} chroot \"$1\" sh -eu -c '{inner}' sh {dest} {owner} '{mode}'{end}"


def _script_hook(script: str) -> str:
    text = script if script.startswith("#!") else f"#!/bin/sh -eu\n{script}"
    return f"""\
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
printf '%s\\n' {shlex.quote(text)} >"$1/tmp/skinnybox-script"
chmod 0755 "$1/tmp/skinnybox-script"
chroot "$1" /tmp/skinnybox-script </dev/null
rm "$1/tmp/skinnybox-script\""""


def _kernel_package() -> str:
    machine = platform.machine()
    if machine not in _MACHINES:
        raise Unsupported(f"no kernel package is known for {machine}", hint="name one: `kernel:` in a recipe")
    if sources.release().id == "ubuntu":
        return "linux-image-virtual"
    return f"linux-image-cloud-{_MACHINES[machine]}"


class Reported:
    """Turns what mmdebstrap prints into steps; remembers at which stage it is."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._stage = 0

    def __call__(self, line: str) -> None:
        if not line.startswith("I: "):
            return
        for number, words in enumerate(_STAGES):
            if words in line:
                self._stage = max(self._stage, number)
        detail = _HOOK.sub(r"\1", line[3:].rstrip("."))
        self._operation.step(task="build", done=self._stage, total=len(_STAGES), unit="stages", detail=detail)


def explained(error: CommandFailed) -> SkinnyboxError:
    """What mmdebstrap said, in our words; a full disk is left to the workspace."""
    said = error.stderr
    if "No space left on device" in said:
        return error
    missing = re.findall(
        r"E: (?:Unable to locate package (\S+)|Package '?([^\s']+)'? has no installation candidate)", said
    )
    if missing:
        names = ", ".join(dict.fromkeys(one or other for one, other in missing))
        return UsageError(f"no source has the package {names}", hint="check its name and the suite")
    script = re.search(r"customize30-script-(\d+)", said)
    if script:
        held = numbers.REFUSED if numbers.ASKED_FOR.search(said) else ""
        return UsageError(f"script {int(script[1])} of the recipe failed", hint=held + said[-1000:])
    if re.search(
        r"Temporary failure resolving|Could not (?:connect|resolve)|Failed to fetch|404  Not Found", said
    ):
        return _not_fetched(error)
    return _with_its_cause(error)


def _not_fetched(error: CommandFailed) -> CommandFailed:
    lines = [line for line in error.stderr.splitlines() if not _ABOUT_ITSELF.match(line)]
    # What apt warns of comes first, and is seldom why it failed.
    said = [line for kind in ("E:", "W:") for line in lines if line.startswith(kind)]
    return CommandFailed(
        f"packages cannot be fetched: {said[0] if said else error.message}",
        returncode=error.returncode,
        stderr=error.stderr,
        hint=next((hint for words, hint in _WHY if words in error.stderr), _NETWORK),
    )


_WHY = (
    (
        "does not have a Release file",
        "check the suite's name: a release whose support has ended may have moved to another `mirror:`",
    ),
    (
        "404  Not Found",  # as of a release whose support has ended: its index is kept, not every file of it
        "a package source names files that it no longer has: leave that source out (`mirror:`, `sources:`) "
        "or name another package (`kernel:`)",
    ),
)
_NETWORK = "check the network, the proxy settings and `mirror:`"


def _with_its_cause(error: CommandFailed) -> CommandFailed:
    """mmdebstrap ends with words about itself; what failed stands just before them."""
    lines = [line for line in error.stderr.splitlines() if line.strip() and not _ABOUT_ITSELF.match(line)]
    if not lines or error.returncode < 0:
        return error
    return CommandFailed(
        f"the packages cannot be installed: {lines[-1]}"[:1000],
        returncode=error.returncode,
        stderr=error.stderr,
        hint="\n".join(lines[-5:])[-1000:],
    )
