"""A batch, from XenCenter's arguments to machines in the pool."""

from pathlib import Path

import pytest

from skinnybox import run
from tests.emulators.xapi import PASSWORD, EmulatedPool, sessions
from tests.pace import within
from tests.plugin.conftest import GIB, furnished
from tests.xencenter.conftest import THIN, Desk, at_a_desk, told


def test_a_batch_makes_machines_in_xencenters_session(desk: Desk) -> None:
    ended = desk.run("batch", "--text", *THIN, "last=3", "start=true")
    assert (ended.returncode, ended.stderr) == (0, b"")
    lines = ended.stdout.decode().splitlines()
    assert lines[0] == "web-01, web-02, web-03"
    assert lines[1].startswith("24 KiB of 100 GiB free on shared (8 KiB each); 3.01 GiB when every overlay")
    assert lines[-3:] == [f"web-0{n}: made, started" for n in (1, 2, 3)]
    percents = [int(line.removesuffix(" %")) for line in lines[2:-3]]
    assert percents == sorted(percents) and percents[0] < 100
    assert desk.dom0.names() == ["web-01", "web-02", "web-03"]
    assert desk.dom0.vm("web-01")["power_state"] == "Running"
    assert desk.is_in_session() and desk.dom0.api.task.get_all() == []


def test_a_preview_makes_nothing(desk: Desk) -> None:
    before = desk.dom0.counts()
    ended = desk.run("batch", "--text", "--preview", *THIN, "last=300")
    assert ended.stdout.decode().splitlines() == [
        "web-01, web-02, web-03, web-04 ... web-300 (300 machines)",
        "2.34 MiB of 100 GiB free on shared (8 KiB each); 300.6 GiB when every overlay is full",
        "Not all of them could fill their overlays.",
    ]
    assert ended.returncode == 0 and desk.dom0.counts() == before


def test_one_that_cannot_start_is_named_with_its_reason(desk: Desk) -> None:
    desk.dom0.pool.faults.fail("VM.start", "HOST_NOT_ENOUGH_FREE_MEMORY", "1", "0", at=2)
    ended = desk.run("batch", "--text", *THIN, "last=3", "start=true")
    assert ended.stdout.decode().splitlines()[-3:] == [
        "web-01: made, started",
        "web-02: made, not started: No host has enough free memory for it.",
        "web-03: made, started",
    ]
    assert ended.returncode == 1 and "1 of 3 could not be started" in told(ended)


def test_a_failure_leaves_nothing(desk: Desk) -> None:
    before = desk.dom0.counts()
    desk.dom0.pool.faults.fail("VBD.create", "SR_BACKEND_FAILURE_78", "", "no <luck>\u202e", "", at=4)
    ended = desk.run("batch", "--text", *THIN, "last=3")
    assert ended.returncode == 1
    assert told(ended).startswith("skinnybox: The storage failed: SR_BACKEND_FAILURE_78 (no <luck>")
    assert "\u202e" not in told(ended)
    assert desk.dom0.counts() == before and desk.is_in_session()


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ((*THIN, "last=1", "master=nginx:1"), 3, 'There is no master "nginx:1" in this pool.'),
        ((*THIN, "last=1", "template=Stock"), 4, "does not boot by UEFI"),
        ((*THIN, "last=1", "network=nowhere"), 3, 'There is no network "nowhere"'),
        ((*THIN, "last=1", "overlay=2000G"), 0, "web-01: made"),
    ],
)
def test_what_the_pool_refuses_is_explained(desk: Desk, words: tuple[str, ...], code: int, text: str) -> None:
    ended = desk.run("batch", "--text", *words)
    assert (ended.returncode, text in told(ended)) == (code, True)


def test_names_that_are_taken(desk: Desk) -> None:
    desk.dom0.provision("web-02")
    ended = desk.run("batch", "--text", *THIN, "last=2")
    assert ended.returncode == 4 and b"There is a machine web-02 already." in ended.stdout
    assert "There are machines of these names already: web-02." in told(ended)
    assert desk.dom0.names() == ["web-02"]


def test_more_than_fits(plugins: Path, built: Path, tmp_path: Path) -> None:
    with EmulatedPool(plugins=plugins) as pool, pool.session() as api:
        dom0 = furnished(pool, api, sr="lvm")
        dom0.thin_template()
        desk = at_a_desk(pool, dom0, built, tmp_path).trusting()
        ended = desk.run("batch", "--text", *THIN, "last=2", "overlay=60G")
    assert b"Only 1 of 2 fit on shared." in ended.stdout
    assert ended.returncode == 7 and "The storage is too small: 120.3 GiB are needed" in told(ended)


def test_a_pool_without_the_dom0_plugin(built: Path, tmp_path: Path) -> None:
    empty = tmp_path / "plugins"
    empty.mkdir()
    with EmulatedPool(plugins=empty) as pool, pool.session() as api:
        desk = at_a_desk(pool, furnished(pool, api), built, tmp_path).trusting()
        ended = desk.run("create_template", "--text", "template=Stock", "name=thin")
    assert ended.returncode == 3 and "docs/how-to/dom0-plugin.md" in told(ended)


def test_who_is_no_administrator(desk: Desk) -> None:
    pool = desk.dom0.pool
    pool.add_user("anna", "secret", "vm-admin")
    with pool.database():
        session = sessions.login(pool.xapi, pool.hosts[0], "anna", "secret", "XenCenter")
    ended = desk.with_session(session).run("batch", "--text", *THIN, "last=1")
    assert ended.returncode == 5 and "A pool administrator may." in told(ended)
    assert PASSWORD not in told(ended)


def test_one_machine_and_a_template(desk: Desk) -> None:
    made = desk.run(
        "create_template", "--text", "template=Stock", "name=small <1>", "overlay=64M", "memory=1G"
    )
    assert (made.returncode, made.stdout.decode().splitlines()[-1]) == (0, "small <1>: made")
    words = ("template=small <1>", "master=lamp:1", "name=db-01")
    assert desk.run("provision", "--text", *words).returncode == 0
    assert desk.dom0.names() == ["db-01"]
    assert int(desk.dom0.call("list")["machines"][0]["overlay"]) == 64 << 20
    assert int(desk.dom0.vm("db-01")["memory_static_max"]) == GIB


@pytest.mark.timeout(240)
def test_a_batch_that_is_cancelled_leaves_nothing(desk: Desk) -> None:
    before = desk.dom0.counts()
    desk.dom0.pool.faults.slow("VM.provision", 0.4)
    words = desk.argv("batch", "--text", *THIN, "last=30")
    with run.start(
        words, env=desk.environment(), stdin=run.PIPE, stdout=run.PIPE, stderr=run.STDOUT
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        said = b""
        while not any(line.endswith(b" %") and line != b"0 %" for line in said.splitlines()):
            said += child.stdout.readline()
        child.stdin.write(b"cancel\n")
        child.stdin.flush()
        while b"Cancelled: what had been made is deleted again." not in said:
            piece = child.stdout.readline()
            assert piece, said
            said += piece
        assert desk.dom0.counts() == before
        try:
            assert child.wait(within(60)) == 1 and desk.is_in_session()
        except run.Overdue:
            child.kill()
            pytest.skip("Mono spins at its end, as it was seen to do; all was said and done")
