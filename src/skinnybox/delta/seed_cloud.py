"""What the guest part writes for a guest's cloud-init (guest/lib/cloud.sh). What that does is listed."""

from collections.abc import Iterator

from skinnybox.model import Instance

Written = Iterator[tuple[str, int, str | bytes]]
_SEED = "/var/lib/cloud/seed/nocloud"
_MOST_GENERATIONS = 100
"""So far back the user-data may have been the same, of which the name of cloud-init's instance tells."""
_OFF = "# Written by skinnybox: the seed has no user-data.\n"
_POLICY = "policy: search,found=all,maybe=none,notfound=enabled\n"
SETTINGS = """\
# Written from the seed by skinnybox, which does what is switched off here.
datasource_list: [ NoCloud, None ]
datasource:
  NoCloud:
    fs_label: null
network:
  config: disabled
manual_cache_clean: false
preserve_hostname: true
manage_etc_hosts: false
ssh_deletekeys: false
ssh_genkeytypes: [ ed25519 ]
disable_root: false
users: [ '' ]
locale: 'false'
growpart:
  mode: 'off'
resize_rootfs: false
grub_dpkg:
  enabled: false
apt:
  preserve_sources_list: true
"""


def written(instance: Instance) -> Written:
    """Path, mode and content of each way; none is there in a machine whose master has no cloud-init."""
    seed = instance.seed
    if seed.user_data is None:
        yield "/etc/cloud/cloud-init.disabled", 0o644, _OFF
        return
    yield f"{_SEED}/user-data", 0o600, seed.user_data
    yield f"{_SEED}/vendor-data", 0o600, ""
    for generation in range(max(1, seed.generation - _MOST_GENERATIONS), seed.generation + 1):
        name = f"instance-id: {instance.uuid}-{generation}\nlocal-hostname: {seed.hostname}\n"
        yield f"{_SEED}/meta-data", 0o600, name
    yield "/etc/cloud/cloud.cfg.d/zzz-skinnybox.cfg", 0o644, SETTINGS
    yield "/etc/cloud/ds-identify.cfg", 0o644, _POLICY
