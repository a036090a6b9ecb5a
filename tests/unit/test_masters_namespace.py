"""Who may make masters, and what stands in the way of who may not."""

import os
import pwd
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Unsupported
from skinnybox.masters import build, namespace
from skinnybox.masters.recipe import Recipe
from skinnybox.operation import Operation

IDS = "root:100000:65536\n"


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user, whose name is that of root."""
    root = pwd.getpwuid(0)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: root)


def test_root_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert not namespace.needed()
    namespace.require_root()


@pytest.mark.usefixtures("ordinary")
def test_an_ordinary_user_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="only root") as caught:
        build.build(Recipe(), store=tmp_path / "masters", name="a", version="1", operation=Operation())
    assert caught.value.hint
    assert not list(tmp_path.glob("masters/.work-*"))


@pytest.mark.usefixtures("ordinary")
@pytest.mark.parametrize(
    ("uids", "gids", "said"),
    [
        (IDS, IDS, None),
        ("1000:100000:65536\n", IDS, None),
        ("root:1:9\nroot:100000:65536\n", IDS, None),
        ("root:100000:65535\n", IDS, "/etc/subuid"),
        (IDS, "other:100000:65536\n", "/etc/subgid"),
        (IDS, "", "/etc/subgid"),
    ],
)
def test_why_a_namespace_is_not_to_be_had(
    monkeypatch: pytest.MonkeyPatch, uids: str, gids: str, said: str | None
) -> None:
    read, exists = Path.read_text, Path.exists
    files = {"/etc/subuid": uids, "/etc/subgid": gids}
    monkeypatch.setattr(run, "find", lambda name: Path("/usr/bin") / name)
    monkeypatch.setattr(Path, "read_text", lambda path: files.get(str(path)) or read(path))
    monkeypatch.setattr(
        Path, "exists", lambda path: bool(files[str(path)]) if str(path) in files else exists(path)
    )
    monkeypatch.setattr(namespace, "_works", lambda: True)
    found = namespace.why_not()
    assert found is None if said is None else found is not None and said in found
    monkeypatch.setattr(run, "find", lambda name: None if name == "newgidmap" else Path("/usr/bin") / name)
    assert "install the package uidmap" in (namespace.why_not() or "")


def test_the_words_that_make_one() -> None:
    assert namespace.argv_prefix() == [
        "unshare", "--user", "--map-root-user", "--map-auto", "--mount", "--fork", "--kill-child", "--"
    ]  # fmt: skip
