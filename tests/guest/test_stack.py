"""stack.sh: the right overlay on the right images, or none."""

import re
import uuid
from pathlib import Path

import pytest

from skinnybox.wire import Line, encode
from tests.guest.conftest import IMAGE, INSTANCE, OTHER, Shell

PARTS = "message host disks format overlay stack"
REFUSE = 'refuse() { echo "REFUSED: $*"; exit 9; }\n'
LABEL = b"skinny-overlay\0\0"
LAYER = "bbbbbbbb-bbbb-8ccc-8ddd-eeeeeeeeeeee"


@pytest.fixture(autouse=True)
def mounts(shell: Shell) -> Path:
    file = shell.tmp / "proc/mounts"
    file.touch()
    return file


def erofs(image: str = IMAGE) -> bytes:
    return bytes(1024) + bytes.fromhex("e2e1f5e0") + bytes(44) + uuid.UUID(image).bytes + bytes(512)


def ext4(image: str = OTHER, *, state: int = 1, incompatible: int = 0x2C2, label: bytes = LABEL) -> bytes:
    block = bytearray(1024)
    block[56:58] = b"\x53\xef"
    block[58:60] = state.to_bytes(2, "little")
    block[96:100] = incompatible.to_bytes(4, "little")
    block[104:120] = uuid.UUID(image).bytes
    block[120:136] = label
    return bytes(1024) + bytes(block)


def base(shell: Shell, *images: str, instance: str = INSTANCE) -> None:
    folder = shell.tmp / "run/overlay/skinnybox"
    folder.mkdir(parents=True)
    lines = [Line("instance", instance), *(Line("image", f"sha256:{'0' * 64} {image}") for image in images)]
    (folder / "base").write_bytes(encode("base", 1, lines))


@pytest.mark.parametrize(("name", "content"), [("erofs", erofs()), ("ext4", ext4(IMAGE))])
def test_the_uuid_of_an_image(shell: Shell, name: str, content: bytes) -> None:
    device = shell.disk("vda", None, content)
    ended = shell(PARTS, f"read_image {device}; echo $IMAGE_FORMAT $IMAGE_UUID")
    assert ended.out.split() == [name, IMAGE]


@pytest.mark.parametrize(
    "content",
    [b"", bytes(4096), b"\xff" * 4096, erofs()[:1060], ext4(IMAGE)[:1143]],
    ids=["none", "0", "1", "cut", "cut"],
)
def test_what_is_no_image_has_no_uuid(shell: Shell, content: bytes) -> None:
    device = shell.disk("vda", None, content)
    assert shell(PARTS, f"read_image {device}").code == 1


def test_a_boot_reads_each_superblock_once(shell: Shell) -> None:
    """Each process costs it 8 ms where it is emulated."""
    base(shell, IMAGE)
    shell.disk("vda", "skinny-master", erofs())
    shell.disk("vdb", "skinny-overlay", ext4())
    count = f"od() {{ echo >>{shell.tmp}/reads; command od $@; }}\n"
    boot = "open_overlay; read_base; mount_lowers"
    assert shell(PARTS, REFUSE + count + boot, stubs=["mount"]).code == 0
    assert (shell.tmp / "reads").read_text() == "\n\n"


def test_what_is_laid_over_a_master_of_any_age_is_told_bytes_of_a_superblock(shell: Shell) -> None:
    device = shell.disk("vda", None, ext4())
    assert shell(PARTS, f"set -- $(superblock {device}); bytes 56 2 $@; bytes 136 1 $@").out == "53ef\n"


def test_an_ext4_is_mounted_without_a_journal_in_whatever_it_lies(shell: Shell) -> None:
    base(shell, IMAGE, LAYER)
    shell.disk("vdc", "skinny-master", ext4(IMAGE, label=b"skinny-master\0\0\0"))
    shell.disk("pmem0", None, ext4(LAYER))
    ended = shell(PARTS, REFUSE + "read_base; mount_lowers; cat $RUN/images", stubs=["mount"])
    lower = shell.tmp / "run/lower"
    assert ended.out.splitlines() == [IMAGE, LAYER]
    assert ended.calls == [
        f"mount -t ext4 -o ro,noload {shell.tmp}/dev/vdc {lower}/0",
        f"mount -t ext4 -o ro,noload {shell.tmp}/dev/pmem0 {lower}/1",
    ]


def test_an_overlay_in_the_place_of_the_master_is_refused(shell: Shell) -> None:
    base(shell, IMAGE)
    shell.disk("vda", "skinny-master", ext4())
    ended = shell(PARTS, REFUSE + "read_base; mount_lowers", stubs=["mount"])
    assert (ended.code, ended.calls) == (9, [])
    assert f"belongs to the image {IMAGE}, and the disk skinny-master holds {OTHER}" in ended.out


@pytest.mark.parametrize(
    ("content", "clean"),
    [
        (ext4(), True),
        (ext4(incompatible=0x2C6), False),
        (ext4(state=0), False),
        (ext4(state=3), False),
    ],
    ids=["clean", "journal to replay", "not unmounted", "errors seen"],
)
def test_only_an_overlay_that_is_not_clean_is_checked(shell: Shell, content: bytes, clean: bool) -> None:
    device = shell.disk("vda", None, content)
    ended = shell(PARTS, REFUSE + f"check_disk {device} overlay", stubs=["e2fsck"])
    assert ended.code == 0
    assert ended.calls == ([] if clean else [f"e2fsck -p {device}"])


@pytest.mark.parametrize(
    ("code", "boots"), [(0, True), (1, True), (2, True), (4, False), (8, False), (12, False)]
)
def test_damage_beyond_repair(shell: Shell, code: int, boots: bool) -> None:
    device = shell.disk("vda", None, ext4(state=0))
    ended = shell(PARTS, REFUSE + f"e2fsck() {{ return {code}; }}\ncheck_disk {device} overlay")
    assert (ended.code == 0) is boots
    assert ("damaged beyond repair" in ended.out) is not boots


@pytest.mark.parametrize("content", [bytes(4096), erofs()], ids=["blank", "erofs"])
def test_a_disk_without_ext4_is_never_taken(shell: Shell, content: bytes) -> None:
    device = shell.disk("vda", None, content)
    ended = shell(PARTS, REFUSE + f"check_disk {device} overlay", stubs=["e2fsck"])
    assert ended.code == 9
    assert "is no ext4" in ended.out


def test_a_blank_disk_is_left_blank(shell: Shell) -> None:
    device = shell.disk("vda", None, bytes(1 << 20))
    (shell.tmp / "sys/block/vda/size").write_text("2048\n")
    ended = shell(PARTS, REFUSE + f"check_disk {device} overlay", stubs=["e2fsck"])
    assert (ended.code, ended.calls) == (9, [])
    assert "is blank, and the host gave no order to format it" in ended.out


def test_a_disk_with_another_label_is_never_taken(shell: Shell) -> None:
    device = shell.disk("vda", None, ext4(label=b"skinny-overlay2\0"))
    assert "not labelled skinny-overlay" in shell(PARTS, REFUSE + f"check_disk {device} overlay").out


def test_the_overlay_of_another_machine(shell: Shell) -> None:
    base(shell, IMAGE, instance=OTHER)
    ended = shell(PARTS, REFUSE + "read_base")
    assert ended.code == 9
    assert f"belongs to the machine {OTHER}" in ended.out


def test_a_host_that_says_no_instance(shell: Shell) -> None:
    base(shell, IMAGE)
    shell.says(instance="")
    assert "the host did not say" in shell(PARTS, REFUSE + "read_base").out


def test_an_overlay_that_says_nothing(shell: Shell) -> None:
    (shell.tmp / "run/overlay/skinnybox").mkdir(parents=True)
    (shell.tmp / "run/overlay/skinnybox/base").write_bytes(b"\n" * 4096)
    assert "does not say what it belongs to" in shell(PARTS, REFUSE + "read_base").out


def test_the_lowers_are_mounted_in_the_order_of_base(shell: Shell) -> None:
    layer = "bbbbbbbb-bbbb-8ccc-8ddd-eeeeeeeeeeee"
    base(shell, IMAGE, layer)
    shell.disk("vdc", "skinny-master", erofs())
    shell.disk("vda", "skinny-layer-1", erofs(layer))
    ended = shell(PARTS, REFUSE + "read_base; mount_lowers; echo $LOWERS; cat $RUN/images", stubs=["mount"])
    run = shell.tmp / "run"
    assert ended.out.splitlines() == [f"{run}/lower/1:{run}/lower/0", IMAGE, layer]
    assert ended.calls == [
        f"mount -t erofs -o ro {shell.tmp}/dev/vdc {run}/lower/0",
        f"mount -t erofs -o ro {shell.tmp}/dev/vda {run}/lower/1",
    ]


def test_another_image_of_the_same_master_is_refused(shell: Shell) -> None:
    base(shell, IMAGE)
    shell.disk("vda", "skinny-master", erofs("cccccccc-bbbb-8ccc-8ddd-eeeeeeeeeeee"))
    ended = shell(PARTS, REFUSE + "read_base; mount_lowers", stubs=["mount"])
    assert (ended.code, ended.calls) == (9, [])
    assert f"belongs to the image {IMAGE}, and the disk skinny-master holds cccccccc" in ended.out


def test_memory_is_known_by_what_it_holds_and_mounted_without_the_page_cache(
    shell: Shell, mounts: Path
) -> None:
    base(shell, IMAGE, LAYER)
    shell.disk("pmem0", None, erofs(LAYER))
    shell.disk("pmem1", None, bytes(4096))
    shell.disk("pmem12", None, erofs())
    lower = shell.tmp / "run/lower"
    mounts.write_text(
        f"/dev/pmem12 {lower}/0 erofs ro,relatime,dax=always 0 0\n"
        f"/dev/pmem0 {lower}/1 erofs ro,relatime 0 0\n"
    )
    ended = shell(PARTS, REFUSE + "read_base; mount_lowers; cat $RUN/images $RUN/dax", stubs=["mount"])
    assert ended.out.splitlines() == [IMAGE, LAYER, "on", "off"]
    assert ended.calls == [
        f"mount -t erofs -o ro,dax=always {shell.tmp}/dev/pmem12 {lower}/0",
        f"mount -t erofs -o ro,dax=always {shell.tmp}/dev/pmem0 {lower}/1",
    ]


def test_memory_that_the_kernel_cannot_map_is_mounted_all_the_same(shell: Shell) -> None:
    device = shell.disk("pmem0", None, erofs())
    script = f"""mount() {{ echo "$@"; case $* in *dax*) return 22 ;; esac; }}
mount_image erofs {device} /lower; echo $?"""
    assert shell(PARTS, script).out.splitlines() == [
        f"-t erofs -o ro,dax=always {device} /lower",
        f"-t erofs -o ro {device} /lower",
        "0",
    ]


@pytest.mark.parametrize("second", ["pmem1", "vda"])
def test_two_that_may_be_the_image_are_refused(shell: Shell, second: str) -> None:
    base(shell, IMAGE)
    shell.disk("pmem0", None, erofs())
    shell.disk(second, "skinny-master" if second == "vda" else None, erofs())
    ended = shell(PARTS, REFUSE + "read_base; mount_lowers", stubs=["mount"])
    assert (ended.code, ended.calls) == (9, [])
    assert "several disks may be skinny-master" in ended.out


def test_another_image_in_memory_is_refused_and_named(shell: Shell) -> None:
    base(shell, IMAGE)
    shell.disk("pmem0", None, erofs(LAYER))
    shell.disk("pmem1", None, bytes(4096))
    ended = shell(PARTS, REFUSE + "read_base; mount_lowers", stubs=["mount", "sleep"])
    assert (ended.code, ended.calls) == (9, ["sleep 0.1"])
    assert (
        f"belongs to the image {IMAGE}, and the host gave {shell.tmp}/dev/pmem0 with {LAYER} "
        f"{shell.tmp}/dev/pmem1 with no image\n"
    ) in ended.out


def test_without_disk_and_memory_the_serial_is_named(shell: Shell) -> None:
    base(shell, IMAGE)
    ended = shell(PARTS, REFUSE + "read_base; mount_lowers", stubs=["sleep"])
    assert "REFUSED: no disk called skinny-master appeared\n" in ended.out


@pytest.mark.parametrize(
    ("options", "said"),
    [("ro,dax=always", "on"), ("ro,dax", "on"), ("ro,dax=never", "off"), ("ro,user_xattr", "off")],
)
def test_mapped_is_what_is_really_mounted(shell: Shell, mounts: Path, options: str, said: str) -> None:
    mounts.write_text(f"/dev/pmem1 /other erofs ro,dax=always 0 0\n/dev/pmem0 /lower erofs {options} 0 0\n")
    assert shell(PARTS, "mapped /lower").out == f"{said}\n"


@pytest.mark.parametrize("names", [["xvde", "xvdf"], ["xvdf", "xvde"]])
def test_layers_are_on_the_disks_that_the_host_names_in_its_order(shell: Shell, names: list[str]) -> None:
    """On Xen disks have no serials, and are called so."""
    base(shell, IMAGE, LAYER, OTHER)
    shell.says(master="xvda", layers=",".join(names))
    shell.disk("xvda", None, erofs())
    for name, image in zip(names, (LAYER, OTHER), strict=True):
        shell.disk(name, None, erofs(image))
    ended = shell(PARTS, REFUSE + "read_base; mount_lowers; cat $RUN/images", stubs=["mount"])
    assert ended.out.splitlines() == [IMAGE, LAYER, OTHER]
    assert [call.split()[-2:] for call in ended.calls] == [
        [f"{shell.tmp}/dev/{name}", f"{shell.tmp}/run/lower/{number}"]
        for number, name in enumerate(["xvda", *names])
    ]


@pytest.mark.parametrize("names", ["xvde", "xvde,", ",xvdf", ",,", "xvdf,xvde"])
def test_a_layer_that_the_host_does_not_name_or_names_wrongly(shell: Shell, names: str) -> None:
    """What the host said lies where a guest may have changed it. A disk without a serial is nobody's."""
    base(shell, IMAGE, LAYER, OTHER)
    shell.says(master="xvda", layers=names)
    for name, image in (("xvda", IMAGE), ("xvde", LAYER), ("xvdf", OTHER)):
        shell.disk(name, None, erofs(image))
    ended = shell(PARTS, REFUSE + "read_base; mount_lowers", stubs=["mount", "sleep"])
    assert ended.code == 9
    assert re.search("no disk called skinny-layer-[12] appeared|belongs to the image", ended.out)


def test_an_overlay_without_any_image_is_refused(shell: Shell) -> None:
    base(shell)
    assert "names no image" in shell(PARTS, REFUSE + "read_base; mount_lowers").out


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ("", ""),
        ("redirect_dir", ""),
        ("redirect_dir index", ",index=off"),
        (
            "index metacopy nfs_export redirect_always_follow redirect_dir redirect_max xino_auto",
            ",redirect_dir=nofollow,index=off,metacopy=off,xino=off,nfs_export=off",
        ),
    ],
    ids=["3.13", "4.10", "4.13", "6.1"],
)
def test_each_option_is_passed_iff_the_kernel_knows_it(shell: Shell, parameters: str, options: str) -> None:
    folder = shell.tmp / "sys/module/overlay/parameters"
    folder.mkdir(parents=True)
    for name in parameters.split():
        (folder / name).touch()
    assert shell(PARTS, "overlayfs_options").out == options


@pytest.mark.parametrize(("most", "code"), [("0", 1), ("2147450880", 0), (None, 1)])
def test_discard_is_asked_for_where_the_disk_takes_it(shell: Shell, most: str | None, code: int) -> None:
    device = shell.disk("vda", None)
    if most is not None:
        queue = shell.tmp / "sys/block/vda/queue"
        queue.mkdir()
        (queue / "discard_max_bytes").write_text(most + "\n")
    assert shell(PARTS, f"can_discard {device}").code == code


def test_a_refusal_says_why_and_goes_off(shell: Shell, tmp_path: Path) -> None:
    script = "REPORT_SECONDS=1; go_off() { echo OFF; exit 0; }; refuse 'the disk  is\tgone\nand caf\u00e9'"
    ended = shell("message xenstore host refuse", script, stubs=["sleep"])
    assert ended.out.rstrip().endswith("OFF")
    assert "*** skinnybox: this machine does not start: the disk  is gone and caf" in ended.out
    report = (tmp_path / "run/report").read_text()
    assert report.startswith("skinnybox-report 1\nstate failed\nnonce abc123\n")
    assert report.endswith("\nreason the disk  is gone and caf\nend\n")


def test_a_refusal_is_a_report_the_host_can_read(shell: Shell, tmp_path: Path) -> None:
    from skinnybox.wire import decode

    shell("message host refuse", "go_off() { exit 0; }; refuse 'ends with a blank '", stubs=["sleep"])
    message = decode((tmp_path / "run/report").read_bytes(), "report")
    assert message.get("reason") == "ends with a blank"
    assert message.get("instance") == INSTANCE


def test_going_off_lets_go_of_its_disks_first(shell: Shell) -> None:
    """They may be another machine's, which must not find their journals open."""
    ended = shell("host refuse", "sleep() { exit 0; }\ngo_off", stubs=["umount", "sync", "poweroff"])
    assert ended.calls == [
        f"umount {shell.tmp}/run/overlay", f"umount {shell.tmp}/run/data", "sync", "poweroff -f",
    ]  # fmt: skip
