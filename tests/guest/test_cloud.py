"""cloud.sh: a master's own cloud-init acts for user-data, and is off without."""

from pathlib import Path

import pytest

from skinnybox.delta.seed_cloud import SETTINGS
from skinnybox.wire import Line, encode
from tests.guest.conftest import INSTANCE, OTHER, Ended, Shell
from tests.guest.test_seed import PARTS, mode

GZIPPED = bytes(range(256)) * 3
OFF = "etc/cloud/cloud-init.disabled"
SETTINGS_FILE = "etc/cloud/cloud.cfg.d/zzz-skinnybox.cfg"
SEED = "var/lib/cloud/seed/nocloud"


@pytest.fixture
def root(shell: Shell) -> Path:
    root = shell.tmp / "root"
    for name in ("usr/bin", "etc/cloud/cloud.cfg.d"):
        (root / name).mkdir(parents=True)
    (root / "usr/bin/cloud-init").touch()
    return root


def told(
    shell: Shell,
    user_data: bytes | None,
    generation: int = 1,
    *,
    instance: str = INSTANCE,
    name: str = "web-01",
    script: str = "",
) -> Ended:
    lines = [Line("generation", str(generation)), Line("instance", instance), Line("hostname", name)]
    if user_data is not None:
        lines.append(Line("user-data", payload=user_data))
    (shell.tmp / "m").write_bytes(encode("seed", 1, lines))
    apply = f"message_unpack {shell.tmp}/m seed {shell.tmp}/u\nseed_apply {shell.tmp}/u"
    return shell(PARTS, script + apply, stubs=("chown",))


def meta_data(root: Path) -> list[str]:
    return (root / SEED / "meta-data").read_text().splitlines()


def test_without_user_data_it_is_off(shell: Shell, root: Path) -> None:
    (root / "etc/cloud/cloud-init.enabled").touch()  # which would win
    assert told(shell, None).code == 0
    assert (root / OFF).is_file() and not (root / "etc/cloud/cloud-init.enabled").exists()
    assert not (root / SETTINGS_FILE).exists() and not (root / SEED).exists()


def test_a_master_without_it_is_left_alone(shell: Shell, root: Path) -> None:
    (root / "usr/bin/cloud-init").unlink()
    assert told(shell, None).code == 0
    assert not (root / OFF).exists()
    ended = told(shell, b"#cloud-config\n")
    assert ended.code == 1 and "this master has no cloud-init" in ended.out
    assert not (root / "var/lib/cloud").exists()


def test_user_data_is_handed_on_as_it_is(shell: Shell, root: Path) -> None:
    (root / OFF).touch()
    assert told(shell, GZIPPED, 7).code == 0
    assert (root / SEED / "user-data").read_bytes() == GZIPPED
    assert (root / SEED / "vendor-data").read_bytes() == b""
    assert meta_data(root) == [f"instance-id: {INSTANCE}-7", "local-hostname: web-01"]
    assert {mode(path) for path in (root / SEED).iterdir()} == {0o600}
    assert (root / SETTINGS_FILE).read_text() == SETTINGS
    assert not (root / OFF).exists() and not (root / "etc/cloud/ds-identify.cfg").exists()


def test_our_settings_are_the_last(shell: Shell, root: Path) -> None:
    """A later file wins; and both of its programs that look there take names in the order of their bytes."""
    folder = root / "etc/cloud/cloud.cfg.d"
    for name in ("05_logging.cfg", "90_dpkg.cfg", "99-installer.cfg", "subiquity-disable-networking.cfg"):
        (folder / name).touch()
    assert told(shell, b"x").code == 0
    assert sorted(path.name for path in folder.iterdir())[-1] == SETTINGS_FILE.rpartition("/")[2]


def test_a_policy_that_it_is_not_to_run(shell: Shell, root: Path) -> None:
    (root / "etc/cloud/ds-identify.cfg").write_text("policy: disabled\n")
    assert told(shell, b"x").code == 0
    assert "search" in (root / "etc/cloud/ds-identify.cfg").read_text()


def test_it_is_another_instance_only_with_other_user_data(shell: Shell, root: Path) -> None:
    """What it did once, it does again for another instance."""
    for generation, data, name, wanted in (
        (1, b"one", "web-01", f"{INSTANCE}-1"),
        (4, b"one", "web-02", f"{INSTANCE}-1"),
        (5, b"two", "web-02", f"{INSTANCE}-5"),
        (6, b"one", "web-02", f"{INSTANCE}-6"),
        (8, b"one", "web-02", f"{INSTANCE}-6"),
    ):
        assert told(shell, data, generation, name=name).code == 0
        assert meta_data(root) == [f"instance-id: {wanted}", f"local-hostname: {name}"]
    assert told(shell, b"one", 9, instance=OTHER).code == 0
    assert meta_data(root)[0] == f"instance-id: {OTHER}-9", "of a copy"


def test_killed_between_the_two_files_it_is_a_new_instance_all_the_same(shell: Shell, root: Path) -> None:
    assert told(shell, b"one", 1).code == 0
    killed = "message_payload() { exit 7; }\n"
    assert told(shell, b"two", 2, script=killed).code != 0
    assert told(shell, b"two", 2).code == 0
    assert meta_data(root)[0] == f"instance-id: {INSTANCE}-2"
    assert (root / SEED / "user-data").read_bytes() == b"two"


def test_it_goes_off_again_and_its_secrets_with_it(shell: Shell, root: Path) -> None:
    assert told(shell, b"secret").code == 0
    assert told(shell, None, 2).code == 0
    assert (root / OFF).exists() and not (root / SEED).exists()
