"""Alternatives: what is chosen afterwards follows from the merged database, and the links from that."""

from collections.abc import Mapping

import pytest
from hypothesis import given as random
from hypothesis import strategies as st

from skinnybox.delta.rebase.owners import Owned
from skinnybox.delta.rebase.records import Made, Sides
from skinnybox.delta.rebase.records.alternative_group import Choice, Group, parsed
from skinnybox.delta.rebase.records.alternative_group import told as text
from skinnybox.delta.rebase.values import Fate
from skinnybox.errors import Corrupt
from tests.unit.recorded import Thing, Tree, after, fates, sides, told

DB, CHOSEN, LINK = "var/lib/dpkg/alternatives/editor", "etc/alternatives/editor", "usr/bin/editor"
SLAVE, MAN = "etc/alternatives/editor.1.gz", "usr/share/man/man1/editor.1.gz"

# What else there is: a folder in which nothing is left is no folder here.
OTHERS: Tree = {
    "usr/bin/true": b"",
    "usr/share/man/man1/true.1.gz": b"",
    "var/lib/dpkg/alternatives/other": b"auto\n/usr/bin/other\n\n/usr/bin/true\n1\n\n",
    "etc/alternatives/other": "/usr/bin/true",
    "usr/bin/other": "/etc/alternatives/other",
}


def group(choices: Mapping[str, int], mode: str = "auto", man: bool = True) -> bytes:
    """Of an editor; each choice has a man page."""
    return text(
        Group(
            mode=mode,
            link="/usr/bin/editor",
            slaves={"editor.1.gz": f"/{MAN}"} if man else {},
            choices={
                f"/usr/bin/{name}": Choice(
                    priority, {"editor.1.gz": f"/usr/share/man/man1/{name}.1.gz"} if man else {}
                )
                for name, priority in choices.items()
            },
        )
    )


def tree(choices: Mapping[str, int], chosen: str = "", mode: str = "auto", man: bool = True) -> Tree:
    """As update-alternatives leaves it; with the programs that can be chosen."""
    if not choices:
        return dict(OTHERS)
    chosen = chosen or max(sorted(choices), key=lambda name: choices[name])
    pages: Tree = {
        SLAVE: f"/usr/share/man/man1/{chosen}.1.gz",
        MAN: f"/{SLAVE}",
        **{f"usr/share/man/man1/{name}.1.gz": b"page" for name in choices},
    }
    return {
        DB: group(choices, mode, man),
        CHOSEN: f"/usr/bin/{chosen}",
        LINK: f"/{CHOSEN}",
        **{f"usr/bin/{name}": b"" for name in choices},
        **(pages if man else {}),
        **OTHERS,
    }


def upper(old: Tree, machine: Tree) -> Tree:
    changed = {path: thing for path, thing in machine.items() if old.get(path) != thing}
    return {**changed, **{path: None for path in old if path not in machine}}


def seen(given: Sides) -> tuple[Group | None, object]:
    found = after(given)
    data = found.get(DB)
    assert data is None or isinstance(data, bytes)
    return parsed(data, DB), found.get(CHOSEN)


def given_of(old: Tree, new: Tree, machine: Tree, **more: object) -> Sides:
    return sides(old, new, upper(old, machine), **more)


NANO, VIM = {"nano": 40}, {"nano": 40, "vim": 50}


def test_both_brought_one_and_the_best_is_chosen() -> None:
    old, new, machine = tree(NANO), tree({**NANO, "joe": 70}), tree(VIM)
    given = given_of(old, new, machine)
    found, chosen = seen(given)
    assert found is not None and [*found.choices] == ["/usr/bin/joe", "/usr/bin/nano", "/usr/bin/vim"]
    assert (found.mode, chosen) == ("auto", "/usr/bin/joe")
    assert after(given)[SLAVE] == "/usr/share/man/man1/joe.1.gz"


def test_what_was_chosen_by_hand_stays() -> None:
    old, machine = tree(NANO), tree(VIM, "nano", "manual")
    found, chosen = seen(given_of(old, tree({**NANO, "joe": 70}), machine))
    assert found is not None and (found.mode, chosen) == ("manual", "/usr/bin/nano")


def test_a_link_that_was_set_by_hand_counts_as_chosen() -> None:
    """So update-alternatives takes it."""
    machine = {**tree(VIM), CHOSEN: "/usr/bin/nano"}
    found, chosen = seen(given_of(tree(NANO), tree({**NANO, "joe": 70}), machine))
    assert found is not None and (found.mode, chosen) == ("manual", "/usr/bin/nano")
    machine[CHOSEN] = "/opt/mine"
    assert seen(given_of(tree(NANO), tree({**NANO, "joe": 70}), machine))[1] == "/opt/mine"


def test_what_the_new_master_chose_anew_is_seen() -> None:
    given = given_of(tree(NANO), tree(VIM, "nano", "manual"), tree(NANO))
    assert seen(given)[1] == "/usr/bin/nano"
    assert {path for path, each in told(given).items() if each.content or each.target or each.hidden} == set()


def test_what_is_gone_is_chosen_anew_and_somebody_is_told() -> None:
    """The machine chose nano by hand, and the new master has it no more."""
    machine = tree({**NANO, "vim": 50, "ed": 10}, "nano", "manual")
    old, new = tree(NANO), tree({"joe": 5})
    found, chosen = seen(given_of(old, new, machine))
    assert found is not None and (found.mode, chosen) == ("auto", "/usr/bin/vim")
    made = told(given_of(old, new, machine))[DB]
    note = made.note
    assert made.lost == ("editor", "/usr/bin/nano"), "for a replay, which may have it again"
    assert note == "editor: /usr/bin/nano was chosen by hand and is gone; it is /usr/bin/vim now"


def test_a_choice_goes_its_packages_way() -> None:
    """Of packages that the machine itself changed it is known whose a path is."""
    packages = fates(nano=Fate.HIDE, vim=Fate.KEEP, joe=Fate.TAKE)
    owners = {
        b"usr/bin/nano": Owned(packages["nano"], new=True),
        b"usr/bin/vim": Owned(packages["vim"], new=True, machine=True),
        b"usr/bin/joe": Owned(packages["joe"], new=True, machine=True),
    }
    old = tree({"nano": 1, "vim": 1, "joe": 1, "other": 0})
    machine = tree({"vim": 2, "joe": 2, "other": 0})
    found, _ = seen(given_of(old, tree({"nano": 9, "vim": 9, "joe": 9}), machine, owners=owners))
    assert found is not None
    assert {path: choice.priority for path, choice in found.choices.items()} == {
        "/usr/bin/vim": 2,
        "/usr/bin/joe": 9,
    }


def test_a_whole_group_of_a_removed_package_is_hidden() -> None:
    """No list names the links, and no package's fate says what becomes of them (T8)."""
    packages = fates(nano=Fate.HIDE)
    owners = {b"usr/bin/nano": Owned(packages["nano"], new=True)}
    given = given_of(tree({}), tree(NANO), tree({}), owners=owners, packages=packages)
    assert not {DB, CHOSEN, LINK, SLAVE, MAN} & after(given).keys()


def test_a_group_that_the_machine_alone_still_needs_keeps_its_links() -> None:
    """It had the generic name from the old master, and never wrote it itself."""
    found = after(given_of(tree(NANO), tree({}), tree(VIM)))
    assert {path: found.get(path) for path in (CHOSEN, LINK, SLAVE, MAN)} == {
        CHOSEN: "/usr/bin/vim",
        LINK: f"/{CHOSEN}",
        SLAVE: "/usr/share/man/man1/vim.1.gz",
        MAN: f"/{SLAVE}",
    }


def test_a_group_that_was_removed_comes_back_with_what_is_new() -> None:
    found = after(given_of(tree(NANO), tree({**NANO, "joe": 5}), tree({})))
    assert (found[CHOSEN], found[LINK]) == ("/usr/bin/joe", f"/{CHOSEN}")


def test_somebodys_own_at_a_generic_name_stays() -> None:
    machine = {**tree(VIM), LINK: b"#!/bin/sh\n"}
    assert after(given_of(tree(NANO), tree({**NANO, "joe": 70}), machine))[LINK] == b"#!/bin/sh\n"


def test_man_pages_that_a_tree_was_made_without_get_no_links() -> None:
    old, new = ({p: t for p, t in tree(c).items() if "man" not in p} for c in (NANO, {**NANO, "joe": 70}))
    for each in (old, new):
        each.pop(SLAVE, None)
    found = after(sides(old, new, {}))
    assert SLAVE not in found and MAN not in found and found[CHOSEN] == "/usr/bin/joe"
    assert told(sides(old, new, {}))[DB].content is None


def test_nobodys_links_are_three_ways() -> None:
    path, readme = "etc/alternatives/mine", "etc/alternatives/README"
    given = sides({readme: b"1"}, {readme: b"2"}, {path: "/opt/mine"})
    assert after(given) == {path: "/opt/mine", readme: b"2"}
    assert after(sides({path: "a"}, {path: "a"}, {path: None})) == {}
    assert after(sides({path: "a"}, {path: "b"}, {path: "a"})) == {path: "b"}


def test_choices_that_lead_to_each_other_end() -> None:
    """A link to itself is what the machine had."""
    loop = text(
        Group(mode="auto", link=f"/{LINK}", choices={f"/{CHOSEN}": Choice(90, {}), f"/{LINK}": Choice(1, {})})
    )
    machine: Tree = {DB: loop, CHOSEN: f"/{CHOSEN}", LINK: f"/{CHOSEN}"}
    found = after(sides(tree({}), tree(NANO), machine))
    assert found[CHOSEN] == f"/{CHOSEN}" and parsed(loop, DB) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"auto\n",
        b"never\n/usr/bin/editor\n\n",
        b"auto\nno/path\n\n\n",
        b"auto\n/usr/bin/editor\n../../etc/shadow\n/x\n\n\n",
        b"auto\n/usr/bin/editor\n..\n/x\n\n\n",
        b"auto\n/usr/bin/editor\na\n/usr/../etc/shadow\n\n\n",
        b"auto\n/usr/bin/editor\n\n/usr/bin/vi\nmany\n\n",
        b"auto\n/usr/bin/editor\n\n/usr/bin/vi\n" + b"9" * 5000 + b"\n\n",
        b"auto\n/usr/bin/editor\n\n/usr/bin/v\0i\n1\n\n",
        b"auto\n/usr/bin/editor\n\n/" + b"v" * 5000 + b"\n1\n\n",
        b"auto\n/usr/bin/editor\n" + b"a\n/b\n" * 300_000,
    ],
)
def test_what_update_alternatives_would_not_read_is_named(data: bytes) -> None:
    with pytest.raises(Corrupt, match=f"/{DB} "):
        told(sides({}, {}, {DB: data}))


@pytest.mark.parametrize("path", ["etc/hostname", "etc/shadow", "var/lib/dpkg/info/p.list", "proc/x"])
def test_the_links_never_reach_what_is_no_matter_of_links(path: str) -> None:
    """A guest writes where its generic names lie."""
    odd = text(Group(mode="auto", link=f"/{path}", choices={"/usr/bin/vi": Choice(1, {})}))
    found = told(sides({}, {"usr/bin/vi": b"", f"{path}-": b""}, {DB: odd}))
    assert found[CHOSEN].target == "/usr/bin/vi"
    assert path not in found or found[path] == Made(path=path)


CHOICES = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(-2, 3), max_size=4)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    choices = draw(CHOICES)
    mode = draw(st.sampled_from(["auto", "manual"]))
    return tree(choices, draw(st.sampled_from(sorted(choices))) if choices and mode == "manual" else "", mode)


@random(trees(), trees(), trees())
def test_random_groups(old: Tree, new: Tree, machine: Tree) -> None:
    """What is linked is one of the choices, all of which are there; links and database agree."""
    given = given_of(old, new, machine)
    # Programs go as files do, which this is not about: who has one of the master's keeps it.
    found = after(given)
    group, chosen = seen(given)
    links: dict[str, Thing] = {path: found.get(path) for path in (CHOSEN, LINK, SLAVE, MAN)}
    if group is None:
        assert set(links.values()) == {None}
        return
    assert {path.removeprefix("/") for path in group.choices} <= found.keys()
    assert links[LINK] == f"/{CHOSEN}" and links[MAN] == f"/{SLAVE}"
    assert chosen in group.choices
    assert links[SLAVE] == group.choices[str(chosen)].slaves["editor.1.gz"]
    if group.mode == "auto":
        assert group.choices[str(chosen)].priority == max(each.priority for each in group.choices.values())
    mine = parsed(b if isinstance(b := machine.get(DB), bytes) else None, DB)
    if mine is not None and mine.mode == "manual" and machine.get(CHOSEN) in group.choices:
        unsaid = (old.get(CHOSEN), old.get(DB) and old[DB][:4]) == (machine[CHOSEN], b"manu")  # type: ignore[index]
        assert unsaid or chosen == machine[CHOSEN]
