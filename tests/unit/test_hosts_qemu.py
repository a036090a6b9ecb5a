import contextlib
import json
import os
import socket
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import process
from skinnybox.emulation.board import Accelerator
from skinnybox.emulation.verdicts import Verdict, cached
from skinnybox.errors import CommandFailed, Conflict, TimedOut
from skinnybox.hosts.guest_io.qmp import _TIMEOUT, Monitor
from skinnybox.hosts.guest_io.run_folder import connect, listen
from skinnybox.hosts.qemu import network
from skinnybox.hosts.qemu.command_line import Descriptors, Machine, OpenImage, argv
from skinnybox.json_file import read_json
from skinnybox.model import Allocation, Forward, Network, Overlay, StaticNetwork
from skinnybox.sizes import GIB, MIB
from tests.samples import an_instance

INSTANCE = an_instance(
    uuid=uuid.UUID(int=7), overlay=Overlay(size=GIB), memory=384 * MIB, cpus=2, ssh_port=22001
)
MASTER = OpenImage(descriptor=12, size=352 * MIB)
OPENED = Descriptors(
    kernel=10, initrd=11, images=(MASTER,), overlay=13, console=14, report=15, qmp=16, events=17
)
MACHINE = Machine(
    instance=INSTANCE,
    nonce="ab",
    accelerator=Accelerator.TCG,
    network=Network.RESTRICTED,
    descriptors=OPENED,
)


def words(machine: Machine) -> str:
    return " ".join(argv(machine))


def test_the_command_line_opens_nothing_by_its_path() -> None:
    paths = [word for word in argv(MACHINE) if "/" in word]
    assert all("/proc/self/fd/" in path or "/dev/fdset/" in path for path in paths)
    assert "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny" in words(
        MACHINE
    )


def test_the_guest_is_told_who_it_is() -> None:
    assert f"skinnybox.instance={INSTANCE.uuid} skinnybox.nonce=ab" in words(MACHINE)
    assert f"-uuid {INSTANCE.uuid}" in words(MACHINE)
    assert f"mac={INSTANCE.mac}" in words(MACHINE)
    assert "-m 384M" in words(MACHINE) and "-smp 2" in words(MACHINE)


def test_the_format_is_given_and_the_master_read_only() -> None:
    assert "driver=raw,file=master-file,node-name=master,read-only=on" in words(MACHINE)
    assert "virtio-blk-pci,drive=master,serial=skinny-master" in words(MACHINE)
    assert "virtio-blk-pci,drive=overlay,serial=skinny-overlay" in words(MACHINE)


MAPPED = replace(MACHINE, instance=replace(INSTANCE, stack=replace(INSTANCE.stack, dax=True)))


def test_without_dax_nothing_of_it_is_there() -> None:
    for word in ("pmem", "memory-backend", "maxmem", "swiotlb"):
        assert word not in words(MACHINE)


def test_with_dax_the_image_is_memory_that_nobody_can_write() -> None:
    line = words(MAPPED)
    assert (
        "memory-backend-file,id=image0,mem-path=/proc/self/fd/12,size=369098752,share=on,readonly=on" in line
    )
    assert "virtio-pmem-pci,memdev=image0" in line
    assert "-m 384M,slots=1,maxmem=736M " in line
    assert "swiotlb=noforce" in line
    assert "skinny-master" not in line and "/dev/fdset/12" not in line
    assert 12 in MAPPED.descriptors.inherited()


def test_more_images_are_more_disks_or_more_memory() -> None:
    opened = replace(OPENED, images=(MASTER, OpenImage(descriptor=30, size=MIB + 1)))
    assert {12, 30} < set(opened.inherited())
    disks, mapped = (words(replace(machine, descriptors=opened)) for machine in (MACHINE, MAPPED))
    assert disks.index("serial=skinny-master") < disks.index("drive=layer-1,serial=skinny-layer-1")
    assert "/dev/fdset/30" in disks
    assert "slots=2,maxmem=738M" in mapped
    assert mapped.index("memdev=image0") < mapped.index("mem-path=/proc/self/fd/30")


def test_only_a_sparse_overlay_gives_space_back() -> None:
    sparse = replace(
        MACHINE, instance=replace(INSTANCE, overlay=Overlay(size=GIB, allocation=Allocation.SPARSE))
    )
    assert "discard=ignore,detect-zeroes=off" in words(MACHINE) and "unmap" not in words(MACHINE)
    assert "discard=unmap,detect-zeroes=unmap" in words(sparse)


def test_the_network_is_closed_unless_said_otherwise() -> None:
    assert "restrict=on,hostfwd=tcp:127.0.0.1:22001-:22" in words(MACHINE)
    assert "restrict" not in words(replace(MACHINE, network=Network.OPEN))
    passt = replace(MACHINE, network=Network.PASST, descriptors=replace(OPENED, stream=18))
    assert "stream,id=net,server=off,addr.type=fd,addr.str=18" in words(passt)
    assert 18 in passt.descriptors.inherited()


SSH = (Forward(port=22001, to=22),)


def test_passt_listens_on_the_loopback_only() -> None:
    line = network.argv(5, SSH)
    assert "--no-map-gw" in line and line[line.index("-t") + 1] == "127.0.0.1/22001:22"
    assert "-t" not in network.argv(5, ()) and "-a" not in line


@pytest.mark.parametrize(
    ("static", "words"),
    [
        (StaticNetwork(address="10.7.0.5/24", gateway="10.7.0.1"), "-a 10.7.0.5 -n 24 -g 10.7.0.1"),
        (StaticNetwork(address="10.7.0.1/24"), "-a 10.7.0.1 -n 24 -g 10.7.0.2"),
        (StaticNetwork(address="10.7.0.5/32"), "-a 10.7.0.5 -n 32 -t"),
        (StaticNetwork(address="2001:db8::5/64"), "-u none -t"),
    ],
)
def test_passt_knows_a_static_address_before_the_guest_has_spoken(static: StaticNetwork, words: str) -> None:
    assert words in " ".join(network.argv(5, SSH, static))


def test_a_taken_port_is_a_conflict() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(Conflict, match=str(port)):
            network.check_ports(replace(INSTANCE, ssh_port=port))
        with pytest.raises(Conflict, match=f"port {port} of") as told:
            network.check_ports(replace(INSTANCE, ssh_port=None, forwards=(Forward(port=port, to=80),)))
        assert f"skinnybox forward {INSTANCE.name} --remove {port}" in str(told.value.hint)
        everywhere = Forward(address="0.0.0.0", port=port, to=80)
        with pytest.raises(Conflict, match=rf"port {port} of 0\.0\.0\.0"):
            network.check_ports(replace(INSTANCE, ssh_port=None, forwards=(everywhere,)))
    network.check_ports(replace(INSTANCE, ssh_port=port, forwards=(everywhere,)))
    network.check_ports(replace(INSTANCE, ssh_port=None))
    elsewhere = Forward(address="192.0.2.1", port=port, to=80)
    with pytest.raises(Conflict, match="is no address of this host"):
        network.check_ports(replace(INSTANCE, ssh_port=None, forwards=(elsewhere,)))


def test_other_ports_lead_in_as_that_of_ssh_does() -> None:
    forwards = (Forward(port=8080, to=80), Forward(address="0.0.0.0", port=8443, to=443))
    with_them = replace(MACHINE, instance=replace(INSTANCE, forwards=forwards))
    ssh, web, tls = "127.0.0.1:22001-:22", "127.0.0.1:8080-:80", "0.0.0.0:8443-:443"
    assert f"restrict=on,hostfwd=tcp:{ssh},hostfwd=tcp:{web},hostfwd=tcp:{tls}" in words(with_them)
    assert " ".join(network.argv(5, forwards)).endswith("-t 127.0.0.1/8080:80 -t 0.0.0.0/8443:443")


def test_a_process_is_more_than_its_pid() -> None:
    me = process.identify(os.getpid())
    assert me is not None and process.alive(me)
    assert not process.alive(replace(me, started=me.started + 1))
    assert not process.alive(replace(me, boot="another"))
    assert process.descriptor(replace(me, started=1)) is None


def test_a_zombie_does_not_live() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(3)
    pidfd = os.pidfd_open(pid)
    assert process.ended(pidfd, 60)
    os.close(pidfd)
    assert process.identify(pid) is None
    assert process.reap(pid) == 3
    assert process.reap(pid) is None


def test_sockets_work_below_long_paths(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with listen(folder, "door") as server, connect(folder, "door", 60) as client:
        peer, _ = server.accept()
        with peer:
            client.sendall(b"hello")
            assert peer.recv(5) == b"hello"
    assert (folder / "door").stat().st_mode & 0o777 == 0o600


def serve(folder: Path, *lines: bytes) -> threading.Thread:
    """A QEMU that says these lines, one for each thing it is asked, the first unasked."""
    server = listen(folder, "qmp")

    def talk() -> None:
        with server:
            client, _ = server.accept()
            with client:
                for line in lines:
                    client.sendall(line)
                    client.recv(4096)

    thread = threading.Thread(target=talk)
    thread.start()
    return thread


GREETING, DONE = b'{"QMP": {}}\r\n', b'{"return": {}}\r\n'


def test_a_monitor_skips_events(tmp_path: Path) -> None:
    event = b'{"event": "RESUME", "data": {}}\r\n'
    answer = b'{"return": {"UUID": "00000000-0000-0000-0000-000000000007"}}\r\n'
    thread = serve(tmp_path, GREETING, event + DONE, event + event + answer)
    with Monitor(tmp_path, timeout=60) as monitor:
        assert monitor.uuid() == uuid.UUID(int=7)
    thread.join()


def test_a_monitor_translates_what_goes_wrong(tmp_path: Path) -> None:
    thread = serve(tmp_path, GREETING, DONE, b'{"error": {"class": "X", "desc": "no such thing"}}\r\n')
    with Monitor(tmp_path, timeout=60) as monitor, pytest.raises(CommandFailed, match="no such thing"):
        monitor.execute("x")
    thread.join()
    with pytest.raises(Conflict):
        Monitor(tmp_path)


@pytest.mark.parametrize(
    "answer",
    [b"no JSON", b"[1]", b"7", b"[" * 100_000, b'{"error": 7}', b'{"error": {"desc": "\\u001b[2J"}}'],
)
def test_a_monitor_that_a_guest_took_over_is_one_that_refuses(tmp_path: Path, answer: bytes) -> None:
    thread = serve(tmp_path, GREETING, DONE, answer + b"\r\n")
    with Monitor(tmp_path, timeout=60) as monitor, pytest.raises(CommandFailed) as caught:
        monitor.execute("x")
    assert "\x1b" not in caught.value.message
    thread.join()


@pytest.mark.parametrize("said", [b"7", b'"x"', b"[]", b"{}", b'{"UUID": 7}', b'{"UUID": "x"}', b"null"])
def test_what_is_looked_for_in_an_answer_and_is_not_there_is_refused(tmp_path: Path, said: bytes) -> None:
    thread = serve(tmp_path, GREETING, DONE, b'{"return": ' + said + b"}\r\n")
    with pytest.raises(CommandFailed, match="no answer"), Monitor(tmp_path, timeout=60) as monitor:
        monitor.uuid()
    thread.join()


def test_a_monitor_that_talks_of_events_for_ever_times_out(tmp_path: Path) -> None:
    ended = threading.Event()

    def talk() -> None:
        client, _ = server.accept()
        with client, contextlib.suppress(OSError):
            client.sendall(GREETING)
            client.recv(4096)
            client.sendall(DONE)
            while not ended.wait(0.02):
                client.sendall(b'{"event": "RESUME"}\r\n')

    with listen(tmp_path, "qmp") as server:
        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(TimedOut), Monitor(tmp_path, timeout=0.3) as monitor:
            monitor.execute("x")
        ended.set()
        thread.join()


def test_a_silent_monitor_times_out(tmp_path: Path) -> None:
    with listen(tmp_path, "qmp"):
        began = time.monotonic()
        with pytest.raises(TimedOut):
            Monitor(tmp_path, timeout=0.1)
        assert time.monotonic() - began < _TIMEOUT  # which it has unless another one is given


def test_a_verdict_is_kept_for_this_boot_and_stamp(tmp_path: Path) -> None:
    asked: list[str] = []

    def probe() -> Verdict:
        asked.append("x")
        return Verdict(works=True, detail="runs")

    for stamp in ("a", "a", "b", "b"):
        assert cached("kvm", stamp, probe, tmp_path).works
    assert len(asked) == 2
    kept = read_json(tmp_path / "probe-kvm.json")
    assert kept is not None
    (tmp_path / "probe-kvm.json").write_text(json.dumps({**kept, "key": "another boot"}))
    cached("kvm", "b", probe, tmp_path)
    assert len(asked) == 3
