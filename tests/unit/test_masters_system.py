"""What a tree consists of, from databases made by hand."""

import os
from pathlib import Path

import pytest

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.masters.accounts import Group, User
from skinnybox.masters.system import gather as gathering
from skinnybox.masters.system import record
from skinnybox.masters.system.gather import gather
from skinnybox.masters.system.places import Places
from skinnybox.masters.system.source import Tree
from skinnybox.masters.system.values import Alternative, Diversion, Files, Package, System, Unit

STATUS = """\
Package: apache2
Status: install ok installed
Multi-Arch: foreign
Architecture: amd64
Version: 2.4.68-1~deb12u1
Conffiles:
 /etc/apache2/apache2.conf 6fe58be30d8ba2f7ffa9d8c2ab1aea2d
 /etc/apache2/with blank 00000000000000000000000000000001 obsolete
 /etc/apache2/never newconffile
Description: Version: not this
 Package: nor this

Package: libc6
Status: hold ok installed
Architecture: amd64
Version: 1:2.36-9

Package: libc6
Status: install ok installed
Architecture: i386
Version: 1:2.36-9

Package: git
Status: deinstall ok config-files
Architecture: amd64
Version: 1
Conffiles:
 /etc/bash_completion.d/git 00000000000000000000000000000002

Package: purged
Status: purge ok not-installed
Architecture: amd64

Package: ../../etc
Status: install ok installed
Architecture: all
Version: 1
"""
LISTS = {
    "apache2.list": "/.\n/usr\n/usr/sbin\n/usr/sbin/apache2\n/lib\n/lib/x.so\n/usr/bin/tool\n/var/www\n",
    "libc6:amd64.list": "/.\n/lib64\n/lib64/ld.so\n",
    "libc6:i386.list": "/lib/ld.so\n",
    "git.list": "/etc\n/etc/bash_completion.d\n/etc/bash_completion.d/git\n",
    "wrapper.list": "/usr/bin/tool\n",
}


def _write(tree: Path, path: str, text: str) -> None:
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(text)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    _write(tree, "var/lib/dpkg/status", STATUS)
    for name, text in LISTS.items():
        _write(tree, f"var/lib/dpkg/info/{name}", text)
    _write(tree, "var/lib/dpkg/diversions", "/usr/bin/tool\n/usr/bin/tool.real\nwrapper\n")
    _write(tree, "var/lib/dpkg/alternatives/editor", "manual\n/usr/bin/editor\n\n/usr/bin/vim\n50\n\n")
    _write(tree, "usr/lib/os-release", 'ID=debian\nVERSION_ID="12"\nHOME_URL=x\n')
    _write(tree, "etc/debian_version", "12.11\n")
    _write(
        tree,
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\nsshd:x:102:65534::/run/sshd:/bin/false\nbad:x:-1:0:::\n",
    )
    _write(tree, "etc/group", "root:x:0:\nadm:x:4:root,me\nadm:x:5:\n")
    for folder in (
        "usr/lib/x86_64",
        "etc/alternatives",
        "etc/systemd/system/multi-user.target.wants",
        "etc/rc2.d",
    ):
        (tree / folder).mkdir(parents=True)
    for link, target in (
        ("lib", "usr/lib"), ("lib64", "/usr/lib/x86_64"), ("etc/alternatives/editor", "/usr/bin/vim"),
        ("etc/os-release", "../usr/lib/os-release"), ("etc/systemd/system/off.service", "/dev/null"),
        ("etc/systemd/system/multi-user.target.wants/ssh.service", "/usr/lib/systemd/system/ssh.service"),
        ("etc/systemd/system/multi-user.target.wants/off.service", "/usr/lib/systemd/system/off.service"),
        ("etc/rc2.d/S01old", "../init.d/old"), ("etc/rc2.d/S01ssh", "../init.d/ssh"),
    ):  # fmt: skip
        (tree / link).symlink_to(target)
    _write(tree, "usr/lib/systemd/system/ssh.service", "")
    _write(tree, "usr/lib/systemd/system/sysinit.target.wants/udev.service", "")
    return tree


def _gathered(tree: Path) -> tuple[System, Files]:
    return gather(Tree(tree))


def test_debian_packages_are_as_dpkg_says(tree: Path) -> None:
    system, _ = _gathered(tree)
    assert system.manager == "dpkg" and system.packages is not None
    apache, git, *libraries = system.packages
    assert (apache.key, apache.version) == ("apache2:amd64", "2.4.68-1~deb12u1")
    assert apache.conffiles == (
        ("etc/apache2/apache2.conf", "6fe58be30d8ba2f7ffa9d8c2ab1aea2d"),
        ("etc/apache2/with blank", "0" * 31 + "1"),
    )
    assert not git.present and git.conffiles
    assert [(p.key, p.status) for p in libraries] == [
        ("libc6:amd64", "hold ok installed"),
        ("libc6:i386", "install ok installed"),
    ]
    assert any("../../etc" in line for line in system.trouble)


def test_files_are_told_where_they_really_lie(tree: Path) -> None:
    """Through /lib, which is a symlink; past a diversion; without the folders that lead there, but with one
    that a package brought empty. One that was removed has none."""
    assert dict(_gathered(tree)[1]) == {
        "apache2:amd64": ("usr/bin/tool.real", "usr/lib/x.so", "usr/sbin/apache2", "var/www"),
        "libc6:amd64": ("usr/lib/x86_64/ld.so",),
        "libc6:i386": ("usr/lib/ld.so",),
    }


def test_the_rest_of_a_system(tree: Path) -> None:
    system, _ = _gathered(tree)
    assert system.alternatives == (Alternative(name="editor", mode="manual", target="/usr/bin/vim"),)
    assert system.diversions == (Diversion(path="usr/bin/tool", to="usr/bin/tool.real", package="wrapper"),)
    assert system.release == {"id": "debian", "version_id": "12", "debian_version": "12.11"}
    assert system.units == (
        Unit(name="old.service", wanted_by=("runlevel 2",)),
        Unit(name="ssh.service", wanted_by=("multi-user.target",)),
        Unit(name="udev.service", wanted_by=("sysinit.target",)),
    )
    assert [(user.name, user.uid) for user in system.accounts.users] == [("root", 0), ("sshd", 102)]
    assert system.accounts.groups == (
        Group(name="root", gid=0),
        Group(name="adm", gid=4, members=("root", "me")),
    )
    root = User(name="root", uid=0, gid=0, gecos="root", home="/root", shell="/bin/bash")  # noqa: S604 (no such shell)
    assert root in system.accounts.users


def test_alpine_says_it_in_one_file(tmp_path: Path) -> None:
    _write(
        tmp_path,
        "lib/apk/db/installed",
        "P:musl\nV:1.2.4-r2\nA:x86_64\nF:lib\nR:ld.so\nF:\nR:top\n\nP:a b\nV:1\nA:x\n",
    )
    _write(tmp_path, "etc/runlevels/default/sshd", "")
    system, files = _gathered(tmp_path)
    assert system.packages == (Package(name="musl", version="1.2.4-r2", architecture="x86_64"),)
    assert files == {"musl:x86_64": ("lib/ld.so", "top")}
    assert [unit.name for unit in system.units] == ["sshd"] and system.trouble


def test_what_is_not_read_here_is_unknown_and_not_empty(tmp_path: Path) -> None:
    _write(tmp_path, "var/lib/rpm/rpmdb.sqlite", "")
    system, files = _gathered(tmp_path)
    assert (system.manager, system.packages, files) == ("rpm", None, {}) and system.trouble


def test_an_empty_tree_has_nothing(tmp_path: Path) -> None:
    system, files = _gathered(tmp_path)
    assert (system.manager, system.packages, system.units, system.trouble, files) == (None, None, (), (), {})


def test_no_symlink_leads_out_of_the_tree(tmp_path: Path) -> None:
    _write(tmp_path, "outside/status", STATUS)
    (tmp_path / "tree/var/lib").mkdir(parents=True)
    (tmp_path / "tree/var/lib/dpkg").symlink_to(tmp_path / "outside")
    assert _gathered(tmp_path / "tree")[0].packages is None


def test_symlinks_that_lead_nowhere_end(tmp_path: Path) -> None:
    for link, target in (
        ("a", "b"),
        ("b", "a"),
        ("up", "../../x"),
        ("deep", "deep/deep/deep"),
        ("root", "/"),
    ):
        (tmp_path / link).symlink_to(target)
    places = Places(Tree(tmp_path))
    assert [places.of(path) for path in ("a/f", "up/f", "deep/f", "root/root/f", "f", "none/f")] == [
        "a/f", "x/f", "deep/f", "f", "f", "none/f",
    ]  # fmt: skip


@pytest.mark.skipif(not Path("/var/lib/dpkg/status").exists(), reason="no Debian")
def test_this_machine_is_as_its_own_dpkg_says() -> None:
    import subprocess

    form = "${Package}:${Architecture} ${Version} ${Status}\n"
    said = subprocess.run(["dpkg-query", "-W", "-f", form], capture_output=True, text=True, check=True).stdout
    system, files = _gathered(Path("/"))
    assert system.packages is not None
    assert sorted(f"{p.key} {p.version} {p.status}" for p in system.packages) == sorted(said.splitlines())
    listed = subprocess.run(["dpkg", "-L", "base-files"], capture_output=True, text=True, check=True).stdout
    (base,) = (paths for key, paths in files.items() if key.startswith("base-files:"))
    assert {"etc/debian_version", "usr/lib/os-release"} <= set(base)
    assert {f"/{path}" for path in base} <= {*listed.split("\n")}


def test_what_is_written_is_read_back(tree: Path) -> None:
    (tree / "var/lib/dpkg/info/libc6:i386.list").write_bytes(b"/usr/\xff\xe4\n/usr/\xc3\xa4\n")
    system, files = _gathered(tree)
    text = record.to_text(system, files)
    assert record.system_in(text, "x") == system and record.files_in(text, "x") == dict(files)
    assert files["libc6:i386"] == ("usr/\xe4", os.fsdecode(b"usr/\xff\xe4"))


def test_every_flipped_bit_shows_and_a_later_form_is_refused(tree: Path) -> None:
    text = record.to_text(*_gathered(tree))
    for at in range(len(text)):
        with pytest.raises(Corrupt):
            record.system_in(text[:at] + bytes([text[at] ^ 4]) + text[at + 1 :], "x")
    for cut in (0, 1, len(text) // 2, len(text) - 1):
        with pytest.raises(Corrupt):
            record.system_in(text[:cut], "x")
    body = text.replace(b'"format":1', b'"format":2')[: text.rindex(b"{")]
    with pytest.raises(Unsupported):
        record.system_in(body + record._line({"digest": record._digest(body)}), "x")


def test_what_one_file_says_of_all_packages_is_counted(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of hard links, which cost an archive nothing: also of lines that say nothing."""
    monkeypatch.setattr(gathering, "_MOST_PATHS", 1000)
    (tree / "var/lib/dpkg/info/apache2.list").write_text("\n" * 600)
    (tree / "var/lib/dpkg/info/libc6:amd64.list").unlink()
    (tree / "var/lib/dpkg/info/libc6:amd64.list").hardlink_to(tree / "var/lib/dpkg/info/apache2.list")
    system, files = _gathered(tree)
    assert not files and any("more files than can be" in line for line in system.trouble)


def test_a_long_folder_with_many_files_is_no_bomb(tmp_path: Path) -> None:
    named = "".join(f"R:{number}\n" for number in range(50_000))
    _write(tmp_path, "lib/apk/db/installed", f"P:a\nV:1\nA:x\nF:{'x/' * 1_000_000}\n{named}")
    system, files = _gathered(tmp_path)
    assert system.packages is not None and sum(map(len, files["a:x"])) < 1 << 20
