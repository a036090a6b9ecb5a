"""Reaching into a machine by ssh: our own key, and the host keys the guest itself reported, pinned."""

import base64
import fcntl
import hashlib
from collections.abc import Sequence
from pathlib import Path

from skinnybox import named_file, private, run
from skinnybox.errors import Conflict, Corrupt, GuestFailed, NotFound, SkinnyboxError, Unsupported
from skinnybox.fleet.catalog import known_hosts
from skinnybox.fleet.power import running
from skinnybox.fleet.ssh_words import quoted
from skinnybox.fleet.view import MachineView
from skinnybox.layout import FILE
from skinnybox.values import dataclass

_KEY = "id_ed25519"
_MOST_KEY = 64 << 10


KEY_TO_BE = f"ssh-ed25519 {'A' * 68} skinnybox"
"""Stands for the fleet's public key before there is one."""


def has_key(folder: Path) -> bool:
    return (folder / _KEY).exists()


def own_key(folder: Path) -> Path:
    """The fleet's ssh key, made when there is none. Its public half goes into every seed."""
    key = folder / _KEY
    if key.exists():
        return key
    private.make_folder(folder)
    with private.lock_file(folder / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not key.exists():
            _make_key(folder, key)
    return key


def _make_key(folder: Path, key: Path) -> None:
    """The public half gets its name first: whoever sees the key sees both."""
    fresh = folder / ".new"
    for leftover in (fresh, folder / ".new.pub"):
        leftover.unlink(missing_ok=True)
    run.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "skinnybox", "-f", fresh])
    (folder / ".new.pub").chmod(FILE)
    (folder / ".new.pub").rename(folder / f"{_KEY}.pub")
    fresh.rename(key)


def public_key(folder: Path) -> str:
    """Raises Corrupt when the two halves on the disk do not belong together: it goes into seeds unseen."""
    key = own_key(folder)
    public = key.with_suffix(".pub")
    try:
        kind, encoded = named_file.content(public, _MOST_KEY).decode("ascii").split()[:2]
        private = b"".join(named_file.content(key, _MOST_KEY).splitlines()[1:-1])
        whole = kind == "ssh-ed25519" and base64.b64decode(encoded, validate=True) in base64.b64decode(
            private
        )
    except (OSError, ValueError):
        whole = False
    if not whole:
        hint = f"if {key} is whole, this makes the other half anew: ssh-keygen -y -f {key} >{public}"
        raise Corrupt(f"{public} is damaged, or not that of {key.name}", hint=hint)
    return f"{kind} {encoded} skinnybox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who logs in, and with which private key. None: whom the machine was made for, with the fleet's own."""

    user: str | None = None
    key: Path | None = None

    @property
    def variables(self) -> run.Names:
        """Which of the caller's ssh gets."""
        return run.ORDINARY if self.key is None else run.WITH_AGENT


USUAL = Login()


def fingerprint(public_key: str) -> str:
    """`SHA256:...` of a `TYPE BASE64` public key, as ssh-keygen -l prints it."""
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def ssh_argv(
    folder: Path, machine: MachineView, login: Login, *, batch: bool, options: Sequence[str] = ()
) -> list[str]:
    """The ssh command line up to, and without, the remote command. `options` are words that ssh_words.py let
    through: they come first, and of two that say the same ssh takes the first. A key of one's own may need
    the agent that has its passphrase, or is it; the fleet's own key needs none.

    Raises Unsupported when the machine has no ssh port, Conflict before it reported its host keys (on a
    bridge: its address), GuestFailed when it reported others than before, NotFound without the key's file.
    """
    if machine.reach is None:
        raise _unreachable(machine)
    if login.key is not None and not login.key.is_file():
        raise NotFound(f"{login.key}: no such private key")
    host, port = machine.reach
    known = _known_hosts(folder, machine)
    return [
        "ssh",
        *options,
        *("-F", "/dev/null"),
        *("-o", f"IdentityFile={quoted(login.key or own_key(folder))}"),
        *(() if login.key else ("-o", "IdentityAgent=none")),  # an agent that hangs would hang us
        *("-p", str(port)),
        *("-o", "IdentitiesOnly=yes"),
        *("-o", "StrictHostKeyChecking=yes"),
        *("-o", f"UserKnownHostsFile={quoted(known)}"),
        *("-o", "GlobalKnownHostsFile=/dev/null"),
        *("-o", f"HostKeyAlias={machine.instance.uuid}"),
        *("-o", "ConnectTimeout=20"),
        *("-o", "LogLevel=ERROR"),
        *(("-o", "BatchMode=yes") if batch else ()),
        "--",  # so that no word of the remote command is taken for an option
        f"{login.user or machine.instance.ssh_user}@{host}",
    ]


def _unreachable(machine: MachineView) -> SkinnyboxError:
    if machine.instance.bridge and not running(machine):
        return Conflict(f"{machine.name} is off", hint=f"skinnybox start {machine.name}")
    if machine.instance.bridge:
        return Conflict(
            f"{machine.name} on {machine.instance.bridge} has not reported an address",
            hint="is there a DHCP server on that bridge? --address gives a static one",
        )
    return Unsupported(f"{machine.name} cannot be reached by ssh from here")


def _known_hosts(folder: Path, machine: MachineView) -> Path:
    if not machine.host_keys:
        raise Conflict(
            f"{machine.name} has not reported its ssh host keys yet",
            hint=f"wait for it first: skinnybox wait {machine.name}",
        )
    report = machine.current_report
    # Others beside them are well: an upgrade of Debian's openssh-server makes what is missing of each kind.
    if report and report.ssh_host_keys and not set(machine.host_keys) <= set(report.ssh_host_keys):
        raise GuestFailed(
            f"{machine.name} reports other ssh host keys than those pinned at its first start",
            hint="compare them with `skinnybox show`; a machine keeps its keys over reset",
        )
    return known_hosts.keep(folder / "known_hosts", machine.instance.uuid, machine.host_keys)
