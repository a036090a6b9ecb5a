"""What XenCenter's loader refuses in a descriptor, and what it silently does otherwise than meant.

Written from its last public source (xenserver/xenadmin: PluginManager, PluginDescriptor, Feature,
MenuItemFeature, ParentMenuItemFeature, TabPageFeature, ShellCmd, Placeholders). An attribute that it does not
know, or that has a value it does not know, it passes over without a word: here that is a mistake too.
"""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit
from xml.dom.minidom import Element, Node, parseString
from xml.parsers.expat import ExpatError

MENUS = {"file", "view", "pool", "server", "vm", "storage", "templates", "tools", "window", "help"}
CONTEXT_MENUS = {"none", "pool", "server", "vm", "storage", "template", "folder"}
BOOL = {"true", "false"}
SCOPES = {
    "Pool", "Server", "DisconnectedServer", "VM", "Snapshot", "UserTemplate", "DefaultTemplate", "RemoteSR",
    "LocalSR", "VDI", "Network", "Folder", "Appliance",
}  # fmt: skip
PLACEHOLDERS = {
    "session_id", "type", "label", "uuid", "description", "tags", "host", "pool", "networks", "storage",
    "disks", "memory", "os_name", "power_state", "virtualisation_status", "start_time", "ha_restart_priority",
    "size", "ip_address", "uptime", "ha_enabled", "isNotFullyUpgraded", "appliance", "shared", "vm",
    "read_caching_enabled", "folder", "connection_hostname", "sr_type", "license", "has_custom_fields",
    "in_any_appliance", "vendor_device_state",
}  # fmt: skip
_FEATURE = {"name", "label", "description", "tooltip", "icon", "search"}
_SHELL = {
    "filename", "param", "window", "log_output", "dispose_time", "required_methods", "required_method_list",
}  # fmt: skip
ATTRIBUTES = {
    "XenCenterPlugin": {
        "xmlns", "version", "plugin_version", "plugin_name", "label", "description", "copyright", "link",
    },
    "GroupMenuItem": _FEATURE | {"menu", "contextmenu"},
    "MenuItem": _FEATURE | {"menu", "contextmenu", "serialized"},
    "TabPage": _FEATURE | {
        "url", "relative", "context-menu", "xencenter-only", "help-link", "credentials", "console",
    },
    "Shell": _SHELL,
    "PowerShell": _SHELL | {"debug", "function"},
    "XenServerPowerShell": _SHELL | {"debug", "function"},
    "MethodList": {"name"},
    "Search": {"uuid", "name", "major_version", "minor_version", "show_expanded"},
}  # fmt: skip
_CHOICES = {
    "menu": MENUS,
    "contextmenu": CONTEXT_MENUS,
    "serialized": {"none", "global", "obj"},
    "window": BOOL,
    "log_output": BOOL,
    "relative": BOOL,
    "context-menu": BOOL,
    "xencenter-only": BOOL,
    "credentials": BOOL,
    "console": BOOL,
}
_COMMANDS = {"Shell", "PowerShell", "XenServerPowerShell"}
_METHOD = re.compile(r"(async_)?[a-z_]+\.[a-z_]+(/key:.+)?\Z|http/[a-z_]+\Z", re.I)
_NAME = re.compile(r"[A-Za-z0-9_]+\Z")


def mistakes(text: str, files: frozenset[str] = frozenset()) -> list[str]:
    """All of them, each a sentence; none for a descriptor that loads and does what it says. `files` are those
    beside XenCenter's program, with backslashes."""
    try:
        root = parseString(text.encode()).documentElement
    except ExpatError as error:
        return [f"no XML: {error}"]
    if root is None or root.tagName != "XenCenterPlugin":
        return ["the root is no XenCenterPlugin, so there is no plugin at all"]
    found = list(_of_attributes(root)) + list(_of_root(root))
    for child in _elements(root):
        found += _of_child(child, root, files)
    return found + list(_twice(root))


def _elements(parent: Element) -> list[Element]:
    return [each for each in parent.childNodes if isinstance(each, Element)]


def _kept(parent: Element) -> list[Node]:
    """As .NET's XmlDocument has them: without the white space between them."""
    return [
        each for each in parent.childNodes if not (each.nodeType == Node.TEXT_NODE and not each.data.strip())
    ]


def _of_root(root: Element) -> Iterator[str]:
    if root.getAttribute("version") not in ("1", "1.0.0.0", "2"):
        yield f"version {root.getAttribute('version')!r} is not known"
    if root.getAttribute("xmlns") != "http://www.citrix.com/XenCenter/Plugins/schema":
        yield "the namespace is another"


def _of_attributes(element: Element) -> Iterator[str]:
    known = ATTRIBUTES.get(element.tagName, set())
    for name, value in element.attributes.items():
        if name not in known:
            yield f"{element.tagName} has no attribute {name}"
        elif value not in _CHOICES.get(name, {value}):
            yield f"{name} of {element.tagName} cannot be {value!r}"


def _of_child(child: Element, root: Element, files: frozenset[str]) -> Iterator[str]:
    parts = {"GroupMenuItem": _of_group, "MenuItem": _of_menu_item, "TabPage": _of_tab}
    if child.tagName in parts:
        yield from _of_attributes(child)
        yield from _of_feature(child, root, files)
        yield from parts[child.tagName](child, root, files)
    elif child.tagName == "Search":
        yield from _of_attributes(child)
        yield from _of_search(child)
    elif child.tagName == "MethodList":
        yield from _of_attributes(child)
        if not child.hasAttribute("name"):
            yield "MethodList has no name"
        yield from _of_methods(_text(child))
    else:
        yield f"XML node {child.tagName} not recognised"


def _of_feature(feature: Element, root: Element, files: frozenset[str]) -> Iterator[str]:
    name, search, icon = (feature.getAttribute(each) for each in ("name", "search", "icon"))
    if not name:
        yield f"{feature.tagName} has no name"
    elif not _NAME.match(name):
        yield f"the name {name!r} is no good key of a resource"
    if search and search not in [each.getAttribute("uuid") for each in _elements(root)]:
        yield f"{name} is shown everywhere: there is no search {search}"
    if icon and icon not in files:
        yield f"{name} throws: there is no file {icon}"


def _of_group(group: Element, root: Element, files: frozenset[str]) -> Iterator[str]:
    if not group.getAttribute("menu"):
        yield f"{group.getAttribute('name')} has no menu"
    if not _elements(group):
        yield f"{group.getAttribute('name')} is an empty menu"
    for child in _elements(group):
        if child.tagName != "MenuItem":
            yield f"{child.tagName} is not recognised in a GroupMenuItem"
        else:
            yield from _of_child(child, root, files)


def _of_menu_item(item: Element, root: Element, files: frozenset[str]) -> Iterator[str]:
    name = item.getAttribute("name")
    if not item.getAttribute("menu"):
        yield f"{name} has no menu"
    children = _kept(item)
    if len(children) != 1:
        yield f"{name} has {len(children)} children: only one is allowed, comments count"
        return
    command = children[0]
    if not isinstance(command, Element) or command.tagName not in _COMMANDS:
        yield f"{command.nodeName} is not recognised in a MenuItem"
        return
    yield from _of_attributes(command)
    yield from _of_command(command, root, files)


def _of_command(command: Element, root: Element, files: frozenset[str]) -> Iterator[str]:
    filename, methods, listed = (
        command.getAttribute(each) for each in ("filename", "required_methods", "required_method_list")
    )
    if not filename:
        yield f"{command.tagName} has no filename"
    elif filename not in files:
        yield f"there is no file {filename}"
    if command.hasAttribute("required_methods"):
        yield from _of_methods(methods)
    known = [each.getAttribute("name") for each in _elements(root) if each.tagName == "MethodList"]
    if listed and listed not in known:
        yield f"there is no MethodList {listed}"
    if any(" " in each.strip() for each in command.getAttribute("param").split(",")):
        yield "param has a space: arguments are joined by spaces, without quotes"
    if command.hasAttribute("dispose_time") and not re.fullmatch(
        r"[0-9]+(\.[0-9]+)?", command.getAttribute("dispose_time")
    ):
        yield f"dispose_time {command.getAttribute('dispose_time')!r} is no number"


def _of_methods(text: str) -> Iterator[str]:
    for each in text.strip().split(","):
        if not _METHOD.match(each.strip()):
            yield f"{each.strip()!r} is no method of the API"


def _of_tab(tab: Element, root: Element, files: frozenset[str]) -> Iterator[str]:
    url, name = tab.getAttribute("url"), tab.getAttribute("name")
    if not url:
        yield f"{name} has no url"
        return
    unknown = set(re.findall(r"{\$([\w:]+)}", url)) - PLACEHOLDERS
    if unknown:
        yield f"{name}: there is no placeholder {', '.join(sorted(unknown))}"
    if tab.getAttribute("relative") != "true" and not re.match(r"[a-z]+:.", url):
        yield f"{name}: {url} is no address"
    if urlsplit(url.split("{$")[0]).scheme in ("http", "https") and "{$session_id}" in url:
        yield f"{name} tells its address the session"


def _of_search(search: Element) -> Iterator[str]:
    for each in ("uuid", "name", "major_version", "minor_version"):
        if not search.getAttribute(each):
            yield f"Search has no {each}"
    scopes = [scope for query in search.getElementsByTagName("QueryScope") for scope in _elements(query)]
    if not scopes:
        yield "Search has no QueryScope"
    for scope in scopes:
        if scope.tagName not in SCOPES:
            yield f"there is no scope {scope.tagName}"


def _text(element: Element) -> str:
    return "".join(each.data for each in element.childNodes if each.nodeType == Node.TEXT_NODE)


def _twice(root: Element) -> Iterator[str]:
    """Of features, whose names are keys of the resources, and of searches and lists, where it throws."""
    for tags, key in (
        (("GroupMenuItem", "MenuItem", "TabPage"), "name"),
        (("Search",), "uuid"),
        (("MethodList",), "name"),
    ):
        named = [each.getAttribute(key) for tag in tags for each in root.getElementsByTagName(tag)]
        for name in sorted({each for each in named if named.count(each) > 1 and each}):
            yield f"{name} is there twice"
