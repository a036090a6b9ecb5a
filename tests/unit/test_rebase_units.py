"""Which services the first start of a rebased machine is expected to run."""

from skinnybox.delta.rebase import tasks
from skinnybox.delta.rebase.services import Wants
from tests.unit.recorded import Changed, Seen, Tree

UNITS: Tree = {
    f"usr/lib/systemd/system/{name}": b""
    for name in ("apache2.service", "wait-online.service", "phase-initrd.service", "redis.service")
}
WANTS: Wants = frozenset(
    {
        ("apache2.service", "multi-user.target"),
        ("wait-online.service", "network-online.target"),
        ("phase-initrd.service", "initrd.target"),
        ("cron", "default"),
    }
)


def expected(upper: Tree, machine: Wants = WANTS, new: Wants = WANTS) -> tuple[str, ...]:
    old = {"etc/init.d/cron": b"", **UNITS}
    return tasks.units((Seen(old), Seen(old), Changed(old, upper)), (WANTS, new, machine))


def active(*names: str) -> Tree:
    lines = ["skinnybox-active-units 1", *(f"unit {name}" for name in names), "end"]
    return {tasks.ACTIVE: "".join(f"{line}\n" for line in lines).encode()}


def test_where_nobody_said_what_ran_it_is_what_each_boot_starts() -> None:
    """A real machine of an older guest part was never ready: units that no boot comes to were waited for."""
    assert expected({}) == ("apache2.service",)


def test_what_ran_is_expected_whatever_wants_it() -> None:
    upper = active("apache2.service", "wait-online.service", "gone.service")
    assert expected(upper) == ("apache2.service", "wait-online.service")


def test_what_a_script_started_once_is_not_expected() -> None:
    """As apache's does with a service that no boot starts: a machine that had not been started since was
    waited for until its trial failed."""
    can_be, folder = b"[Unit]\n[Install]\nWantedBy=multi-user.target\n", "usr/lib/systemd/system"
    units = {
        "once.service": can_be, "apache2.service": can_be, "by-socket.service": can_be, "at@.service": can_be,
        "static.service": b"[Service]\nExecStart=/bin/x [Install]\n",
    }  # fmt: skip
    names = ("at@one.service", "at@two.service", *units, "init.service")
    there = {f"{folder}/{name}": text for name, text in units.items()}
    wants = WANTS | {("by-socket.socket", "sockets.target"), ("at@one.service", "multi-user.target")}
    assert expected({**there, **active(*names), "etc/init.d/init": b""}, machine=wants) == (
        "apache2.service", "at@one.service", "by-socket.service", "init.service", "static.service"
    )  # fmt: skip


def test_what_is_new_is_not_expected_and_what_nobody_wants_any_more_neither() -> None:
    assert expected({}, new=WANTS | {("redis.service", "multi-user.target")}) == ("apache2.service",)
    assert expected({}, new=WANTS - {("apache2.service", "multi-user.target")}) == ()
