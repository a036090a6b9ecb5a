"""In which order machines change that want what others leave."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from skinnybox.fleet.plan.actions import Choices, Desired, Verb, plan
from skinnybox.fleet.plan.turns import Turn, in_turn
from skinnybox.fleet.specification import places
from skinnybox.model import Forward, Network, StaticNetwork
from tests.fleet.planned import FLEET, SPEC, machine, wanted

NAMES = "abcdef"


def turns(ports: Sequence[int], then: Sequence[int]) -> list[Turn]:
    """Of machines that have these ports and are to have those."""
    has = [replace(SPEC, forwards=(Forward(port=port, to=80),)) for port in ports]
    to_be = [replace(SPEC, forwards=(Forward(port=port, to=80),)) for port in then]
    return _planned(has, to_be)


def _planned(has: Sequence[object], to_be: Sequence[object]) -> list[Turn]:
    machines = [machine(wanted(name, specification=of)) for name, of in zip(NAMES, has, strict=False)]
    desired = tuple(wanted(name, specification=of) for name, of in zip(NAMES, to_be, strict=False))
    return in_turn(plan(Desired(fleet=FLEET, machines=desired), machines))


def names(found: Sequence[Turn]) -> list[str]:
    return [f"{turn.action.name}{' aside' if turn.aside else ''}" for turn in found]


def test_who_leaves_goes_first_and_of_a_ring_one_steps_aside() -> None:
    assert names(turns([8001, 8002, 8003], [8002, 8003, 8004])) == ["c", "b", "a"]
    assert names(turns([8001, 8002, 8003], [8000, 8001, 8002])) == ["a", "b", "c"]
    assert names(turns([8001, 8002], [8002, 8001])) == ["a aside", "b", "a"]
    assert names(turns([8001, 8002, 8003], [8002, 8003, 8001])) == ["a aside", "c", "b", "a"]
    assert names(turns([8001, 8002, 8003, 8004], [8002, 8001, 8004, 8003])) == [
        "a aside", "b", "a", "c aside", "d", "c",
    ]  # fmt: skip


def test_all_addresses_of_the_host_meet_each_of_them() -> None:
    has = [replace(SPEC, forwards=(Forward(address="0.0.0.0", port=8080, to=80),)), SPEC]
    to_be = [SPEC, replace(SPEC, forwards=(Forward(address="127.0.0.2", port=8080, to=80),))]
    assert names(_planned(list(reversed(has)), list(reversed(to_be)))) == ["b", "a"]


def test_what_is_made_anew_goes_first_and_is_made_last() -> None:
    has = [replace(SPEC, forwards=(Forward(port=port, to=80),)) for port in (8001, 8002)]
    machines = [machine(wanted(name, specification=of)) for name, of in zip("ab", has, strict=True)]
    desired = tuple(wanted(name, specification=of) for name, of in zip("ab", reversed(has), strict=True))
    chosen = Choices(recreate=frozenset({"a"}))
    assert names(in_turn(plan(Desired(fleet=FLEET, machines=desired), machines, chosen))) == [
        "a aside", "b", "a"
    ]  # fmt: skip


@given(st.permutations(range(6)), st.permutations(range(6)), st.integers(0, 6))
def test_at_no_moment_two_have_the_same_address(has: list[int], then: list[int], count: int) -> None:
    """Whatever is exchanged; and each is done, once."""

    def static(number: int) -> object:
        network = StaticNetwork(address=f"10.0.0.{number + 1}/24")
        return replace(SPEC, network=Network.BRIDGE, bridge="br0", static_network=network)

    found = _planned([static(n) for n in has[:count]], [static(n) for n in then[:count]])
    at = {place: name for name, n in zip(NAMES, has[:count], strict=False) for place in places(static(n))}  # type: ignore[arg-type]
    for turn in found:
        name = turn.action.name
        at = {place: other for place, other in at.items() if other != name}
        for place in (
            places(turn.action.wanted.specification) if turn.action.wanted and not turn.aside else ()
        ):
            assert place not in at
            at[place] = name
    done = [turn.action.name for turn in found if not turn.aside]
    assert done == list(dict.fromkeys(done)) and {turn.action.verb for turn in found} <= {Verb.SEED}
    assert len(at) == count
