"""What holds for every plan, whatever is wanted and whatever is there."""

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from skinnybox.fleet.plan.actions import ORDER, Action, Choices, Desired, Target, Verb, Wanted, plan, runs
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import MachineView
from skinnybox.model import Allocation, Instance, Network, Overlay, ThrowAway, Thrown
from skinnybox.sizes import GIB, MIB
from tests.fleet.planned import FLEET, LAMP1, LAMP2, MAIL, RUNNING, machine

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
    throw_away=st.sampled_from([None, ThrowAway(), ThrowAway(kind=Thrown.MEMORY)]),
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


def done(actual: Iterable[MachineView], actions: Iterable[Action]) -> list[MachineView]:
    """The machines after an apply, pretended."""
    machines = {found.name: found for found in actual}
    for action in actions:
        _do(machines, action)
    return list(machines.values())


def _do(machines: dict[str, MachineView], action: Action) -> None:
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


def _changed(now: MachineView, action: Action, of: Wanted) -> Instance:
    assert not (runs(now) and action.verb in (Verb.GROW, Verb.SEED, Verb.RESET))
    if action.verb is Verb.GROW:
        size = max(d.after for d in action.differences if isinstance(d.after, int))
        return replace(now.instance, overlay=replace(now.instance.overlay, size=size))
    if action.verb in (Verb.SEED, Verb.RESET):
        said = of.specification
        return replace(
            now.instance,
            memory=said.memory,
            cpus=said.cpus,
            network=said.network,
            autostart=said.autostart,
            ssh_user=said.ssh_user,
            throw_away=said.throw_away,
            seed=replace(now.instance.seed, run_once=said.run_once),
        )
    return replace(now.instance, **{d.what: d.after for d in action.differences})  # type: ignore[arg-type]


@given(DESIRED, ACTUAL, CHOICES)
def test_after_apply_there_is_nothing_left_but_what_is_blocked(
    desired: Desired, actual: list[MachineView], choices: Choices
) -> None:
    first = plan(desired, actual, choices)
    second = plan(desired, done(actual, first), replace(choices, recreate=frozenset(), reset=frozenset()))
    assert {action.verb for action in second} <= {Verb.BLOCKED}
    assert {action.name for action in second} <= {a.name for a in first if a.verb is Verb.BLOCKED}


@given(DESIRED, ACTUAL, CHOICES)
def test_nothing_is_lost_without_its_word(
    desired: Desired, actual: list[MachineView], choices: Choices
) -> None:
    named = {of.name for of in desired.machines}
    owners = {found.name: found.instance.fleet for found in actual}
    keep = {found.name for found in actual if found.instance.throw_away is None}
    for action in plan(desired, actual, choices):
        if action.verb is Verb.DELETE:
            assert choices.prune and action.name not in named and owners[action.name] == FLEET
        elif action.verb in (Verb.RECREATE, Verb.RESET):
            assert action.name in (choices.recreate if action.verb is Verb.RECREATE else choices.reset)
        elif action.verb is Verb.SEED and action.name in keep:
            assert action.wanted and action.wanted.specification.throw_away is None
        if owners.get(action.name, FLEET) != FLEET and not choices.adopt:
            assert action.verb is Verb.BLOCKED


@given(DESIRED, ACTUAL, CHOICES)
def test_a_plan_is_in_the_order_of_the_work(
    desired: Desired, actual: list[MachineView], choices: Choices
) -> None:
    order = [ORDER[action.verb] for action in plan(desired, actual, choices)]
    assert order == sorted(order)
