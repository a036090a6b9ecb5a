"""A machine becomes a master, and that is edited: what is made of them boots, and is nobody else's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.cli.main import run_command
from skinnybox.errors import SkinnyboxError
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.model import SeedFile, SeedUser
from tests.boot.conftest import CACHE, Create
from tests.image.debs import deb

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]
SECRET = "hunter2"
HASH = f"$6${SECRET}$abc"
IDENTITY = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub /etc/hostname; hostname"
SCRIPT = f"""#!/bin/sh -eu
test "$(id -u)" = 0
dpkg --audit
grep -q '^own:x:[123]..:' /etc/passwd
! grep -rl {SECRET} /etc /root /var/lib /srv /home
echo edited >/srv/edited
echo out; echo err >&2
"""


@pytest.mark.full
@pytest.mark.usefixtures("masters")
def test_what_was_installed_is_in_every_machine_of_the_new_master(
    fleet: Fleet,
    create: Create,
    up: Up,
    down: Down,
    sh: Sh,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    postinst = "useradd --system --user-group own\nmkdir /srv/own\nchown own:own /srv/own\n"
    package = deb(
        tmp_path, "own-tool", "1", {"usr/bin/own-tool": "#!/bin/sh\necho tool\n", "etc/own.conf": "a=1\n"},
        control={"postinst": postinst}, conffiles=("etc/own.conf",),
    )  # fmt: skip
    create(
        "source",
        files=(SeedFile(path="/etc/own.key", content=SECRET.encode(), mode=0o600),),
        users=(SeedUser(name="root", password_hash=HASH),),
    )
    up("source")
    fleet.remote.send("source", [package], "/root/")
    sh(
        "source",
        "dpkg -i /root/*.deb >/dev/null 2>&1; rm /root/*.deb; echo a=2 >/etc/own.conf; echo hello >/etc/motd",
    )
    sh(
        "source",
        f"echo {SECRET} >/root/.bash_history; rm /usr/share/common-licenses/Artistic; mkdir -p /etc/new/dir",
    )
    before = sh("source", IDENTITY).split()
    with pytest.raises(SkinnyboxError, match="half written"):
        fleet.deltas.promote("source", "promoted:1")
    down("source")
    promoted = fleet.deltas.promote("source", "promoted:1")
    assert fleet.deltas.promote("source", "promoted:1") == promoted

    script = tmp_path / "script"
    script.write_text(SCRIPT)
    capfd.readouterr()
    words = [
        "--state",
        str(CACHE),
        "master",
        "edit",
        "promoted:1",
        "--as",
        "promoted:2",
        "--run",
        str(script),
    ]
    assert run_command(words) == 0
    said = capfd.readouterr()
    assert said.out.startswith("out\npromoted:2: sealed, ") and "err\n" in said.err
    assert fleet.names() == ["source"]

    create("of-both", master="promoted:2")
    up("of-both")
    assert sh("of-both", "own-tool; cat /etc/own.conf /etc/motd /srv/edited") == "tool\na=2\nhello\nedited\n"
    assert sh("of-both", "dpkg --audit; dpkg -s own-tool | grep ^Status; stat -c '%U %G' /srv/own") == (
        "Status: install ok installed\nown own\n"
    )
    assert (
        sh("of-both", "ls -d /etc/new/dir; ls /usr/share/common-licenses | grep -c Artistic || :")
        == "/etc/new/dir\n0\n"
    )
    assert sh("of-both", f"grep -rl {SECRET} /etc /root /var /srv /home || :") == ""
    assert not set(before) & set(sh("of-both", IDENTITY).split()) - {"ssh-ed25519", "skinnybox"}
    assert sh("of-both", "systemctl is-system-running || systemctl --failed --no-legend").strip() == "running"
