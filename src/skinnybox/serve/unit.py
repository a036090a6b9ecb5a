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

_UNIT = """\
[Unit]
Description=Skinnybox: API and web console of {state}
After=network-online.target local-fs.target
Wants=network-online.target
RequiresMountsFor={state}

[Service]
Type=notify
NotifyAccess=main
ExecStart={program} {before} serve{options}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2
# Machines outlive their server; jobs are given time to end where nothing is lost.
KillMode=process
TimeoutStopSec=300
LimitNOFILE=65536
UMask=0077
{kept_from}
[Install]
WantedBy={target}
"""

_KEPT_FROM = """
ProtectSystem=strict
ReadWritePaths={state}
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


def unit(program: str, state: str, before: Sequence[str], options: Sequence[str], *, root: bool) -> str:
    """Of `PROGRAM BEFORE serve OPTIONS`."""
    return _UNIT.format(
        program=quoted(program), state=quoted(state), before=" ".join(map(quoted, before)),
        options="".join(f" {quoted(word)}" for word in options),
        kept_from=_KEPT_FROM.format(state=quoted(state)) if root else "",
        target="multi-user.target" if root else "default.target",
    )  # fmt: skip


def quoted(word: str) -> str:
    """As systemd reads words: `%` and `$` mean themselves when doubled."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if not text or any(c in word for c in " \t\\\"'") else text
