"""On from a master that had what the machine had made its own, or back: as if it had gone there at once."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinnybox.delta.rebase import again, converged
from skinnybox.delta.rebase.accounts import Ownership
from skinnybox.delta.rebase.context import Context
from skinnybox.delta.rebase.converged import Change, Converged
from skinnybox.delta.rebase.facts import Facts, compared, of_entry, of_node
from skinnybox.delta.rebase.files import decisions
from skinnybox.delta.rebase.rules import Choice, Policy, Rule
from skinnybox.delta.rebase.values import Decision
from tests.unit.rebased import WHITEOUT, Line, Reader, Thing, d, decided, digest, f, index, l, moving, whole

NONE = Ownership()
OURS, THEIRS = Policy(on_conflict=Choice.OURS), Policy(on_conflict=Choice.THEIRS)
PATH = "srv/x"
LETTERS: dict[object, bytes] = {digest(each): each for each in (b"1", b"2", b"3")}
LETTERS |= {each: each for each in (b"1", b"2", b"3")}
Maybe = Thing | None


class Machine:
    """One path of it: what its overlay has there, and what is remembered of it."""

    def __init__(self, upper: Maybe, policy: Policy = OURS) -> None:
        self.upper, self.policy, self.text = upper, policy, b""
        self.decision: Decision | None = None

    def onto(self, old: Maybe, new: Maybe, owners: Ownership = NONE) -> "Machine":
        remembered = converged.read(self.text or None, owners)
        assert remembered is not None
        context = Context[Thing](reader=Reader(), policy=self.policy, converged=remembered, ownership=owners)
        upper = {} if self.upper is None else {PATH: self.upper}
        one, two = (index({"srv": d(), **({} if each is None else {PATH: each})}) for each in (old, new))
        found = [e for e in decisions(whole(upper).items(), one, two, context) if e.name == PATH]
        assert len(found) < 2
        self.decision = found[0] if found else None
        self.text = remembered.text() or b""
        if self.decision is not None:
            self.upper = self._after(self.decision, old, new, context)
        return self

    def _after(self, found: Decision, old: Maybe, new: Maybe, context: Context[Thing]) -> Maybe:
        match str(found.fate):
            case "take":
                return None
            case "hide":
                return WHITEOUT
            case "bring":
                return thing(context.converged.restored[PATH.encode()])
            case "merge":
                return self._merged(old, new, context)
        return self.upper

    def _merged(self, old: Maybe, new: Maybe, context: Context[Thing]) -> Thing:
        assert self.upper is not None and old is not None and new is not None
        entries = [Line(PATH.encode(), each).entry() for each in (old, new)]
        mine = of_node(self.upper, context.reader, context.ownership, (entries[0], entries[1]))
        was, after = of_entry(entries[0], context.ownership), of_entry(entries[1], None)
        found = compared(mine, again.base(PATH.encode(), (mine, was, after), context) or was, after)
        assert found.result is not None
        return thing(found.result)

    def sees(self, master: Maybe) -> Maybe:
        return None if self.upper == WHITEOUT else self.upper or master


def thing(facts: Facts) -> Thing:
    content = b"" if facts.content is None else LETTERS[facts.content]
    mode = 0o777 if facts.type == "l" else facts.mode
    return Thing(facts.type, content, mode, *facts.owner, dict(facts.xattrs))


FILES: tuple[Maybe, ...] = (None, *(f(c, mode=m) for c in "123" for m in (0o644, 0o600)))


def test_forth_and_back_is_as_it_was() -> None:
    """Every file that a machine made of every other, through every third."""
    for mine, one, two in itertools.product(FILES, FILES, FILES):
        if mine != one:
            upper = WHITEOUT if mine is None else mine
            there = Machine(upper).onto(one, two)
            assert there.onto(two, one).sees(one) == mine, (mine, one, two)


@pytest.mark.parametrize("policy", [OURS, THEIRS, Policy()])
def test_on_the_way_is_as_at_once(policy: Policy) -> None:
    """Where the second master has what the machine had made of the first, the third one is decided as it
    would have been from the first."""
    count = 0
    for mine, one, two, three in itertools.product(FILES, FILES, FILES, FILES):
        if mine == one:
            continue
        upper = WHITEOUT if mine is None else mine
        via = Machine(upper, policy).onto(one, two)
        if via.decision is None or via.decision.kind not in ("converged", "stale"):
            continue
        at_once = Machine(upper, policy).onto(one, three)
        via.onto(two, three)
        asked = at_once.decision is not None and at_once.decision.fate == "ask"
        assert asked == (via.decision is not None and via.decision.fate == "ask"), (mine, one, two, three)
        count += asked
        if not asked and policy.on_conflict is not Choice.OURS:
            assert via.sees(three) == at_once.sees(three), (mine, one, two, three)
    assert bool(count) == (policy.on_conflict is Choice.MERGE)


def kind(machine: Machine) -> str:
    found = machine.decision
    return "-" if found is None else f"{found.kind}: {found.fate} {found.standing}"


def test_it_is_remembered_as_long_as_the_masters_have_it() -> None:
    via = Machine(f("2")).onto(f("1"), f("2"))
    for _ in range(3):
        assert kind(via.onto(f("2"), f("2"))) == "-"
    assert via.onto(f("2"), f("1")).upper == f("2") and kind(via) == "changed: bring clean"
    assert not via.text
    gone = Machine(WHITEOUT).onto(f("1"), None).onto(None, None)
    assert gone.onto(None, f("1")).upper == WHITEOUT and kind(gone) == "deleted: hide clean"


def test_what_was_decided_is_not_asked_again() -> None:
    via = Machine(f("2"), THEIRS).onto(f("1"), f("2"))
    assert kind(via.onto(f("2"), f("3"))) == "modify/modify: take clean" and not via.text
    assert kind(via.onto(f("3"), f("1"))) == "-"


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (Choice.PIN, "changed: bring clean"),
        (Choice.TAKE, "changed: take clean"),
        (Choice.OURS, "modify/modify: bring clean"),
        (Choice.FAIL, "modify/modify: ask conflict"),
    ],
)
def test_who_wins_can_be_said(choice: Choice, wanted: str) -> None:
    via = Machine(f("2")).onto(f("1"), f("2"))
    via.policy = Policy(rules=(Rule(glob="/srv/x", choice=choice),))
    assert kind(via.onto(f("2"), f("3"))) == wanted


def test_what_the_machine_did_since_counts() -> None:
    """It altered it again, deleted it, or put the first one back."""
    altered = Machine(f("2")).onto(f("1"), f("2"))
    altered.upper = f("3")
    assert altered.onto(f("2"), f("1")).sees(f("1")) == f("3") and kind(altered) == "changed: keep clean"
    deleted = Machine(f("2")).onto(f("1"), f("2"))
    deleted.upper = WHITEOUT
    assert deleted.onto(f("2"), f("1")).upper == WHITEOUT and kind(deleted) == "deleted: keep clean"
    back = Machine(f("2")).onto(f("1"), f("2")).onto(f("2"), f("1"))
    back.upper = f("1")
    back.onto(f("1"), f("2")).onto(f("2"), f("1"))
    assert back.sees(f("1")) == f("1")
    copied = Machine(f("2")).onto(f("1"), f("2"))
    copied.upper = f("2")
    assert copied.onto(f("2"), f("1")).sees(f("1")) == f("2")


TEXTS = {name: f"{one}\na\nb\nc\n{two}\n" for name, one, two in ("Oxy", "Xpy", "Zpq", "Ysy")}


def text_merge(upper: Maybe, record: Converged) -> str:
    """Of /etc/x, from X to Y."""
    sides = [{"etc/x": f(TEXTS[each])} for each in "XY"]
    told = decided({} if upper is None else {"etc/x": upper}, *sides, converged=record)
    return ", ".join(f"{each.kind}: {each.fate}" for each in told)


def test_text_is_merged_where_its_base_is_there_and_nowhere_else() -> None:
    """One that the machine altered again has the old master's; one that it did not, has that of before."""
    facts = {each: of_entry(Line(b"x", f(TEXTS[each])).entry(), None) for each in "OX"}
    record = Converged({b"etc/x": Change(facts["O"], facts["X"])})
    assert text_merge(f(TEXTS["Z"]), record) == "merged: merge"
    assert text_merge(None, record) == text_merge(f(TEXTS["X"]), record) == "modify/modify: ask"


def test_other_kinds_of_files() -> None:
    link = Machine(l("2")).onto(l("1"), l("2"))
    assert link.onto(l("2"), l("1")).sees(None) == l("2")
    other = Machine(f("2")).onto(f("1"), f("2"))
    assert kind(other.onto(f("2"), l("1"))) == "type: ask blocked"
    folder = Machine(d(0o700)).onto(d(), d(0o700))
    assert folder.upper == d(0o700)
    assert folder.onto(d(0o700), d()).upper == d(0o700) and kind(folder) == "metadata: keep clean"


def test_its_owner_gets_another_number_on_the_way() -> None:
    owners = moving({101: 102, 102: 101})
    via = Machine(f("2", uid=101)).onto(f("1", uid=101), f("2", uid=102), owners)
    assert via.upper is None and via.text
    via.onto(f("2", uid=102), f("1", uid=101), owners)
    assert via.sees(None) == f("2", uid=101)


def test_an_enabled_service_does_not_stay_away_for_a_folder_that_went_with_the_last() -> None:
    path = "etc/systemd/system/x.wants"
    remembered = Converged()
    context = Context[Thing](reader=Reader(), converged=remembered)
    old = {f"{path}/a.service": l("/a")}
    list(decisions(whole({path: WHITEOUT}).items(), index(old), index({}), context))
    assert remembered.text() is None


# --- the file


def test_a_guest_may_write_anything_there() -> None:
    good = Converged()
    one, two = (
        of_entry(Line(b"x", each).entry(), None)
        for each in (f("1"), Thing("l", b"\xff", xattrs={"user.a": b"\0"}))
    )
    good.remember(b"a\n\xff", Change(one, two))
    good.remember(b"b", Change(None, one))
    text = good.text() or b""
    read = converged.read(text, NONE)
    assert read is not None and read.text() == text
    for spoilt in (text[:-2], text[1:], b"", text.replace(b"sha256:", b""), text.replace(b"420", b"-1")):
        assert converged.read(spoilt, NONE) is None
    for line in _BAD:
        assert converged.read(b"skinnybox-converged 1\n" + line + b"\nend\n", NONE) is None, line


_FACTS = ["-", digest(b""), 420, 0, 0, []]
_BAD = [
    json.dumps(each).encode()
    for each in (
        None, 1, [], ["a", None, None], ["a", _FACTS, _FACTS], ["", None, _FACTS], ["/a", None, _FACTS],
        ["a/../b", None, _FACTS], ["a\0", None, _FACTS], [1, None, _FACTS], ["a" * 5000, None, _FACTS],
        ["a", None, _FACTS[:5]], ["a", None, ["x", *_FACTS[1:]]], ["a", None, ["-", "x", *_FACTS[2:]]],
        ["a", None, ["d", "x", *_FACTS[2:]]], ["a", None, ["l", "zz", *_FACTS[2:]]],
        ["a", None, ["c", "1", *_FACTS[2:]]], ["a", None, [*_FACTS[:3], True, 0, []]],
        ["a", None, [*_FACTS[:5], [["trusted.overlay.opaque", "79"]]]],
        ["a", None, [*_FACTS[:5], [["", ""]]]],
    )
] + [b"[" * 100_000]  # fmt: skip


@settings(max_examples=300)
@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=6)))
def test_nothing_that_is_there_does_harm(value: object) -> None:
    text = b"skinnybox-converged 1\n" + json.dumps(value).encode() + b"\nend\n"
    assert converged.read(text, NONE) is None


def test_only_so_much_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converged, "MOST", 3)
    remembered = Converged()
    facts = of_entry(Line(b"x", f("1")).entry(), None)
    for path in (b"a", b"b", b"c", b"d", b"a"):
        remembered.remember(path, Change(None, facts))
    whole = converged.read(remembered.text(), NONE)
    assert whole is not None and list(whole) == [b"a", b"b", b"c"] and remembered.left_out == 1
    monkeypatch.setattr(converged, "MOST_BYTES", len(remembered.text() or b"") - 1)
    text = remembered.text() or b""
    assert remembered.left_out == 2 and len(text) <= converged.MOST_BYTES
    again = converged.read(text, NONE)
    assert again is not None and list(again) == [b"a", b"b"]
