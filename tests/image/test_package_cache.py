"""Packages for machines that have no way out: this computer's own apt against a mirror of a few, and against
masters and machines whose makers mean no good.

Requirements: apt, gpg, mkfs.erofs.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import (
    Blocked,
    Cancelled,
    CommandFailed,
    Corrupt,
    NotFound,
    SkinnyboxError,
    Unsupported,
)
from skinnybox.ext4 import open_volume
from skinnybox.operation import Operation
from skinnybox.package_cache import disk
from skinnybox.package_cache.apt import Apt
from skinnybox.package_cache.archive import Archive, opened
from tests.image.mirrors import KEY, Mirror, mirrored, sealed

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(not all(map(run.find, ("apt-get", "gpg"))), reason="needs apt and gpg"),
]


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("no_proxy", "127.0.0.1,127.0.0.2,127.0.0.3")
    with mirrored(tmp_path / "mirror") as made:
        yield _filled(made)


def _filled(mirror: Mirror) -> Mirror:
    mirror.add("tool", "1:2", Depends="library, held", Recommends="friend", Phased_Update_Percentage="0")
    for name in ("library", "friend", "lonely"):
        mirror.add(name)
    mirror.add("held", "2")
    mirror.add("enemy", Conflicts="held")
    mirror.add("virtuous", Provides="virtue")
    mirror.publish()
    return mirror


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Of a mirror that stays as it is."""
    folder = tmp_path_factory.mktemp("steady")
    with pytest.MonkeyPatch.context() as patch, mirrored(folder / "mirror") as made:
        patch.setenv("no_proxy", "127.0.0.1")
        with opened(_master(folder, _filled(made)), folder) as found:
            yield found


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def archive(mirror: Mirror, tmp_path: Path, scratch: Path) -> Iterator[Archive]:
    with opened(_master(tmp_path, mirror), scratch) as found:
        yield found


def _master(folder: Path, mirror: Mirror, **more: str) -> Path:
    files: dict[str, str | bytes] = {"etc/apt/sources.list": mirror.source(), KEY: mirror.key}
    return sealed(folder / "sealed", {**files, **more})


def _made(archive: Archive, folder: Path, *wanted: str, removed: tuple[str, ...] = ()) -> dict[str, bytes]:
    """What is on the disk, by name."""
    image = folder / "packages.img"
    image.touch()
    size = disk.made(archive, wanted, removed, image, Operation())
    with open_volume(image) as volume:
        found = {
            name.decode(): b"".join(volume.read(volume.lookup(b"packages/" + name)))
            for name in volume.names(b"packages")
        }
    assert size == sum(len(data) for name, data in found.items() if name != "Packages")
    return found


class Unasked(Apt):
    def _ended(self, words: Sequence[str], operation: Operation, ok: Sequence[int]) -> run.Ended:
        raise AssertionError(f"apt was asked {words}")

    def fetch(self, words: Sequence[str], heard: Callable[[str], None], operation: Operation) -> None:
        raise AssertionError(f"apt was asked {words}")


def test_a_disk_has_what_is_needed_and_no_more(archive: Archive, mirror: Mirror, tmp_path: Path) -> None:
    found = _made(archive, tmp_path, "tool")
    assert sorted(found) == ["Packages", "library_1_all.deb", "tool_1_3a2_all.deb"]
    for name in ("library_1.deb", "tool_2.deb"):
        assert (mirror.folder / name).read_bytes() in found.values()
    rows = found["Packages"].decode().splitlines()
    assert "Filename: ./tool_1_3a2_all.deb" in rows and rows.count("Filename: ./library_1_all.deb") == 1
    # Another computer's number has no say in which machine gets it.
    assert not any(row.startswith("Phased") for row in rows)


def test_what_is_there_is_not_fetched_again_and_is_the_same_disk(
    archive: Archive, mirror: Mirror, tmp_path: Path
) -> None:
    _made(archive, tmp_path, "tool")
    first, before = (tmp_path / "packages.img").read_bytes(), len(mirror.asked)
    time.sleep(1.1)  # so that no time stands in it
    _made(archive, tmp_path, "tool")
    assert (tmp_path / "packages.img").read_bytes() == first
    assert sum(path.endswith(".deb") for path in mirror.asked) == 2 and mirror.asked[before:] == []
    assert run.run(["e2fsck", "-fn", tmp_path / "packages.img"]).returncode == 0


def test_for_the_next_machine_of_a_rollout_no_apt_is_started(archive: Archive, tmp_path: Path) -> None:
    found: list[object] = []
    for _ in range(2):
        had = archive.recommended(["tool"], ["friend"], [], Operation())
        found.append((had, _made(archive, tmp_path, "tool", *had)))
        archive._apt = Unasked(Path("/nowhere"))
    assert found[0] == found[1]
    with pytest.raises(AssertionError, match="lonely"):
        archive.missing(["lonely"], Operation())


def test_apt_installs_from_the_disk_alone(archive: Archive, mirror: Mirror, tmp_path: Path) -> None:
    """As the appliance has it: its lists from there, and what it would install."""
    _made(archive, tmp_path, "tool")
    flat, own = tmp_path / "flat", tmp_path / "own"
    flat.mkdir()
    run.run(["debugfs", "-R", f"rdump /packages {flat}", tmp_path / "packages.img"])
    for name in ("lists/partial", "cache/archives/partial", "nothing"):
        (own / name).mkdir(parents=True)
    (own / "status").write_text(
        "Package: held\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"
    )
    (own / "list").write_text(f"deb [trusted=yes] file:{flat}/packages ./\n")
    (own / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{own}/list"; Dir::Etc::SourceParts "{own}/nothing"; Dir::Cache "{own}/cache";'
        f'Dir::State::Lists "{own}/lists"; Dir::State::status "{own}/status";'
        f'Dir::Etc::parts "{own}/nothing";'
        f'APT::Sandbox::User "root"; Debug::NoLocking "true"; APT::Install-Recommends "false";'
    )
    environment = {"APT_CONFIG": str(own / "apt.conf")}
    run.run(["apt-get", "update"], env=environment)
    said = run.run(["apt-get", "-s", "install", "tool"], env=environment).stdout.decode()
    assert sorted(row.split()[1] for row in said.splitlines() if row.startswith("Inst")) == [
        "library",
        "tool",
    ]


def test_what_the_release_does_not_have_is_all_named(steady: Archive) -> None:
    with pytest.raises(Blocked, match=r"has no gone, gone-too") as caught:
        steady.fetched(["gone", "tool", "gone-too"], [], Path("/nowhere"), Operation())
    assert caught.value.hint and "--instead" in caught.value.hint
    assert steady.missing(["virtue", "tool"], Operation()) == []


@pytest.mark.parametrize("name", ["held-", "library+", "to.l", "t..l", "lo.*", "a.", "tool-", "dpkg-"])
def test_a_name_is_nothing_but_a_name(steady: Archive, name: str, tmp_path: Path) -> None:
    """apt takes what it does not know for a pattern, or for the order to remove or install another."""
    with pytest.raises(Blocked, match=r"has no|no name of a package"):
        _made(steady, tmp_path, "lonely", name)


@pytest.mark.parametrize(
    "name", ["-oDpkg::Pre-Invoke::=id", "tool/stable", "tool=1", "./x.deb", "tool:i386", "?all", "a b", "x\n"]
)
def test_what_is_no_name_is_refused(steady: Archive, name: str, tmp_path: Path) -> None:
    for wanted, removed in (([name], []), ([], [name])):
        with pytest.raises(Blocked, match="no name of a package"):
            steady.fetched(wanted, removed, tmp_path, Operation())
    with pytest.raises(Blocked, match="no name of a package"):
        steady.missing([name], Operation())


def test_only_the_masters_own_are_removed(steady: Archive, tmp_path: Path) -> None:
    assert sorted(_made(steady, tmp_path, "lonely", removed=("nowhere", "library"))) == [
        "Packages",
        "lonely_1_all.deb",
    ]
    with pytest.raises(Blocked, match="held of the new master would have to go") as caught:
        _made(steady, tmp_path, "enemy")
    assert caught.value.hint and "--without NAME" in caught.value.hint
    assert "enemy_1_all.deb" in _made(steady, tmp_path, "enemy", removed=("held",))
    with pytest.raises(Blocked, match="cannot have them together") as caught:
        _made(steady, tmp_path, "tool", removed=("held",))
    assert caught.value.hint and "--instead OLD=NEW" in caught.value.hint


def test_of_recommendations_those_come_that_a_machine_had(steady: Archive) -> None:
    assert steady.recommended(["tool"], ["library", "friend", "lonely"], [], Operation()) == ["friend"]


def test_the_masters_preferences_hold(mirror: Mirror, tmp_path: Path, scratch: Path) -> None:
    mirror.add("tool", "9")
    mirror.publish()
    pin = "Package: tool\nPin: version 1:2\nPin-Priority: 1001\n"
    mirror.add("tool", "2:1")
    mirror.publish()
    with opened(_master(tmp_path, mirror, **{"etc/apt/preferences.d/tool": pin}), scratch) as archive:
        assert "tool_1_3a2_all.deb" in _made(archive, tmp_path, "tool")


def test_a_key_may_lie_in_two_places(mirror: Mirror, tmp_path: Path, scratch: Path) -> None:
    armored = mirror.gpg("--armor", "--export")
    key = "etc/apt/trusted.gpg.d/mirror.asc"
    stanzas = f"Types: deb\nURIs: {mirror.address}\nSuites: ./\nSigned-By: /{key}\n"
    for number, text in enumerate((mirror.source(f"signed-by=/{key}"), mirror.source(""), stanzas)):
        name = "a.sources" if text is stanzas else "a.list"
        files: dict[str, str | bytes] = {f"etc/apt/sources.list.d/{name}": text, key: armored}
        folder = tmp_path / str(number)
        folder.mkdir()
        with opened(sealed(folder, files), scratch) as archive:
            assert "lonely_1_all.deb" in _made(archive, folder, "lonely")


def test_a_master_runs_nothing_here(mirror: Mirror, tmp_path: Path, scratch: Path) -> None:
    """Neither by a configuration of its apt, nor by what goes into ours."""
    ran = tmp_path / "ran"
    hook = f'APT::Update::Pre-Invoke {{ "touch {ran}"; }}; DPkg::Pre-Invoke {{ "touch {ran}"; }};'
    more = {
        "etc/apt/apt.conf.d/99": hook,
        "etc/apt/apt.conf": hook,
        "var/lib/dpkg/arch": f'amd64\n";{hook}\n',
    }
    with opened(_master(tmp_path, mirror, **more), scratch) as archive:
        _made(archive, tmp_path, "tool")
    status = f'Package: dpkg\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64"; {hook} #\n\n'
    other = tmp_path / "other"
    files: dict[str, str | bytes] = {
        "etc/apt/sources.list": mirror.source(),
        KEY: mirror.key,
        "var/lib/dpkg/status": status,
    }
    try:
        with opened(sealed(other, files), scratch) as archive:
            archive.missing(["tool"], Operation())
    except SkinnyboxError:
        pass
    assert not ran.exists()


@pytest.mark.parametrize("options", ["trusted=yes", "allow-insecure=yes", ""])
def test_nobody_is_believed_without_a_signature(
    mirror: Mirror, tmp_path: Path, scratch: Path, options: str
) -> None:
    mirror.publish(signed=False)
    files: dict[str, str | bytes] = {"etc/apt/sources.list": mirror.source(options)}
    with (
        opened(sealed(tmp_path / "sealed", files), scratch) as archive,
        pytest.raises(CommandFailed, match="not signed"),
    ):
        archive.missing(["tool"], Operation())


def test_a_source_that_cannot_be_used_is_left_out_with_a_word(
    mirror: Mirror, tmp_path: Path, scratch: Path
) -> None:
    others = (
        "deb cdrom:[Debian]/ bookworm main\ndeb file:/srv ./\ndeb copy:/srv ./\n"
        f"deb [signed-by=/etc/shadow.gpg] {mirror.address}other ./\ndeb mirror+file:/etc/x trixie main\n"
    )
    notes: list[str] = []
    files: dict[str, str | bytes] = {"etc/apt/sources.list": others + mirror.source(), KEY: mirror.key}
    with opened(sealed(tmp_path / "one", files), scratch) as archive:
        archive.missing(["tool"], Operation(log=notes.append))
    assert len(notes) == 5 and all("left out" in note for note in notes)
    assert sum("/etc/shadow.gpg is not in the master" in note for note in notes) == 1
    assert not any("other" in path for path in mirror.asked)
    none = sealed(tmp_path / "two", {"etc/apt/sources.list": others})
    with pytest.raises(NotFound, match="no apt source that can be reached"), opened(none, scratch):
        pass


def test_another_file_than_the_list_says_is_not_taken(
    archive: Archive, mirror: Mirror, tmp_path: Path, scratch: Path
) -> None:
    file = mirror.folder / "lonely_1.deb"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(CommandFailed, match="cannot be fetched"):
        _made(archive, tmp_path, "lonely")
    file.write_bytes(good)
    assert _made(archive, tmp_path, "lonely")["lonely_1_all.deb"] == good
    # apt takes what lies in its folder by its size.
    (kept,) = scratch.glob(".packages-*/cache/archives/lonely*.deb")
    kept.write_bytes(bytes(len(good)))
    with pytest.raises(Corrupt, match="not what apt's list says"):
        _made(archive, tmp_path, "lonely")
    assert _made(archive, tmp_path, "lonely")["lonely_1_all.deb"] == good


def test_a_mirror_that_moved_on_is_asked_again(archive: Archive, mirror: Mirror, tmp_path: Path) -> None:
    archive.missing(["tool"], Operation())
    (mirror.folder / "lonely_1.deb").unlink()
    mirror.add("lonely", "2")
    mirror.publish()
    with pytest.raises(CommandFailed, match="404") as caught:
        _made(archive, tmp_path, "lonely")
    assert caught.value.hint and "mirror" in caught.value.hint
    assert "lonely_2_all.deb" in _made(archive, tmp_path, "lonely")


def test_each_source_that_does_not_answer_is_named(mirror: Mirror, tmp_path: Path, scratch: Path) -> None:
    """A mirror that is away is so with all of its suites, and would hide the others."""
    away = "".join(
        f"deb [signed-by=/{KEY}] http://{host}:1/debian {suite} main\n"
        for host in ("127.0.0.2", "127.0.0.3")
        for suite in ("trixie", "trixie-updates", "trixie-security", "trixie-backports")
    )
    picture = _master(tmp_path, mirror, **{"etc/apt/sources.list.d/away.list": away})
    with (
        opened(picture, scratch) as archive,
        pytest.raises(CommandFailed, match=r"http://127\.0\.0\.2:1.*http://127\.0\.0\.3:1") as caught,
    ):
        archive.missing(["tool"], Operation())
    assert mirror.address not in caught.value.message
    assert "without it" in (caught.value.hint or "")


def test_it_ends_when_it_is_cancelled(archive: Archive, mirror: Mirror, scratch: Path) -> None:
    mirror.slow.set()
    operation, begun = Operation(), time.monotonic()
    threading.Timer(1, operation.cancel).start()
    with pytest.raises(Cancelled):
        archive.missing(["tool"], operation)
    assert time.monotonic() - begun < 10


def test_nothing_stays(mirror: Mirror, tmp_path: Path, scratch: Path) -> None:
    with opened(_master(tmp_path, mirror), scratch) as archive:
        image = scratch / "packages.img"
        image.touch()
        disk.made(archive, ["tool"], [], image, Operation())
        disk.empty(image, Operation())
        with open_volume(image) as volume:
            assert volume.names(b"packages") == [b"Packages"]
    assert [path.name for path in scratch.iterdir()] == ["packages.img"]


def test_a_folder_that_apt_cannot_name(mirror: Mirror, tmp_path: Path) -> None:
    picture = _master(tmp_path, mirror)
    for name in ('a"; APT::Update::Pre-Invoke { "false"; }; "', "with blank"):
        folder = tmp_path / name
        folder.mkdir()
        with pytest.raises(Unsupported, match="apt cannot work in"), opened(picture, folder):
            pass
