"""unlock.sh: which disk is opened, which is encrypted, and that no other is touched. cryptsetup is one that
only notes what it is told."""

from pathlib import Path

import pytest

from skinnybox.sizes import MIB
from skinnybox.wire import Line, encode
from tests.guest.conftest import GUEST, IMAGE, INSTANCE, OTHER, Ended, Shell
from tests.samples import luks2_header

PARTS = "message channels host disks format overlay"
REFUSE = 'refuse() { echo "REFUSED: $*"; exit 9; }\n'
KEY = bytes(range(32))
WHOLE, NEW = b"skinny-overlay", b"skinny-new"
PROGRAM = """
program() { echo "$*" >>$RUN/programs
    case $2 in
    luksFormat) cat >$RUN/key-seen; cat $RUN/volume-key >$RUN/volume-key-seen ;;
    open) cat >$RUN/key-seen; mkdir -p $SYS/block/dm-0/dm; echo skinny-overlay >$SYS/block/dm-0/dm/name
        echo $(($(cat $SYS/block/vdb/size) - 4096)) >$SYS/block/dm-0/size; return ${OPENS:-0} ;;
    esac; }
insmod() { :; }
mount() { echo "mount $*" >>$RUN/programs; }
check_disk() { echo "check $*" >>$RUN/programs; }
make_filesystem() { echo "make $* $FORMAT_EXTENDED" >>$RUN/programs; }
"""


def header(label: bytes, owner: str = INSTANCE) -> bytes:
    """As LUKS2 begins, and with a filesystem's superblock behind it, that nobody may take for one."""
    return luks2_header(label, owner).ljust(1024 + 56, b"\0") + b"\x53\xef"


def disk(shell: Shell, content: bytes = b"", size: int = 64 * MIB) -> Path:
    device = shell.disk("vdb", "skinny-overlay", content)
    with device.open("r+b") as file:
        file.truncate(size)
    (shell.tmp / "sys/block/vdb/size").write_text(f"{size // 512}\n")
    return device


def in_firmware(shell: Shell, **words: bytes) -> None:
    for name, text in words.items():
        folder = shell.tmp / "sys/firmware/qemu_fw_cfg/by_name/opt/skinnybox" / name.replace("_", "-")
        folder.mkdir(parents=True)
        (folder / "raw").write_bytes(text)


def orders(shell: Shell, instance: str = INSTANCE) -> None:
    in_firmware(shell, format=instance.encode(), volume_key=bytes(64))
    shell.says(
        base=encode("base", 1, [Line("instance", INSTANCE), Line("image", f"sha256:{'0' * 64} {IMAGE}")]),
        seed=encode("seed", 1, [Line("generation", "1"), Line("instance", INSTANCE)]),
    )


def opened(shell: Shell, before: str = "") -> Ended:
    crypt = shell.tmp / "crypt"
    crypt.mkdir(exist_ok=True)
    (crypt / "modules.list").write_text("dm_mod\n")
    (shell.tmp / "run/overlay").mkdir(exist_ok=True)
    read = f"CRYPT={crypt}\n. {GUEST}/initramfs/unlock.sh\n"
    return shell(PARTS, f"{read}{REFUSE}{PROGRAM}{before}\nopen_overlay; cat $RUN/disk")


def programs(shell: Shell) -> list[str]:
    file = shell.tmp / "run/programs"
    return file.read_text().splitlines() if file.exists() else []


def test_one_of_this_machine_is_opened(shell: Shell) -> None:
    device = disk(shell, header(WHOLE))
    in_firmware(shell, key=KEY)
    ended = opened(shell)
    dm = shell.tmp / "dev/dm-0"
    assert (ended.code, ended.out) == (0, f"{dm}\n")
    assert programs(shell) == [
        f"cryptsetup open --type luks2 --allow-discards --key-file - {device} skinny-overlay",
        f"check {dm} overlay",
        f"mount -t ext4 -o rw {dm} {shell.tmp}/run/overlay",
    ]
    assert (shell.tmp / "run/key-seen").read_bytes() == KEY


def test_a_blank_one_is_encrypted_on_order(shell: Shell) -> None:
    device = disk(shell)
    in_firmware(shell, key=KEY)
    orders(shell)
    ended = opened(shell)
    assert ended.code == 0, ended.out
    dm = shell.tmp / "dev/dm-0"
    made, open_, filled, named, *_ = programs(shell)
    assert made.startswith("cryptsetup luksFormat --batch-mode --type luks2 ") and made.endswith(f" {device}")
    assert f"--label skinny-new --uuid {INSTANCE} " in made and "--pbkdf pbkdf2" in made
    assert open_.startswith("cryptsetup open ")
    assert filled.startswith(f"make {dm} skinny-overlay ") and "prezeroed" not in filled
    assert "lazy_journal_init=0" in filled
    assert named == f"cryptsetup config --label skinny-overlay {device}"
    assert (shell.tmp / "run/volume-key-seen").read_bytes() == bytes(64)
    assert not (shell.tmp / "run/volume-key").exists()


def test_one_that_was_not_finished_is_filled_again(shell: Shell) -> None:
    disk(shell, header(NEW))
    in_firmware(shell, key=KEY)
    orders(shell)
    assert opened(shell).code == 0
    assert [line.split()[0] for line in programs(shell)[:3]] == ["cryptsetup", "make", "cryptsetup"]
    assert not any("luksFormat" in line for line in programs(shell))


@pytest.mark.parametrize(
    ("content", "order", "says"),
    [
        (b"", None, "blank, and the host gave no order"),
        (b"", OTHER, f"order to format is for the machine {OTHER}"),
        (b"x", INSTANCE, "neither blank nor encrypted"),
        (bytes(1024 + 56) + b"\x53\xef", INSTANCE, "neither blank nor encrypted"),
        (b"LUKS\xba\xbe\0\1", INSTANCE, "neither blank nor encrypted"),
        (header(WHOLE, OTHER), INSTANCE, f"belongs to the machine {OTHER}"),
        (header(NEW, OTHER), INSTANCE, f"belongs to the machine {OTHER}"),
        (header(NEW), None, "no order to format"),
        (header(b"", INSTANCE), INSTANCE, "no overlay of ours"),
        (header(b"backup", INSTANCE), INSTANCE, "no overlay of ours"),
    ],
)
def test_what_is_left_as_it_is(shell: Shell, content: bytes, order: str | None, says: str) -> None:
    device = disk(shell, content)
    before = device.read_bytes()
    in_firmware(shell, key=KEY)
    if order is not None:
        orders(shell, order)
    ended = opened(shell)
    assert ended.code == 9 and says in ended.out, ended.out
    assert device.read_bytes() == before
    assert [
        line for line in programs(shell) if "luksFormat" in line or "make" in line or "mount" in line
    ] == []


def test_a_wrong_key_a_broken_header_and_no_key(shell: Shell) -> None:
    disk(shell, header(WHOLE))
    assert "gave no key" in opened(shell).out
    in_firmware(shell, key=KEY)
    ended = opened(shell, "OPENS=2")
    assert ended.code == 9 and "the key does not open" in ended.out
    ended = opened(shell, "OPENS=1")
    assert ended.code == 9 and "cannot be opened" in ended.out
    assert not any("mount" in line for line in programs(shell))


def test_nothing_to_encrypt_with(shell: Shell) -> None:
    disk(shell)
    in_firmware(shell, key=KEY, format=INSTANCE.encode(), volume_key=b"short")
    ended = opened(shell)
    assert ended.code == 9 and "nothing to encrypt it with" in ended.out
    assert programs(shell) == []


def test_without_a_seed_nothing_is_formatted(shell: Shell) -> None:
    disk(shell)
    in_firmware(shell, key=KEY, format=INSTANCE.encode(), volume_key=bytes(64))
    ended = opened(shell)
    assert ended.code == 9 and "did not say what to put on it" in ended.out
    assert not any("make" in line for line in programs(shell))


@pytest.mark.parametrize(("blocks", "grows"), [(62 * 256, False), (62 * 256 - 1, True), (0x0100, True)])
def test_the_filesystem_takes_a_disk_that_became_larger(shell: Shell, blocks: int, grows: bool) -> None:
    disk(shell, header(WHOLE))
    in_firmware(shell, key=KEY)
    superblock = bytes(1024 + 4) + blocks.to_bytes(4, "little") + bytes(48) + b"\x53\xef" + bytes(200)
    (shell.tmp / "dev/dm-0").write_bytes(superblock)
    assert opened(shell).code == 0
    assert (f"resize2fs {shell.tmp}/dev/dm-0" in programs(shell)) is grows
