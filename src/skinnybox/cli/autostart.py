"""autostart on, autostart off, autostart unit."""

import argparse
import os
import shutil
import sys

from skinnybox.cli import options, report
from skinnybox.errors import Unsupported

_UNIT = """\
[Unit]
Description=Skinnybox: machines of {state} that are marked to start
After=network-online.target local-fs.target
Wants=network-online.target
RequiresMountsFor={state}

[Service]
Type=oneshot
RemainAfterExit=yes
# Machines outlive the command that starts them, and are asked to power off before the host does.
KillMode=process
TimeoutStartSec=infinity
TimeoutStopSec=180
# A machine that does not come up is in the journal; the others are to be stopped properly nevertheless.
ExecStart=-{program} --quiet --state {state} start --autostart
ExecStop=-{program} --quiet --state {state} stop --kill '*'

[Install]
WantedBy={target}
"""


def add_to(commands: options.Commands) -> None:
    group = options.group(commands, "autostart", "say which machines come up again after the host restarted")
    parser = options.command(group, "on", _on, "mark machines to start with the host")
    options.add_machines(parser)
    parser = options.command(group, "off", _off, "leave machines off when the host starts")
    options.add_machines(parser)
    options.command(
        group, "unit", _unit, "print the systemd unit that starts marked machines with the host",
        "As root for /etc/systemd/system, as anybody else for ~/.config/systemd/user.",
    )  # fmt: skip


def _on(arguments: argparse.Namespace) -> int:
    return _mark(arguments, True)


def _off(arguments: argparse.Namespace) -> int:
    return _mark(arguments, False)


def _mark(arguments: argparse.Namespace, autostart: bool) -> int:
    with options.fleet(arguments) as fleet:
        results = fleet.set(arguments.names, {"autostart": autostart})
    word = "starts with the host" if autostart else "does not start with the host"
    return report.outcomes(results, lambda _: word)


def _unit(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet.catalog import host_kind

    settings = options.settings(arguments)
    kinds = (host_kind.noted(settings.state), host_kind.kind_of(settings.host))
    if any(kind is not None and kind.bears_more for kind in kinds):
        raise Unsupported(
            "these machines run in a pool, which does not start and stop with this computer",
            hint="where the pool's password is in a file: skinnybox start --autostart",
        )
    state = str(settings.state)
    program = shutil.which("skinnybox") or os.path.abspath(sys.argv[0])  # noqa: PTH100 (links are kept)
    target = "multi-user.target" if os.geteuid() == 0 else "default.target"
    print(_UNIT.format(state=_quoted(state), program=_quoted(program), target=target), end="")
    return 0


def _quoted(word: str) -> str:
    """As systemd reads words: `%` and `$` mean themselves when doubled."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if any(c in word for c in " \t\\\"'") else text
