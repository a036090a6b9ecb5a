"""What a plan says, of values alone: nothing here has a disk."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.plan import of_seed
from skinnybox.fleet.plan.actions import Action, Choices, Desired, Target, Verb, Wanted, extras, plan
from skinnybox.fleet.plan.descriptions import count
from skinnybox.fleet.view import MachineView
from skinnybox.model import Allocation, Network, Nic, Overlay, SeedFile, SeedUser, StaticNetwork
from skinnybox.model.throwaway import parse_throw_away
from skinnybox.sizes import GIB, MIB
from tests.fleet.planned import FLEET, LAMP1, LAMP2, MAIL, SPEC, machine, wanted


def verbs(actions: Iterable[Action]) -> list[str]:
    return [f"{action.verb} {action.name}" for action in actions]


def one(of: Wanted, found: MachineView, **choices: object) -> tuple[Action, ...]:
    return plan(Desired(fleet=FLEET, machines=(of,)), [found], Choices(**choices))  # type: ignore[arg-type]


def test_what_is_missing_is_created_and_started_when_it_is_to_run() -> None:
    desired = Desired(fleet=FLEET, machines=(wanted("a", state=Target.RUNNING), wanted("b")))
    assert verbs(plan(desired, [])) == ["create a", "create b", "start a"]
    assert count(plan(desired, [])) == "2 to create, 1 to start"


def test_what_is_as_wanted_is_left_alone() -> None:
    for state in Target:
        of = wanted(state=state)
        assert one(of, machine(of, on=state is Target.RUNNING)) == ()
    assert one(wanted(), machine(wanted(), on=True)) == ()
    assert count(()) == "nothing to do"


def test_power_follows_only_when_it_is_managed() -> None:
    off, on = machine(wanted()), machine(wanted(), on=True)
    assert verbs(one(wanted(state=Target.RUNNING), off)) == ["start web-1"]
    assert verbs(one(wanted(state=Target.STOPPED), on)) == ["stop web-1"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"memory": GIB}, "memory"),
        ({"cpus": 3}, "cpus"),
        ({"network": Network.OPEN}, "network"),
        ({"autostart": True}, "autostart"),
    ],
)
def test_settings_change_in_place(change: dict[str, object], what: str) -> None:
    of = wanted(specification=replace(SPEC, **change))  # type: ignore[arg-type]
    (action,) = one(of, machine(wanted()))
    assert (action.verb, [d.what for d in action.differences], action.note) == (Verb.SET, [what], None)
    (action,) = one(of, machine(wanted(), on=True))
    later = "takes effect at its next start"
    assert (action.verb, action.note) == (Verb.SET, None if what == "autostart" else later)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stack": LAMP2}, "stays on the master"),
        ({"stack": MAIL, "pinned": False}, "stays on the master"),
        ({"specification": replace(SPEC, dax=True)}, "belongs to the image"),
        ({"specification": replace(SPEC, overlay=Overlay(size=64 * MIB))}, "never shrinks"),
        (
            {"specification": replace(SPEC, overlay=Overlay(size=GIB, allocation=Allocation.SPARSE))},
            "stays reserved or sparse",
        ),
    ],
)
def test_what_cannot_be_done_in_place_is_blocked(change: dict[str, object], reason: str) -> None:
    for on in (False, True):
        (action,) = one(wanted(**change), machine(wanted(), on=on))  # type: ignore[arg-type]
        assert action.verb is Verb.BLOCKED
        assert action.reason and reason in action.reason
        assert action.hint and "web-1" in action.hint
        assert action.differences


@pytest.mark.parametrize(
    "change",
    [
        {"ssh_user": "admin"},
        {"authorized_keys": ("k",)},
        {"run_once": "true"},
        {"files": (SeedFile(path="/x", content=b""),)},
        {"static_network": StaticNetwork(address="10.0.0.5/24")},
    ],
)
def test_a_seed_is_renewed_while_the_machine_is_off(change: dict[str, object]) -> None:
    of = wanted(specification=replace(SPEC, **change))  # type: ignore[arg-type]
    (action,) = one(of, machine(wanted()))
    assert (action.verb, action.note) == (Verb.SEED, "applied at its next start")
    (action,) = one(of, machine(wanted(), on=True))
    assert (action.verb, action.reason) == (Verb.BLOCKED, "a new seed needs it stopped")
    stopped = replace(of, state=Target.STOPPED)
    assert verbs(one(stopped, machine(wanted(), on=True))) == ["stop web-1", "seed web-1"]
    assert verbs(one(replace(of, state=Target.RUNNING), machine(wanted()))) == ["seed web-1", "start web-1"]


@pytest.mark.parametrize("asked", ["", "disk", "memory", "memory:64M"])
def test_what_would_be_lost_at_the_next_start_needs_its_word(asked: str) -> None:
    """It lost all that was there once, by an edit and without a question."""
    kept, thrown = SPEC, replace(SPEC, throw_away=parse_throw_away(asked or "disk"))
    of = wanted(specification=replace(thrown, timezone="UTC") if asked else kept)
    for on in (False, True) if asked else ():
        (action,) = one(of, machine(wanted(), on=on))
        assert (action.verb, action.reason) == (Verb.BLOCKED, of_seed.LOST)
        assert action.hint and action.hint.startswith("--reset web-1 ")
        assert [d.what for d in action.differences] == ["throw_away", "timezone"]
    (action,) = one(
        of, machine(wanted(specification=thrown if not asked else kept)), reset=frozenset({"web-1"})
    )
    assert action.verb is Verb.RESET
    for already in ("disk", "memory"):  # loses it at each start, whatever the file says
        away = machine(wanted(specification=replace(SPEC, throw_away=parse_throw_away(already))))
        assert {action.verb for action in one(of, away)} <= {Verb.SEED}


def test_what_belongs_together_waits_together() -> None:
    """Memory and what of it is thrown away, a bridge and the address on it: one of them alone would be a
    machine that nobody asked for. What does not need the seed is done meanwhile."""
    has = replace(SPEC, memory=GIB, throw_away=parse_throw_away("memory:256M"))
    to_be = replace(SPEC, memory=512 * MIB, throw_away=parse_throw_away("memory:128M"), cpus=2)
    off = one(wanted(specification=to_be), machine(wanted(specification=has)))
    assert [(a.verb, [d.what for d in a.differences]) for a in off] == [
        (Verb.SEED, ["memory", "cpus", "throw_away"])
    ]
    on = one(wanted(specification=to_be), machine(wanted(specification=has), on=True))
    assert [(a.verb, [d.what for d in a.differences]) for a in on] == [
        (Verb.SET, ["cpus"]), (Verb.BLOCKED, ["memory", "throw_away"])
    ]  # fmt: skip
    moved = replace(SPEC, network=Network.BRIDGE, bridge="br1", nics=(Nic(bridge="br0"),))
    (action,) = one(wanted(specification=moved), machine(wanted(), on=True))
    assert [d.what for d in action.differences] == ["network", "bridge", "nic 1"]


def test_a_reference_without_a_version_is_content_with_any() -> None:
    assert one(wanted(stack=LAMP2, pinned=False), machine(wanted(stack=LAMP1))) == ()


def test_an_overlay_grows_while_the_machine_is_off() -> None:
    bigger = replace(SPEC, overlay=Overlay(size=2 * GIB))
    assert verbs(one(wanted(specification=bigger), machine(wanted()))) == ["grow web-1"]
    assert verbs(one(wanted(specification=bigger), machine(wanted(), on=True))) == ["blocked web-1"]
    stopped = wanted(specification=bigger, state=Target.STOPPED)
    assert verbs(one(stopped, machine(wanted(), on=True))) == ["stop web-1", "grow web-1"]
    odd = replace(SPEC, overlay=Overlay(size=GIB - 1))  # create rounds it up as well
    assert one(wanted(specification=odd), machine(wanted())) == ()


def test_a_machine_of_somebody_else_is_not_touched() -> None:
    of = wanted(specification=replace(SPEC, cpus=2))
    for owner, words in ((None, "made by hand"), ("others", "belongs to the fleet 'others'")):
        (action,) = one(of, machine(wanted(), fleet=owner), recreate=frozenset({"web-1"}))
        assert action.verb is Verb.BLOCKED
        assert action.reason and words in action.reason
        assert verbs(one(of, machine(wanted(), fleet=owner), adopt=True)) == ["adopt web-1", "set web-1"]


def test_what_left_the_file_stays_until_pruned() -> None:
    desired = Desired(fleet=FLEET, machines=())
    ours, by_hand = machine(wanted("ours"), on=True), machine(wanted("theirs"), fleet=None)
    assert plan(desired, [ours, by_hand]) == ()
    assert [m.name for m in extras(desired, [ours, by_hand])] == ["ours"]
    (action,) = plan(desired, [ours, by_hand], Choices(prune=True))
    assert (action.verb, action.name, action.note) == (Verb.DELETE, "ours", "powered off first")


def test_recreate_and_reset_are_for_those_named() -> None:
    changed = wanted(specification=replace(SPEC, ssh_user="admin"), state=Target.RUNNING)
    off = machine(wanted())
    assert verbs(one(changed, off, recreate=frozenset({"web-1"}))) == ["recreate web-1", "start web-1"]
    assert verbs(one(changed, off, reset=frozenset({"web-1"}))) == ["reset web-1", "start web-1"]
    assert verbs(one(changed, off, reset=frozenset({"other"}))) == ["seed web-1", "start web-1"]
    (action,) = one(changed, machine(wanted(), on=True), reset=frozenset({"web-1"}))
    assert action.reason == "a reset needs it stopped"


@pytest.mark.parametrize("phase", [Phase.CREATING, Phase.DELETING])
def test_what_another_command_works_on_is_waited_for(phase: Phase) -> None:
    busy = replace(machine(wanted()), phase=phase)
    for actions in (one(wanted(state=Target.RUNNING), busy), plan(Desired(fleet=FLEET, machines=()), [busy],
                    Choices(prune=True))):  # fmt: skip
        assert [action.verb for action in actions] == [Verb.BLOCKED]


def test_neither_user_data_nor_a_password_shows() -> None:
    users = (SeedUser(name="a", sudo=True, password_hash="$6$hunter2$hunter2hunter2"),)
    (action,) = one(wanted(specification=replace(SPEC, users=users, user_data=b"hunter2")), machine(wanted()))
    assert "hunter2" not in str(action.differences)
    assert {d.what for d in action.differences} == {"users a", "user_data"}


def test_secrets_do_not_show() -> None:
    secret = SeedFile(path="/etc/secret", content=b"hunter2")
    of = wanted(specification=replace(SPEC, files=(secret,), run_once="echo hunter2"))
    (action,) = one(of, machine(wanted()))
    assert "hunter2" not in str(action.differences)
    assert [d.what for d in action.differences] == ["file /etc/secret", "run_once"]
