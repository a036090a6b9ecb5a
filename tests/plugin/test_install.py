"""install.sh on something that looks like dom0, under both shells; package.sh; the RPM's specification."""

import os
import sys
from pathlib import Path

import pytest
import XenAPI

from skinnybox import run
from skinnybox.errors import CommandFailed
from tests.emulators.xapi.plugins import DOM0
from tests.plugin.conftest import PLUGIN

FOLDER = PLUGIN.parent
SHELLS = (["dash"], ["busybox", "sh"])


@pytest.fixture(params=SHELLS, ids=lambda words: words[0])
def shell(request: pytest.FixtureRequest) -> list[str]:
    return list(request.param)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A root with a plugin folder, and a `bin` with the Pythons of a dom0 of today."""
    (tmp_path / "etc/xapi.d/plugins").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(sys.executable)
    for name in ("python", "python2"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def install(shell: list[str], host: Path, *words: str, modules: bool = True) -> str:
    sdk = Path(XenAPI.__file__).parents[1]
    env = {
        "PATH": f"{host / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{DOM0}:{sdk}" if modules else "",
        "XAPI_EMULATOR": "http://127.0.0.1:9",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = run.run([*shell, FOLDER / "install.sh", "--root", host, *words], env=env, ok=range(256))
    if done.returncode:
        raise CommandFailed(done.stderr.decode(), returncode=done.returncode)
    return done.stdout.decode()


def plugin(host: Path) -> Path:
    return host / "etc/xapi.d/plugins/skinnybox"


def test_install_check_uninstall(shell: list[str], host: Path) -> None:
    assert "installed, for python3" in install(shell, host)
    assert plugin(host).stat().st_mode & 0o777 == 0o755
    assert plugin(host).read_text().splitlines()[1:] == PLUGIN.read_text().splitlines()[1:]
    assert "runs under python3" in install(shell, host, "--check")
    assert "installed" in install(shell, host)  # an upgrade
    assert [each.name for each in plugin(host).parent.iterdir()] == ["skinnybox"]
    assert "gone" in install(shell, host, "--uninstall")
    assert sorted(each.name for each in (host / "etc/xapi.d").iterdir()) == ["plugins"]
    assert list(plugin(host).parent.iterdir()) == []


def test_the_shebang_is_of_the_python_that_has_xapis_modules(shell: list[str], host: Path) -> None:
    """As up to XCP-ng 8.2, whose python3, if there is one, has none of them."""
    (host / "bin/python").unlink()
    (host / "bin/python").symlink_to(sys.executable)
    (host / "bin/python3").unlink()
    (host / "bin/python3").write_text("#!/bin/sh\nexit 1\n")
    (host / "bin/python3").chmod(0o755)
    install(shell, host)
    assert plugin(host).read_text().startswith("#!/usr/bin/env python\n")


def test_what_cannot_be_installed(shell: list[str], host: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="has the modules XenAPI and XenAPIPlugin"):
        install(shell, host, modules=False)
    with pytest.raises(CommandFailed, match="python2 does not run"):
        install(shell, host, "--python", "python2")
    with pytest.raises(CommandFailed, match="not installed"):
        install(shell, host, "--check")
    with pytest.raises(CommandFailed, match="not installed"):
        install(shell, host, "--uninstall")
    with pytest.raises(CommandFailed, match="not known"):
        install(shell, host, "--frobnicate")
    with pytest.raises(CommandFailed, match="--python needs a value"):
        install(shell, host, "--python")
    plugin(host).parent.rmdir()
    with pytest.raises(CommandFailed, match="control domain"):
        install(shell, host)
    assert [each.name for each in (host / "etc/xapi.d").iterdir()] == []


def test_check_sees_a_broken_plugin(shell: list[str], host: Path) -> None:
    install(shell, host)
    plugin(host).write_text("#!/usr/bin/env python3\nprint('hello')\n")
    with pytest.raises(CommandFailed, match="answers something else: hello"):
        install(shell, host, "--check")


def test_the_tarball_is_the_same_every_time(tmp_path: Path) -> None:
    """And holds what is installed from it."""
    made = []
    for name in ("one", "two"):
        run.run([FOLDER / "package.sh", tmp_path / name], env={"PATH": "/usr/bin:/bin"})
        (tarball,) = (tmp_path / name).glob("*.tar.gz")
        made.append(tarball.read_bytes())
    assert made[0] == made[1]
    listed = run.run(["tar", "-tzf", tarball]).stdout.decode().split()
    names = {each.partition("/")[2] for each in listed}
    assert {"skinnybox", "install.sh", "LICENSE", "skinnybox-xenserver.spec"} <= names


@pytest.mark.skipif(run.find("rpmbuild") is None, reason="rpmbuild is not installed: apt install rpm")
def test_the_rpm_holds_the_plugin(tmp_path: Path) -> None:
    run.run([FOLDER / "package.sh", tmp_path])
    (package,) = tmp_path.glob("*.rpm")
    told = run.run(["rpm", "-qp", "--qf", "[%{FILENAMES} %{FILEMODES:perms}\n]", package]).stdout.decode()
    assert "/etc/xapi.d/plugins/skinnybox -rwxr-xr-x\n" in told
