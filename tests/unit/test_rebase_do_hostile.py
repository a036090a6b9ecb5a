"""Disks that are made to hurt who carries a plan out, and disks that are full."""

from pathlib import Path

import pytest

from skinnybox.delta.rebase.rules import Policy
from skinnybox.errors import Corrupt, NoSpace, Unsupported
from skinnybox.ext4 import open_volume
from skinnybox.overlays import edit
from tests.unit import rebased_disk
from tests.unit.rebased import d, f, l
from tests.unit.rebased_disk import ORIGIN, Rebased, shown

cache, rebased = rebased_disk.cache, rebased_disk.rebased


# --- disks that are made to hurt, and what is full


def test_names_that_a_line_of_requests_could_not_hold(rebased: Rebased) -> None:
    names = (b"a\nb", b'"', b"\\", b"\xff\xfe", b"<12>", b"-w", b" ", b"#", b"x" * 255, b"!ls", b"%s")
    old, mine, new = "a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n"
    upper = {b"etc/%s" % name: f(mine) for name in names} | {
        b"srv/%s/%s" % (name, name): f() for name in names
    }
    upper |= {b"usr/%s" % name: f("1") for name in names}
    lower = {b"etc/%s" % name: f(old) for name in names} | {b"usr/%s" % name: f("1") for name in names}
    after = shown(rebased(upper, lower, {b"etc/%s" % name: f(new) for name in names}))
    assert {path for path, t in after.items() if t.content == b"A\nb\nC\n"} == {b"etc/%s" % n for n in names}
    assert len(after) == 2 * len(names)


def test_a_path_as_long_as_any(rebased: Rebased) -> None:
    """Each name is 255 quotes: twice as many, quoted, and a request has room for one."""
    folder = b"/".join([b"srv", *[b'"' * 255] * 15])
    path = folder + b"/" + b'"' * (4095 - len(folder) - 1)
    after = rebased({path: f("2", xattrs=ORIGIN), folder + b"/t": f("1")}, {folder + b"/t": f("1")}, {})
    assert shown(after) == {path: f("2")}


def test_too_many_names_with_a_line_end_are_refused(rebased: Rebased) -> None:
    names = {b"srv/%d\n" % number: f("1") for number in range(30)}
    with pytest.MonkeyPatch.context() as patch:
        upper = dict(names)
        assert shown(rebased(upper, names, {})) == {}
        patch.setattr(edit, "_MOST_ALONE", 29)
        with pytest.raises(Unsupported, match="more than 29 names"):
            rebased(upper, names, {})


def test_a_large_folder_keeps_its_index(rebased: Rebased, tmp_path: Path) -> None:
    names = {b"etc/big/%05d-%s" % (number, b"x" * 40): f() for number in range(1500)}
    lower = {b"etc/big/merged": f("a\nb\nc\n")}
    upper = names | {b"etc/big/merged": f("A\nb\nc\n")}
    plain, asked = edit.settled, list[bool]()

    def settled(disk: Path, *, index: bool = False) -> None:
        """As a kernel would have made it: our disks are optimised when they are made."""
        asked.append(index)
        plain(disk, index=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edit, "settled", settled)
        after = rebased(upper, lower, {b"etc/big/merged": f("a\nb\nC\n")})
    assert asked[-1]  # some debugfs let it go when a name is added
    assert len(shown(after)) == 1501
    for image in ("old.img", "new.img"):
        with open_volume(tmp_path / image) as volume:
            assert volume.lookup(b"upper/etc/big").flags & 0x1000, image


def test_no_room_is_said_before_anything_is_done(rebased: Rebased, tmp_path: Path) -> None:
    lower = {b"usr/big": f("1" * (8 << 20))}
    upper = {b"usr/big": f("1" * (8 << 20), mode=0o600), b"srv/fill": f("2" * (44 << 20))}
    with pytest.raises(NoSpace, match="no room") as error:
        rebased(upper, lower, {b"usr/big": f("3" * (30 << 20)), b"srv": d()})
    assert "grow" in (error.value.hint or "")
    # What goes makes room for what comes.
    after = rebased(upper, lower, {b"usr/big": f("3" * (8 << 20)), b"srv": d()})
    assert after[b"usr/big"].mode == 0o600 and len(after[b"usr/big"].content) == 8 << 20


def test_below_what_is_no_folder_nothing_is_made(rebased: Rebased) -> None:
    """The tasks of the first start would lie elsewhere, wherever the machine's root says."""
    with pytest.raises(Corrupt, match="/var is no folder"):
        rebased({b"var": l("/etc")}, {b"var": l("/etc")}, {b"var": l("/etc")}, policy=Policy(pin=("/var",)))
