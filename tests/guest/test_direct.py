"""direct.sh: folders of container engines, on a filesystem that they can work with, wherever there is one."""

from pathlib import Path

import pytest

from tests.guest.conftest import Ended, Shell
from tests.guest.test_data import mounted, says
from tests.guest.test_stack import ext4

PARTS = "message host disks format overlay data direct throwaway"
REFUSE = 'refuse() { echo "REFUSED: $*"; exit 9; }\n'
# A bind mount is noted, a copy is made; what is bound at media/root-rw is where it goes.
BINDS = """
mount() {
    echo mount "$3" "$4" >>%(tmp)s/calls
    case $4 in */media/root-rw | */run) echo "$3" >%(tmp)s/target ;; esac
}
umount() { :; }
sync() { echo sync >>%(tmp)s/calls; }
chroot() {
    echo cp "${1##*/}" "$4" >>%(tmp)s/calls
    cp -a "$1$4" "$(cat %(tmp)s/target)/%%new"
}
"""
DOCKER = "var%lib%docker"


@pytest.fixture
def root(shell: Shell) -> Path:
    """A root with Docker, the master and the overlay's disk where they are then."""
    folder = shell.tmp / "root"
    for name in (
        "usr/sbin",
        "media/root-ro/media/root-rw",
        "media/root-rw/upper",
        "media/root-rw/lost+found",
    ):
        (folder / name).mkdir(parents=True)
    (folder / "usr/sbin/dockerd").touch()
    return folder


def mount(shell: Shell, *on_data: str, script: str = "") -> Ended:
    says(shell, *on_data)
    ended = shell(PARTS, f"{REFUSE}{BINDS % {'tmp': shell.tmp}}{script}\nmount_data $ROOT; cat $RUN/direct")
    assert ended.code == 0, ended.out
    return ended


def bound(ended: Ended, root: Path) -> dict[str, str]:
    """What is seen at each folder of the root."""
    lines = [call.split()[1:] for call in ended.calls if call.startswith("mount ")]
    return {
        to.removeprefix(str(root)): source.removeprefix(f"{root}/media/")
        for source, to in lines
        if to.startswith(f"{root}/") and not to.endswith(("/media/root-rw", "/run"))
    }


@pytest.fixture
def data(shell: Shell) -> Path:
    shell.disk("vdc", "skinny-data", ext4(label=b"skinny-data".ljust(16, b"\0")))
    return mounted(shell)


def test_a_machine_without_engines_has_none_of_it(shell: Shell, root: Path) -> None:
    (root / "usr/sbin/dockerd").unlink()
    ended = mount(shell)
    assert (ended.out, ended.calls) == ("", [])
    assert sorted(path.name for path in (root / "media/root-rw").iterdir()) == ["lost+found", "upper"]
    assert not (root / "var").exists()


def test_an_engine_gets_a_folder_beside_the_upper_directory(shell: Shell, root: Path) -> None:
    ended = mount(shell)
    assert bound(ended, root) == {"/var/lib/docker": f"root-rw/direct/{DOCKER}"}
    assert ended.out == "/var/lib/docker\n"
    assert ((root / "media/root-rw/direct" / DOCKER).stat().st_mode & 0o777) == 0o711
    assert ((root / "media/root-rw/direct").stat().st_mode & 0o777) == 0o700
    assert (root / "var/lib/docker").is_dir()


@pytest.mark.parametrize(
    ("program", "folder"),
    [
        ("usr/bin/podman", "/var/lib/containers"),
        ("usr/bin/buildah", "/var/lib/containers"),
        ("usr/bin/containerd", "/var/lib/containerd"),
        ("usr/local/bin/k3s", "/var/lib/rancher"),
        ("usr/bin/kubelet", "/var/lib/kubelet"),
        ("usr/bin/lxc-create", "/var/lib/lxc"),
        ("usr/libexec/incus/incusd", "/var/lib/incus"),
    ],
)
def test_each_by_its_program_also_behind_a_link(shell: Shell, root: Path, program: str, folder: str) -> None:
    (root / "usr/sbin/dockerd").unlink()
    (root / program).parent.mkdir(parents=True, exist_ok=True)
    (root / program).symlink_to("/opt/elsewhere")
    assert list(bound(mount(shell), root)) == [folder]


def test_it_is_filled_once_and_kept(shell: Shell, root: Path) -> None:
    (root / "var/lib/docker").mkdir(parents=True)
    (root / "var/lib/docker/image").write_text("as it is seen")
    (root / "media/root-ro/var/lib/docker").mkdir(parents=True)
    (root / "media/root-ro/var/lib/docker/image").write_text("of the master")
    ended = mount(shell)
    kept = root / "media/root-rw/direct" / DOCKER
    assert (kept / "image").read_text() == "of the master"  # as overlayfs would hide an engine's own marks
    order = [call.split()[0] for call in ended.calls]
    assert order == ["mount", "cp", "sync", "mount"]
    (kept / "image").write_text("since")
    assert bound(mount(shell), root) == {"/var/lib/docker": f"root-rw/direct/{DOCKER}"}
    assert (kept / "image").read_text() == "since"


@pytest.mark.parametrize("why", ["upper", "layer"])
def test_what_the_machine_or_a_layer_changed_is_taken_as_it_is_seen(
    shell: Shell, root: Path, why: str
) -> None:
    for place, text in (("", "seen"), ("media/root-ro/", "of the master")):
        (root / place / "var/lib/docker").mkdir(parents=True)
        (root / place / "var/lib/docker/image").write_text(text)
    changed = root / "media/root-rw/upper/var/lib/docker" if why == "upper" else shell.tmp / "run/lower/1"
    changed.mkdir(parents=True)
    mount(shell)
    assert (root / "media/root-rw/direct" / DOCKER / "image").read_text() == "seen"


def test_a_fill_that_was_cut_off_begins_anew(shell: Shell, root: Path) -> None:
    (root / "var/lib/docker").mkdir(parents=True)
    (root / "media/root-rw/direct/%new/half").mkdir(parents=True)
    mount(shell)
    direct = root / "media/root-rw/direct"
    assert [path.name for path in direct.iterdir()] == [DOCKER]
    assert list((direct / DOCKER).iterdir()) == []


def test_one_that_cannot_be_filled_stays_where_it_was(shell: Shell, root: Path) -> None:
    (root / "var/lib/docker").mkdir(parents=True)
    ended = mount(shell, script="chroot() { echo cp: No space left on device; return 1; }")
    assert "/var/lib/docker stays on overlayfs: cp: No space left on device" in ended.out
    assert bound(ended, root) == {} and list((root / "media/root-rw/direct").iterdir()) == []


def test_a_full_disk_is_no_reason_not_to_start(shell: Shell, root: Path) -> None:
    ended = mount(shell, script="mkdir() { echo mkdir: No space left on device >&2; return 1; }")
    assert "/var/lib/docker stays on overlayfs" in ended.out and bound(ended, root) == {}


@pytest.mark.parametrize("link", ["var", "var/lib/docker"])
def test_behind_a_link_it_is_somebody_elses(shell: Shell, root: Path, link: str) -> None:
    (root / "srv/lib").mkdir(parents=True)
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to("srv")
    ended = mount(shell)
    assert (
        "stays on overlayfs: /var/lib/docker or a folder above it" in ended.out and bound(ended, root) == {}
    )


@pytest.mark.parametrize("there", ["file", "link"])
def test_what_the_machine_put_there_leads_nowhere(shell: Shell, root: Path, there: str) -> None:
    direct = root / "media/root-rw/direct"
    direct.symlink_to("/etc") if there == "link" else direct.write_text("")
    mount(shell)
    assert not direct.is_symlink() and [path.name for path in direct.iterdir()] == [DOCKER]


def test_a_link_as_its_folder_is_made_anew(shell: Shell, root: Path) -> None:
    direct = root / "media/root-rw/direct"
    direct.mkdir()
    (direct / DOCKER).symlink_to("/etc")
    assert bound(mount(shell), root) == {"/var/lib/docker": f"root-rw/direct/{DOCKER}"}
    assert not (direct / DOCKER).is_symlink()


def test_what_is_there_once_is_never_left_out(shell: Shell, root: Path) -> None:
    (root / "media/root-rw/direct" / DOCKER).mkdir(parents=True)
    says(shell)
    script = f"{REFUSE}mount() {{ return 1; }}\nmount_data $ROOT"
    ended = shell(PARTS, script)
    assert ended.code == 9 and "/var/lib/docker cannot be mounted" in ended.out


def test_a_full_overlay_with_a_data_disk_is_no_reason_either(shell: Shell, root: Path, data: Path) -> None:
    (data / "folders" / DOCKER).mkdir()
    (root / "srv/data").mkdir(parents=True)
    full = f'mkdir() {{ case "$*" in *{root}*) echo full >&2; return 1 ;; esac; command mkdir "$@"; }}'
    ended = mount(shell, "/srv/data", script=full)
    assert "/var/lib/docker stays on overlayfs: full" in ended.out
    assert list(bound(ended, root)) == ["/srv/data"]


def test_with_a_data_disk_it_lies_there(shell: Shell, root: Path, data: Path) -> None:
    ended = mount(shell, "/srv/data")
    assert bound(ended, root) == {
        "/var/lib/docker": f"{data}/folders/{DOCKER}", "/srv/data": f"{data}/folders/srv%data"
    }  # fmt: skip
    assert list((root / "media/root-rw/direct").iterdir()) == []


def test_where_it_has_been_it_stays(shell: Shell, root: Path, data: Path) -> None:
    (root / "media/root-rw/direct" / DOCKER).mkdir(parents=True)
    ended = mount(shell, "/srv/data")
    assert bound(ended, root)["/var/lib/docker"] == f"root-rw/direct/{DOCKER}"
    assert not (data / "folders" / DOCKER).exists()


def test_the_seed_moves_it_to_the_data_disk(shell: Shell, root: Path, data: Path) -> None:
    own = root / "media/root-rw/direct" / DOCKER
    own.mkdir(parents=True)
    ended = mount(shell, "/var/lib/docker")
    seen = [call for call in ended.calls if call.endswith(f" {root}/var/lib/docker")]
    assert [call.split()[1] for call in seen] == [str(own), f"{data}/folders/{DOCKER}"]
    assert own.exists()  # it is below what is mounted now
    again = mount(shell, "/var/lib/docker")
    assert bound(again, root) == {"/var/lib/docker": f"{data}/folders/{DOCKER}"}
    assert not own.exists()


def test_one_that_the_seed_names_is_filled_from_the_master_as_well(
    shell: Shell, root: Path, data: Path
) -> None:
    for place, text in (("", "seen"), ("media/root-ro/", "of the master")):
        (root / place / "var/lib/docker").mkdir(parents=True)
        (root / place / "var/lib/docker/image").write_text(text)
    ended = mount(shell, "/var/lib/docker")
    assert bound(ended, root) == {"/var/lib/docker": f"{data}/folders/{DOCKER}"}
    assert (data / "folders" / DOCKER / "image").read_text() == "of the master"


def test_one_that_the_seed_names_comes_up_with_it_or_not_at_all(shell: Shell, root: Path, data: Path) -> None:
    (root / "var/lib/docker").mkdir(parents=True)
    says(shell, "/var/lib/docker")
    ended = shell(PARTS, f"{REFUSE}{BINDS % {'tmp': shell.tmp}}chroot() {{ return 1; }}\nmount_data $ROOT")
    assert ended.code == 9 and "/var/lib/docker cannot be copied to the data disk" in ended.out
    assert list((root / "media/root-rw/direct").iterdir()) == []


def test_what_is_on_the_data_disk_is_hidden_by_nothing_older(shell: Shell, root: Path, data: Path) -> None:
    """As after the system was put back to before it had the disk."""
    (root / "media/root-rw/direct" / DOCKER).mkdir(parents=True)
    (data / "folders" / DOCKER).mkdir()
    ended = mount(shell, "/srv/data")
    assert bound(ended, root)["/var/lib/docker"] == f"{data}/folders/{DOCKER}"


def test_a_data_folder_within_it_is_mounted_after_it(shell: Shell, root: Path, data: Path) -> None:
    ended = mount(shell, "/var/lib/docker/volumes")
    assert list(bound(ended, root)) == ["/var/lib/docker", "/var/lib/docker/volumes"]


def test_a_data_disk_too_small_for_it_is_passed_over(shell: Shell, root: Path, data: Path) -> None:
    (root / "var/lib/docker").mkdir(parents=True)
    full = f'sync() {{ :; }}\nmv() {{ case $3 in {data}/*) return 1 ;; esac; command mv "$@"; }}'
    (data / "folders/srv%data").mkdir()
    ended = mount(shell, "/srv/data", script=full)
    assert bound(ended, root)["/var/lib/docker"] == f"root-rw/direct/{DOCKER}"
    assert [path.name for path in (data / "folders").iterdir()] == ["srv%data"]


def test_what_is_thrown_away_is_in_memory_too(shell: Shell, root: Path) -> None:
    (shell.tmp / "run/memory/upper").mkdir(parents=True)
    assert bound(mount(shell), root) == {"/var/lib/docker": f"{shell.tmp}/run/memory/direct/{DOCKER}"}
    assert not (root / "media/root-rw/direct").exists()
