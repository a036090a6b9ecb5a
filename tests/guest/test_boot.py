"""boot.sh: a seed is applied once for each generation, and before anything else starts."""

from skinnybox.wire import Line, encode
from tests.guest.conftest import INSTANCE, OTHER, Shell

PARTS = "message applied host refuse disks stack boot"
REFUSE = 'refuse() { echo "REFUSED: $*"; exit 9; }\n'


def seed(shell: Shell, *lines: Line) -> None:
    folder = shell.tmp / "root/media/root-rw/skinnybox"
    folder.mkdir(parents=True)
    (folder / "seed").write_bytes(encode("seed", 1, lines))


def due(shell: Shell, *, applied: str | None) -> list[str]:
    seed(shell, Line("generation", "2"), Line("instance", INSTANCE))
    if applied is not None:
        folder = shell.tmp / "root/var/lib/skinnybox"
        folder.mkdir(parents=True)
        (folder / "seed-applied").write_text(applied)
    ended = shell(PARTS, REFUSE + f"seed_if_due {shell.tmp}/root", stubs=["apply_seed"])
    assert ended.code == 0, ended.out
    return ended.calls


def test_a_first_boot_and_a_reset_apply_it(shell: Shell) -> None:
    assert due(shell, applied=None) == [f"apply_seed {shell.tmp}/root"]


def test_the_same_generation_is_left_alone(shell: Shell) -> None:
    assert due(shell, applied=f"2 {INSTANCE}\n") == []


def test_another_generation_is_applied(shell: Shell) -> None:
    assert due(shell, applied=f"1 {INSTANCE}\n") != []


def test_a_disk_copied_from_another_machine_is_seeded_again(shell: Shell) -> None:
    assert due(shell, applied=f"2 {OTHER}\n") != []


def test_a_mark_that_was_cut_off_counts_as_none(shell: Shell) -> None:
    assert due(shell, applied="") != []


def test_the_seed_of_another_machine_is_refused(shell: Shell) -> None:
    seed(shell, Line("generation", "2"), Line("instance", OTHER))
    ended = shell(PARTS, REFUSE + f"seed_if_due {shell.tmp}/root", stubs=["apply_seed"])
    assert (ended.code, ended.calls) == (9, [])
    assert f"for the machine {OTHER}" in ended.out


def test_a_seed_that_fails_is_fatal_with_its_reason(shell: Shell) -> None:
    script = f"chroot() {{ echo no such user: web >&2; return 1; }}\napply_seed {shell.tmp}/root"
    ended = shell(PARTS, REFUSE + script, stubs=["mount", "umount"])
    assert ended.code == 9
    assert "the seed cannot be applied: no such user: web" in ended.out
