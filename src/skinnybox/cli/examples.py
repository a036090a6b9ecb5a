"""Examples for each command's help, read only when help is asked for. tests/fleet/test_help.py parses each:
a new command needs some."""

_OF = {
    "master build": (
        "skinnybox master build debian",
        "skinnybox master build lamp:2026-11 --recipe lamp.yaml",
    ),
    "master import": (
        "skinnybox master import disk.qcow2 lamp:1",
        "skinnybox master import ./rootfs lamp --as-is",
    ),
    "master edit": (
        "skinnybox master edit lamp:2026-11 --as lamp:2026-12",
        "skinnybox master edit lamp --as lamp:2026-12 --run upgrade.sh",
    ),
    "master list": ("skinnybox master list", "skinnybox master list --format json"),
    "master gc": ("skinnybox master gc --dry-run", "skinnybox master gc --keep 2   # of each name"),
    "master show": ("skinnybox master show lamp", "skinnybox master show lamp --packages --format csv"),
    "master diff": (
        "skinnybox master diff lamp:2026-10 lamp",
        "skinnybox master diff lamp:1 lamp:2 --files --format json",
        "skinnybox master diff lamp:1 lamp:2 --exit-code   # for scripts: 10 when they differ",
    ),
    "master verify": ("skinnybox master verify lamp:2026-11",),
    "master remove": ("skinnybox master remove lamp:2026-10",),
    "master disk": ("skinnybox master disk lamp lamp.img",),
    "layer import": (
        "skinnybox layer import ./rootfs site:1 --for lamp   # ./rootfs/srv/www is /srv/www",
        "skinnybox layer import site.tar.zst site:2 --for lamp --at /srv/www/widgets.com",
    ),
    "layer build": (
        "skinnybox layer build tools:1 tools.yaml --for lamp",
        "skinnybox layer build model:2 model.yaml --for lamp --layer tools --network --dry-run",
    ),
    "layer list": ("skinnybox layer list", "skinnybox layer list --format json"),
    "layer show": ("skinnybox layer show site",),
    "layer verify": ("skinnybox layer verify site:1",),
    "layer remove": ("skinnybox layer remove site:1",),
    "create": (
        "skinnybox create web-01 --master lamp",
        "skinnybox create 'web-{01..40}' -m lamp --overlay 2G --start",
        "skinnybox create db -m lamp --data 4G --data-dir /var/lib/mysql",
        "skinnybox create web-01 --from sunday.tar.zst --from monday.tar.zst",
        "skinnybox create db -m lamp --sparse --memory 2G --cpus 2 --ssh-key ~/.ssh/id_ed25519.pub",
    ),
    "list": (
        "skinnybox list",
        "skinnybox list 'web-*' --format json",
        "skinnybox list --columns name,memory,reason --sort memory --reverse",
    ),
    "show": (
        "skinnybox show web-01",
        "skinnybox show web-01 --format json",
        "skinnybox show web-01 --usage   # what eats its overlay",
    ),
    "top": ("skinnybox top", "skinnybox top 'web-*' --sort memory", "skinnybox top --format json"),
    "logs": ("skinnybox logs web-01", "skinnybox logs --follow --lines 20 web-01"),
    "delete": ("skinnybox delete web-01", "skinnybox delete --force 'web-*'"),
    "start": ("skinnybox start 'web-*'", "skinnybox start --autostart"),
    "stop": ("skinnybox stop web-01", "skinnybox stop 'web-*' --timeout 30 --kill"),
    "restart": ("skinnybox restart web-01",),
    "kill": ("skinnybox kill web-01",),
    "wait": ("skinnybox wait 'web-*' --timeout 120",),
    "autostart on": ("skinnybox autostart on 'web-*'",),
    "autostart off": ("skinnybox autostart off web-01",),
    "autostart unit": ("skinnybox autostart unit > /etc/systemd/system/skinnybox.service",),
    "plan": (
        "skinnybox plan fleet.yaml",
        "skinnybox plan fleet.yaml --exit-code   # for scripts: 10 when there is anything to do",
        "skinnybox plan --schema > fleet.schema.json",
    ),
    "apply": ("skinnybox apply fleet.yaml", "skinnybox apply fleet.yaml --prune --yes"),
    "set": ("skinnybox set 'web-*' --memory 1G --cpus 2", "skinnybox set web-01 --ssh-port 2201"),
    "jobs list": ("skinnybox jobs list", "skinnybox jobs list --running --format json"),
    "jobs show": ("skinnybox jobs show 17",),
    "jobs follow": ("skinnybox jobs follow 17",),
    "jobs cancel": ("skinnybox jobs cancel 17",),
    "serve": (
        "skinnybox serve",
        "skinnybox serve --listen 0.0.0.0:443 --tls-cert chain --tls-key key --host-name sky.example.org",
        "skinnybox serve --unit > /etc/systemd/system/skinnybox-serve.service",
    ),
    "token create": (
        "skinnybox token create alice --role operator --expires 90d",
        "skinnybox token create prometheus --role viewer",
        "skinnybox token create ci --role operator --fleet web --format json",
    ),
    "token list": ("skinnybox token list",),
    "token revoke": ("skinnybox token revoke ab2cdefghi",),
    "console": ("skinnybox console web-01",),
    "ssh": ("skinnybox ssh web-01", "skinnybox ssh web-01 -- uptime"),
    "exec": (
        "skinnybox exec 'web-*' -- systemctl is-active apache2",
        "tar c site | skinnybox exec web-01 -- tar x -C /srv",
    ),
    "copy": ("skinnybox copy web-01 web-{02..04}", "skinnybox copy web-01 try --data"),
    "export": (
        "skinnybox export web-01 web-01.tar.zst",
        "skinnybox export web-01 monday.tar.zst --since sunday.tar.zst",
        "skinnybox export web-01 web-01.tar.zst --data",
    ),
    "rename": ("skinnybox rename web-1 web-01",),
    "move": (
        "skinnybox move web-01 --to /srv/fast",
        "skinnybox move 'web-*' --to ~/pool --to-host xapi://root@xcp-1 --network bridge",
    ),
    "promote": (
        "skinnybox promote web-01 lamp:2026-12 --dry-run",
        "skinnybox promote web-01 lamp:2026-12 --leave-out /srv/www --yes",
        "skinnybox promote web-01 site:2026-12 --as-layer --path /srv/www",
    ),
    "cp": (
        "skinnybox cp site.tar web-01:/root/",
        "skinnybox cp -r web-01:/var/log/apache2 logs",
        "skinnybox cp web-01:/etc/fstab .",
    ),
    "forward": ("skinnybox forward", "skinnybox forward web-01"),
    "changes": (
        "skinnybox changes web-01",
        "skinnybox changes web-01 --tree",
        "skinnybox changes web-01 /etc --content",
        "skinnybox changes web-01 web-02",
        "skinnybox changes web-01 --all --format csv",
    ),
    "reset": (
        "skinnybox reset web-01",
        "skinnybox reset web-01 /etc/apache2 /var/www --dry-run",
        "skinnybox reset 'web-*' --package apache2",
    ),
    "slim": ("skinnybox slim 'web-*' --dry-run", "skinnybox slim web-01"),
    "rebase": (
        "skinnybox rebase 'web-*' --onto lamp:2026-12 --dry-run",
        "skinnybox rebase web-01 --onto lamp --dry-run --format json",
        "skinnybox rebase web-01 --onto lamp --dry-run --explain /etc/ssh/sshd_config",
        "skinnybox rebase web-01 --onto lamp --dry-run --take /etc/motd --pin /etc/php",
        "skinnybox rebase 'web-*' --onto lamp:2026-12 --max-unavailable 2 --on-fail rollback",
        "skinnybox rebase 'web-*' --commit",
    ),
    "rollback": ("skinnybox rollback web-01",),
    "grow": ("skinnybox grow web-01 4G", "skinnybox grow 'web-*' +1G"),
    "snapshot create": ("skinnybox snapshot create 'web-*' --label before-upgrade",),
    "snapshot list": ("skinnybox snapshot list", "skinnybox snapshot list web-01"),
    "snapshot restore": ("skinnybox snapshot restore before-upgrade web-01",),
    "snapshot delete": ("skinnybox snapshot delete before-upgrade 'web-*'",),
    "flatten": ("skinnybox flatten web-01 web-01.qcow2",),
    "seed-disk": ("skinnybox seed-disk web-01 web-01-seed.img",),
    "events": ("skinnybox events web-01", "skinnybox events --follow"),
    "repair": ("skinnybox repair --dry-run", "skinnybox repair"),
    "capacity": ("skinnybox capacity", "skinnybox capacity --fit 2G"),
    "doctor": ("skinnybox doctor",),
    "completion": ('eval "$(skinnybox completion bash)"',),
    "": (
        "skinnybox master build debian",
        "skinnybox create 'web-{01..04}' --master debian --start",
        "skinnybox ssh web-01",
    ),
}


def of_command(prog: str) -> str:
    """The last part of its help; nothing for a noun, whose commands have their own."""
    lines = _OF.get(prog.removeprefix("skinnybox").lstrip(), ())
    return "".join(["\nexamples:\n", *(f"  {line}\n" for line in lines)]) if lines else ""
