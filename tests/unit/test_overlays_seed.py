from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from skinnybox import wire
from skinnybox.errors import UsageError
from skinnybox.model import Seed, SeedFile, SeedUser, Stack, StaticNetwork, image_uuid
from skinnybox.overlays.seed import base_message, seed_capacity, seed_message
from tests.samples import an_instance

DIGESTS = ("sha256:" + "a" * 64, "sha256:" + "b" * 64)
SEED = Seed(hostname="web-01", machine_id="0123456789abcdef" * 2)
INSTANCE = an_instance(
    uuid=UUID("11111111-2222-4333-8444-555555555555"),
    stack=Stack(master="sha256:" + "c" * 64, reference="lamp:1", images=DIGESTS),
    seed=SEED,
)


def seeded(**fields: Any) -> bytes:
    return seed_message(replace(INSTANCE, seed=replace(SEED, **fields)))


def test_the_base_names_the_machine_and_its_images_in_order() -> None:
    assert base_message(INSTANCE).decode() == (
        "skinnybox-base 1\n"
        "instance 11111111-2222-4333-8444-555555555555\n"
        f"image {DIGESTS[0]} {image_uuid(DIGESTS[0])}\n"
        f"image {DIGESTS[1]} {image_uuid(DIGESTS[1])}\n"
        "end\n"
    )


def test_the_smallest_seed() -> None:
    assert seed_message(INSTANCE).decode() == (
        "skinnybox-seed 1\n"
        "generation 1\n"
        "instance 11111111-2222-4333-8444-555555555555\n"
        "hostname web-01\n"
        "machine-id 0123456789abcdef0123456789abcdef\n"
        "network dhcp\n"
        "end\n"
    )


def test_a_full_seed() -> None:
    network = StaticNetwork(address="10.0.0.5/24", gateway="10.0.0.1", dns=("10.0.0.2", "10.0.0.3"))
    files = (SeedFile(path="/etc/my motd", content=b"\0any\xff", mode=0o600, owner="www-data:33"),)
    keys = ("ssh-ed25519 AAAA one", "ssh-rsa BBBB zwei ü")
    message = wire.decode(
        seeded(
            generation=7, network=network, files=files, authorized_keys=keys, run_once="#!/bin/sh\ntrue\n"
        ),
        "seed",
    )
    assert [(line.key, line.value, line.payload) for line in message.lines[4:]] == [
        ("network", "static 10.0.0.5/24 gateway 10.0.0.1 dns 10.0.0.2,10.0.0.3", None),
        ("authorized-keys", "root", "ssh-ed25519 AAAA one\nssh-rsa BBBB zwei ü\n".encode()),
        ("file", "/etc/my motd 0600 www-data:33", b"\0any\xff"),
        ("run-once", "", b"#!/bin/sh\ntrue\n"),
    ]
    assert message.get("generation") == "7"


def test_a_check_is_told_when_it_is_said() -> None:
    said = replace(an_instance(), check="curl -fs localhost\ntest -e /ü")
    (line,) = wire.decode(seed_message(said), "seed").all("check")
    assert (line.value, line.payload) == ("", "curl -fs localhost\ntest -e /ü".encode())
    assert wire.decode(seed_message(an_instance()), "seed").all("check") == []
    with pytest.raises(UsageError, match="no check"):
        seed_message(replace(said, check="\n"))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"generation": 0}, "generation 0"),
        ({"machine_id": "none"}, "machine-id"),
        ({"machine_id": "A" * 32}, "machine-id"),
        ({"hostname": "Web"}, "not a machine name"),
        ({"hostname": "a\nend"}, "not a machine name"),
        ({"network": StaticNetwork(address="10.0.0.5")}, "no prefix length"),
        ({"network": StaticNetwork(address="10.0.0.500/24")}, "not an address"),
        ({"network": StaticNetwork(address="10.0.0.5/24", gateway="fe80::1")}, "another family"),
        ({"network": StaticNetwork(address="10.0.0.5/24", dns=("ns.example",))}, "not an address"),
        ({"authorized_keys": ("one\ntwo",)}, "one line"),
        ({"authorized_keys": ("",)}, "one line"),
        ({"run_once": "\udc80"}, "not text"),
    ],
)
def test_what_a_seed_cannot_carry_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        seeded(**fields)


@pytest.mark.parametrize(
    "path",
    ["", "/", "etc/motd", "/etc/", "/etc//motd", "/../etc", "/etc/..", "/a\nb", "/ü", "/etc/x ", "/./x"],
)
def test_paths_that_are_none(path: str) -> None:
    with pytest.raises(UsageError, match="not a path"):
        seeded(files=(SeedFile(path=path, content=b""),))


@pytest.mark.parametrize(
    "network",
    [
        StaticNetwork(address="fe80::2%a mac 52/64"),
        StaticNetwork(address="fe80::2/64", gateway="fe80::1%eth0 vlan"),
        StaticNetwork(address="fe80::2/64", dns=("fe80::1%a,b",)),
        StaticNetwork(address="10.0.0.2/24", also=("fe80::2%a\tb/64",)),
    ],
)
def test_an_address_is_one_word(network: StaticNetwork) -> None:
    """Python takes these for addresses; a guest would read more words in them, or an odd one at the end."""
    with pytest.raises(UsageError, match="is not an address"):
        seeded(network=network)


@pytest.mark.parametrize(
    ("mode", "owner"), [(-1, "a:b"), (0o10000, "a:b"), (0o644, "root"), (0o644, "a b:c")]
)
def test_modes_and_owners_that_are_none(mode: int, owner: str) -> None:
    with pytest.raises(UsageError):
        seeded(files=(SeedFile(path="/x", content=b"", mode=mode, owner=owner),))


def test_the_user_of_the_keys_is_checked() -> None:
    with pytest.raises(UsageError, match="user's name"):
        seed_message(replace(INSTANCE, ssh_user="a b", seed=replace(SEED, authorized_keys=("k",))))


@pytest.mark.parametrize(
    ("length", "capacity"),
    [
        (1, 16384),
        (16384, 16384),
        (16385, 32768),
        (1 << 20, 1 << 20),
        ((1 << 20) + 1, 2 << 20),
        (8 << 20, 8 << 20),
    ],
)
def test_capacities_are_powers_of_two(length: int, capacity: int) -> None:
    assert seed_capacity(b"x" * length) == capacity


def test_a_seed_beyond_8_mib_is_refused() -> None:
    with pytest.raises(UsageError, match="too large"):
        seed_capacity(b"x" * ((8 << 20) + 1))


BASH, HASH = "/bin/bash", "$y$j9T$abcdefgh$0123456789abcdefghijklmnopq"


def test_users_and_where_it_stands() -> None:
    users = (
        SeedUser(name="deploy", groups=("adm", "www-data", "adm"), sudo=True, shell=BASH),
        SeedUser(name="_x", authorized_keys=("ssh-ed25519 AAAA one",), password_hash=HASH),
    )
    servers = ("ntp.example", "fd00::1", "192.0.2.7", "ntp.example")
    zone = "America/Argentina/Buenos_Aires"
    message = wire.decode(
        seeded(users=users, timezone=zone, locale="sr_RS@latin", ntp=servers),
        "seed",
    )
    assert [(line.key, line.value, line.payload) for line in message.lines[5:]] == [
        ("user", "deploy groups adm,www-data sudo yes shell /bin/bash", None),
        ("user", f"_x password {HASH}", b"ssh-ed25519 AAAA one\n"),
        ("timezone", zone, None),
        ("locale", "sr_RS@latin", None),
        ("ntp", "ntp.example fd00::1 192.0.2.7", None),
    ]


def test_user_data_is_carried_as_it_is() -> None:
    data = b"\x1f\x8b\0any\xff"
    (line,) = wire.decode(seeded(user_data=data), "seed").all("user-data")
    assert (line.value, line.payload) == ("", data)
    (line,) = wire.decode(seeded(user_data=b""), "seed").all("user-data")
    assert not line.payload
    assert seed_capacity(seeded(user_data=b"x" * (5 << 20))) == 8 << 20
    with pytest.raises(UsageError, match="too large"):
        seed_capacity(seeded(user_data=b"x" * (7 << 20)))


def test_who_is_let_in_by_the_machines_keys_may_be_one_of_its_users() -> None:
    """One line renews the whole file: the last one has them all."""
    users = (SeedUser(name="root", authorized_keys=("ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two")),)
    message = wire.decode(seeded(users=users, authorized_keys=("ssh-ed25519 AAAA one",)), "seed")
    assert [line.payload for line in message.all("user")] == [None]
    both = b"ssh-ed25519 AAAA one\nssh-ed25519 BBBB two\n"
    assert [line.payload for line in message.all("authorized-keys")] == [both]
    alone = wire.decode(seeded(users=users), "seed")
    assert [line.payload for line in alone.all("user")] == [both]
    assert alone.all("authorized-keys") == []


ZONES = ("", "../etc/passwd", "Europe/../x", "/UTC", "a b", "Europe/", ".", "Europe/.hidden", "a/b/c/d/e")
LOCALES = ("", "de DE", "de_DE.UTF-8\nLC_ALL=x", "$(id)", "/etc/x", "de_DE.", "..")
SERVERS = ("", "a b", "-x", "ntp.example#", "*", "fd00::g", "a..b", "x" * 254, "[fd00::1]", "fe80::1%eth0")
SHELLS: tuple[Any, ...] = ("bash", "/bin/../x", "/bin/a b", "/", "/bin/")
NAMES = ("", "Root", "-x", "a b", "1a", "x" * 33, "a:b", "ä")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        *(({"timezone": zone}, "time zone") for zone in ZONES),
        *(({"locale": name}, "locale") for name in LOCALES),
        *(({"ntp": (name,)}, "server's name") for name in SERVERS),
        ({"ntp": tuple(f"n{number}" for number in range(17))}, "17 time servers"),
        *(({"users": (SeedUser(name=name),)}, "user's name") for name in NAMES),
        ({"users": (SeedUser(name="a"), SeedUser(name="b"), SeedUser(name="a"))}, "two users a"),
        ({"users": (SeedUser(name="a", groups=("b c",)),)}, "group's name"),
        *(({"users": (SeedUser(name="a", shell=path),)}, "shell") for path in SHELLS),
        ({"users": (SeedUser(name="a", authorized_keys=("one\ntwo",)),)}, "one line"),
    ],
)
def test_what_no_system_can_be_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        seeded(**fields)


@pytest.mark.parametrize("text", ["hunter2", "$6$x", f"$6${'x' * 20}:0:0", "$6$xxxxxxxxxx\nroot::0", ""])
def test_a_password_is_no_hash_and_is_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="the password_hash of a is none") as refused:
        seeded(users=(SeedUser(name="a", password_hash=text),))
    assert not text or text not in str(refused.value)
