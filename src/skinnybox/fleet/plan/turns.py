"""In which order machines are changed that want what others leave: ports of the host, addresses on a bridge.

Who leaves something goes first. Where that goes round in a ring, as with two that exchange their ports, one
of it steps aside: it gives up what it will not have any more, and gets what it is to have when it is its
turn. So at no moment two of them have the same, whenever this is killed. Pure.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from skinnybox.fleet.plan.actions import ORDER, Action, Verb
from skinnybox.fleet.specification import Specification, places
from skinnybox.model import Forward, Instance
from skinnybox.model.places import Place

CHANGING = frozenset({Verb.SET, Verb.SEED, Verb.RESET})


@dataclass(frozen=True, slots=True)
class Turn:
    """An action, or with `aside` what of it has to be done before for the sake of others."""

    action: Action
    aside: bool = False


def in_turn(actions: Sequence[Action]) -> list[Turn]:
    """All of a plan. What is to be made anew goes at once, and is made when the others have changed."""
    anew = [action for action in actions if action.verb is Verb.RECREATE]
    changing = [action for action in actions if action.verb in CHANGING]
    before = [action for action in actions if ORDER[action.verb] < ORDER[Verb.SET]]
    after = [action for action in actions if ORDER[action.verb] > ORDER[Verb.RESET]]
    return [
        *(Turn(action, aside=action.verb is Verb.RECREATE) for action in before),
        *_turns(changing),
        *map(Turn, anew),
        *map(Turn, after),
    ]


def _turns(actions: Sequence[Action]) -> Iterator[Turn]:
    """Depth first, and without recursion: a thousand machines may each wait for the next."""
    waits = _waits(actions)
    begun, ended, aside = set[int](), set[int](), set[int]()
    for root in range(len(actions)):
        todo = [] if root in ended else [(root, iter(waits[root]))]
        begun.add(root)
        while todo:
            number, others = todo[-1]
            other = next((each for each in others if each not in ended), None)
            if other is None:
                todo.pop()
                ended.add(number)
                yield Turn(actions[number])
            elif other not in begun:
                begun.add(other)
                todo.append((other, iter(waits[other])))
            elif other not in aside:  # it waits for this one, be it by way of others
                aside.add(other)
                yield Turn(actions[other], aside=True)


def _waits(actions: Sequence[Action]) -> list[list[int]]:
    """Of each, the numbers of those that leave what it wants."""
    claims = [(_has(action), _to_have(action)) for action in actions]
    at: dict[Place, int] = {}
    ports: dict[int, list[tuple[Forward, int]]] = defaultdict(list)
    for number, ((now, forwards), (then, others)) in enumerate(claims):
        at.update({place: number for place in now if place not in then})
        for forward in forwards:
            if forward not in others:
                ports[forward.port].append((forward, number))
    waits = []
    for number, (_, (then, forwards)) in enumerate(claims):
        found = [at[place] for place in then if place in at]
        found += [of for each in forwards for left, of in ports.get(each.port, ()) if left.meets(each)]
        waits.append([of for of in dict.fromkeys(found) if of != number])
    return waits


Claims = tuple[list[Place], tuple[Forward, ...]]


def _has(action: Action) -> Claims:
    return _claims(action.instance) if action.instance else ([], ())


def _to_have(action: Action) -> Claims:
    """Of what is only set, the rest stays."""
    if action.wanted is None or action.instance is None:
        return [], ()
    to_be = action.wanted.specification
    if action.verb is not Verb.SET:
        return _claims(to_be)
    said = {difference.what for difference in action.differences}
    values = {name: getattr(to_be, name) for name in ("bridge", "forwards") if name in said}
    return _claims(replace(action.instance, **values))


def _claims(of: Instance | Specification) -> Claims:
    return places(of), of.forwards
