"""What the options of `create` say of the machines, as values."""

import argparse
from collections.abc import Iterable
from errno import EFBIG
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox import named_file
from skinnybox.errors import NotFound, UsageError
from skinnybox.fleet.settings import Settings
from skinnybox.model import Allocation, Network, Nic, Overlay, SeedFile, SeedUser, StaticNetwork
from skinnybox.sizes import parse_size

if TYPE_CHECKING:
    from skinnybox.fleet.specification import Specification
    from skinnybox.model import DataDisk

_MOST_FILE = 1 << 22


def specification(arguments: argparse.Namespace, settings: Settings) -> "Specification":
    from skinnybox.fleet.specification import Specification
    from skinnybox.model.forwards import parse_forward
    from skinnybox.model.labels import labels_of, parse_label

    network, bridge = _network(arguments, settings)
    return Specification(
        overlay=Overlay(
            size=arguments.overlay or parse_size(settings.overlay),
            allocation=Allocation.SPARSE if arguments.sparse else Allocation.RESERVED,
        ),
        memory=arguments.memory or parse_size(settings.memory),
        cpus=arguments.cpus or settings.cpus,
        swap=arguments.swap,
        throw_away=arguments.throw_away,
        encrypt=arguments.encrypt,
        check=arguments.check,
        network=network,
        bridge=bridge,
        static_network=static_network(arguments),
        nics=nics(arguments),
        ssh_user=arguments.user,
        authorized_keys=_keys(arguments.ssh_key or settings.ssh_key),
        files=tuple(_seed_file(text) for text in arguments.file),
        run_once=_text(arguments.run_once) if arguments.run_once else None,
        dax=arguments.dax,
        layers=tuple(arguments.layer),
        autostart=arguments.autostart,
        protected=arguments.protect,
        labels=labels_of(dict(map(parse_label, arguments.label))),
        data=_data(arguments),
        forwards=tuple(map(parse_forward, arguments.forward)),
        follow_name=arguments.follow_name,
        user_data=_read(arguments.user_data) if arguments.user_data else None,
        users=_users(arguments),
        timezone=arguments.timezone,
        locale=arguments.locale,
        ntp=tuple(arguments.ntp),
        any_allocation=not (arguments.sparse or arguments.reserved),
    )


def _keys(files: Iterable[Path]) -> tuple[str, ...]:
    from skinnybox.fleet.seed_parts import public_keys

    return tuple(key for path in files for key in public_keys(_text(path)))


def _data(arguments: argparse.Namespace) -> "DataDisk | None":
    if arguments.data is None:
        if arguments.data_dir:
            raise UsageError("--data-dir goes with --data SIZE")
        return None
    from skinnybox.model.datadisk import data_disk

    allocation = Allocation.SPARSE if arguments.sparse else Allocation.RESERVED
    return data_disk(arguments.data, arguments.data_dir, allocation)


def _network(arguments: argparse.Namespace, settings: Settings) -> tuple[Network | None, str | None]:
    """A bridge says it all; the network `bridge` needs the name as well. With either option the settings
    count no more."""
    said: Settings | argparse.Namespace = arguments
    if not (arguments.network or arguments.bridge):
        said = settings
    if said.bridge and said.network in (None, Network.BRIDGE):
        return Network.BRIDGE, said.bridge
    if said.bridge or said.network == Network.BRIDGE:
        raise UsageError("--bridge NAME and --network bridge go together, also in the settings")
    return (Network(said.network) if said.network else None), None


def static_network(arguments: argparse.Namespace) -> StaticNetwork | None:
    if not arguments.address:
        if arguments.gateway or arguments.dns:
            raise UsageError("--gateway and --dns go with --address")
        return None
    from skinnybox.fleet.spec import networks

    return networks.static(arguments.address, arguments.gateway, arguments.dns)


def nics(arguments: argparse.Namespace) -> tuple[Nic, ...]:
    if not arguments.nic:
        return ()
    from skinnybox.fleet.spec.nics import parse_nic

    return tuple(map(parse_nic, arguments.nic))


def _users(arguments: argparse.Namespace) -> tuple[SeedUser, ...]:
    if arguments.sudo and not arguments.add_user:
        raise UsageError("--sudo goes with --add-user")
    found = [text.partition(":")[::2] for text in arguments.add_user]
    return tuple(
        SeedUser(name=name, groups=tuple(groups.split(",")) if groups else (), sudo=arguments.sudo)
        for name, groups in found
    )


def _seed_file(text: str) -> SeedFile:
    """SOURCE:TARGET[:MODE[:USER:GROUP]]; without a mode, the source's own."""
    parts = text.split(":", 3)
    if len(parts) < 2 or not parts[1].startswith("/"):
        raise UsageError(f"--file {text!r}: the target is an absolute path", hint="motd.txt:/etc/motd:644")
    if not parts[0]:
        raise UsageError(f"--file {text!r}: the source is empty", hint="motd.txt:/etc/motd:644")
    source = Path(parts[0])
    content = _read(source)
    try:
        mode = int(parts[2], 8) if len(parts) > 2 and parts[2] else source.stat().st_mode & 0o7777
    except ValueError as error:
        raise UsageError(f"--file {text!r}: {parts[2]!r} is not an octal mode") from error
    return SeedFile(
        path=parts[1], content=content, mode=mode, owner=parts[3] if len(parts) > 3 else "root:root"
    )


def _text(path: Path) -> str:
    try:
        return _read(path).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text: byte {error.start} is not UTF-8") from error


def _read(path: Path) -> bytes:
    try:
        return named_file.content(path, _MOST_FILE)
    except FileNotFoundError as error:
        raise NotFound(f"{path}: no such file") from error
    except OSError as error:
        hint = "large files belong in the master" if error.errno == EFBIG else None
        raise UsageError(f"{path}: {error.strerror}", hint=hint) from error
