"""What `skinnybox-guest` says: inside.sh, json.sh and upper.sh on trees made for it."""

import json
import os
import socket
from pathlib import Path

import pytest

from tests.guest.conftest import GUEST, IMAGE, INSTANCE, Shell

PARTS = "status json inside upper direct"
DIGEST = f"sha256:{'0' * 64}"
STAT = "stat() { echo 4096 1000 500; }\n"


@pytest.fixture(autouse=True)
def machine(shell: Shell) -> None:
    tmp = shell.tmp
    for folder in ("proc/sys/kernel", "root/boot", "sys/fs/ext4/vdq"):
        (tmp / folder).mkdir(parents=True)
    (tmp / "proc/sys/kernel/osrelease").write_text("6.1.0-9-cloud-amd64\n")
    (tmp / "proc/sys/kernel/hostname").write_text("web\n")
    (tmp / "root/etc/os-release").write_text('ID=debian\nPRETTY_NAME="Debian \\"x\\" 12"\n')
    (tmp / "run-inside").write_text(
        f"instance {INSTANCE}\nimage {DIGEST} {IMAGE}\ndisk /dev/vdq\nlower /dev/vda\ndax off\n"
    )


@pytest.mark.parametrize(
    "name",
    [
        b"plain",
        b'a b"c\\d',
        "ä€😀".encode(),
        b"\377\303x\nz",
        b"\300\200\355\240\200\364\220\200\200",
        b"\t\1\177'$(x)*",
    ],
)
def test_any_name_is_a_string_that_python_reads_back(shell: Shell, name: bytes) -> None:
    (shell.tmp / "name").write_bytes(name)
    said = shell(PARTS, f'quoted "$(cat {shell.tmp}/name)"').out
    assert said.isascii()
    assert json.loads(said).encode("utf-8", "surrogateescape") == name


def test_the_status_for_a_program(shell: Shell) -> None:
    (shell.tmp / "root/boot/vmlinuz-6.1.0-9-cloud-amd64").touch()
    (shell.tmp / "root/boot/vmlinuz-6.9.9").touch()
    (shell.tmp / "sys/fs/ext4/vdq/reserved_clusters").write_text("20\n")
    with (shell.tmp / "run-inside").open("a") as said:
        said.write("direct /var/lib/docker\n")
    put(shell.tmp / "root/usr/bin", "dockerd", "podman", "containerd")
    (shell.tmp / "root/var/lib").mkdir(parents=True)
    (shell.tmp / "root/var/lib/containerd").symlink_to("/srv")
    (shell.tmp / "proc/mounts").write_text("/dev/vdb /var/lib/docker ext4 rw 0 0\n")
    assert json.loads(shell(PARTS, STAT + "status_json").out) == {
        "thin": True,
        "hostname": "web",
        "instance": INSTANCE,
        "system": 'Debian \\"x\\" 12',
        "images": [{"digest": DIGEST, "uuid": IMAGE}],
        "dax": False,
        "overlay": {
            "disk": "/dev/vdq", "size": 4096000, "free": 480 * 4096, "full": False, "errors": 0
        },
        "kernel": "6.1.0-9-cloud-amd64",
        "idle_kernels": ["6.9.9"],
        "direct": ["/var/lib/docker"],
        "on_overlayfs": ["/var/lib/containers"],
    }  # fmt: skip


def test_the_status_for_people(shell: Shell) -> None:
    text = shell(PARTS, STAT + "status_text").out
    assert text.splitlines() == [
        f"machine  web ({INSTANCE})",
        f"master   {DIGEST}",
        '         Debian \\"x\\" 12, shared and read-only',
        "overlay  /dev/vdq: 3.9M, of which 2.0M are used (50 %) and 2.0M free",
        "kernel   6.1.0-9-cloud-amd64, the master's",
    ]


def test_what_wants_a_hand_is_said(shell: Shell) -> None:
    (shell.tmp / "root/boot/vmlinuz-6.9.9").touch()
    (shell.tmp / "sys/fs/ext4/vdq/errors_count").write_text("3\n")
    (shell.tmp / "proc/mounts").write_text("/dev/vdb / overlay rw 0 0\n")
    put(shell.tmp / "root/usr/bin", "podman")
    text = shell(PARTS, "stat() { echo 4096 1000 19; }\nstatus_text").out
    assert [line.split()[1:4] for line in text.splitlines() if line.startswith("look")] == [
        ["kernels", "in", "/boot"], ["/var/lib/containers", "is", "on"],
        ["the", "overlay", "is"], ["the", "overlay's", "filesystem"],
    ]  # fmt: skip
    found = json.loads(shell(PARTS, "stat() { echo 4096 1000 19; }\nstatus_json").out)
    assert found["overlay"]["full"] is True and found["overlay"]["errors"] == 3


def put(folder: Path, *paths: str, content: str = "") -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)


@pytest.fixture
def parts(shell: Shell) -> tuple[Path, Path, Path]:
    """A master, an upper directory, and both together, as overlayfs would show them."""
    master, upper, merged = (shell.tmp / name for name in ("master", "upper", "merged"))
    put(master, "etc/kept", "etc/edited", "etc/gone", "etc/.hidden", "usr/new/below", "etc/moded", "etc/a b")
    put(master, "etc/touched", "srv/was-file", content="same")
    (master / "etc/link").symlink_to("a")
    put(upper, "etc/edited", "srv/added", content="x" * 7)
    put(upper, "etc/touched", content="same")
    put(upper, "etc/moded", "usr/new/other")
    (upper / "etc/moded").chmod(0o600)
    (upper / "etc/link").symlink_to("b")
    (upper / "srv/was-file").mkdir()
    for folder in (master, upper):
        merged.mkdir(exist_ok=True)
        for path in sorted(folder.rglob("*")):
            place = merged / path.relative_to(folder)
            if path.is_dir() and not path.is_symlink():
                if place.exists() and not place.is_dir():
                    place.unlink()
                place.mkdir(exist_ok=True)
            else:
                place.unlink(missing_ok=True)
                if path.is_symlink():
                    place.symlink_to(path.readlink())
                else:
                    os.link(path, place)
    for name in ("etc/gone", "etc/.hidden", "etc/a b", "usr/new/below"):
        (merged / name).unlink()
    put(upper, "etc/gone")  # stands for a whiteout: a device that the merged view does not show
    return master, upper, merged


def found(shell: Shell, parts: tuple[Path, ...], render: str = "cat") -> str:
    ended = shell(PARTS, f"changes {' '.join(map(str, parts))} | {render}")
    assert ended.code == 0, ended.out
    return ended.out


CHANGED = [
    ("deleted", "-", 0, "/etc/.hidden"),
    ("deleted", "-", 0, "/etc/a b"),
    ("modified", "-", 7, "/etc/edited"),
    ("deleted", "-", 0, "/etc/gone"),
    ("modified", "l", 0, "/etc/link"),
    ("metadata", "-", 0, "/etc/moded"),
    ("added", "-", 7, "/srv/added"),
    ("type", "d", 0, "/srv/was-file"),
    ("deleted", "-", 0, "/usr/new/below"),
    ("added", "-", 0, "/usr/new/other"),
]


def test_the_changes(shell: Shell, parts: tuple[Path, Path, Path]) -> None:
    listed = json.loads(found(shell, parts, "as_json"))
    assert [(line["kind"], line["type"], line["size"], line["path"]) for line in listed] == CHANGED
    text = found(shell, parts, "as_text").splitlines()
    assert [line.split(maxsplit=3)[3] for line in text] == [path for *_, path in CHANGED]


def test_no_changes_are_an_empty_list(shell: Shell, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    folders = (tmp_path / "a", tmp_path / "b", tmp_path / "c")
    assert json.loads(found(shell, folders, "as_json")) == []
    assert found(shell, folders, "as_text") == ""


def test_names_that_would_do_something_to_a_terminal(shell: Shell, parts: tuple[Path, Path, Path]) -> None:
    _, upper, merged = parts
    name = 'a\033[2J\nadded - 1 "x'
    for folder in (upper, merged):
        put(folder, f"srv/{name}")
    text = found(shell, parts, "as_text")
    assert "\033" not in text and len(text.splitlines()) == len(CHANGED) + 1
    assert f"/srv/{name}" in [line["path"] for line in json.loads(found(shell, parts, "as_json"))]


def test_what_is_no_file(
    shell: Shell, parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in parts[1:]:
        os.mkfifo(folder / "srv/pipe")
    with socket.socket(socket.AF_UNIX) as made:
        monkeypatch.chdir(parts[2] / "srv")  # a socket's name may not be long
        made.bind("s")
        put(parts[1], "srv/s")
        lines = found(shell, parts).splitlines()
    assert 'added p 0 "/srv/pipe"' in lines and 'added s 0 "/srv/s"' in lines


def test_who_asks_wrongly_or_elsewhere(shell: Shell) -> None:
    program = GUEST / "bin/skinnybox-guest"
    for words in ("", "nothing", "status --jsn", "changes x", "own", "own -R"):
        ended = shell("", f"sh {program} {words}")
        assert (ended.code, "usage: skinnybox-guest" in ended.out) == (2, True), words
    assert shell("", f"sh {program} --help").code == 0
    (shell.tmp / "run-inside").unlink()
    for words in ("status", "changes", "look", "own /etc"):
        ended = shell("", f"sh {program} {words}")
        assert (ended.code, ended.out) == (1, "skinnybox-guest: this is no thin machine\n")
    assert '{"thin": false}\n' in shell("", f"sh {program} status --json").out


def test_files_are_made_ones_own_without_a_change(shell: Shell, tmp_path: Path) -> None:
    put(tmp_path, "a/b", "a/c d")
    (tmp_path / "a/b").chmod(0o4711)
    (tmp_path / "a/l").symlink_to("b")
    before = (tmp_path / "a/b").stat()
    program = GUEST / "bin/skinnybox-guest"
    assert (
        shell(
            "", f"sh {program} own {tmp_path}/a '{tmp_path}/a/c d' && sh {program} own -R {tmp_path}/a"
        ).code
        == 0
    )
    after = (tmp_path / "a/b").stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert after.st_ctime_ns > before.st_ctime_ns  # it was asked for: that is what makes the copy
    assert "is a symlink" in shell("", f"sh {program} own {tmp_path}/a/l").out


def test_a_line_for_the_root_is_left_out_and_nothing_else(shell: Shell, tmp_path: Path) -> None:
    text = "# / is this\nUUID=1 / ext4 errors=remount-ro 0 1\nproc /proc proc hidepid=2\n\nx // y\n"
    (tmp_path / "fstab").write_text(text)
    script = f"FSTAB={tmp_path}/fstab WITHOUT={tmp_path}/out sh {GUEST}/bin/fstab-without-root"
    assert shell("", script).code == 0
    assert (tmp_path / "out").read_text() == "# / is this\nproc /proc proc hidepid=2\n\n"
    assert (tmp_path / "fstab").read_text() == text


def test_what_lies_beside_is_counted_and_one_line_each(shell: Shell, parts: tuple[Path, Path, Path]) -> None:
    master, upper, merged = parts
    direct = upper.parent / "direct"
    for name in ("var%lib%docker", "var%lib%containers", "var%lib%lxc", "var%lib%lxd", "%new"):
        (direct / name).mkdir(parents=True)
    (direct / "var%lib%docker/layer").write_bytes(b"x" * 8192)
    (direct / "var%lib%lxc/c").write_text("x")
    for folder in (upper, merged):
        (folder / "var/lib/docker").mkdir(parents=True)
    for folder in (master, merged):
        (folder / "var/lib/lxc").mkdir(parents=True)
        (folder / "var/lib/lxd").mkdir()
    listed = json.loads(found(shell, parts, "as_json"))
    told = {line["path"]: (line["kind"], line["size"] > 4095) for line in listed if "/lib/" in line["path"]}
    assert len(listed) == len({line["path"] for line in listed})
    assert told == {
        "/var/lib/containers": ("added", False),
        "/var/lib/docker": ("added", True),
        "/var/lib/lxc": ("modified", True),
    }
