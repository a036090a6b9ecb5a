"""The descriptor against XenCenter's loader: ours loads, and each slip that it would not forgive is found."""

from pathlib import Path
from xml.dom.minidom import parseString

import pytest

from tests.xencenter.loader import mistakes

XENCENTER = Path(__file__).parents[2] / "xencenter"
TEXT = (XENCENTER / "Skinnybox.xcplugin.xml").read_text()
OURS = TEXT.replace("@CONSOLE@", "https://console.example:8443")
PROGRAM = r"Plugins\Skinnybox\Skinnybox\Skinnybox.exe"
FILES = frozenset({PROGRAM})


def test_ours_loads() -> None:
    assert mistakes(OURS, FILES) == []


def test_it_has_what_it_is_for_on_every_object() -> None:
    items = parseString(OURS).getElementsByTagName("MenuItem")
    shown = {
        (each.getAttribute("menu"), each.getElementsByTagName("Shell")[0].getAttribute("param"))
        for each in items
    }
    making = {"batch", "provision", "create_template"}
    expected = {(menu, param) for menu in ("pool", "server", "vm", "templates") for param in making}
    assert shown == expected | {(menu, "changes") for menu in ("pool", "server", "vm")}


SHELL = '<Shell filename="a.exe" param="x" required_methods="host.call_plugin"/>'
ITEM = f'<MenuItem name="one" menu="vm">{SHELL}</MenuItem>'
BARE_ITEM = f'<MenuItem name="one">{SHELL}</MenuItem>'
SCHEMA = "http://www.citrix.com/XenCenter/Plugins/schema"
TAB = '<TabPage name="tab" url="https://c.example/{$uuid}"/>'
QUERY = "<Query><QueryScope><VM/></QueryScope></Query>"
SEARCH = f'<Search uuid="s" name="n" major_version="2" minor_version="0">{QUERY}</Search>'


def around(inside: str, version: str = "1", root: str = "XenCenterPlugin") -> str:
    return f'<{root} xmlns="{SCHEMA}" version="{version}">{inside}</{root}>'


def test_small_ones_load() -> None:
    group = f'<GroupMenuItem name="g" menu="vm"><!-- here it may be -->{ITEM}</GroupMenuItem>'
    listed = '<MethodList name="m">host.call_plugin, vm.add_to_other_config/key:x</MethodList>'
    for inside in ("", ITEM, TAB, SEARCH, group, listed, "<!-- a comment -->" + ITEM):
        assert mistakes(around(inside), frozenset({"a.exe"})) == [], inside
    assert mistakes(around(ITEM, version="2"), frozenset({"a.exe"})) == []


WRONG = {
    "cut short": (
        around(ITEM)[:-5],
        "no XML: unclosed token",
    ),
    "another root": (
        around(ITEM, root="Plugin"),
        "the root is no XenCenterPlugin, so there is no plugin at all",
    ),
    "a root with a prefix": (
        f'<p:XenCenterPlugin xmlns:p="{SCHEMA}" version="1"/>',
        "the root is no XenCenterPlugin, so there is no plugin at all",
    ),
    "no version": (
        around(ITEM, version=""),
        "version '' is not known",
    ),
    "a version to come": (
        around(ITEM, version="3"),
        "version '3' is not known",
    ),
    "1.0": (
        around(ITEM, version="1.0"),
        "version '1.0' is not known",
    ),
    "no namespace": (
        f'<XenCenterPlugin version="1">{ITEM}</XenCenterPlugin>',
        "the namespace is another",
    ),
    "an unknown element": (
        around("<TabPageFeature name='t' url='about:blank'/>"),
        "XML node TabPageFeature not recognised",
    ),
    "an element in lower case": (
        around(ITEM.replace("MenuItem", "menuitem")),
        "XML node menuitem not recognised",
    ),
    "a comment in a MenuItem": (
        around(ITEM.replace("<Shell", "<!-- why --><Shell")),
        "one has 2 children: only one is allowed, comments count",
    ),
    "text in a MenuItem": (
        around(ITEM.replace("<Shell", "words<Shell")),
        "one has 2 children: only one is allowed, comments count",
    ),
    "two commands": (
        around(ITEM.replace("</MenuItem>", '<Shell filename="a.exe"/></MenuItem>')),
        "one has 2 children: only one is allowed, comments count",
    ),
    "no command": (
        around('<MenuItem name="one" menu="vm"/>'),
        "one has 0 children: only one is allowed, comments count",
    ),
    "an unknown command": (
        around(ITEM.replace("Shell", "Bash")),
        "Bash is not recognised in a MenuItem",
    ),
    "no menu": (
        around(BARE_ITEM),
        "one has no menu",
    ),
    "an unknown menu": (
        around(ITEM.replace('"vm"', '"machine"')),
        "menu of MenuItem cannot be 'machine'",
    ),
    "a menu in upper case": (
        around(ITEM.replace('"vm"', '"VM"')),
        "menu of MenuItem cannot be 'VM'",
    ),
    "a context menu called as a menu": (
        around(ITEM.replace('"vm"', '"vm" contextmenu="templates"')),
        "contextmenu of MenuItem cannot be 'templates'",
    ),
    "an unknown serialisation": (
        around(ITEM.replace('"vm"', '"vm" serialized="yes"')),
        "serialized of MenuItem cannot be 'yes'",
    ),
    "no name": (
        around(ITEM.replace(' name="one"', "")),
        "MenuItem has no name",
    ),
    "a name with a dot": (
        around(ITEM.replace('"one"', '"one.two"')),
        "the name 'one.two' is no good key of a resource",
    ),
    "a name with a space": (
        around(ITEM.replace('"one"', '"one two"')),
        "the name 'one two' is no good key of a resource",
    ),
    "a name twice": (
        around(ITEM + ITEM),
        "one is there twice",
    ),
    "a misspelt attribute": (
        around(ITEM.replace("required_methods", "requiredmethods")),
        "Shell has no attribute requiredmethods",
    ),
    "no filename": (
        around(ITEM.replace(' filename="a.exe"', "")),
        "Shell has no filename",
    ),
    "a file that is not there": (
        around(ITEM.replace("a.exe", "b.exe")),
        "there is no file b.exe",
    ),
    "an icon that is not there": (
        around(ITEM.replace('menu="vm"', 'menu="vm" icon="i.png"')),
        "one throws: there is no file i.png",
    ),
    "a window that is neither": (
        around(ITEM.replace('param="x"', 'window="yes"')),
        "window of Shell cannot be 'yes'",
    ),
    "a dispose_time in words": (
        around(ITEM.replace('param="x"', 'dispose_time="20 s"')),
        "dispose_time '20 s' is no number",
    ),
    "a param with a space": (
        around(ITEM.replace('param="x"', 'param="a b,c"')),
        "param has a space: arguments are joined by spaces, without quotes",
    ),
    "no methods": (
        around(ITEM.replace('"host.call_plugin"', '""')),
        "'' is no method of the API",
    ),
    "methods by spaces": (
        around(ITEM.replace("host.call_plugin", "host.call_plugin vm.start")),
        "'host.call_plugin vm.start' is no method of the API",
    ),
    "a method without a class": (
        around(ITEM.replace("host.call_plugin", "call_plugin")),
        "'call_plugin' is no method of the API",
    ),
    "an unknown list of methods": (
        around(ITEM.replace("required_methods", "required_method_list")),
        "there is no MethodList host.call_plugin",
    ),
    "a list of methods without a name": (
        around("<MethodList>vm.start</MethodList>"),
        "MethodList has no name",
    ),
    "an empty list of methods": (
        around('<MethodList name="m"/>'),
        "'' is no method of the API",
    ),
    "a group without a menu": (
        around(f'<GroupMenuItem name="g">{ITEM}</GroupMenuItem>'),
        "g has no menu",
    ),
    "an empty group": (
        around('<GroupMenuItem name="g" menu="vm"/>'),
        "g is an empty menu",
    ),
    "a tab in a group": (
        around(f'<GroupMenuItem name="g" menu="vm">{TAB}</GroupMenuItem>'),
        "TabPage is not recognised in a GroupMenuItem",
    ),
    "a group's item without a menu": (
        around(f'<GroupMenuItem name="g" menu="vm">{BARE_ITEM}</GroupMenuItem>'),
        "one has no menu",
    ),
    "a tab without an address": (
        around('<TabPage name="tab"/>'),
        "tab has no url",
    ),
    "a tab without a scheme": (
        around('<TabPage name="tab" url="console.example"/>'),
        "tab: console.example is no address",
    ),
    "an unknown placeholder": (
        around(TAB.replace("$uuid", "$name")),
        "tab: there is no placeholder name",
    ),
    "a tab that gives the session away": (
        around(TAB.replace("$uuid", "$session_id")),
        "tab tells its address the session",
    ),
    "a tab with a search that is not there": (
        around(TAB.replace('name="tab"', 'name="tab" search="s"')),
        "tab is shown everywhere: there is no search s",
    ),
    "a search without a uuid": (
        around(SEARCH.replace(' uuid="s"', "")),
        "Search has no uuid",
    ),
    "a search without a version": (
        around(SEARCH.replace(' major_version="2"', "")),
        "Search has no major_version",
    ),
    "a search of nothing": (
        around(SEARCH.replace("<VM/>", "")),
        "Search has no QueryScope",
    ),
    "a search of an unknown scope": (
        around(SEARCH.replace("<VM/>", "<Machine/>")),
        "there is no scope Machine",
    ),
    "a search twice": (
        around(SEARCH + SEARCH),
        "s is there twice",
    ),
    "an address that was not filled in": (
        TEXT,
        "skinnybox_pool: @CONSOLE@/ is no address",
    ),
}


@pytest.mark.parametrize("slip", sorted(WRONG))
def test_what_the_loader_does_not_forgive_is_found(slip: str) -> None:
    text, mistake = WRONG[slip]
    found = mistakes(text, FILES | {"a.exe"})
    assert found[0].startswith(mistake) and len(found) == (2 if text == TEXT else 1)
