"""The systemd unit of a server. It needs no package that only the server needs.

What a service may be kept from is much; what machines, and masters in the making, need of it is kept: QEMU
translates code (no MemoryDenyWriteExecute); masters have setuid files, devices and perhaps another
architecture, and are made in namespaces (no RestrictSUIDSGID, DevicePolicy, SystemCallArchitectures or
RestrictNamespaces); and a namespace's own /proc needs the real one whole (no ProtectKernelTunables,
ProtectControlGroups, ProtectProc or ProcSubset).

For a user other than root there is nothing of it: without root's rights each of these implies
NoNewPrivileges, and setuid programs help such a user into namespaces and onto bridges.
"""

from collections.abc import Sequence
from pathlib import PurePath

_UNIT = """\
[Unit]
Description=Skinnybox: API and web console of {state}
After=network-online.target local-fs.target
Wants=network-online.target
RequiresMountsFor={state}

[Service]
Type=notify
NotifyAccess=main
{made}ExecStart={program} {before} serve{options}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2
# Machines outlive their server; jobs are given time to end where nothing is lost.
KillMode=process
TimeoutStartSec=300
TimeoutStopSec=300
LimitNOFILE=65536
UMask=0077
{kept_from}
[Install]
WantedBy={target}
"""

_MADE = """\
# systemd would start nothing while a folder is not there; this makes it, as it is not kept from anything.
ExecStartPre=+/bin/mkdir -p{folders}
"""

_KEPT_FROM = """
ProtectSystem=strict
ReadWritePaths={written}
PrivateTmp=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_VSOCK
SystemCallFilter=~@clock @cpu-emulation @debug @module @obsolete @raw-io @reboot
SystemCallErrorNumber=EPERM
CapabilityBoundingSet=~CAP_SYS_MODULE CAP_SYS_TIME CAP_SYS_BOOT CAP_SYS_RAWIO CAP_SYS_PACCT CAP_SYSLOG
CapabilityBoundingSet=~CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_LINUX_IMMUTABLE CAP_WAKE_ALARM CAP_BLOCK_SUSPEND
CapabilityBoundingSet=~CAP_LEASE CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_BPF CAP_PERFMON CAP_IPC_OWNER
"""


def unit(
    program: str, state: str, before: Sequence[str], options: Sequence[str], *, root: bool, socket: str = ""
) -> str:
    """Of `PROGRAM BEFORE serve OPTIONS`. `socket` is the path of one that is not in the state folder."""
    folders = [state, *([str(PurePath(socket).parent)] if socket else [])]
    written = " ".join(setting(f"-{folder}") for folder in folders)
    return _UNIT.format(
        program=quoted(program), state=setting(state), before=" ".join(map(quoted, before)),
        options="".join(f" {quoted(word)}" for word in options),
        made=_MADE.format(folders="".join(f" {quoted(folder)}" for folder in folders)) if root else "",
        kept_from=_KEPT_FROM.format(written=written) if root else "",
        target="multi-user.target" if root else "default.target",
    )  # fmt: skip


def quoted(word: str) -> str:
    """As systemd reads the words of a command: `%` and `$` mean themselves when doubled."""
    return setting(word.replace("$", "$$"))


def setting(word: str) -> str:
    """As it reads those of other settings: `$` means itself."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if not text or any(c in word for c in " \t\\\"'") else text
