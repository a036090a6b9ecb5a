"""What a rebase leaves to a Debian's first start: done before its network and its services, once, and told.

The database of packages is altered by hand here, as the host alters it: a package that is unpacked, and was
configured in another version.
"""

from collections.abc import Callable

import pytest

from skinnybox.errors import GuestFailed
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.model import RebaseTasks
from tests.boot.conftest import MOST_SECONDS, Create
from tests.boot.test_hostile import until
from tests.pace import within

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]

CHECK = r"""n=$(cat /run/tries 2>/dev/null || echo 0)
echo $((n + 1)) >/run/tries
echo "try $((n + 1))"
test "$n" -ge 2"""

UNPACKED = r"""
cat >/usr/lib/systemd/system/demo.service <<'END'
[Service]
ExecStart=/usr/bin/sleep infinity
[Install]
WantedBy=multi-user.target
END
cat >/var/lib/dpkg/info/demo.postinst <<'END'
#!/bin/sh
set -e
echo "postinst $*" >>/root/said
cat /proc/[0-9]*/comm | grep -c -x -e sshd -e systemd-network >>/root/said || true
ip -o -4 address show scope global | wc -l >>/root/said
deb-systemd-helper enable demo.service
systemctl --system daemon-reload
deb-systemd-invoke start demo.service
systemctl restart demo.service
invoke-rc.d ssh restart
service ssh restart
echo after >>/root/said
END
chmod 0755 /var/lib/dpkg/info/demo.postinst
printf '%s\n' /. /usr /usr/lib /usr/lib/systemd /usr/lib/systemd/system /usr/lib/systemd/system/demo.service \
    >/var/lib/dpkg/info/demo.list
cat >>/var/lib/dpkg/status <<'END'
Package: demo
Status: install ok unpacked
Priority: optional
Section: admin
Maintainer: A <a@b.example>
Architecture: all
Version: 2.0
Config-Version: 1.0
Description: a package

END
dpkg --audit | grep demo
"""
FAILING = r"""
sed -i '/^Package: demo/,/^$/s/^Status: .*/Status: install ok unpacked\nConfig-Version: 2.0/' \
    /var/lib/dpkg/status
printf '#!/bin/sh\necho no such luck\nexit 7\n' >/var/lib/dpkg/info/demo.postinst
dpkg --audit | grep demo
"""
TASKS = r"""
printf 'skinnybox-rebase 1\nid {id}\n' >/var/lib/skinnybox/rebase
printf 'task %s\n' configure updated ldconfig triggers catalog >>/var/lib/skinnybox/rebase
printf 'unit %s\n' ssh.service demo.service gone.service >>/var/lib/skinnybox/rebase
echo end >>/var/lib/skinnybox/rebase
sync
"""


def test_what_a_rebase_leaves_is_done_before_all_services_and_told(
    fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh
) -> None:
    create("moved", check=CHECK)
    assert up("moved").condition is Condition.READY
    assert sh("moved", "cat /run/tries").strip() == "3"
    shown = sh("moved", "systemctl show -p ActiveState,ConditionResult skinnybox-rebase.service")
    assert shown.split() == ["ActiveState=inactive", "ConditionResult=no"]
    assert sh("moved", "ls /var/log/skinnybox* /var/lib/skinnybox/rebase* 2>/dev/null || :") == ""
    kept = "test -e /var/lib/skinnybox/active-units && cat /var/lib/skinnybox/active-units || :"
    until(lambda: "unit ssh.service" in sh("moved", kept), 90, "that its services are kept")
    assert "getty" not in sh("moved", kept) and "skinnybox-report" not in sh("moved", kept)

    sh("moved", UNPACKED + TASKS.format(id="0af3"))
    down("moved")
    machine = up("moved")
    report = machine.current_report
    assert report is not None and report.rebase == RebaseTasks(identifier="0af3", done=True)
    log = sh("moved", "cat /var/log/skinnybox-rebase.log")
    said = sh("moved", "cat /root/said").split()
    assert said == ["postinst", "configure", "1.0", "0", "0", "after"], log
    assert sh("moved", "dpkg-query -W -f '${Status} ${Version}' demo") == "install ok installed 2.0"
    assert sh("moved", "systemctl is-active demo.service ssh.service").split() == ["active"] * 2
    assert sh("moved", "ls /usr/sbin/policy-rc.d /var/lib/skinnybox/rebase 2>/dev/null || :") == ""
    assert sh("moved", "ls /etc/.updated /var/.updated").split() == ["/etc/.updated", "/var/.updated"]
    assert "task configure" in log and log.endswith("done\n")
    until(lambda: fleet.machine("moved").inactive_units == ("gone.service",), 60, "what does not run")
    assert fleet.machine("moved").failed_units == ()

    sh("moved", FAILING + TASKS.format(id="0af4"))
    down("moved")
    (outcome,) = fleet.start(["moved"], timeout=within(MOST_SECONDS))
    assert isinstance(outcome.error, GuestFailed), outcome.error
    assert "the rebase was not finished: configure: it ended with 1" in outcome.error.message
    machine = fleet.machine("moved")
    assert machine.condition is Condition.FAILED and machine.current_report is not None
    found = machine.current_report.rebase
    assert found is not None and (found.identifier, found.done) == ("0af4", False)
    assert "no such luck" in sh("moved", "cat /var/log/skinnybox-rebase.log")
    assert sh("moved", "systemctl is-active demo.service ssh.service").split() == ["active"] * 2
    fleet.kill(["moved"])
