"""The table of what is written down of a machine: each property once.

Its record, what a plan compares, the keys of the fleet file with their reference, the stable JSON form and
the reference of `instance.json` follow from this table; the seed's message, the guest's part and the plugin
of dom0 are held to it by tests/unit/test_model_fields.py.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from skinnybox.model import kinds
from skinnybox.model.disk_fields import DATA, OVERLAY
from skinnybox.model.forms import Field, Form, Transition
from skinnybox.model.machines import DataDisk, Instance, Overlay, Properties, Seed
from skinnybox.model.seed_fields import ADDRESS, FILE, NIC, SEED, USER
from skinnybox.model.stack import Stack
from skinnybox.model.stack_fields import STACK, TRIAL
from skinnybox.model.trial import Trial

__all__ = ["ADDRESS", "FILE", "NIC", "SEED", "STACK", "TRIAL", "USER", "Field", "Form", "Transition"]

_instance = partial(Field, of=Instance)
INSTANCE = Form(
    Instance,
    (
        _instance(
            name="uuid",
            kind=kinds.IDENTITY,
            shown="uuid",
            word="instance",
            what="Its identity.",
        ),
        _instance(name="name", kind=kinds.TEXT, shown="name", what="Unique in a state folder."),
        _instance(name="stack", kind=STACK.kind("stack"), what="What it boots from."),
        _instance(name="overlay", kind=OVERLAY.kind("overlay"), given="overlay", what="Its own disk."),
        _instance(name="seed", kind=SEED.kind("seed"), what="What the guest is told."),
        _instance(name="created", kind=kinds.TIME, shown="created", what="When it was made, UTC."),
        _instance(
            name="memory",
            kind=kinds.SIZE,
            change=Transition.SET,
            given="memory",
            key="memory",
            told="memory",
            shown="memory",
            what="Its memory.",
            said="Memory of each machine (512M).",
        ),
        _instance(
            name="cpus",
            kind=kinds.NUMBER,
            change=Transition.SET,
            given="cpus",
            key="cpus",
            told="cpus",
            shown="cpus",
            what="Its processors.",
            said="Processors of each machine (1).",
        ),
        _instance(
            name="ssh_port",
            kind=kinds.NUMBER,
            optional=True,
            change=Transition.SET,
            what="Where its ssh is, on the host's 127.0.0.1; null: at its own address.",
        ),
        _instance(
            name="ssh_user",
            kind=kinds.TEXT,
            change=Transition.SEED,
            given="ssh_user",
            key="user",
            told="user",
            word="authorized-keys",
            what="Who the ssh keys let in.",
            said="Who the ssh keys let in (root).",
        ),
        _instance(
            name="network",
            kind=kinds.WAY_OUT,
            optional=True,
            change=Transition.SET,
            given="network",
            key="network",
            told="network",
            shown="network",
            what="How it reaches out; null: the host's default.",
            said="How machines reach out (the host's default); `bridge` needs the name of one.",
        ),
        _instance(
            name="bridge",
            kind=kinds.TEXT,
            optional=True,
            later=True,
            change=Transition.SET,
            given="bridge",
            key="bridge",
            told="bridge",
            shown="bridge",
            what="The bridge of the host it is on.",
            said="A bridge of the host; says `network: bridge` as well.",
        ),
        _instance(
            name="autostart",
            kind=kinds.FLAG,
            later=True,
            change=Transition.SET,
            at_once=True,
            given="autostart",
            key="autostart",
            told="autostart",
            shown="autostart",
            what="It comes up again when the host has restarted.",
            said="Start them again when the host has restarted (false).",
        ),
        _instance(
            name="forwards",
            kind=kinds.FORWARDS,
            later=True,
            change=Transition.SET,
            given="forwards",
            key="forwards",
            told="forwards",
            shown="forwards",
            what="Ports of the host that lead to ports of it, while it runs.",
            said='Ports of this host that lead into the first machine, as in `"8080:80"`, or for others'
            ' than this host `"192.0.2.7:8080:80"`; they count up for the others.',
        ),
        _instance(
            name="protected",
            kind=kinds.FLAG,
            later=True,
            change=Transition.SET,
            at_once=True,
            given="protected",
            key="protected",
            told="protected",
            shown="protected",
            what="Nobody deletes it, also by force, until it is not.",
            said="Refuse to delete them or to make them anew, whoever says so (false).",
        ),
        _instance(
            name="labels",
            kind=kinds.LABELS,
            later=True,
            change=Transition.SET,
            at_once=True,
            given="labels",
            key="labels",
            told="labels",
            shown="labels",
            what="Words of its user's own, by key.",
            said="Words of your own, by key, for `--filter`. Those of a group stand for those of `defaults`.",
        ),
        _instance(
            name="swap",
            kind=kinds.SWAP,
            optional=True,
            later=True,
            change=Transition.SEED,
            given="swap",
            key="swap",
            told="swap",
            shown="swap",
            word="swap",
            protocol=3,
            what="Where its memory may go when it is short.",
            said="Swap: a size (512M) for a file on the overlay's disk, `zram` or `zram:SIZE` for compressed"
            " memory (none). Guest parts of protocol 3.",
        ),
        _instance(
            name="throw_away",
            kind=kinds.THROW_AWAY,
            optional=True,
            later=True,
            change=Transition.SEED,
            given="throw_away",
            key="throw_away",
            told="throw_away",
            shown="throw_away",
            word="throw-away",
            protocol=3,
            what="At each start what it wrote is gone; where it is until then.",
            said="At each start throw away what the machine wrote: `disk` keeps it on the overlay until then,"
            " `memory` or `memory:SIZE` in memory (what it wrote stays). A machine that kept it so far needs"
            " `--reset`. Guest parts of protocol 3.",
        ),
        _instance(
            name="fleet",
            kind=kinds.TEXT,
            optional=True,
            later=True,
            change=Transition.ADOPT,
            given="fleet",
            told="fleet",
            what="The fleet file it is of.",
        ),
        _instance(
            name="data",
            kind=DATA.kind("data disk"),
            optional=True,
            later=True,
            given="data",
            protocol=3,
            what="Its second disk, for what outlives its system.",
        ),
        _instance(
            name="half_restored",
            kind=kinds.TEXT,
            optional=True,
            later=True,
            change=Transition.ITSELF,
            what="A snapshot of which one of its two disks may be, and the other not: that was interrupted.",
        ),
        _instance(
            name="trial",
            kind=TRIAL.kind("trial"),
            optional=True,
            later=True,
            change=Transition.ITSELF,
            what="It was put on another master, and it is not decided yet whether it stays there.",
        ),
        _instance(
            name="moving",
            kind=kinds.TEXT,
            optional=True,
            later=True,
            change=Transition.ITSELF,
            what="Where it was being moved to, and may be as well: that was interrupted.",
        ),
        _instance(
            name="encrypt",
            kind=kinds.ENCRYPTION,
            optional=True,
            later=True,
            change=Transition.RECREATE,
            given="encrypt",
            key="encrypt",
            told="encrypt",
            shown="encrypt",
            protocol=3,
            what="Its guest encrypts its overlay, with the key in the file `key_file` of the host; null there"
            " is a new key at each start.",
            said="Encrypt each overlay: the path of a file of the host with the key, 32 random bytes or more"
            " (`{name}` in it is the machine's), or `random` for a new key at each start, with which nothing"
            " is kept (none). Not on a pool. Guest parts of protocol 3.",
        ),
        _instance(
            name="check",
            kind=kinds.TEXT,
            optional=True,
            later=True,
            change=Transition.SEED,
            given="check",
            key="check",
            told="check",
            shown="check",
            word="check",
            protocol=4,
            what="A shell command of its guest: it is ready when that has succeeded.",
            said="A shell command that the guest runs as root, every 2 seconds and for at most 30, until it"
            " succeeds; the machine is ready then, and not before (none). Guest parts of protocol 4.",
        ),
    ),
)

FORMS = (INSTANCE, STACK, TRIAL, OVERLAY, DATA, SEED, ADDRESS, FILE, NIC, USER)


def machine_fields() -> Iterator[Field]:
    """All of the table."""
    return (field for form in FORMS for field in form.fields)


def part(instance: Instance, field: Field) -> Any:
    """The value of a property of an instance itself, its stack, trial, overlay, data disk or seed; None of
    what it does not have."""
    holders = {
        Instance: instance,
        Stack: instance.stack,
        Trial: instance.trial,
        Overlay: instance.overlay,
        DataDisk: instance.data,
        Seed: instance.seed,
    }
    holder = holders[field.of]
    return None if holder is None else getattr(holder, field.name)


def given(specification: Properties, form: Form, way: Transition | None = None) -> dict[str, Any]:
    """What a Specification gives to this part of an instance, as that calls it; only what changes `way`. What
    it leaves open and the instance must have, whoever makes that knows."""
    found = {f: getattr(specification, f.given) for f in form.fields if f.given and way in (None, f.change)}
    return {f.name: value for f, value in found.items() if value is not None or f.optional}


def shown(instance: Instance) -> dict[str, Any]:
    """What the stable JSON form of a machine says of the instance, in plain values."""
    return {f.shown: f.plain(part(instance, f)) for f in machine_fields() if f.shown}
