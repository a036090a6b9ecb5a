"""throwaway.sh: a machine that begins empty at each start, whatever was left half-way."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox.wire import Line, encode
from tests.guest.conftest import INSTANCE, Ended, Shell

PARTS = "message host disks overlay throwaway boot"
REFUSE = 'refuse() { echo "REFUSED: $*"; exit 9; }\n'
MOUNTS = """
mount() { echo mount "$@" >>"$RUN/mounts"
    [ "$2" != bind ] || { rmdir "$4" && ln -s "$3" "$4"; }; }
umount() { echo umount "$@" >>"$RUN/mounts"; }
"""


@pytest.fixture(autouse=True)
def overlay(shell: Shell) -> Path:
    folder = shell.tmp / "run/overlay"
    for name in ("skinnybox", "upper/etc", "work/work"):
        (folder / name).mkdir(parents=True)
    (folder / "upper/etc/mine").write_text("mine\n")
    return folder


def prepared(shell: Shell, *said: str, before: str = "") -> Ended:
    lines = [Line("generation", "1"), Line("instance", INSTANCE), *(Line("throw-away", one) for one in said)]
    (shell.tmp / "run/overlay/skinnybox/seed").write_bytes(encode("seed", 1, lines))
    return shell(PARTS, f"{REFUSE}{MOUNTS}{before}\nchoose_seed $RUN/overlay/skinnybox/seed\n"
                        "prepare_upper; wait; echo $UPPER")  # fmt: skip


def mounts(shell: Shell) -> list[str]:
    file = shell.tmp / "run/mounts"
    return file.read_text().splitlines() if file.exists() else []


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_without_a_word_of_it_all_stays(shell: Shell, overlay: Path) -> None:
    ended = prepared(shell)
    assert (ended.code, ended.out, mounts(shell)) == (0, f"{overlay}\n", [])
    assert (overlay / "upper/etc/mine").read_text() == "mine\n"


def test_on_the_disk_both_folders_begin_empty(shell: Shell, overlay: Path) -> None:
    ended = prepared(shell, "disk")
    assert (ended.code, ended.out) == (0, f"{overlay}\n")
    assert names(overlay / "upper") == names(overlay / "work") == set()
    assert ((overlay / "upper").stat().st_mode & 0o7777) == 0o755
    assert names(overlay / "thrown") == set()  # what was in it is deleted meanwhile
    assert names(overlay / "skinnybox") == {"seed"}
    run = shell.tmp / "run"
    assert mounts(shell) == [f"mount -o bind {overlay}/thrown {run}/thrown", f"umount -l {run}/thrown"]


def test_in_memory(shell: Shell, overlay: Path) -> None:
    ended = prepared(shell, "memory 4096")
    run = shell.tmp / "run"
    assert (ended.code, ended.out) == (0, f"{run}/memory\n")
    assert names(run / "memory") == {"upper", "work"}
    assert mounts(shell)[0] == f"mount -t tmpfs -o mode=0755,size=4096 skinnybox {run}/memory"
    assert names(overlay / "upper") == set()  # of when it was kept


def test_in_memory_with_nothing_to_throw_away(shell: Shell, overlay: Path) -> None:
    (overlay / "upper/etc/mine").unlink()
    (overlay / "upper/etc").rmdir()
    assert prepared(shell, "memory").code == 0
    assert mounts(shell) == [f"mount -t tmpfs -o mode=0755 skinnybox {shell.tmp}/run/memory"]


@pytest.mark.parametrize("said", [(), ("disk",), ("memory",)])
@pytest.mark.parametrize("missing", [("upper",), ("upper", "work"), ("work",)])
def test_killed_in_the_middle_the_next_start_goes_on(
    shell: Shell, overlay: Path, said: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    (overlay / "thrown").mkdir()
    for number, part in enumerate(missing):
        (overlay / part).rename(overlay / "thrown" / str(number))
    ended = prepared(shell, *said)
    assert ended.code == 0, ended.out
    assert (overlay / "upper").is_dir() and (overlay / "work").is_dir()
    assert not (overlay / "thrown").exists() or names(overlay / "thrown") == set()


def test_an_overlay_without_its_folders_is_refused_still(shell: Shell, overlay: Path) -> None:
    (overlay / "work/work").rmdir()
    (overlay / "work").rmdir()
    ended = prepared(shell)
    assert (ended.code, ended.out) == (9, "REFUSED: the overlay has no upper or work directory\n")


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_stands_in_the_way_is_no_place_to_put_it(shell: Shell, overlay: Path, kind: str) -> None:
    elsewhere = shell.tmp / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "0").write_text("not ours\n")
    if kind == "file":
        (overlay / "thrown").write_text("x")
    else:
        (overlay / "thrown").symlink_to(elsewhere)
    assert prepared(shell, "disk").code == 0
    assert names(overlay / "upper") == set()
    assert (elsewhere / "0").read_text() == "not ours\n"


NO_PLACE = 'mkdir() { case "$*" in */thrown) return 1 ;; esac; command mkdir "$@"; }'


@pytest.mark.parametrize("full", ["mv() { return 1; }", NO_PLACE])
def test_without_room_to_put_it_aside_it_is_deleted_where_it_is(
    shell: Shell, overlay: Path, full: str
) -> None:
    ended = prepared(shell, "disk", before=full)
    assert ended.code == 0, ended.out
    assert names(overlay / "upper") == names(overlay / "work") == set()


def test_what_was_put_aside_goes_first_where_there_is_no_room_for_new_folders(
    shell: Shell, overlay: Path
) -> None:
    full = 'mkdir() { [ ! -e "$RUN/overlay/thrown/0" ] || return 1; command mkdir "$@"; }'
    ended = prepared(shell, "disk", before=full)
    assert ended.code == 0, ended.out
    assert names(overlay / "upper") == set()


def test_what_cannot_be_thrown_away_is_not_started_with(shell: Shell, overlay: Path) -> None:
    ended = prepared(shell, "disk", before="mv() { return 1; }\nrm() { return 1; }")
    assert ended.code == 9
    assert "cannot be thrown away" in ended.out


def flag(words: str, *paths: Path) -> int:
    return subprocess.run(["chattr", *words.split(), *paths], capture_output=True, check=False).returncode


@pytest.fixture
def immutable(overlay: Path) -> Iterator[Path]:
    """As a kernel before 5.15 leaves it, where the guest's root says `chattr +i`."""
    for name in ("log", "kept"):
        (overlay / "upper/etc" / name).write_text("x\n")
    paths = [overlay / "upper/etc/mine", overlay / "upper/etc"]
    if flag("+i", *paths) or flag("+a", overlay / "upper"):
        pytest.skip("chattr +i: not for this user, or not on this filesystem")
    yield overlay
    flag("-R -f -ia", overlay)


@pytest.mark.parametrize("said", ["disk", "memory"])
def test_immutable_files_are_gone_at_the_next_start(shell: Shell, immutable: Path, said: str) -> None:
    assert prepared(shell, said).code == 0
    assert names(immutable / "upper") == set()
    left = sorted(immutable.glob("thrown/*/etc/mine"))
    assert len(left) == 1, "nothing was immutable: this test says nothing"
    (immutable / "upper/new").write_text("of the next\n")
    (shell.tmp / "run/thrown").unlink()
    for folder in (shell.tmp / "run").glob("memory"):
        subprocess.run(["rm", "-r", folder], check=True)
    assert prepared(shell, said).code == 0
    assert names(immutable / "thrown") == set()


@pytest.mark.parametrize("full", ["mv() { return 1; }", NO_PLACE])
def test_immutable_files_are_deleted_where_they_are_without_room(
    shell: Shell, immutable: Path, full: str
) -> None:
    ended = prepared(shell, "disk", before=full)
    assert (ended.code, ended.out) == (0, f"{immutable}\n")
    assert names(immutable / "upper") == names(immutable / "work") == set()


def test_immutable_files_that_were_put_aside_make_room(shell: Shell, immutable: Path) -> None:
    full = 'mkdir() { [ ! -e "$RUN/overlay/thrown/0" ] || return 1; command mkdir "$@"; }'
    ended = prepared(shell, "disk", before=full)
    assert ended.code == 0, ended.out
    assert names(immutable / "upper") == set()


def test_what_is_left_of_earlier_starts_is_ours_by_its_name(shell: Shell, overlay: Path) -> None:
    for name in ("1", "12", "0 -V", "7x"):
        (overlay / "thrown" / name).mkdir(parents=True)
    (overlay / "thrown/3").symlink_to(overlay)
    (overlay / "thrown/4").write_text("")
    assert shell(PARTS, "left_of_earlier_starts").out == "1 12 "


@pytest.mark.parametrize("said", ["yes", "disks", "memory 1x", "memory /x", "memory 1 2", "disk 4096", ""])
def test_what_is_not_understood_is_refused(shell: Shell, overlay: Path, said: str) -> None:
    ended = prepared(shell, said)
    assert ended.code == 9
    assert ended.out.startswith("REFUSED: ")
    assert (overlay / "upper/etc/mine").exists()


@pytest.mark.parametrize("said", ["disk", "memory"])
def test_what_lies_beside_is_thrown_away_too(shell: Shell, overlay: Path, said: str) -> None:
    (overlay / "direct/var%lib%docker").mkdir(parents=True)
    assert prepared(shell, said).code == 0
    assert not (overlay / "direct").exists() and names(overlay / "upper") == set()


def test_of_what_was_kept_in_memory_only_the_engines_may_be_left(shell: Shell, overlay: Path) -> None:
    (overlay / "upper/etc/mine").unlink()
    (overlay / "upper/etc").rmdir()
    (overlay / "direct").mkdir()
    assert prepared(shell, "memory").code == 0
    assert not (overlay / "direct").exists()
