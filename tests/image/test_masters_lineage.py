"""Requirements: mkfs.erofs; root, or root of a namespace."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, NotFound, UsageError
from skinnybox.masters import catalogue, namespace
from skinnybox.masters.accounts import accounts
from skinnybox.masters.imports import import_tree
from skinnybox.masters.lineage import follow, predecessor, refuse_moved
from skinnybox.masters.system.kept import system_of
from skinnybox.model import Master
from skinnybox.operation import Operation

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(namespace.needed(), reason="needs root, or root of a namespace"),
]
Sealed = Callable[..., Master]


def _tree(folder: Path, **numbers: int) -> Path:
    """Users of these names and numbers, their groups fifty above, and a file of each."""
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/passwd").write_text(
        "".join(f"{a}:x:{n}:{n + 50}::/:/bin/sh\n" for a, n in numbers.items())
    )
    (folder / "etc/group").write_text("".join(f"{a}:x:{n + 50}:\n" for a, n in numbers.items()))
    for name, number in numbers.items():
        (folder / name).write_text(name)
        os.chown(folder / name, number, number + 50)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "masters"


@pytest.fixture
def sealed(tmp_path: Path, store: Path) -> Sealed:
    (tmp_path / "vmlinuz-6.1").write_text("kernel")
    kernel = tmp_path / "vmlinuz-6.1"

    def make(tree: Path, name: str = "web", version: str = "1", **options: str | bool) -> Master:
        return import_tree(
            tree, store=store, name=name, version=version, as_is=True, kernel=kernel, initrd=kernel,
            allow_foreign=True, operation=Operation(), **options,  # type: ignore[arg-type]
        )  # fmt: skip

    return make


def test_the_accounts_of_a_sealed_master(tmp_path: Path, store: Path, sealed: Sealed) -> None:
    tree = _tree(
        tmp_path / "tree", **{f"service-{n}": n for n in range(100, 900)}
    )  # its file is a packed one
    assert system_of(store, sealed(tree)).accounts == accounts(tree)


def test_a_sealed_master_whose_passwd_is_no_file(tmp_path: Path, store: Path, sealed: Sealed) -> None:
    tree = _tree(tmp_path / "tree", a=100)
    (tree / "etc/passwd").unlink()
    (tree / "etc/passwd").symlink_to("/etc/passwd")
    found = system_of(store, sealed(tree)).accounts
    assert found.users == ()
    assert found.gids() == {"a": 150}


def test_whom_a_master_follows(tmp_path: Path, store: Path, sealed: Sealed) -> None:
    assert predecessor(store, "web", "1") is None
    sealed(_tree(tmp_path / "one", a=101))
    sealed(_tree(tmp_path / "other", a=102), name="db")
    sealed(_tree(tmp_path / "two", a=101, b=103), version="2")
    named = {
        reference: {} if found is None else {"it": found.reference, **found.accounts.uids()}
        for reference, found in (
            ("newest", predecessor(store, "web", "3")),
            ("itself", predecessor(store, "web", "1")),
            ("told", predecessor(store, "web", "3", after="db")),
            ("unrelated", predecessor(store, "web", "3", unrelated=True)),
            ("first", predecessor(store, "new", "1")),
        )
    }
    assert named == {
        "newest": {"it": "web:2", "a": 101, "b": 103},
        "itself": {"it": "web:1", "a": 101},
        "told": {"it": "db:1", "a": 102},
        "unrelated": {},
        "first": {},
    }
    with pytest.raises(NotFound, match="gone"):
        predecessor(store, "web", "3", after="gone")
    with pytest.raises(UsageError):
        predecessor(store, "web", "3", after="db", unrelated=True)


def test_a_tree_follows(tmp_path: Path, store: Path, sealed: Sealed) -> None:
    sealed(_tree(tmp_path / "old", sshd=101, gone=102))
    tree = _tree(tmp_path / "new", redis=101, sshd=102)
    said: list[str] = []
    before = predecessor(store, "web", "2")
    follow(tree, before, Operation(log=said.append))
    assert accounts(tree).uids() == {"redis": 100, "sshd": 101}
    assert accounts(tree).gids() == {"redis": 100, "sshd": 151}
    assert [(tree / "sshd").stat().st_uid, (tree / "sshd").stat().st_gid] == [101, 151]
    assert [(tree / "redis").stat().st_uid, (tree / "redis").stat().st_gid] == [100, 100]
    assert said == [
        "as in web:1: user sshd 102 -> 101, group sshd 152 -> 151, user redis 101 -> 100, "
        "group redis 151 -> 100; 2 files got other owners",
        "accounts of web:1 that are gone: user gone (102), group gone (152)",
    ]
    follow(tree, before, Operation(log=said.append))
    assert len(said) == 3


def test_as_it_is_nothing_is_changed_and_a_moved_number_is_refused(
    tmp_path: Path, store: Path, sealed: Sealed
) -> None:
    sealed(_tree(tmp_path / "old", sshd=101))
    tree = _tree(tmp_path / "new", sshd=102)
    with pytest.raises(Conflict, match="other numbers than in web:1: user sshd 102 -> 101") as caught:
        sealed(tree, version="2")
    assert caught.value.hint is not None and "--unrelated" in caught.value.hint
    assert len(catalogue.masters(store)) == 1
    assert accounts(tree).uids() == {"sshd": 102}
    assert sealed(tree, version="2", unrelated=True).reference == "web:2"
    said: list[str] = []
    refuse_moved(_tree(tmp_path / "empty"), predecessor(store, "web", "3"), Operation(log=said.append))
    assert said == ["accounts of web:2 that are gone: user sshd (102), group sshd (152)"]


def test_the_same_import_twice_is_one_master(tmp_path: Path, sealed: Sealed) -> None:
    """Also when a later version has other numbers."""
    first = sealed(_tree(tmp_path / "old", sshd=101))
    sealed(_tree(tmp_path / "new", sshd=102), version="2", unrelated=True)
    assert sealed(tmp_path / "old") == first
