"""What may lie on a data disk, and how much of it."""

import pytest

from skinnybox.errors import UsageError
from skinnybox.model import Allocation, DataDisk
from skinnybox.model.datadisk import DEFAULT_FOLDER, check, check_folder, data_disk, widened
from skinnybox.sizes import GIB, MIB


def test_it_is_whole_with_its_folders_in_order() -> None:
    made = data_disk(64 * MIB + 1, ["/srv/data", "/home", "/home"], Allocation.SPARSE)
    assert made == DataDisk(size=65 * MIB, folders=("/home", "/srv/data"), allocation=Allocation.SPARSE)


def test_without_a_folder_it_is_a_usual_one() -> None:
    assert data_disk(GIB).folders == (DEFAULT_FOLDER,)


@pytest.mark.parametrize("size", [0, 31 * MIB, 1 << 51])
def test_a_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match="a data disk's size"):
        data_disk(size)


@pytest.mark.parametrize(
    "folder",
    ["", "/", "data", "/a/", "//a", "/a//b", "/a/../b", "/..", "/a/.", "/a b", "/a\nb", "/ä", "/a%b", "/a\\b",
     "/" + "a" * 200],
)  # fmt: skip
def test_what_is_no_folder_is_refused(folder: str) -> None:
    with pytest.raises(UsageError, match="no folder for a data disk"):
        check_folder(folder)


@pytest.mark.parametrize(
    "folder",
    ["/etc", "/etc/mysql", "/usr", "/usr/lib", "/usr/localx", "/var", "/var/lib", "/var/lib/dpkg",
     "/var/lib/dpkg/info", "/var/lib/skinnybox", "/media", "/media/root-rw", "/run/x", "/proc", "/tmp/a"],
)  # fmt: skip
def test_the_systems_own_is_refused(folder: str) -> None:
    """It would outlive the system that it belongs to; or hide it."""
    with pytest.raises(UsageError, match="is of the system"):
        check_folder(folder)


@pytest.mark.parametrize(
    "folder",
    ["/var/lib/mysql", "/srv/data", "/data", "/home", "/root", "/opt/app", "/usr/local", "/usr/local/share",
     "/var/lib/dpkg-backup", "/media/usb", "/etcetera", "/a..b/.c", "/var/log"],
)  # fmt: skip
def test_all_else_may_be_on_it(folder: str) -> None:
    assert check_folder(folder) == folder


@pytest.mark.parametrize("folders", [["/srv", "/srv/data"], ["/a/b/c", "/a"]])
def test_one_in_another_is_refused(folders: list[str]) -> None:
    with pytest.raises(UsageError, match="only one of them"):
        data_disk(GIB, folders)


def test_names_that_only_begin_alike_are_apart() -> None:
    assert data_disk(GIB, ["/srv", "/srv2"]).folders == ("/srv", "/srv2")


@pytest.mark.parametrize("folders", [(), tuple(f"/d{number}" for number in range(33)), ("/a", "/a")])
def test_as_many_as_can_be(folders: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        check(DataDisk(size=GIB, folders=folders))


def test_widened_never_takes_anything() -> None:
    has, more = data_disk(GIB, ["/a"]), data_disk(2 * GIB, ["/a", "/b"])
    assert widened(has, more) == data_disk(GIB, ["/a", "/b"])
    for other in (["/b"], ["/a/below"]):  # a plan says that /a stays, and nothing else comes of it
        assert widened(has, data_disk(GIB, other)) == has
    assert widened(has, None) == has == widened(None, has)
    assert widened(None, None) is None
