"""docs/reference/settings.md tells every setting, and what `create` takes from them."""

import ast
import json
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings, load
from tests.fleet.conftest import said

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "settings.md").read_text()
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVzZXItZm9yLXRoZS10ZXN0cy1vbmx5LTAwMDA= somebody"


def rows() -> dict[str, tuple[str, str]]:
    """Key to variable and default."""
    found: dict[str, tuple[str, str]] = {}
    for line in re.findall(r"^\| (`.*)\|$", PAGE.split("\n## ")[0], re.MULTILINE):
        cells = [re.findall(r"`([^`]+)`", cell) or [cell.strip()] for cell in line.split(" | ")]
        if len(cells) == 4:
            keys, variables, defaults, _ = cells
            found |= {k: (v, d) for k, v, d in zip(keys, variables, defaults, strict=len(keys) > 1)}
    return found


def test_each_setting_stands_there_with_its_variable_and_default() -> None:
    told = rows()
    assert set(told) == {field.name for field in fields(Settings)}
    for field in fields(Settings):
        variable, default = told[field.name]
        assert variable == f"SKINNYBOX_{field.name.upper()}"
        if field.default is MISSING or field.default in (None, ()):
            continue
        text = str(field.default)
        assert default == (text.lower() if isinstance(field.default, bool) else text)


def test_so_does_each_variable_that_is_looked_at_anywhere() -> None:
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"(?:SKINNYBOX_[A-Z_]*[A-Z]|XDG_[A-Z]+_HOME|NO_COLOR)", node.value))
    assert {"SKINNYBOX_XAPI_PASSWORD_FILE", "NO_COLOR", "XDG_CACHE_HOME"} <= found
    assert {name for name in found if f"`{name}`" not in PAGE} == set()


def test_what_the_page_shows_is_understood(tmp_path: Path) -> None:
    for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL):
        folder = tmp_path / "skinnybox"
        folder.mkdir(exist_ok=True)
        (folder / "config.toml").write_text(text)
        settings = load({"XDG_CONFIG_HOME": str(tmp_path)}, {})
        assert settings.master == "lamp" and settings.ssh_key[0].name == "id_ed25519.pub"


@pytest.fixture
def config(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    file = tmp_path / "config" / "skinnybox" / "config.toml"
    file.parent.mkdir(parents=True)
    return file


def test_create_takes_what_its_options_leave_open(
    fleet: Fleet, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = said(capsys, "create", "a", "--sparse")
    assert heard.code == 2 and "no master is named" in heard.err
    assert "hint: --master NAME; there are: tiny:1\n" in heard.err
    key, other = tmp_path / "key.pub", tmp_path / "other.pub"
    key.write_text(KEY)
    other.write_text(KEY.replace("somebody", "else"))
    config.write_text(f'master = "tiny"\nssh_key = ["{key}"]\nnetwork = "restricted"\n')
    assert said(capsys, "create", "a", "--sparse").code == 0
    instance = fleet.machine("a").instance
    assert instance.network == "restricted" and KEY in instance.seed.authorized_keys
    assert said(capsys, "create", "b", "--sparse", "--network", "open", "--ssh-key", str(other)).code == 0
    instance = fleet.machine("b").instance
    assert instance.network == "open" and KEY not in instance.seed.authorized_keys
    assert said(capsys, "create", "c", "--sparse", "-m", "nothing").code == 3
    [found] = json.loads(said(capsys, "list", "a", "--format", "json").out)
    assert found["network"] == "restricted"


WRONG = {
    'network = "wire"': "network is passt or restricted or open or bridge",
    'network = "bridge"': "go together, also in the settings",
    'network = "open"\nbridge = "br0"': "go together, also in the settings",
    "ssh_key = 5": "ssh_key is the path of a file, or a list of such",
    "ssh_key = ['']": "ssh_key is the path of a file, or a list of such",
    "ssh_key = '/none/key.pub'": "/none/key.pub: no such file",
    "master = ''": "master is empty",
    "master = ['a']": "master is a text",
    "masters = 'tiny'": "did you mean master",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_makes_no_sense_is_refused(
    fleet: Fleet, config: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(text if "master" in text else f"master = 'tiny'\n{text}")
    heard = said(capsys, "create", "a", "--sparse")
    assert heard.code == (3 if "no such file" in WRONG[text] else 2) and WRONG[text] in heard.err
    assert fleet.names() == []
