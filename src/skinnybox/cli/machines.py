"""create."""

import argparse
from typing import TypedDict

from skinnybox.cli import numbers, options, report, restore, specified
from skinnybox.cli.complete import ask_for
from skinnybox.cli.options import path
from skinnybox.cli.progress import shown
from skinnybox.model import Network


class Again(TypedDict):
    """Of an option that may repeat."""

    action: str
    default: list[str]


def add_to(commands: options.Commands) -> None:
    parser = options.command(
        commands, "create", _create, "create machines from a master",
        "Several at once: web-{01..40} or {db,www}-{1..3}.",
    )  # fmt: skip
    add = parser.add_argument
    add("names", metavar="NAME", nargs="+", help="names, or patterns that make names")
    master = add(
        "-m", "--master", metavar="MASTER", help="NAME or NAME:VERSION (default: that of the settings)"
    )
    ask_for(master, "masters")
    layer = add(
        "--layer", metavar="LAYER", action="append", default=[],
        help="a layer above the master, NAME or NAME:VERSION; may repeat, the lowest first",
    )  # fmt: skip
    ask_for(layer, "layers")
    _add_hardware(parser)
    add("--start", action="store_true", help="start them and wait until they are ready")
    add("--autostart", action="store_true", help="they are to come up again when the host has restarted")
    add("--protect", action="store_true", help="nobody deletes them, also by force, until `set --no-protect`")
    add("--label", metavar="KEY=VALUE", action="append", default=[], help="for --filter; may repeat")
    add("--skip-existing", action="store_true", help="leave those that exist as they are")
    add("--dry-run", action="store_true", help="only print the names, with their addresses")
    _add_guest(parser.add_argument_group("what the guest finds"))
    _add_network(parser.add_argument_group("network"))
    restore.add_to(parser)


def _add_hardware(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--overlay", metavar="SIZE", type=numbers.size, help="size of each overlay disk (default 1G)")
    add("--dax", action=argparse.BooleanOptionalAction, help="map the master from this machine's memory, "
        "or do not (default: as the master was sealed)")  # fmt: skip
    add("--data", metavar="SIZE", type=numbers.size, help="size of a second disk, which no reset and no "
        "restored system touches (default: none)")  # fmt: skip
    add("--data-dir", metavar="FOLDER", type=options.guest_path, action="append", default=[],
        help="a guest's folder that lies on it, filled first with what the master has there; may repeat "
        "(default /data)")  # fmt: skip
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--sparse", action="store_true", help="promise the disks' space without reserving it")
    kept.add_argument("--reserved", action="store_true", help="reserve it (default, where the host can)")
    add("--memory", metavar="SIZE", type=numbers.size, help="memory of each machine (default 512M)")
    add("--swap", metavar="SWAP", type=numbers.swap, help="SIZE of a swap file on the overlay's disk, or "
        "zram or zram:SIZE for compressed memory")  # fmt: skip
    add("--cpus", metavar="N", type=numbers.count, help="processors of each machine (default 1)")
    add("--throw-away", metavar="WHERE", type=numbers.throw_away, nargs="?", const="disk", help="at each "
        "start what they wrote is gone; till then on the disk, or with memory[:SIZE] there")  # fmt: skip
    add("--encrypt", metavar="KEYFILE", type=numbers.encryption, help="their guests encrypt the overlays "
        "with the key in this file of the host, 32 random bytes or more, which is read at each start and "
        "kept nowhere; or random: with a new key at each start, so that nothing is kept")  # fmt: skip


def _add_guest(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--user", default="root", help="who the ssh keys let in (default root)")
    add(
        "--ssh-key",
        action="append",
        default=[],
        metavar="FILE",
        type=path,
        help="a public key; may repeat (default: those of the settings)",
    )
    add("--file", action="append", default=[], metavar="SOURCE:TARGET[:MODE[:OWNER]]", help="may repeat")
    add("--run-once", metavar="FILE", type=path, help="a script to run once, when the network is up")
    add("--user-data", metavar="FILE", type=path, help="for the master's cloud-init, handed on as it is")
    add("--check", metavar="COMMAND", type=numbers.own_check, help="for the guest's shell, as root, until it "
        "succeeds: the machine is ready then, and not before")  # fmt: skip
    add("--add-user", action="append", default=[], metavar="NAME[:GROUP,...]", help="a user that it is "
        "to have, in groups that the master has; may repeat")  # fmt: skip
    add("--sudo", action="store_true", help="those of --add-user may do everything by sudo")
    add("--timezone", metavar="ZONE", help="as in Europe/Berlin (default: the master's)")
    add("--locale", metavar="LOCALE", help="as in de_DE.UTF-8, which the master has (default: its own)")
    add("--ntp", metavar="SERVER", action="append", default=[], help="whom it asks for the time; may repeat")
    add("--follow-name", action="store_true", help="at each boot the hostname becomes what the pool calls it")


def _add_network(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--network", choices=[str(n) for n in Network], help="passt: outbound through passt; restricted: "
        "only ssh from here; open: outbound, and the host's loopback services are reachable; bridge: with "
        "--bridge")  # fmt: skip
    add("--bridge", metavar="NAME", help="a tap on this bridge of the host; needs the right to make one")
    add("--forward", metavar="PORTS", action="append", default=[], help="[ADDRESS:]PORT:GUEST_PORT: a port "
        "of the host that leads to one of the machine; counts up for several; may repeat")  # fmt: skip
    again: Again = {"action": "append", "default": []}
    add("--address", metavar="ADDRESS/PREFIX", **again, help="a static address instead of DHCP; of several "
        "machines the first one's, and it counts up; or a pattern, as in 10.0.0.{11..50}/24; may repeat, as "
        "for IPv6")  # fmt: skip
    add("--gateway", metavar="ADDRESS", **again, help="with --address; one for each family")
    add("--nic", metavar="CARD", **again, help="one more card: bridge=NAME or restricted, then dhcp, manual "
        "or address=ADDRESS/PREFIX with gateway=ADDRESS, and vlan=ID, with commas between; may repeat"
    )  # fmt: skip
    add("--dns", metavar="ADDRESS", action="append", default=[], help="with --address; may repeat")


def _create(arguments: argparse.Namespace) -> int:
    if restore.is_meant(arguments):
        return restore.create(arguments)
    if arguments.dry_run:
        return _dry_run(arguments)
    settings = options.settings(arguments)
    master = arguments.master or settings.master
    specification = specified.specification(arguments, settings)
    with options.fleet(arguments) as fleet, shown(arguments.quiet) as operation:
        if master is None:
            raise fleet.masters.unnamed()
        made = fleet.create(
            arguments.names,
            master,
            specification,
            skip_existing=arguments.skip_existing,
            operation=operation,
        )
        names = [instance.name for instance in made]
        if not (arguments.start and names):
            for name in names:
                report.done(f"{name}: created")
            return 0
        results = fleet.start(names, operation=operation)
    return report.outcomes(results, lambda machine: str(machine.condition))


def _dry_run(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet.names import expand
    from skinnybox.fleet.spec import networks, nics

    names, static = expand(arguments.names), specified.static_network(arguments)
    nics.of_each(specified.nics(arguments), len(names))  # which refuses as `create` would
    if static is None:
        print("\n".join(names))
        return 0
    for name, network in zip(names, networks.of_each(static, len(names)), strict=True):
        print(name, *network.addresses)
    return 0
