"""boot.sh: a seed is applied once for each generation, and before anything else starts."""

import pytest

from skinnybox.wire import Line, encode
from tests.guest.conftest import INSTANCE, OTHER, Shell

PARTS = "message applied host refuse disks format overlay stack boot"
CHOOSE = 'choose_seed "$RUN/overlay/skinnybox/seed"\n'
REFUSE = 'refuse() { echo "REFUSED: $*"; exit 9; }\n'


def seed(shell: Shell, *lines: Line) -> None:
    folder = shell.tmp / "run/overlay/skinnybox"
    folder.mkdir(parents=True)
    (folder / "seed").write_bytes(encode("seed", 1, lines))


def due(shell: Shell, *, applied: str | None) -> list[str]:
    seed(shell, Line("generation", "2"), Line("instance", INSTANCE))
    if applied is not None:
        folder = shell.tmp / "root/var/lib/skinnybox"
        folder.mkdir(parents=True)
        (folder / "seed-applied").write_text(applied)
    ended = shell(PARTS, REFUSE + CHOOSE + f"seed_if_due {shell.tmp}/root", stubs=["apply_seed"])
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
    ended = shell(PARTS, REFUSE + CHOOSE + f"seed_if_due {shell.tmp}/root", stubs=["apply_seed"])
    assert (ended.code, ended.calls) == (9, [])
    assert f"for the machine {OTHER}" in ended.out


def told(shell: Shell, generation: int, instance: str = INSTANCE) -> bytes:
    text = encode("seed", 1, [Line("generation", str(generation)), Line("instance", instance)])
    shell.says(seed=text)
    return text


def chosen(shell: Shell, kept: bytes) -> tuple[str, bytes]:
    """Generation, and what is on the overlay then."""
    file = shell.tmp / "root/media/root-rw/skinnybox/seed"
    file.parent.mkdir(parents=True)
    file.write_bytes(kept.ljust(4096, b"\n"))
    ended = shell(PARTS, REFUSE + f"choose_seed {file}; message_value $RUN/seed generation")
    return ended.out, file.read_bytes()


def of(generation: int) -> bytes:
    return encode("seed", 1, [Line("generation", str(generation)), Line("instance", INSTANCE)])


def test_a_newer_seed_of_the_host_is_taken_and_kept(shell: Shell) -> None:
    text = told(shell, 10)
    generation, kept = chosen(shell, of(9))
    assert generation == "10\n"
    assert kept.startswith(text) and len(kept) == 4096


def test_an_older_seed_of_the_host_does_nothing(shell: Shell) -> None:
    told(shell, 9)
    assert chosen(shell, of(10)) == ("10\n", of(10).ljust(4096, b"\n"))


def test_a_seed_on_the_overlay_that_was_torn_is_mended_from_the_host(shell: Shell) -> None:
    text = told(shell, 2)
    generation, kept = chosen(shell, of(3)[:30])
    assert generation == "2\n" and kept.startswith(text)


def test_a_seed_of_the_host_for_another_machine_is_refused(shell: Shell) -> None:
    told(shell, 9, OTHER)
    said, kept = chosen(shell, of(3))
    assert f"the seed the host says is for the machine {OTHER}" in said
    assert kept == of(3).ljust(4096, b"\n")


def test_a_seed_that_does_not_fit_is_refused(shell: Shell) -> None:
    shell.says(seed=encode("seed", 1, [
        Line("generation", "9"), Line("instance", INSTANCE), Line("run-once", payload=bytes(5000)),
    ]))  # fmt: skip
    said, kept = chosen(shell, of(3))
    assert "larger than the overlay's place" in said
    assert kept == of(3).ljust(4096, b"\n")


@pytest.mark.parametrize(
    ("name", "hostname"),
    [("web-01", "web-01"), ("Web Server_1.", "web-server-1"), ("-x-", "x"), ("日本", None), ("", None),
     ("a" * 80, "a" * 63)],
)  # fmt: skip
def test_the_hostname_follows_the_name_where_the_seed_says_so(
    shell: Shell, name: str, hostname: str | None
) -> None:
    shell.says(name=name)
    (shell.tmp / "root/etc/hostname").write_text("old\n")
    (shell.tmp / "run/seed").mkdir()
    lines = shell.tmp / "run/seed/lines"
    script = REFUSE + f"in_root() {{ shift 3; echo $* >>{shell.tmp}/calls; }}\nfollow_name {shell.tmp}/root"
    lines.write_text("generation 1\n")
    assert shell(PARTS, script).calls == []
    lines.write_text("generation 1\nhostname-from host\n")
    assert shell(PARTS, script).calls == ([hostname] if hostname else [])
    (shell.tmp / "root/etc/hostname").write_text(f"{hostname}\n")
    assert shell(PARTS, script).calls == []


def test_a_seed_that_fails_is_fatal_with_its_reason(shell: Shell) -> None:
    script = f"chroot() {{ echo no such user: web >&2; return 1; }}\napply_seed {shell.tmp}/root"
    ended = shell(PARTS, REFUSE + script, stubs=["mount", "umount"])
    assert ended.code == 9
    assert "the seed cannot be applied: no such user: web" in ended.out


def test_what_a_seed_notes_is_on_the_console(shell: Shell) -> None:
    """Of what its programs say besides, nothing: it may be anything."""
    said = "echo warning: x; echo 'note: /home/a is another one'; echo Creating mailbox"
    ended = shell(PARTS, f"{REFUSE}in_root() {{ {{ {said}; }} >$RUN/said; }}\napply_seed {shell.tmp}/root")
    assert (ended.code, ended.out) == (0, "skinnybox: /home/a is another one\n")
