"""What the server is put together from: addresses, its key, the systemd unit."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from skinnybox.errors import UsageError
from skinnybox.serve.addresses import Address, parse_address, parse_name, parse_proxy
from skinnybox.serve.certificate import Certificate
from skinnybox.serve.key import signing_key
from skinnybox.serve.process import Serving
from skinnybox.serve.unit import unit
from tests.fleet.conftest import said


def test_addresses() -> None:
    assert parse_address("127.0.0.1:80") == parse_address("localhost:80") == Address("127.0.0.1", 80)
    assert str(parse_address("[::1]:8470")) == str(parse_address("[0:0::1]:8470")) == "[::1]:8470"
    said = {text: parse_address(text).loopback for text in ("127.9.9.9:1", "[::1]:1", "[::]:1", "10.0.0.1:1")}
    assert said == {"127.9.9.9:1": True, "[::1]:1": True, "[::]:1": False, "10.0.0.1:1": False}


def test_names_and_proxies() -> None:
    assert parse_name("Boxes.Example.org.") == "boxes.example.org"
    assert parse_name("::1") == parse_name("[::1]") == "[::1]" and parse_name("192.0.2.1") == "192.0.2.1"
    assert parse_proxy("10.0.0.0/8") == "10.0.0.0/8"
    for wrong in ("", "a b", "-x", "x/y", "é.org", "a..b", "x" * 300, "http://x"):
        with pytest.raises(UsageError):
            parse_name(wrong)
        with pytest.raises(UsageError):
            parse_proxy(wrong)


def test_who_is_a_proxy() -> None:
    how = Serving(proxies=("10.0.0.0/8", "192.0.2.7"))
    assert [how.is_proxy(each) for each in ("10.9.9.9", "192.0.2.7", "192.0.2.8", "::1")] == [
        True, True, False, False
    ]  # fmt: skip
    assert not Serving().is_proxy("127.0.0.1")


def test_what_browsers_are_told_to_open(tmp_path: Path) -> None:
    everywhere = Address("0.0.0.0", 443)
    secure = Certificate(chain=tmp_path, key=tmp_path)
    assert Serving().urls == ["http://127.0.0.1:8470/"]
    assert Serving(listen=(everywhere,), certificate=secure, names=("a.org",)).urls == ["https://a.org:443/"]
    hosts = Serving(listen=(everywhere, Address("::1", 80), Address("192.0.2.1", 1)), names=("A.org",)).hosts
    assert {"a.org", "[::1]", "192.0.2.1", "localhost"} <= hosts and "0.0.0.0" not in hosts


def test_the_key_stays_until_others_may_have_read_it(tmp_path: Path) -> None:
    key = signing_key(tmp_path)
    path = tmp_path / "serve.key"
    assert len(key) == 32 and key == signing_key(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600 and [*tmp_path.iterdir()] == [path]
    path.chmod(0o640)
    other = signing_key(tmp_path)
    assert other != key and path.stat().st_mode & 0o777 == 0o600
    for content in (b"", b"short", b"x" * 1000):
        path.write_bytes(content)
        assert signing_key(tmp_path) not in (other, content) and len(path.read_bytes()) == 32


WITH_ALL = (
    "serve", "--unit", "--listen", "0.0.0.0:443", "--tls-cert", "a b/chain.pem", "--tls-key", "/k%y.pem",
    "--host-name", "boxes.example.org", "--tls-min", "1.3",
)  # fmt: skip


def verified(text: str, folder: Path) -> None:
    """By systemd itself; what it knows nothing of, such as our program's place, is made first."""
    file = folder / "skinnybox-serve.service"
    file.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", text))
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if file.name in line and "man " not in line]
    assert done.returncode == 0 and not ours, done.stderr


needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")


@needs_systemd
@pytest.mark.parametrize("root", [True, False])
def test_systemd_understands_the_unit(tmp_path: Path, root: bool) -> None:
    words = ["--host-name=a$b%c", '--socket=/a "b"']
    verified(unit("/bin/true", "/var/lib/skinny box", ["--state=/x y"], words, root=root), tmp_path)


def test_the_unit_makes_what_it_is_to_write_to() -> None:
    """systemd has no namespace for a folder that is not there: it started nothing, and tried for ever. And a
    socket elsewhere was to be made on a file system that is read-only. `$` is doubled in commands only."""
    lines = unit("/bin/true", "/srv/a$b%c d", [], [], root=True, socket="/run/skinny/api.sock").splitlines()
    assert 'ExecStartPre=+/bin/mkdir -p "/srv/a$$b%%c d" /run/skinny' in lines
    assert 'ReadWritePaths="-/srv/a$b%%c d" -/run/skinny' in lines
    assert 'RequiresMountsFor="/srv/a$b%%c d"' in lines
    of_a_user = unit("/bin/true", "/srv/a", [], [], root=False, socket="/run/skinny/api.sock")
    assert "mkdir" not in of_a_user and "ReadWritePaths" not in of_a_user


@needs_systemd
def test_systemd_finds_it_guarded(tmp_path: Path) -> None:
    file = tmp_path / "skinnybox-serve.service"
    file.write_text(unit("/bin/true", "/var/lib/skinnybox", [], [], root=True))
    words = ["systemd-analyze", "security", "--offline=true", "--threshold=72", str(file)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_unit_serves_as_was_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    shown = said(capsys, "--state", "/srv/boxes", "--host", "fake", *WITH_ALL)
    [line] = [line for line in shown.out.splitlines() if line.startswith("ExecStart=")]
    assert line.partition(" ")[2] == (
        f"--state=/srv/boxes --host=fake serve --listen=0.0.0.0:443 --host-name=boxes.example.org "
        f'"--tls-cert={tmp_path}/a b/chain.pem" --tls-key=/k%%y.pem --tls-min=1.3'
    )
    assert "ReadWritePaths=-/srv/boxes\n" in shown.out and "WantedBy=multi-user.target" in shown.out
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    of_a_user = said(capsys, "--state", "/srv/boxes", "serve", "--unit").out
    assert "Protect" not in of_a_user and "WantedBy=default.target" in of_a_user
