"""The form of a rebase: onto which master, who wins where both changed something, and the rollout."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.datastructures import FormData, QueryParams

from skinnybox.errors import UsageError
from skinnybox.fleet.rebases import ON_CONFLICT, Wishes
from skinnybox.gate import rebasing
from skinnybox.printable import quoted

if TYPE_CHECKING:
    from skinnybox.fleet.rebase_rollout import Rollout

CHOICES = {
    "ours": "the machine's",
    "theirs": "the new master's",
    "pin": "pin the machine's",
    "take": "take the new master's",
}
"""Of one path. `pin` and `take` are of all below it as well, and also count where nothing is in dispute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """As texts, as they are shown again. `choices` are by path, as a plan tells it."""

    names: tuple[str, ...] = ()
    onto: str = ""
    on_conflict: str = ON_CONFLICT[0]
    rules: str = ""
    choices: dict[str, str] = field(default_factory=dict)
    check: str = ""
    timeout: str = ""
    max_unavailable: str = ""
    keep_days: str = ""
    on_fail: str = "stop"
    start: bool = True
    replay: bool = False
    without: str = ""
    instead: str = ""
    after: str = ""

    @property
    def wishes(self) -> Wishes:
        """UsageError for what is none."""
        if self.on_conflict not in ON_CONFLICT:
            raise UsageError(f"{quoted(self.on_conflict)} is not who wins")
        said = {choice: rebasing.paths(self._paths(choice)) for choice in CHOICES}
        return Wishes(
            on_conflict=self.on_conflict, text=self.rules, ours=said["ours"], theirs=said["theirs"],
            take=said["take"], pin=said["pin"], replay=self.replay,
            without=tuple(self.without.split()) if self.replay else (),
            instead=_pairs(self.instead) if self.replay else (),
        )  # fmt: skip

    def _paths(self, choice: str) -> Iterable[str]:
        return (path for path, chosen in self.choices.items() if chosen == choice)

    @property
    def rollout(self) -> "Rollout":
        """UsageError for what is none."""
        from skinnybox.fleet.rebase_replay import check_commands
        from skinnybox.fleet.rebase_rollout import OnFail, Rollout

        if self.on_fail not in set(OnFail):
            raise UsageError(f"{quoted(self.on_fail)} is not what is done when one fails")
        days = _number("days", self.keep_days, 3650)
        return Rollout(
            check=self.check or None, timeout=_number("seconds", self.timeout, 86_400),
            start=self.start, max_unavailable=_number("at once", self.max_unavailable, 1000),
            keep=timedelta(days=days) if days else None, on_fail=OnFail(self.on_fail),
            after=check_commands(_lines(self.after), replay=True) if self.replay else (),
        )  # fmt: skip


def _pairs(said: str) -> tuple[tuple[str, str], ...]:
    """Words OLD=NEW. UsageError for others."""
    found = [word.partition("=") for word in said.split()]
    wrong = next(
        (word for word, (old, _, new) in zip(said.split(), found, strict=True) if not (old and new)), ""
    )
    if wrong:
        raise UsageError(f"{quoted(wrong)} is not OLD=NEW, such as php7.4-fpm=php8.2-fpm")
    return tuple((old, new) for old, _, new in found)


def _lines(said: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in said.splitlines() if line.strip())


def _number(what: str, said: str, most: int) -> int | None:
    if not said:
        return None
    if not (said.isascii() and said.isdigit() and 0 < int(said[:9]) <= most):
        raise UsageError(f"{what}: {quoted(said)} is no number from 1 to {most}")
    return int(said)


def asked(form: FormData | QueryParams, names: Iterable[str]) -> Asked:
    """Of a form that was sent, or of an address. Machines are to start until somebody says otherwise."""

    def said(key: str) -> str:
        value = form.get(key, "")
        return value.strip() if isinstance(value, str) else ""

    texts = [[each for each in form.getlist(key) if isinstance(each, str)] for key in ("path", "choice")]
    choices = {path: choice for path, choice in zip(*texts, strict=False) if choice in CHOICES}
    return Asked(
        names=tuple(names), onto=said("onto"), on_conflict=said("on_conflict") or ON_CONFLICT[0],
        rules=said("rules").replace("\r\n", "\n"), choices=choices, check=said("check"),
        timeout=said("timeout"), max_unavailable=said("max_unavailable"), keep_days=said("keep_days"),
        on_fail=said("on_fail") or "stop", start=not said("again") or bool(said("start")),
        replay=bool(said("replay")), without=said("without"), instead=said("instead"),
        after=said("after").replace("\r\n", "\n"),
    )  # fmt: skip
