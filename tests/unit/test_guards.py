"""Guards between commands that work at the same time: who has one keeps others out, who is done lets them in.

Dropped, nothing else would notice before two commands really met; so each is tried by itself.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.errors import Conflict
from skinnybox.fleet import access
from skinnybox.fleet.plan import apply
from skinnybox.fleet.repair import repair
from skinnybox.hosts.local import snapshots, store
from skinnybox.hosts.local.store import Store, write_atomically
from skinnybox.masters import checked, seal, workspace
from skinnybox.masters.catalogue import folder, locked
from skinnybox.model import Instance
from tests.samples import a_master, an_instance

SOON = 0.3
LATER = 60.0


@contextlib.contextmanager
def held(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """By another command: a lock belongs to who opened the file, so this one counts as its."""
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, how)
    yield
    os.close(descriptor)


def is_free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def waits(act: Callable[[], object], path: Path, how: int = fcntl.LOCK_EX) -> bool:
    """Whether it waits for who has the lock, and ends once it is given back."""
    thread = threading.Thread(target=act)
    with held(path, how):
        thread.start()
        thread.join(SOON)
        waited = thread.is_alive()
    thread.join(LATER)
    return waited and not thread.is_alive()


@pytest.fixture
def place(tmp_path: Path) -> tuple[Store, Instance, Path]:
    """A machine's folder in a store."""
    found, instance = Store(tmp_path), an_instance()
    folder = found.folder(instance.uuid)
    folder.mkdir(parents=True)
    return found, instance, folder


def test_one_copies_an_overlay(place: tuple[Store, Instance, Path]) -> None:
    found, instance, folder = place
    for _ in range(2):
        with snapshots.exclusive(found, instance):
            assert not is_free(folder)
        assert is_free(folder)
    with (
        held(folder),
        pytest.raises(Conflict, match="another command copies"),
        snapshots.exclusive(found, instance),
    ):
        pass
    with pytest.raises(ZeroDivisionError), snapshots.exclusive(found, instance):
        raise ZeroDivisionError
    assert is_free(folder)


@pytest.mark.parametrize(
    ("guard", "said"),
    [(apply._exclusive, "another `skinnybox apply`"), (repair._only_one, "another repair or apply")],
)
def test_one_applies_or_repairs(
    tmp_path: Path, guard: Callable[[Path], contextlib.AbstractContextManager[None]], said: str
) -> None:
    for _ in range(2):
        with guard(tmp_path):
            assert not is_free(tmp_path)
        assert is_free(tmp_path)
    with held(tmp_path), pytest.raises(Conflict, match=said), guard(tmp_path):
        pass


def test_masters_are_published_by_one_and_looked_up_by_many(tmp_path: Path) -> None:
    def take(exclusive: bool) -> Callable[[], None]:
        def act() -> None:
            with locked(tmp_path, exclusive=exclusive):
                pass

        return act

    take(False)()
    lock = tmp_path / ".lock"
    assert waits(take(True), lock, fcntl.LOCK_SH) and waits(take(True), lock)
    assert waits(take(False), lock) and not waits(take(False), lock, fcntl.LOCK_SH)
    with locked(tmp_path, exclusive=True):
        assert not is_free(lock)
    assert is_free(lock)


def test_only_what_the_dead_left_is_swept(tmp_path: Path) -> None:
    dead = tmp_path / ".sealing-1-dead"
    dead.mkdir()
    with workspace.workspace(tmp_path, "work") as work:
        assert not dead.exists()
        assert workspace.alive(work) and not is_free(work)
        dead.mkdir()
        workspace.sweep(tmp_path)
        assert work.exists() and not dead.exists()
    assert not work.exists()
    assert waits(lambda: workspace.sweep(tmp_path), tmp_path / ".lock")


def test_a_living_writer_keeps_its_half_of_a_file(tmp_path: Path) -> None:
    file, living, dead = (tmp_path / name for name in ("a.json", ".a.json.1.new", ".a.json.2.new"))
    living.touch()
    dead.touch()
    with held(living):
        write_atomically(file, b"one")
        assert living.exists() and not dead.exists()
    write_atomically(file, b"two")
    assert sorted(tmp_path.iterdir()) == [file] and file.read_bytes() == b"two"


def test_who_writes_is_seen_to_live_until_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, really = tmp_path / "a.json", Path.replace

    def replace(beside: Path, target: Path) -> Path:
        assert not is_free(beside)
        store._remove_dead(beside)
        assert beside.read_bytes() == b"whole"
        return really(beside, target)

    monkeypatch.setattr(Path, "replace", replace)
    write_atomically(file, b"whole")
    assert file.read_bytes() == b"whole"


def test_one_makes_the_fleets_key(tmp_path: Path) -> None:
    """Two would give machines a key whose other half is gone."""
    (tmp_path / ".lock").touch()
    assert waits(lambda: access.own_key(tmp_path), tmp_path / ".lock")
    first = (tmp_path / "id_ed25519").read_bytes()
    assert access.own_key(tmp_path).read_bytes() == first
    (tmp_path / "id_ed25519").unlink()

    def another_was_quicker() -> None:
        access.own_key(tmp_path)

    thread = threading.Thread(target=another_was_quicker)
    with held(tmp_path / ".lock"):
        thread.start()
        thread.join(SOON)
        (tmp_path / "id_ed25519").write_bytes(b"theirs")
    thread.join(LATER)
    assert (tmp_path / "id_ed25519").read_bytes() == b"theirs"


def test_one_reads_a_master_and_the_others_believe_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, marks, read = a_master(), tmp_path / "state" / "marks", list[str]()
    sealed = folder(tmp_path, master)
    sealed.mkdir(parents=True)
    (sealed / "kernel").touch()
    monkeypatch.setattr(checked, "_verify", lambda path, _: read.append(path.name))
    marks.parent.mkdir()
    marks.touch()

    def look() -> None:
        checked.ensure(tmp_path, master, ["kernel"], marks)

    assert waits(look, marks)
    thread = threading.Thread(target=look)
    (sealed / "kernel").write_bytes(b"changed")
    with held(marks):
        thread.start()
        thread.join(SOON)
        marks.write_text(f'{{"kernel": {checked._mark(sealed / "kernel")}}}')
    thread.join(LATER)
    assert read == ["kernel"]


def test_what_is_noted_waits_for_who_writes_there(tmp_path: Path) -> None:
    master, marks = a_master(), tmp_path / "marks"
    sealed = folder(tmp_path, master)
    sealed.mkdir(parents=True)
    for name in ("kernel", "initrd", "root.erofs"):
        (sealed / name).touch()
    marks.touch()
    assert waits(lambda: checked.note(tmp_path, master, marks), marks)
    assert set(checked._read(marks)) == {"kernel", "initrd", "root.erofs"}


def test_a_master_is_published_while_nobody_looks_masters_up(tmp_path: Path) -> None:
    """Who binds a machine to a master, or removes one, must not see it come in between."""
    master, work = a_master(), tmp_path / ".sealing-1-x"
    work.mkdir()
    (tmp_path / ".lock").touch()
    assert waits(lambda: seal.publish(tmp_path, work, master), tmp_path / ".lock", fcntl.LOCK_SH)
    assert folder(tmp_path, master).is_dir() and not work.exists()
