"""What host and guest leave for each other in /skinnybox on the overlay: base, seed and identity; and what a
disk says that tells a machine who it is, where nothing else can."""

import re
from collections.abc import Iterator

from skinnybox import wire
from skinnybox.errors import UsageError
from skinnybox.model import Instance, Nic, SeedFile, StaticNetwork, Swap, ThrowAway, check_name, image_uuid
from skinnybox.model.datadisk import check_folders
from skinnybox.model.own_check import check_command
from skinnybox.overlays import seed_system
from skinnybox.overlays.template import SEED_CAPACITY
from skinnybox.printable import quoted, short
from skinnybox.sizes import MIB, format_size
from skinnybox.wire import Line

VERSION = 1
MOST_VLAN = 4094
MAX_SEED = MAX_TOLD = 8 * MIB
_MACHINE_ID = r"[0-9a-f]{32}"
_PATH = r"(?:/(?!\.\.?(?:/|$))[ -.0-~]+)+(?<! )"
_OWNER = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}:[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}"
_USER = r"[a-z_][a-z0-9_-]{0,31}"
_ADDRESS = r"[0-9A-Za-z.:/%_-]+"
"""Python takes whatever stands behind a `%` for a card's name; the guest parts words at blanks and commas."""


def base_message(instance: Instance) -> bytes:
    """Whose overlay it is, and which images its upper directory belongs to: the master's first."""
    lines = [Line("instance", str(instance.uuid))]
    for digest in instance.stack.images:
        lines.append(Line("image", f"{digest} {image_uuid(digest)}"))
    return _encoded("base", lines)


def data_message(instance: Instance) -> bytes:
    """Whose data disk it is. Which folders lie on it the seed says: they may become more."""
    return _encoded("base", [Line("instance", str(instance.uuid))])


def seed_message(instance: Instance) -> bytes:
    """What the guest applies once per generation. Raises UsageError for what it cannot be told."""
    return _encoded("seed", _seed_lines(instance))


def told_disk(
    instance: Instance,
    *,
    master: str,
    overlay: str,
    nonce: str,
    may_format: bool = False,
    data: str = "skinny-data",
) -> bytes:
    """A disk that holds nothing but words: the guest reads it where no command line, xenstore or fw_cfg tells
    it who it is. `master`, `overlay` and `data` are the disks' serials, or the kernel's names for them.

    Whole MiB, as few as it takes. UsageError when these are more than guests look at.
    """
    lines = [Line("instance", str(instance.uuid)), Line("nonce", nonce)]
    lines += [Line("master", master), Line("overlay", overlay)]
    if may_format:
        lines.append(Line("format", str(instance.uuid)))
    if instance.data is not None:
        lines.append(Line("data", data))
        lines += [Line("format-data", str(instance.uuid))] if may_format else []
    contents = (("base", base_message(instance)), ("seed", seed_message(instance)))
    message = _encoded("told", [*lines, *(Line(name, payload=text) for name, text in contents)])
    if len(message) > MAX_TOLD:
        raise UsageError(f"a seed of {format_size(len(message))} is too large for a disk that tells it")
    return message.ljust(-(-len(message) // MIB) * MIB, b"\n")


def seed_capacity(message: bytes) -> int:
    """Bytes to keep for a seed: the usual ones, or the next power of two. UsageError above 8 MiB."""
    refuse_too_large(len(message))
    return max(SEED_CAPACITY, 1 << (len(message) - 1).bit_length())


def refuse_too_large(length: int) -> None:
    """UsageError for a seed of so many bytes."""
    if length > MAX_SEED:
        raise UsageError(
            f"a seed of {format_size(length)} is too large",
            hint=f"at most {format_size(MAX_SEED)}; large files belong into the master",
        )


def _encoded(kind: str, lines: list[Line] | Iterator[Line]) -> bytes:
    try:
        return wire.encode(kind, VERSION, lines)
    except ValueError as error:
        raise UsageError(f"the {kind} cannot be written: {error}") from error


def _seed_lines(instance: Instance) -> Iterator[Line]:
    seed = instance.seed
    _require(seed.generation > 0, f"generation {seed.generation} is not a positive number")
    _require(re.fullmatch(_MACHINE_ID, seed.machine_id), f"{quoted(seed.machine_id)} is not a machine-id")
    yield Line("generation", str(seed.generation))
    yield Line("instance", str(instance.uuid))
    yield Line("hostname", check_name(seed.hostname))
    if seed.follows_name:
        yield Line("hostname-from", "host")
    yield Line("machine-id", seed.machine_id)
    # Where there are several cards none has two settings: the first is told by its MAC then, too.
    own = f" mac {instance.mac}" if seed.nics else ""
    yield Line("network", _network(seed.network) + own)
    yield from (_nic(number, instance, nic) for number, nic in enumerate(seed.nics, 1))
    yield from seed_system.lines(seed, instance.ssh_user)
    if keys := seed_system.keys_of(seed, instance.ssh_user):
        yield _keys(instance.ssh_user, keys)
    yield from map(_file, seed.files)
    if instance.data is not None:
        check_folders(instance.data.folders)
        yield from (Line("data", folder) for folder in instance.data.folders)
    if seed.run_once is not None:
        yield Line("run-once", payload=_script(seed.run_once))
    if seed.user_data is not None:
        yield Line("user-data", payload=seed.user_data)
    if instance.swap is not None:
        yield Line("swap", _kind_and_size(instance.swap))
    if instance.throw_away is not None:
        yield Line("throw-away", _kind_and_size(instance.throw_away))
    if instance.check is not None:
        yield Line("check", payload=check_command(instance.check).encode())


def _kind_and_size(what: Swap | ThrowAway) -> str:
    return str(what.kind) if what.size is None else f"{what.kind} {what.size}"


def _keys(user: str, keys: tuple[str, ...]) -> Line:
    _require(re.fullmatch(_USER, user), f"{quoted(user)} is not a user's name")
    seed_system.check_keys(keys)
    return Line("authorized-keys", user, "".join(f"{key}\n" for key in keys).encode())


def _file(file: SeedFile) -> Line:
    _require(
        re.fullmatch(_PATH, file.path),
        f"{quoted(file.path)} is not a path a seed can carry",
        hint="absolute, printable ASCII, no . or .. in it",
    )
    _require(0 <= file.mode <= 0o7777, f"{short(file.path)}: {file.mode:o} is not a mode")
    _require(re.fullmatch(_OWNER, file.owner), f"{short(file.path)}: {quoted(file.owner)} is not user:group")
    return Line("file", f"{file.path} {file.mode:04o} {file.owner}", file.content)


def _script(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UsageError("the run-once script is not text") from error


def _nic(number: int, instance: Instance, nic: Nic) -> Line:
    method = "none" if nic.manual else _network(nic.network)
    _require(not (nic.manual and nic.network), f"card {number} has an address, and is to have none")
    words = [str(number), instance.mac_of(number), method]
    if nic.vlan is not None:
        _require(1 <= nic.vlan <= MOST_VLAN, f"{nic.vlan} is no VLAN", hint=f"1 to {MOST_VLAN}")
        words += ["vlan", str(nic.vlan)]
    return Line("nic", " ".join(words))


def _network(network: StaticNetwork | None) -> str:
    if network is None:
        return "dhcp"
    words = ["static", network.address]
    if network.gateway is not None:
        words += ["gateway", network.gateway]
    if network.also:
        words += ["also", ",".join(network.also)]
    if network.other_gateway is not None:
        words += ["other-gateway", network.other_gateway]
    if network.dns:
        words += ["dns", ",".join(network.dns)]
    _check_addresses(network)
    return " ".join(words)


def _check_addresses(network: StaticNetwork) -> None:
    import ipaddress  # takes 5 ms, and few machines have a static address

    for text in (*network.addresses, *network.gateways, *network.dns):
        _require(re.fullmatch(_ADDRESS, text), f"{text!r:.60} is not an address")
    try:
        for text in network.addresses:
            _require("/" in text, f"{quoted(text)} has no prefix length", hint="10.0.0.5/24")
        own = [ipaddress.ip_interface(text).version for text in network.addresses]
        gateways = [(text, ipaddress.ip_address(text).version) for text in network.gateways]
        for text in network.dns:
            ipaddress.ip_address(text)
    except ValueError as error:
        raise UsageError(f"not an address: {short(error)}") from error
    for text, version in gateways:
        _require(version in own, f"gateway {short(text)} is of another family than {short(network.address)}")
    _require(len({version for _, version in gateways}) == len(gateways), "two gateways are of one family")


def _require(holds: object, otherwise: str, *, hint: str | None = None) -> None:
    if not holds:
        raise UsageError(otherwise, hint=hint)
