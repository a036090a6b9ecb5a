"""From the guest's report to xenstore, and from xenstore to what an API client sees of it.

The rig's guests have no xenstore: they send `skinnybox-report` messages on a virtio-serial port, and
`keys_of` writes for them what the guest writes itself where there is one:

    data/ts        `1 STATE NONCE IMAGE[,IMAGE...] GENERATION`   shown as VM_guest_metrics.other["data-ts"]
                   (STATE ready or failed; what is not known is `-`; of a failure the reason follows, else
                   `failed=UNIT dax=on|off overlay=SIZE/FREE key=TYPE:BASE64`, each as far as it was reported)
    attr/vif/N/ipv4/M, attr/vif/N/ipv6/M                           shown in VM_guest_metrics.networks
    data/os_uname                                                  shown in VM_guest_metrics.os_version
    data/updated                                                   written last

`shown` is xapi's own choice (ocaml/xapi/xapi_guest_agent.ml of xapi-project/xen-api e2ee48d, 2026-08-21): a
fixed list of keys, and nothing else. Two of its sides differ with its age, and here the stricter holds: what
is written becomes visible when data/updated is written (older; newer ones look when data/ts or attr changes),
and VM.guest_metrics is null until then (newer ones make an empty record when the domain starts).
"""

Tree = dict[str, str]

_PLAIN = {
    "os_version": {
        "data/os_name": "name",
        "data/os_uname": "uname",
        "data/os_distro": "distro",
        "data/os_majorver": "major",
        "data/os_minorver": "minor",
        "attr/os/spmajor": "spmajor",
        "attr/os/spminor": "spminor",
    },
    "PV_drivers_version": {
        "attr/PVAddons/MajorVersion": "major",
        "attr/PVAddons/MinorVersion": "minor",
        "attr/PVAddons/MicroVersion": "micro",
        "attr/PVAddons/BuildVersion": "build",
    },
}
_INTERFACES = ("eth", "xenbr", "eno", "ens", "emp", "enx")
_TRISTATE = {"0": "no", "1": "yes"}


def keys_of(report: str) -> Tree:
    """What a guest writes that reports this message (wire.py describes it, from its first line to `end`)."""
    words: dict[str, list[list[str]]] = {}
    for line in report.splitlines():
        name, *rest = line.split(" ") if line else [""]
        words.setdefault(name, []).append(rest)
    tree = {"data/ts": _status(words)}
    if "kernel" in words:
        tree["data/os_uname"] = _first(words, "kernel")
    tree |= _addresses(words.get("address", []))
    return {**tree, "data/updated": "1"}


def _first(words: dict[str, list[list[str]]], name: str) -> str:
    found = words.get(name)
    return " ".join(found[0]) if found else "-"


def _status(words: dict[str, list[list[str]]]) -> str:
    images = ",".join(rest[0] for rest in words.get("image", []) if rest) or "-"
    known = [_first(words, name).split(" ")[0] for name in ("state", "nonce")]
    parts = ["1", *known, images, _first(words, "seed").split(" ")[0]]
    return " ".join([*parts, *_more(words), *(words["reason"][0] if "reason" in words else [])])


def _more(words: dict[str, list[list[str]]]) -> list[str]:
    """In the order the guest reports them."""
    found = [f"failed={rest[0]}" for rest in words.get("failed-unit", [])]
    found += [f"inactive={rest[0]}" for rest in words.get("inactive-unit", [])]
    found += [f"rebase={rest[0]}/{rest[1]}" for rest in words.get("rebase", [])]
    found += [f"dax={rest[0]}" for rest in words.get("dax", [])]
    found += [f"overlay={'/'.join(rest)}" for rest in words.get("overlay", [])]
    return found + [f"key={':'.join(rest)}" for rest in words.get("ssh-host-key", [])]


def _addresses(lines: list[list[str]]) -> Tree:
    """Cards are counted in the order they are named; the machine's VIFs are numbered the same way."""
    cards: list[str] = []
    tree: Tree = {}
    for rest in lines:
        card, address = rest[0], rest[1].split("/")[0]
        if card not in cards:
            cards.append(card)
        family = "ipv6" if ":" in address else "ipv4"
        folder = f"attr/vif/{cards.index(card)}/{family}"
        tree[f"{folder}/{len(_listed(tree, folder))}"] = address
    return tree


def _listed(tree: Tree, folder: str) -> list[str]:
    """Names directly below a folder."""
    start = f"{folder}/"
    names = [key[len(start) :].split("/")[0] for key in tree if key.startswith(start)]
    return list(dict.fromkeys(names))


def shown(tree: Tree) -> dict[str, object]:
    """Fields of VM_guest_metrics."""
    fields: dict[str, object] = {
        name: {short: tree[key] for key, short in keys.items() if key in tree}
        for name, keys in _PLAIN.items()
    }
    control = {
        name: tree[f"control/{name}"] for name in _listed(tree, "control") if f"control/{name}" in tree
    }
    stamp = {"data-ts": tree["data/ts"]} if "data/ts" in tree else {}
    return {
        **fields,
        "networks": _networks(tree),
        "other": control | stamp,
        "can_use_hotplug_vbd": _TRISTATE.get(tree.get("feature/hotplug/vbd", ""), "unspecified"),
        "can_use_hotplug_vif": _TRISTATE.get(tree.get("feature/hotplug/vif", ""), "unspecified"),
    }


def _networks(tree: Tree) -> dict[str, str]:
    """`0/ip`, `0/ipv4/0`, `0/ipv6/0`: of attr/vif, and only without that of attr/ethN."""
    vifs = _listed(tree, "attr/vif")
    found: dict[str, str] = {}
    for vif in vifs:
        found |= _of_vif(tree, vif)
    return found if vifs else _of_interfaces(tree)


def _of_vif(tree: Tree, vif: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for family in ("ipv4", "ipv6"):
        for number in sorted(_listed(tree, f"attr/vif/{vif}/{family}"), key=int):
            address = tree[f"attr/vif/{vif}/{family}/{number}"]
            found[f"{vif}/{family}/{number}"] = address
            if family == "ipv4":
                found.setdefault(f"{vif}/ip", address)
    return found


def _of_interfaces(tree: Tree) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _listed(tree, "attr"):
        prefix = next((each for each in _INTERFACES if name.startswith(each)), None)
        address = tree.get(f"attr/{name}/ip")
        if prefix and address is not None:
            number = name.removeprefix(prefix)
            found |= {f"{number}/ip": address, f"{number}/ipv4/0": address}
    return found
