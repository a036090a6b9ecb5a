"""Which network a machine gets: what it asks for where that works, else the closed one."""

import pytest

from skinnybox.emulation.verdicts import Verdict
from skinnybox.errors import Unsupported
from skinnybox.hosts.qemu import bridge, network
from skinnybox.model import Network
from tests.samples import an_instance


def passt(monkeypatch: pytest.MonkeyPatch, *, works: bool) -> None:
    found = Verdict(works=works, detail="as tried", hint=None if works else "sudo apt install passt")
    monkeypatch.setattr(network, "verdict", lambda: found)


def test_who_asks_for_none_gets_the_best_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = an_instance(network=None)
    passt(monkeypatch, works=True)
    assert network.choose(nobody) is Network.PASST
    passt(monkeypatch, works=False)
    assert network.choose(nobody) is Network.RESTRICTED


@pytest.mark.parametrize("wanted", [Network.RESTRICTED, Network.OPEN])
def test_what_always_works_is_given(monkeypatch: pytest.MonkeyPatch, wanted: Network) -> None:
    passt(monkeypatch, works=False)
    assert network.choose(an_instance(network=wanted)) is wanted


def test_passt_is_refused_where_it_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    passt(monkeypatch, works=False)
    with pytest.raises(Unsupported, match="wants passt: as tried") as caught:
        network.choose(an_instance(network=Network.PASST))
    assert caught.value.hint == "sudo apt install passt"
    passt(monkeypatch, works=True)
    assert network.choose(an_instance(network=Network.PASST)) is Network.PASST


def test_a_bridge_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(bridge, "check", asked.append)
    assert network.choose(an_instance(network=Network.BRIDGE, bridge="lan")) is Network.BRIDGE
    assert asked == ["lan"]


def test_without_the_program_there_is_no_passt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skinnybox.run.find", lambda _: None)
    found = network.verdict()
    assert not found.works and found.hint == "sudo apt install passt"
