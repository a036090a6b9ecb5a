"""What happens, followed: by whom, from where on, and that nobody misses anything."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from skinnybox.fleet.jobs import Actor
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.gate import follower as following
from skinnybox.gate import hub as hubs
from skinnybox.gate.follower import Follower
from skinnybox.gate.hub import Hub
from skinnybox.gate.principal import Principal
from tests.fleet.conftest import SPARSE

WHO = Actor(name="alice", origin="192.0.2.1")


def principal(role: Role = Role.ADMIN, fleet: str | None = None, token: str | None = None) -> Principal:
    return Principal(name="x", role=role, fleet=fleet, origin="192.0.2.1", token=token)


class Browser:
    """One who follows, in a loop that several share; what it was told."""

    def __init__(self, hub: Hub, who: Principal, after: int | None = None) -> None:
        self.hub, self.who, self.after = hub, who, after
        self.messages: list[dict[str, str]] = []
        self.numbers: list[int] = []
        self.heartbeats = 0
        self.ended = False
        self.may_stay = True
        self.pause = 0.0
        self.restless = False
        self.keeps: int | None = None
        """How many of the first messages stay, beside the latest; all without."""

    @property
    def placed(self) -> bool:
        return any("id" in each for each in self.messages)

    async def follow(self) -> None:
        await self._connected()
        while self.restless:
            await asyncio.sleep(0.1)
            self.after = self.numbers[-1] if self.numbers else self.after
            await self._connected()
        self.ended = True

    async def _connected(self) -> None:
        with self.hub.following(Follower(self.who, self.after)) as found:
            async for message in found.messages(self._may_stay):
                self._hear(message)
                await asyncio.sleep(self.pause)
                if self.restless and b"id: " in message:
                    return

    async def _may_stay(self) -> bool:
        return self.may_stay

    def _hear(self, piece: bytes) -> None:
        """Each piece is whole messages."""
        self.heartbeats += piece == b": \n\n"
        for block in piece.decode().split("\n\n")[:-1]:
            found = {key: value for key, _, value in (line.partition(": ") for line in block.split("\n"))}
            if self.keeps is not None:
                del self.messages[self.keeps :]
            self.messages.append(found)
            if "id" in found and "data" in found:
                self.numbers.append(int(found["id"]))

    def told(self, *kinds: str) -> list[dict[str, Any]]:
        return [
            json.loads(each["data"])
            for each in self.messages
            if each.get("event") in kinds and "data" in each
        ]


class Browsers:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.tasks: list[Any] = []

    def come(self, *browsers: Browser) -> None:
        self.tasks += [asyncio.run_coroutine_threadsafe(each.follow(), self.loop) for each in browsers]
        until(lambda: all(each.placed or each.after is not None for each in browsers))

    def go(self) -> None:
        for task in self.tasks:
            task.cancel()
        time.sleep(0.1)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "POLL", 0.05)
    monkeypatch.setattr(following, "HEARTBEAT", 0.3)


@pytest.fixture
def hub(fleet: Fleet) -> Iterator[Hub]:
    _ = fleet.background, fleet.jobs, fleet.tokens, fleet.masters, fleet.overlays
    found = Hub(fleet)
    yield found
    found.close()
    found.join()
    fleet.background.end()


@pytest.fixture
def browsers() -> Iterator[Browsers]:
    found = Browsers()
    yield found
    found.go()


def test_what_happens_is_told_with_its_number(fleet: Fleet, hub: Hub, browsers: Browsers) -> None:
    fleet.create(["a", "b"], "tiny", SPARSE)
    fleet.start(["a"])
    late, early = Browser(hub, principal()), Browser(hub, principal(), after=0)
    browsers.come(late, early)
    fleet.start(["b"])
    until(lambda: early.numbers == [1, 2, 3, 4] and late.numbers == [3, 4])
    assert [each["machine"] for each in late.told("started", "ready")] == ["b", "b"]
    assert late.messages[1]["id"] == "2"  # where it began, should it be cut off before anything happens


def test_one_goes_on_where_it_was(fleet: Fleet, hub: Hub, browsers: Browsers) -> None:
    fleet.create(["a", "b"], "tiny", SPARSE)
    fleet.start(["a", "b"])
    again = Browser(hub, principal(), after=3)
    browsers.come(again)
    until(lambda: again.numbers == [4])
    further = Browser(hub, principal(), after=900)  # the events were lost meanwhile, and began anew
    browsers.come(further)
    until(lambda: further.numbers == [1, 2, 3, 4])


def test_jobs_are_told_until_they_end(fleet: Fleet, hub: Hub, browsers: Browsers) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    browser = Browser(hub, principal())
    browsers.come(browser)
    until(lambda: [job["state"] for job in browser.told("job")] == ["done"])
    go = threading.Event()

    def act(operation: Any) -> object:
        operation.step("dawdling", done=1, total=2)
        go.wait(60)
        return fleet.start(["a"], operation=operation)

    number = fleet.background.begin(WHO, "start", ["a"], act)
    until(lambda: any(job["job"] == number and job["state"] == "running" for job in browser.told("job")))
    go.set()
    until(lambda: browser.told("job")[-1]["state"] == "done")
    last = browser.told("job")[-1]
    assert (last["verb"], last["actor"], last["done"], last["machines"]) == ("start", "alice", 1, 1)
    assert "log" not in last and "results" not in last
    later = Browser(hub, principal())
    browsers.come(later)
    until(lambda: [job["job"] for job in later.told("job")] == [1, number])


def test_of_other_fleets_and_of_what_is_for_admins_nothing_is_told(
    fleet: Fleet, hub: Hub, browsers: Browsers
) -> None:
    fleet.create(["a", "b"], "tiny", SPARSE)
    web = fleet.machine("a").instance
    with_fleet(fleet, web.name, "web")
    viewer, limited = Browser(hub, principal(Role.VIEWER)), Browser(hub, principal(Role.OPERATOR, "web"))
    browsers.come(viewer, limited)
    fleet.tokens.create("x", Role.ADMIN)
    fleet.start(["b"])
    fleet.start(["a"])
    fleet.kill(["b"])
    until(lambda: len(viewer.told("started", "ready", "ended")) == 5)
    until(lambda: [job["verb"] for job in viewer.told("job")][-1] == "kill")
    until(lambda: len(limited.told("started", "ready")) == 2)
    assert {each["machine"] for each in limited.told("started", "ready", "ended")} == {"a"}
    assert {tuple(job["subjects"]) for job in limited.told("job")} == {("a",)}
    assert "token create" not in {job["verb"] for job in viewer.told("job")}
    assert {job["origin"] for job in viewer.told("job")} == {None}


def with_fleet(fleet: Fleet, name: str, of: str) -> None:
    from dataclasses import replace

    from tests.fleet.conftest import rewritten

    rewritten(fleet, replace(fleet.machine(name).instance, fleet=of))


def test_who_may_stay_no_more_goes(fleet: Fleet, hub: Hub, browsers: Browsers) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    browser = Browser(hub, principal())
    browsers.come(browser)
    until(lambda: browser.heartbeats > 0)
    assert not browser.ended
    browser.may_stay = False
    until(lambda: browser.ended)


def test_at_the_end_all_go(fleet: Fleet, hub: Hub, browsers: Browsers) -> None:
    there = [Browser(hub, principal()) for _ in range(5)]
    browsers.come(*there)
    hub.close()
    until(lambda: all(each.ended for each in there))
    hub.join()
    with pytest.raises(hubs.TooManyFollow):
        asyncio.run(Browser(hub, principal()).follow())


def test_so_many_follow_and_no_more(hub: Hub, browsers: Browsers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "OF_ONE", 3)
    monkeypatch.setattr(hubs, "MOST", 5)
    browsers.come(*(Browser(hub, principal(token="mine")) for _ in range(3)))
    with pytest.raises(hubs.TooManyFollow):
        asyncio.run(Browser(hub, principal(token="mine")).follow())
    browsers.come(*(Browser(hub, principal(token="other")) for _ in range(2)))
    with pytest.raises(hubs.TooManyFollow):
        asyncio.run(Browser(hub, principal(token="third")).follow())


def test_a_catalog_that_cannot_be_read_ends_nobodys_stream(
    fleet: Fleet, hub: Hub, browsers: Browsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skinnybox.errors import TimedOut

    fleet.create(["a"], "tiny", SPARSE)
    browser = Browser(hub, principal())
    browsers.come(browser)
    with monkeypatch.context() as broken:

        def later(*_: object) -> list[object]:
            raise TimedOut("the pool does not answer")

        broken.setattr(fleet, "events_after", later)
        time.sleep(0.3)
        fleet.start(["a"])
    until(lambda: len(browser.numbers) == 2)


def resident() -> int:
    """Bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def deployed(fleet: Fleet, count: int) -> None:
    for first in range(0, count, 100):
        names = [f"w-{{{first + 1}..{min(first + 100, count)}}}"]
        fleet.create(names, "tiny", SPARSE)
        fleet.start(names, parallel=4)


@pytest.mark.parametrize(("followers", "machines"), [(10, 20), pytest.param(50, 200, marks=pytest.mark.full)])
def test_none_is_missed_by_anybody(
    fleet: Fleet, hub: Hub, browsers: Browsers, followers: int, machines: int
) -> None:
    """Also not by one who takes little at a time, and by one who is cut off all the time."""
    there = [Browser(hub, principal(token=str(number))) for number in range(followers)]
    there[0].pause = 0.05
    there[1].restless, there[1].after = True, 0
    browsers.come(*there)
    deployed(fleet, machines)
    wanted = list(range(1, 2 * machines + 1))
    until(lambda: all(each.numbers == wanted for each in there), 300)
    until(lambda: all(each.told("job")[-1]["state"] == "done" for each in there))
    there[1].restless = False
    for each in there:
        each.keeps = 0  # what the test keeps would be most of it
    before = resident()
    for _ in range(2):
        fleet.kill(["*"])
        fleet.start(["*"], parallel=4)
    until(lambda: all(each.numbers[-1] == 8 * machines for each in there), 300)
    for each in there:
        assert each.numbers == list(range(1, 8 * machines + 1))
    grown = resident() - before
    assert grown < 16 << 20, f"{grown >> 20} MiB"


def test_who_is_slow_gets_all_of_it_and_little_waits(
    fleet: Fleet, hub: Hub, browsers: Browsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "ROOM", 4)
    fleet.create(["w-{1..20}"], "tiny", SPARSE)
    slow = Browser(hub, principal())
    slow.pause = 0.05
    browsers.come(slow)
    fleet.start(["*"])
    until(lambda: slow.numbers == list(range(1, 41)))
