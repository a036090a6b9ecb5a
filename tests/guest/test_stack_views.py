"""stack.sh: which views of a machine's parts stay when its root is handed over."""

from pathlib import Path

import pytest

from tests.guest.conftest import IMAGE, INSTANCE, Shell
from tests.guest.test_stack import PARTS, REFUSE


def a_root(shell: Shell) -> Path:
    """As it is when everything is mounted, with the words that were left on the way."""
    root, run = shell.tmp / "root", shell.tmp / "run"
    for folder in ("var/lib/skinnybox/disk", "media/root-rw/lost+found", "media/root-ro"):
        (root / folder).mkdir(parents=True)
    for layer in ("0", "1"):
        (run / "lower" / layer).mkdir(parents=True)
    (run / "base").mkdir()
    (run / "base/lines").write_text(f"instance {INSTANCE}\nimage sha256:{'0' * 64} {IMAGE}\n")
    (run / "disk").write_text("/dev/vdq\n")
    (run / "lowers").write_text("/dev/vda\n")
    (run / "dax").write_text("off\n")
    return root


CLOSE = REFUSE + "umask 077; close_stack $ROOT; stat -c %a $RUN-inside; cat $RUN-inside"


def test_no_view_of_the_parts_stays_but_an_empty_folder_of_the_disk(shell: Shell) -> None:
    root = a_root(shell)
    ended = shell(PARTS, CLOSE, stubs=["mount", "umount"])
    assert ended.calls == [
        f"mount -o bind {root}/media/root-rw/lost+found {root}/var/lib/skinnybox/disk",
        f"umount {root}/media/root-rw",
        f"umount {root}/media/root-ro",
        f"umount {shell.tmp}/run/lower/1",
    ]
    mode, instance, image, *rest = ended.out.splitlines()
    assert (mode, instance) == ("644", f"instance {INSTANCE}")
    assert image.startswith("image sha256:00") and image.endswith(IMAGE)
    assert rest == ["disk /dev/vdq", "lower /dev/vda", "dax off"]


def test_a_view_that_cannot_go_is_read_only(shell: Shell) -> None:
    a_root(shell)
    ended = shell(PARTS, "umount() { return 1; }\n" + CLOSE, stubs=["mount"])
    assert ended.code == 0 and "remount,bind,ro" in ended.calls[1]
    script = "umount() { return 1; }\nmount() { case $* in *remount*) return 1 ;; esac; }\n" + CLOSE
    assert "cannot be made read-only" in shell(PARTS, script).out


@pytest.mark.parametrize("gone", ["var/lib/skinnybox/disk", "media/root-rw/lost+found"])
def test_a_disk_that_cannot_be_shown_is_no_reason_not_to_boot(shell: Shell, gone: str) -> None:
    (a_root(shell) / gone).rmdir()
    ended = shell(PARTS, CLOSE, stubs=["mount", "umount"])
    assert ended.code == 0 and not any("bind " in call and "lost" in call for call in ended.calls)
    assert (
        shell(PARTS, "mount() { case $* in *lost*) return 1 ;; esac; }\n" + CLOSE, stubs=["umount"]).code == 0
    )


def test_views_whose_folders_somebody_removed_are_shown_all_the_same(shell: Shell) -> None:
    root = shell.tmp / "root"
    ended = shell(PARTS, REFUSE + "show_parts $ROOT", stubs=["mount"])
    assert ended.code == 0 and len(ended.calls) == 2
    assert (root / "media/root-ro").is_dir() and (root / "media/root-rw").is_dir()
