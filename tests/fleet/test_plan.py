"""What a plan says, of values alone: nothing here has a disk."""

import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox.fleet.create import Specification
from skinnybox.fleet.plan.actions import (
    ORDER,
    Action,
    Choices,
    Desired,
    Target,
    Verb,
    Wanted,
    extras,
    plan,
    runs,
)
from skinnybox.fleet.plan.words import count
from skinnybox.fleet.state import Phase
from skinnybox.fleet.view import Machine
from skinnybox.model import (
    Allocation,
    Instance,
    Network,
    Overlay,
    Power,
    Seed,
    SeedFile,
    Stack,
    StaticNetwork,
    Status,
)
from skinnybox.sizes import GIB, MIB

FLEET = "widgets"
LAMP1 = Stack(master="sha256:1", reference="lamp:1", images=("a",))
LAMP2 = Stack(master="sha256:2", reference="lamp:2", images=("b",))
MAIL = Stack(master="sha256:3", reference="mail:1", images=("c",), dax=True)
SPEC = Specification(overlay=Overlay(size=GIB), memory=512 * MIB, cpus=1, fleet=FLEET)


def wanted(name: str = "web-1", **fields: object) -> Wanted:
    values: dict[str, object] = {"name": name, "stack": LAMP1, "specification": SPEC}
    return Wanted(**{**values, **fields})  # type: ignore[arg-type]


def machine(of: Wanted, *, on: bool = False, fleet: str | None = FLEET) -> Machine:
    """A machine that is just as it is wanted."""
    specification = of.specification
    instance = Instance(
        uuid=uuid.uuid5(uuid.NAMESPACE_DNS, of.name),
        name=of.name,
        stack=of.stack,
        overlay=specification.overlay,
        seed=Seed(
            hostname=of.name,
            machine_id="0" * 32,
            network=specification.static_network,
            authorized_keys=specification.authorized_keys,
            files=specification.files,
            run_once=specification.run_once,
        ),
        created=datetime.now(UTC),
        memory=specification.memory,
        cpus=specification.cpus,
        ssh_user=specification.ssh_user,
        network=specification.network,
        bridge=specification.bridge,
        autostart=specification.autostart,
        fleet=fleet,
    )
    return Machine(instance=instance, phase=Phase.DEFINED, status=RUNNING if on else None)


RUNNING = Status(power=Power.RUNNING, pid=1, nonce="n")


def verbs(actions: Iterable[Action]) -> list[str]:
    return [f"{action.verb} {action.name}" for action in actions]


def one(of: Wanted, found: Machine, **choices: object) -> tuple[Action, ...]:
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
        ({"specification": replace(SPEC, overlay=Overlay(size=MIB))}, "never shrinks"),
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


def test_secrets_do_not_show() -> None:
    secret = SeedFile(path="/etc/secret", content=b"hunter2")
    of = wanted(specification=replace(SPEC, files=(secret,), run_once="echo hunter2"))
    (action,) = one(of, machine(wanted()))
    assert "hunter2" not in str(action.differences)
    assert [d.what for d in action.differences] == ["run_once", "file /etc/secret"]


NAMES = st.sampled_from(["a", "b", "c", "d"])
SPECIFICATIONS = st.builds(
    Specification,
    overlay=st.builds(
        Overlay, size=st.sampled_from([GIB, 2 * GIB, GIB + 1]), allocation=st.sampled_from(Allocation)
    ),
    memory=st.sampled_from([GIB, 2 * GIB]),
    cpus=st.integers(1, 2),
    network=st.sampled_from([None, Network.OPEN]),
    ssh_user=st.sampled_from(["root", "admin"]),
    run_once=st.sampled_from([None, "true"]),
    dax=st.sampled_from([None, None, True]),
    autostart=st.booleans(),
    fleet=st.just(FLEET),
)
WANTED = st.builds(
    Wanted,
    name=NAMES,
    stack=st.sampled_from([LAMP1, LAMP2, MAIL]),
    specification=SPECIFICATIONS,
    pinned=st.booleans(),
    state=st.sampled_from(Target),
)
MACHINES = st.builds(
    lambda of, on, fleet: replace(
        found := machine(of, on=on, fleet=fleet),
        instance=replace(
            found.instance,
            overlay=replace(found.instance.overlay, size=found.instance.overlay.size // MIB * MIB),
        ),
    ),
    WANTED,
    st.booleans(),
    st.sampled_from([FLEET, FLEET, FLEET, None, "others"]),
)
DESIRED = st.lists(WANTED, unique_by=lambda of: of.name).map(
    lambda found: Desired(fleet=FLEET, machines=tuple(found))
)
ACTUAL = st.lists(MACHINES, unique_by=lambda found: found.name)
CHOICES = st.builds(
    Choices,
    prune=st.booleans(),
    adopt=st.booleans(),
    recreate=st.frozensets(NAMES, max_size=2),
    reset=st.frozensets(NAMES, max_size=2),
)


def done(actual: Iterable[Machine], actions: Iterable[Action]) -> list[Machine]:
    """The machines after an apply, pretended."""
    machines = {found.name: found for found in actual}
    for action in actions:
        _do(machines, action)
    return list(machines.values())


def _do(machines: dict[str, Machine], action: Action) -> None:
    name, of = action.name, action.wanted
    if action.verb is Verb.DELETE:
        del machines[name]
    elif action.verb in (Verb.CREATE, Verb.RECREATE):
        assert of and (name in machines) is (action.verb is Verb.RECREATE)
        size = -(-of.specification.overlay.size // MIB) * MIB
        made = replace(of.specification, overlay=replace(of.specification.overlay, size=size))
        dax = of.stack.dax if of.specification.dax is None else of.specification.dax
        machines[name] = machine(replace(of, specification=made, stack=replace(of.stack, dax=dax)))
    elif action.verb in (Verb.START, Verb.STOP):
        assert runs(machines[name]) is (action.verb is Verb.STOP)
        machines[name] = replace(machines[name], status=RUNNING if action.verb is Verb.START else None)
    elif action.verb is not Verb.BLOCKED:
        assert of
        machines[name] = replace(machines[name], instance=_changed(machines[name], action, of))


def _changed(now: Machine, action: Action, of: Wanted) -> Instance:
    assert not (runs(now) and action.verb in (Verb.GROW, Verb.SEED, Verb.RESET))
    if action.verb is Verb.GROW:
        size = max(d.after for d in action.differences if isinstance(d.after, int))
        return replace(now.instance, overlay=replace(now.instance.overlay, size=size))
    if action.verb in (Verb.SEED, Verb.RESET):
        return replace(
            now.instance,
            ssh_user=of.specification.ssh_user,
            seed=replace(now.instance.seed, run_once=of.specification.run_once),
        )
    return replace(now.instance, **{d.what: d.after for d in action.differences})  # type: ignore[arg-type]


@given(DESIRED, ACTUAL, CHOICES)
def test_after_apply_there_is_nothing_left_but_what_is_blocked(
    desired: Desired, actual: list[Machine], choices: Choices
) -> None:
    first = plan(desired, actual, choices)
    second = plan(desired, done(actual, first), replace(choices, recreate=frozenset(), reset=frozenset()))
    assert {action.verb for action in second} <= {Verb.BLOCKED}
    assert {action.name for action in second} <= {a.name for a in first if a.verb is Verb.BLOCKED}


@given(DESIRED, ACTUAL, CHOICES)
def test_nothing_is_lost_without_its_word(desired: Desired, actual: list[Machine], choices: Choices) -> None:
    named = {of.name for of in desired.machines}
    owners = {found.name: found.instance.fleet for found in actual}
    for action in plan(desired, actual, choices):
        if action.verb is Verb.DELETE:
            assert choices.prune and action.name not in named and owners[action.name] == FLEET
        elif action.verb in (Verb.RECREATE, Verb.RESET):
            assert action.name in (choices.recreate if action.verb is Verb.RECREATE else choices.reset)
        if owners.get(action.name, FLEET) != FLEET and not choices.adopt:
            assert action.verb is Verb.BLOCKED


@given(DESIRED, ACTUAL, CHOICES)
def test_a_plan_is_in_the_order_of_the_work(
    desired: Desired, actual: list[Machine], choices: Choices
) -> None:
    order = [ORDER[action.verb] for action in plan(desired, actual, choices)]
    assert order == sorted(order)
