"""What the guest part writes for a seed's time zone, locale, time servers and rights by sudo (guest/lib:
place.sh, accounts.sh).

Of what the guest's own programs write, as /etc/passwd, nobody here knows what it should be: that is listed,
and so is a block in a file of the master's."""

from collections.abc import Iterator

from skinnybox.model import Seed

Written = Iterator[tuple[str, int, str]]
_HEAD = "# Written from the seed by skinnybox.\n"


def written(seed: Seed) -> Written:
    """Path, mode and text of each way."""
    if seed.timezone is not None:
        yield "/etc/timezone", 0o644, f"{seed.timezone}\n"
    if seed.locale is not None:
        for path in ("/etc/default/locale", "/etc/locale.conf"):
            yield path, 0o644, f"LANG={seed.locale}\n"
    if seed.ntp:
        servers = dict.fromkeys(seed.ntp)
        yield (
            "/etc/systemd/timesyncd.conf.d/skinnybox.conf",
            0o644,
            f"{_HEAD}[Time]\nNTP={' '.join(servers)}\n",
        )
        lines = "".join(f"server {server} iburst prefer\n" for server in servers)
        yield "/etc/chrony/sources.d/skinnybox.sources", 0o644, lines
    rules = [
        f"{user.name} ALL=(ALL:ALL) {'ALL' if user.password_hash else 'NOPASSWD: ALL'}\n"
        for user in seed.users
        if user.sudo
    ]
    if rules:
        yield "/etc/sudoers.d/skinnybox", 0o440, _HEAD + "".join(rules)
