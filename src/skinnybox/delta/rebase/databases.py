"""Folders in which a server keeps one body of data in many files, which mean something together only.

A master that has a database server brings a database of its own, made when its package was configured, and
each build of that master makes another. A machine writes to some of those files, and to most it does not. By
path alone a rebase would take those that the machine never wrote to from the new master, beside those that it
did: files of two databases, which no server can read. So where a machine has any file of its own in such a
folder, all of it stays as the machine sees it: what it never wrote to is brought from the old master, and
what only the new master has is hidden.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from skinnybox.delta.rebase.containers import FOLDERS as OF_ENGINES
from skinnybox.delta.rebase.merged_source import Merged

FOLDERS = (
    "var/lib/arangodb3", "var/lib/cassandra", "var/lib/clickhouse", "var/lib/couchdb", "var/lib/dirsrv/*",
    "var/lib/elasticsearch", "var/lib/etcd", "var/lib/firebird/*/data", "var/lib/grafana", "var/lib/influxdb",
    "var/lib/kafka", "var/lib/krb5kdc", "var/lib/ldap", "var/lib/mongo", "var/lib/mongodb", "var/lib/mysql",
    "var/lib/neo4j", "var/lib/opensearch", "var/lib/pgsql", "var/lib/postgresql/*/*", "var/lib/prometheus",
    "var/lib/rabbitmq", "var/lib/redis", "var/lib/samba", "var/lib/slapd", "var/lib/valkey",
    "var/lib/zookeeper", "var/kerberos/krb5kdc",
)  # fmt: skip
"""Where distributions' packages put them; `*` is any one name. What container engines keep is the same."""
_MOST = 64
"""Folders that a `*` may stand for: a guest makes as many as it likes."""


def of_machine(machine: Merged) -> tuple[str, ...]:
    """Those in which the machine has a file of its own, or deleted one. Raises Corrupt, as reading does."""
    every = (*FOLDERS, *(folder.lstrip("/") for folder in OF_ENGINES))
    return tuple(place for folder in every for place in _places(machine, folder) if machine.has_own(place))


def _places(machine: Merged, folder: str) -> Iterator[str]:
    return islice(_matching(machine, "", folder.split("/")), _MOST)


def _matching(machine: Merged, above: str, parts: Sequence[str]) -> Iterator[str]:
    if not parts:
        yield above
        return
    first, *rest = parts
    names = machine.names(above) if first == "*" else [first]
    for name in names:
        yield from _matching(machine, f"{above}/{name}" if above else name, rest)
