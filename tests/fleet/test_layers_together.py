"""Layers that would hide what is in each other: no machine is made of them, on none of the ways there are."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import SkinnyboxError, Unsupported
from skinnybox.fleet import layers_fit
from skinnybox.fleet.making import LayerRecipe
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.service import Fleet
from skinnybox.masters.index import scan, write_index
from skinnybox.masters.layers import together
from skinnybox.model import Instance
from skinnybox.operation import UNATTENDED
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.test_rebase import two_masters
from tests.layered import planted

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two

Tree = dict[str, str | Path]
"""By their paths the texts of files, and where symlinks lead."""
SITE: Tree = {"srv/site/index.html": "site\n", "srv/site/more": "more\n"}
LINK: Tree = {"srv/site": Path("../opt/site"), "opt/site/own": "own\n"}
APART: dict[str, tuple[Tree, Tree, str]] = {
    "a symlink over a folder": (
        SITE, LINK, "a folder in a:1, and a symlink to ../opt/site in b:1, which would hide that with all",
    ),
    "a folder over a symlink": (
        LINK, SITE, "a symlink to ../opt/site in a:1, and a folder in b:1, which would hide that",
    ),
    "a file over a folder": (
        SITE, {"srv/site": "text"}, "a folder in a:1, and a file in b:1, which would hide that with all",
    ),
    "a folder over a file": (
        {"srv/site": "text"}, SITE, "a file in a:1, and a folder in b:1, which would hide that",
    ),
}  # fmt: skip
TOGETHER: dict[str, tuple[Tree, Tree]] = {
    "files of one folder": (SITE, {"srv/site/index.html": "other\n", "srv/site-2/x": "x"}),
    "a file over a symlink": ({"srv/now": Path("site"), **SITE}, {"srv/now": "a file"}),
    "a symlink over a file": ({"srv/now": "a file"}, {"srv/now": Path("site"), **SITE}),
    "names that begin alike": ({"srv/a/b": "x"}, {"srv/a-b": "x", "srv/a.b/c": "x"}),
}


def grown(folder: Path, tree: Tree) -> Path:
    for name, target in tree.items():
        if isinstance(target, Path):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(target)
    return planted(folder, {name: text for name, text in tree.items() if isinstance(text, str)})


def indexed(folder: Path, tree: Tree) -> Path:
    index = folder.with_suffix(".index")
    write_index(scan(grown(folder, tree), UNATTENDED), index)
    return index


@pytest.fixture
def apart(fleet: Fleet, tmp_path: Path) -> tuple[str, str]:
    for name, tree in (("site", SITE), ("link", LINK)):
        fleet.layers.import_tree(grown(tmp_path / name, tree), f"{name}:1", above="web:1")
    return ("site:1", "link:1")


@pytest.fixture
def early(fleet: Fleet, apart: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Instance:
    """Made by a Skinnybox that did not look."""
    with monkeypatch.context() as before:
        before.setattr(layers_fit, "refuse_apart", lambda *_: None)
        [instance] = fleet.create(["early"], "web:1", replace(SPARSE, layers=apart))
    return instance


def refused(deed: Callable[[], object]) -> SkinnyboxError:
    with pytest.raises(Unsupported, match="the layers site:1 and link:1 do not go together") as caught:
        deed()
    return caught.value


@pytest.mark.parametrize("case", APART)
def test_what_one_would_hide_of_the_other_is_told(tmp_path: Path, case: str) -> None:
    low, top, told = APART[case]
    layers = [("a:1", indexed(tmp_path / "a", low)), ("b:1", indexed(tmp_path / "b", top))]
    with pytest.raises(Unsupported) as caught:
        together.refuse_apart(layers)
    assert f"the layers a:1 and b:1 do not go together: /srv/site is {told}" in caught.value.message
    assert caught.value.hint
    between = ("c:1", indexed(tmp_path / "c", {"srv/zzz": "x"}))
    with pytest.raises(Unsupported, match="a:1 and b:1"):
        together.refuse_apart([layers[0], between, layers[1]])


@pytest.mark.parametrize("case", TOGETHER)
def test_what_a_later_one_may_replace_is_no_matter(tmp_path: Path, case: str) -> None:
    low, top = (indexed(tmp_path / name, tree) for name, tree in zip("ab", TOGETHER[case], strict=True))
    together.refuse_apart([("a:1", low), ("b:1", top)])
    together.refuse_apart([("b:1", top), ("a:1", low)])


def test_no_machine_is_made_of_them(
    fleet: Fleet, state: Path, tmp_path: Path, apart: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    refused(lambda: fleet.create(["a"], "web:1", replace(SPARSE, layers=apart)))
    file = tmp_path / "fleet.yaml"
    file.write_text(
        "version: 1\nfleet: f\ndefaults: {master: 'web:1', sparse: true, layers: ['site:1', 'link:1']}\n"
        "machines:\n  a:\n"
    )
    for words in (
        ("create", "a", "-m", "web:1", "--layer", "site", "--layer", "link"), ("plan", str(file)),
    ):  # fmt: skip
        ended = said(capsys, *words)
        assert ended.code == Unsupported.exit_code, ended
        assert "site:1 and link:1 do not go together: /srv/site is a folder in site:1" in ended.err
        assert "hint: name one of them" in ended.err
    assert fleet.names() == []


def test_no_layer_is_built_on_them(fleet: Fleet, apart: tuple[str, str]) -> None:
    recipe = LayerRecipe(text="scripts: ['true']\n", layers=apart)
    refused(lambda: fleet.layers.build("new:1", recipe, above="web:1"))


def test_a_symlink_over_a_folder_of_the_master_is_no_layer(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="/etc is a folder in web:1, and would be hidden with all that"):
        fleet.layers.import_tree(grown(tmp_path / "bad", {"etc": Path("srv")}), "bad:1", above="web:1")


def test_one_that_has_them_already_goes_on_and_no_other_is_made_of_it(
    fleet: Fleet, tmp_path: Path, early: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(lambda: fleet.deltas.copy("early", ["other"]))
    assert said(capsys, "export", "early", str(tmp_path / "archive")).code == 0
    ended = said(capsys, "create", "other", "--from", str(tmp_path / "archive"), "--new-identity")
    assert ended.code == Unsupported.exit_code and "site:1 and link:1 do not go together" in ended.err
    for outcome in (*fleet.rebases.plans(["early"], "web:2", Wishes()), *rebasing.rebase(fleet, "early")):
        assert isinstance(outcome.error, Unsupported), outcome
    assert fleet.names() == ["early"] and fleet.machine("early").instance == early
    assert [outcome.ok for outcome in fleet.start(["early"])] == [True]
    assert [outcome.ok for outcome in fleet.kill(["early"])] == [True]
    assert [outcome.ok for outcome in fleet.overlays.reset(["early"])] == [True]
