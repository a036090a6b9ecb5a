from pathlib import Path

import pytest

from skinnybox.cli.main import run_command
from skinnybox.errors import NotFound, UsageError
from skinnybox.masters.recipe import Copy, Recipe, load, parse
from skinnybox.model import ImageFormat

FULL = """\
suite: trixie
mirror: http://deb.example/debian
components: [main, contrib]
packages:
  - apache2
  - php8.4
  - libfoo=1.2-3
kernel: linux-image-amd64
slim: true
dax: true
image_format: ext4
copy:
  - {source: site, dest: /srv/site, mode: 0750, owner: "www-data:www-data"}
  - source: site/index.html
    dest: /srv/index.html
scripts:
  - a2enmod rewrite
  - file: set up.sh
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").touch()
    (tmp_path / "set up.sh").write_text("#!/bin/bash\ntrue\n")
    return tmp_path / "lamp.yaml"


def test_a_full_recipe(recipe: Path) -> None:
    recipe.write_text(FULL)
    assert load(recipe) == Recipe(
        suite="trixie",
        mirror="http://deb.example/debian",
        components=("main", "contrib"),
        packages=("apache2", "php8.4", "libfoo=1.2-3"),
        kernel="linux-image-amd64",
        slim=True,
        dax=True,
        image_format=ImageFormat.EXT4,
        copy=(
            Copy(source=recipe.parent / "site", dest="/srv/site", mode=0o750, owner="www-data:www-data"),
            Copy(source=recipe.parent / "site/index.html", dest="/srv/index.html"),
        ),
        scripts=("a2enmod rewrite", "#!/bin/bash\ntrue\n"),
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_an_empty_recipe_is_all_defaults(recipe: Path, text: str) -> None:
    assert parse(text, recipe) == Recipe()


def test_every_mistake_is_named_with_its_line(recipe: Path) -> None:
    text = """\
suite: Trixie!
package: [x]
packages: [good, "bad one", -x]
slim: maybe
image_format: erofs-plain
copy:
  - {source: nowhere, dest: relative, mode: 9, owner: "a b"}
  - {source: site}
scripts:
  - {file: gone.sh}
slim: true
"""
    with pytest.raises(UsageError) as caught:
        parse(text, recipe)
    lines = [line.partition(", line ")[2].partition(":")[0] for line in caught.value.message.splitlines()]
    assert lines == ["1", "2", "3", "3", "4", "5", "7", "7", "7", "7", "8", "10"]
    assert "'package' is not known" in caught.value.message
    assert "packages" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("- a\n- b\n", 1), ("packages: [a\n", 2), ("packages: x\n", 1), ("\nsuite: [a]\n", 2),
        ("just text", 1),
        ("slim: true\nslim: true\n", 2), ("copy: [{source: site, dest: /a/../../b}]", 1),
        ("? [a]\n: b\n", 1), ("scripts: ['']", 1),
    ],
)  # fmt: skip
def test_what_is_no_recipe(recipe: Path, text: str, line: int) -> None:
    with pytest.raises(UsageError, match=f"line {line}"):
        parse(text, recipe)


def test_a_missing_recipe(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load(tmp_path / "none.yaml")


def test_a_script_that_is_no_text_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "set-up").write_bytes(b"\x7fELF\xff\xfe")
    (tmp_path / "recipe.yaml").write_text("slim: true\nscripts:\n  - {file: set-up}\n")
    with pytest.raises(UsageError, match=r"line 3: .*set-up cannot be read as text"):
        load(tmp_path / "recipe.yaml")


@pytest.mark.parametrize(
    "wrong",
    [
        {"suite": ""},
        {"suite": "--help"},
        {"suite": "book worm"},
        {"suite": "../x"},
        {"packages": ("",)},
        {"packages": ("apache2,--include=x",)},
        {"packages": ("-x",)},
        {"packages": ("a b",)},
        {"packages": ("php\n",)},
        {"kernel": "linux image"},
        {"mirror": "deb.example"},
        {"components": ("main contrib",)},
        {"sources": ("deb http://x y z\nTrusted: yes",)},
    ],
    ids=str,
)
def test_what_is_said_beside_a_recipe_is_checked_as_in_it(
    tmp_path: Path, wrong: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r" is not (a |one )"):
        Recipe(**wrong)  # type: ignore[arg-type]
    options = {"suite": "--suite", "packages": "--package"}
    for key in options.keys() & wrong.keys():
        value = wrong[key] if isinstance(wrong[key], str) else wrong[key][0]  # type: ignore[index]
        assert (
            run_command(["--state", str(tmp_path), "master", "build", "x:1", f"{options[key]}={value}"]) == 2
        )
        assert " is not a" in capsys.readouterr().err and not list(tmp_path.glob("masters/*"))
