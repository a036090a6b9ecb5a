from pathlib import Path

import pytest

from skinnybox.errors import UsageError
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import load
from skinnybox.sandbox import confinement


def environment(tmp_path: Path, text: str, **values: str) -> dict[str, str]:
    folder = tmp_path / "skinnybox"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(text)
    return {"XDG_CONFIG_HOME": str(tmp_path), **values}


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    env = environment(tmp_path, 'memory = "1G"\noverlay = "2G"\ncpus = 2\n', SKINNYBOX_OVERLAY="3G")
    settings = load({**env, "SKINNYBOX_STATE": "/a"}, {"state": "/b", "host": None})
    assert (settings.memory, settings.overlay, settings.cpus) == ("1G", "3G", 2)
    assert (settings.state, settings.host) == (Path("/b"), "qemu")


def test_a_switch_is_true_or_false_in_the_file_and_as_text(tmp_path: Path) -> None:
    assert load(environment(tmp_path, ""), {}).reach
    off = environment(tmp_path, "reach = false\n")
    assert not load(off, {}).reach and load({**off, "SKINNYBOX_REACH": "true"}, {}).reach
    assert not load(environment(tmp_path, "", SKINNYBOX_REACH="false"), {}).reach


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("memroy = '1G'", "the settings file sets 'memroy', which is no setting"),
        ("cpus = 0", "cpus is a whole number"),
        ("cpus = true", "cpus is a whole number"),
        ("memory = 5", "memory is a text"),
        ("state = 5", "state is a text"),
        ("state = ''", "state is the path of a folder, and empty"),
        ("state = ['/a']", "state is a text"),
        ("memory =", "config.toml"),
        ("reach = 1", "reach is true or false"),
        ("reach = 'no'", "reach is true or false"),
        ("confinement = 'none'", "confinement is required or weak"),
        ("accelerator = 'xen'", "accelerator is auto or kvm or tcg"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        load(environment(tmp_path, text), {})


def test_weak_confinement_is_said_and_holds_for_that_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "_weak", False)
    usual = load(environment(tmp_path, f"state = '{tmp_path}'\nhost = 'fake'\n"), {})
    weak = load(environment(tmp_path, f"state = '{tmp_path}'\nhost = 'fake'\nconfinement = 'weak'\n"), {})
    for settings, wanted in ((usual, False), (weak, True), (usual, False)):
        with open_fleet(settings):
            assert confinement._weak is wanted


def test_other_variables_of_that_prefix_are_left_alone(tmp_path: Path) -> None:
    assert load(environment(tmp_path, "", SKINNYBOX_TEST_DIR="x"), {}).host == "qemu"
