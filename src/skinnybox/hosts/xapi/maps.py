"""Changes to the maps that objects of a pool have (other_config and the like): key by key.

Such a map belongs to everybody: XO keeps its backup jobs in a machine's other_config, an administrator what
is blocked, another client what its guests are told. What we know of it is a second old. So a whole map is
never written, except of an object that this very call has just made: it would undo what others wrote since.
The one exception is what a *running* guest is told (telling.py).

The pool has no call that replaces one value. Without our word a disk is nobody's, so what must not be missing
for a moment (who is killed between two calls leaves it so) has its successor beside it until that has taken
its place; tags.py looks at both.
"""

from collections.abc import Mapping
from typing import Any

from skinnybox.hosts.xapi.errors import Taken
from skinnybox.hosts.xapi.pool import Pool
from skinnybox.hosts.xapi.session import Lost
from skinnybox.hosts.xapi.tags import NEXT

OTHER = "other_config"


def put(pool: Pool, of: str, reference: str, record: Mapping[str, Any], key: str, text: str) -> None:
    """other_config has this in the end, and either this or what was there at any moment before. No call when
    it has it already, as of `record`."""
    held = record[OTHER]
    left = key + NEXT in held  # by who was killed
    fresh = key not in held and _added(pool, of, reference, OTHER, key, text)
    if not fresh and held.get(key) != text:
        _replace(pool, of, reference, OTHER, key + NEXT, text)
        _replace(pool, of, reference, OTHER, key, text)
        left = True
    if left:
        drop(pool, of, reference, OTHER, key + NEXT)


def give(
    pool: Pool, of: str, reference: str, record: Mapping[str, Any], name: str, key: str, text: str
) -> None:
    """The same of any map, for what may be missing for a moment."""
    held = record[name]
    if held.get(key) == text or (key not in held and _added(pool, of, reference, name, key, text)):
        return
    _replace(pool, of, reference, name, key, text)


def add(pool: Pool, of: str, reference: str, name: str, key: str, text: str) -> None:
    """What somebody else put there meanwhile stays."""
    _added(pool, of, reference, name, key, text)


def drop(pool: Pool, of: str, reference: str, name: str, key: str) -> None:
    """Idempotent."""
    pool.call(f"{of}.remove_from_{name}", reference, key)


def first(pool: Pool, of: str, reference: str, name: str, values: Mapping[str, str]) -> None:
    """The whole map of an object that the caller has just made, so that nobody has written anything there."""
    pool.call(f"{of}.set_{name}", reference, dict(values))


def _replace(pool: Pool, of: str, reference: str, name: str, key: str, text: str) -> None:
    drop(pool, of, reference, name, key)
    _added(pool, of, reference, name, key, text)


def _added(pool: Pool, of: str, reference: str, name: str, key: str, text: str) -> bool:
    """False: there is another. Where an answer was lost it may be ours, which is told by its value."""
    method = f"{of}.add_to_{name}"
    try:
        try:
            pool.call(method, reference, key, text)
        except Lost:
            pool.call(method, reference, key, text)
    except Taken:
        return bool(pool.call(f"{of}.get_{name}", reference).get(key) == text)
    return True
