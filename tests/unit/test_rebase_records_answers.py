"""What debconf was answered, which files ucf has seen, and which packages apt was asked for."""

import pytest

from skinnybox.delta.rebase.values import Fate
from skinnybox.errors import Corrupt
from tests.unit.recorded import Thing, after, fates, sides, status, told

ANSWERS, TEXTS, SECRETS = (f"var/cache/debconf/{name}.dat" for name in ("config", "templates", "passwords"))
STATES, STATUS = "var/lib/apt/extended_states", "var/lib/dpkg/status"
HASHES, REGISTRY = "var/lib/ucf/hashfile", "var/lib/ucf/registry"


def question(name: str, owners: str, value: str = "", **fields: str) -> bytes:
    told = "".join(f"{key}: {text}\n" for key, text in fields.items())
    return f"Name: {name}\nTemplate: {name}\nValue: {value}\nOwners: {owners}\n{told}\n".encode()


@pytest.mark.parametrize(
    ("old", "new", "machine", "wanted"),
    [
        ("a", "a", "mine", "mine"),
        ("a", "b", "a", "b"),
        ("a", "b", "mine", "mine"),
        (None, "b", "mine", "mine"),
        (None, "b", None, "b"),
    ],
)
def test_an_answer_that_somebody_gave_stays(
    old: str | None, new: str, machine: str | None, wanted: str
) -> None:
    texts: list[Thing] = [None if v is None else question("p/x", "p", v) for v in (old, new, machine)]
    for path in (ANSWERS, SECRETS):
        given = sides({path: texts[0]}, {path: texts[1]}, {path: texts[2]}, packages=fates(p=Fate.TAKE))
        assert after(given)[path] == question("p/x", "p", wanted)


def test_owners_are_packages_as_their_side_has_them() -> None:
    """A question goes with the last of them."""
    old = question("x", "gone, both", "1") + question("y", "gone", "1")
    new = question("x", "gone, both, news", "1") + question("y", "gone", "1") + question("z", "gone", "1")
    mine = question("x", "both, own", "1")
    given = sides(
        {ANSWERS: old},
        {ANSWERS: new},
        {ANSWERS: mine},
        packages=fates(gone=Fate.HIDE, both=Fate.TAKE, news=Fate.TAKE, own=Fate.KEEP),
    )
    assert after(given)[ANSWERS] == question("x", "both, news, own", "1")


def test_questions_of_what_was_removed_and_not_purged_stay() -> None:
    mine = question("old/x", "old", "yes")
    assert after(sides({}, {ANSWERS: b""}, {ANSWERS: mine}))[ANSWERS] == mine


def test_texts_are_the_packages_whose_question_it_is() -> None:
    old, new, mine = (question("x", "p", word) + question("y", "q", word) for word in ("1", "2", "3"))
    given = sides({TEXTS: old}, {TEXTS: new}, {TEXTS: mine}, packages=fates(p=Fate.TAKE, q=Fate.KEEP))
    assert after(given)[TEXTS] == question("x", "p", "2") + question("y", "q", "3")


def test_a_word_in_a_text_is_no_field() -> None:
    text = b"Name: x\nDescription: d\n Owners: nobody\n .\n Name: y\nOwners: p\n\n"
    given = sides({}, {TEXTS: b""}, {TEXTS: text}, packages=fates(p=Fate.KEEP))
    assert after(given)[TEXTS] == text


def test_what_was_before_the_last_answer_goes() -> None:
    path = f"{ANSWERS}-old"
    assert after(sides({}, {}, {path: b"Name"})) == {}


def state(name: str, automatic: bool) -> bytes:
    return f"Package: {name}\nArchitecture: amd64\nAuto-Installed: {int(automatic)}\n\n".encode()


A, M = True, False


@pytest.mark.parametrize(
    ("old", "new", "machine", "wanted"),
    [
        (A, A, A, A),
        (A, A, M, M),  # somebody asked for it
        (M, M, A, A),
        (A, M, A, M),
        (M, A, M, A),
        (None, A, None, A),
        (None, A, M, M),  # both installed it: it is not to go with what needed it
        (None, M, A, M),
        (None, A, A, A),
        (None, None, A, A),
        (A, A, None, None),
    ],
)
def test_who_asked_for_a_package(
    old: bool | None, new: bool | None, machine: bool | None, wanted: bool | None
) -> None:
    """None: it is not installed there."""
    three = [
        {
            STATUS: status(*(["p=1"] if side is not None else []), "dpkg=1"),
            STATES: b"" if side is None else state("p", side),
        }
        for side in (old, new, machine)
    ]
    found = after(sides(three[0], three[1], three[2]))
    assert found[STATES] == (b"" if wanted is None else state("p", wanted))


def test_that_nobody_is_told_of_was_asked_for() -> None:
    """As apt takes it."""
    old, new = {STATUS: status("p=1"), STATES: state("p", A)}, {STATUS: status("p=2"), STATES: state("p", A)}
    given = sides(old, new, {STATES: b""})
    assert after(given)[STATES] == b""


def test_a_mark_of_one_architecture_is_that_ones() -> None:
    """Two of a name go by both."""
    foreign = status("p=1").replace(b"amd64", b"i386")
    both = {STATUS: status("p=1") + foreign, STATES: state("p", A)}
    given = sides(both, both, {STATES: state("p", A).replace(b"amd64", b"i386")})
    assert after(given)[STATES] == state("p", A).replace(b"amd64", b"i386")


def test_ucf_knows_what_was_seen_of_the_masters() -> None:
    """Of a package that is the master's that is the master's file, also where the machine altered it: it was
    merged, and ucf is not to ask again."""
    registry = b"take \t /etc/take\nkeep\t/etc/keep\n"
    old, new, mine = (
        f"{digit * 32}  /etc/take\n{digit * 32}  /etc/keep\n{digit * 32}  /etc/own\n".encode()
        for digit in "123"
    )
    given = sides(
        {HASHES: old, REGISTRY: registry},
        {HASHES: new, REGISTRY: registry},
        {HASHES: mine, f"{HASHES}.0": b"x"},
        packages=fates(take=Fate.TAKE, keep=Fate.KEEP),
    )
    found = after(given)
    words = {line.split()[1]: line[:1] for line in bytes(found[HASHES]).splitlines()}  # type: ignore[arg-type]
    assert words == {b"/etc/take": b"2", b"/etc/keep": b"3", b"/etc/own": b"3"}
    assert found[REGISTRY] == registry and f"{HASHES}.0" not in found


def test_what_ucf_keeps_of_the_maintainers_goes_with_the_package() -> None:
    """It was in dispute where a machine had upgraded one, and the new master has a later one."""
    registry: dict[str, Thing] = {REGISTRY: b"take\t/etc/take\nkeep\t/etc/k/eep\n"}
    names = ("take", "k:eep", "nobodys", "own")
    old, new, mine = (
        {**registry, **{f"var/lib/ucf/cache/:etc:{name}": word for name in names}}
        for word in (b"1", b"2", b"3")
    )
    old.pop("var/lib/ucf/cache/:etc:own")
    new.pop("var/lib/ucf/cache/:etc:own")
    mine["var/lib/ucf/cache/:etc:nobodys"] = b"1"
    found = after(sides(old, new, mine, packages=fates(take=Fate.TAKE, keep=Fate.KEEP)))
    assert [found[f"var/lib/ucf/cache/:etc:{name}"] for name in names] == [b"2", b"3", b"2", b"3"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (ANSWERS, b"Value: x\n"),
        (ANSWERS, b"Name: x\n\n" * 200_000),
        (TEXTS, b"x" * (33 << 20)),
        (STATES, b"Auto-Installed: 1\n"),
        (STATES, b"Package: p\n\n" * 60_000),
        (HASHES, b"abc\n"),
        (REGISTRY, b"p nowhere\n"),
    ],
)
def test_what_they_would_not_read_is_named(path: str, text: bytes) -> None:
    with pytest.raises(Corrupt, match=f"/{path} "):
        told(sides({}, {}, {path: text}))
