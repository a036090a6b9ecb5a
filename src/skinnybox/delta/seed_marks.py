"""What a machine's seed has its guest write, and which of the machine's changes are no more than that.

The guest part writes it (guest/lib: seed.sh, network.sh, identity.sh); tests/guest/test_seed_expected.py
holds that the two say the same, byte for byte. A master with another guest part may write it differently:
then it is listed, which is the safe side.
"""

import base64
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from skinnybox.delta import seed_cloud, seed_network, seed_place
from skinnybox.delta.as_seeded import (
    BLOCK,
    FOLDER,
    HOSTS,
    KEY,
    LINK,
    TEXT,
    Expected,
    Seeded,
    hosts_with_name,
)
from skinnybox.model import Change, Instance, SeedFile
from skinnybox.overlays.seed_system import keys_of

SEED, NOT_AS_SEEDED = "seed", "not as the seed has it"
_HOSTNAME, _HOSTS = "/etc/hostname", "/etc/hosts"
_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
_HOST_KEY_TYPE = "ssh-ed25519 "
_KEPT = "/var/lib/skinnybox"
_UNIT = "skinnybox-run-once.service"
_LONGEST_HOSTNAME = 63
_CHANGED_BY = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ _.", "abcdefghijklmnopqrstuvwxyz---")

Found = Iterator[tuple[str, Seeded]]


def expected(instance: Instance, host_keys: Sequence[str]) -> Expected:
    """By path, the ways in which the guest part may have left it; none where nothing could be right.

    `host_keys` are those it is held to. Without them nobody can say whose the ssh host key is.
    """
    found: dict[str, tuple[Seeded, ...]] = {_HOST_KEY: (), f"{_HOST_KEY}.pub": ()}
    for path, way in _written(instance, host_keys):
        found[path] = (*found.get(path, ()), way)
    for file in instance.seed.files:
        found[file.path] = tuple(_file(file, instance, found.get(file.path, ())))
    for path in tuple(found):
        for folder in map(str, PurePosixPath(path).parents):
            found.setdefault(folder, (Seeded(kind=FOLDER, mode=0o755),))
    return {os.fsencode(path.strip("/")): ways for path, ways in found.items()}


def marked(found: Iterable[tuple[Change, bool | None]], *, include_seed: bool) -> Iterator[Change]:
    """Each with what as_seeded says of it: the seed's is marked, or left out; what else is at its paths says
    so."""
    for change, is_seeds in found:
        if is_seeds is None:
            yield change
        elif not is_seeds:
            yield _with(change, NOT_AS_SEEDED)
        elif include_seed:
            yield _with(change, SEED)


def _with(change: Change, word: str) -> Change:
    return replace(change, detail=f"{change.detail}, {word}" if change.detail else word)


def _written(instance: Instance, host_keys: Sequence[str]) -> Found:
    seed = instance.seed
    for name in hostnames(instance):
        yield _HOSTNAME, _text(0o644, f"{name}\n")
        yield _HOSTS, Seeded(kind=HOSTS, mode=0o644, text=name.encode())
    yield "/etc/machine-id", _text(0o444, f"{seed.machine_id}\n")
    for path, mode, text in (*seed_network.written(instance), *seed_place.written(seed)):
        yield path, _text(mode, text)
    for path, mode, content in seed_cloud.written(instance):
        yield path, _text(mode, content)
    if seed.timezone is not None:
        yield "/etc/localtime", _link(f"../usr/share/zoneinfo/{seed.timezone}")
    for user in seed.users:
        if user.authorized_keys and not (user.name == instance.ssh_user and seed.authorized_keys):
            yield from _authorized_keys(user.name, user.authorized_keys)
    if keys := keys_of(seed, instance.ssh_user):
        yield from _authorized_keys(instance.ssh_user, keys)
    if seed.run_once is not None:
        yield from _run_once(seed.run_once)
    if instance.check is not None:
        yield f"{_KEPT}/check", _text(0o700, instance.check)
    yield f"{_KEPT}/seed-applied", _text(0o644, f"{seed.generation} {instance.uuid}\n")
    yield "/run/skinnybox", Seeded(kind=FOLDER, mode=0o755)
    for key in host_keys:
        if key.startswith(_HOST_KEY_TYPE):
            yield f"{_HOST_KEY}.pub", _text(0o644, f"{key} skinnybox {instance.uuid}\n")
            yield _HOST_KEY, Seeded(kind=KEY, mode=0o600, text=base64.b64decode(key.split()[1]))


def _text(mode: int, text: str | bytes) -> Seeded:
    return Seeded(kind=TEXT, mode=mode, text=text.encode() if isinstance(text, str) else text)


def _link(target: str) -> Seeded:
    return Seeded(kind=LINK, mode=0o777, text=target.encode())


def hostnames(instance: Instance) -> list[str]:
    """Its own and, where it follows it, what its host calls it: the guest takes that at each boot."""
    followed = hostname_of(instance.name) if instance.seed.follows_name else ""
    return list(dict.fromkeys(filter(None, (instance.seed.hostname, followed))))


def hostname_of(name: str) -> str:
    """As the function of that name in the guest's boot.sh."""
    kept = re.sub(r"[^a-z0-9-]", "", name.translate(_CHANGED_BY))
    return kept[:_LONGEST_HOSTNAME].strip("-")


def _authorized_keys(user: str, keys: tuple[str, ...]) -> Found:
    """Homes elsewhere than usual are known to the guest alone: what is there is listed."""
    number = 0 if user == "root" else None
    folder = "/root/.ssh" if user == "root" else f"/home/{user}/.ssh"
    lines = "".join(f"{key}\n" for key in keys)
    block = f"# skinnybox: from the seed\n{lines}\n# skinnybox: end\n".encode()
    yield folder, Seeded(kind=FOLDER, mode=0o700, uid=number, gid=number)
    yield (
        f"{folder}/authorized_keys",
        Seeded(kind=BLOCK, mode=0o600, text=block, uid=number, gid=number),
    )


def _run_once(script: str) -> Found:
    """The script moves when it has run, and the link goes."""
    for name in ("run-once", "run-once.ran"):
        yield f"{_KEPT}/{name}", _text(0o700, script)
    wants = f"/etc/systemd/system/multi-user.target.wants/{_UNIT}"
    yield wants, _link(f"/usr/lib/systemd/system/{_UNIT}")


def _file(file: SeedFile, instance: Instance, before: tuple[Seeded, ...]) -> Iterator[Seeded]:
    """A file of the seed's own takes the place of what we write there ourselves, but for what is written
    after it: the identity, and a name that is followed."""
    uid, gid = map(_number, file.owner.split(":"))
    own = Seeded(kind=TEXT, mode=file.mode, text=file.content, uid=uid, gid=gid)
    yield own
    if file.path.startswith(_HOST_KEY):
        yield from before
    if instance.seed.follows_name and file.path == _HOSTNAME:
        yield from before
    if instance.seed.follows_name and file.path == _HOSTS:
        for name in hostnames(instance):
            text = hosts_with_name(file.content, name.encode())
            yield Seeded(kind=TEXT, mode=0o644, text=text)


def _number(owner: str) -> int | None:
    return 0 if owner == "root" else int(owner) if owner.isdigit() else None
