"""What of a guest's word an API client can see: pure functions."""

from tests.emulators.xapi import xenstore
from tests.emulators.xapi.guests import Reports
from tests.emulators.xapi.qemu_words import seed_names

REPORT = """skinnybox-report 1
state ready
nonce c0ffee
instance 8c5c2d3e-6d6b-4b8e-9a57-5d4f0e1a2b3c
image 11111111-1111-1111-1111-111111111111
image 22222222-2222-2222-2222-222222222222
seed 3
overlay 1048576 524288
address enp0s2 10.0.0.7/24
address enp0s2 10.0.0.8/24
address enp0s3 2001:db8::1/64
ssh-host-key ssh-ed25519 AAAA
kernel 6.1.0
uptime 4.20
end
"""


def test_a_report_becomes_the_keys_that_are_shown() -> None:
    tree = xenstore.keys_of(REPORT)
    images = "11111111-1111-1111-1111-111111111111,22222222-2222-2222-2222-222222222222"
    assert tree["data/ts"] == f"1 ready c0ffee {images} 3 overlay=1048576/524288 key=ssh-ed25519:AAAA"
    assert list(tree)[-1] == "data/updated"
    shown = xenstore.shown(tree)
    assert shown["other"] == {"data-ts": tree["data/ts"]}
    assert shown["os_version"] == {"uname": "6.1.0"}
    assert shown["networks"] == {
        "0/ip": "10.0.0.7",
        "0/ipv4/0": "10.0.0.7",
        "0/ipv4/1": "10.0.0.8",
        "1/ipv6/0": "2001:db8::1",
    }


def test_a_failure_says_why() -> None:
    report = "skinnybox-report 1\nstate failed\nnonce c0ffee\nreason no overlay disk\nend\n"
    assert xenstore.keys_of(report)["data/ts"] == "1 failed c0ffee - - no overlay disk"


def test_the_older_interface_keys() -> None:
    shown = xenstore.shown(
        {"attr/eth0/ip": "10.0.0.7", "data/skinnybox": "x", "control/feature-poweroff": "1"}
    )
    assert shown["networks"] == {"0/ip": "10.0.0.7", "0/ipv4/0": "10.0.0.7"}
    assert shown["other"] == {"feature-poweroff": "1"}


def test_reports_come_in_pieces_and_never_end() -> None:
    reports = Reports()
    assert reports.feed(b"noise\n" + REPORT[:40].encode()) == []
    assert reports.feed(REPORT[40:].encode() + REPORT.encode()) == [REPORT, REPORT]
    for _ in range(100):
        assert reports.feed(b"x" * 10000) == []
    assert len(reports._buffer) <= 65536


def test_only_our_part_of_vm_data_becomes_a_file() -> None:
    data = {"vm-data/skinnybox/seed/0": "a", "vm-data/other": "b", "skinnybox/x": "c"}
    assert seed_names("web 1", data) == {"opt/skinnybox/seed/0": "a", "opt/skinnybox/name": "web 1"}
