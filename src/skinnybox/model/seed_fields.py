"""The rows of fields.py for what a guest is told."""

from functools import partial

from skinnybox.model import kinds
from skinnybox.model.forms import Field, Form, Transition
from skinnybox.model.machines import Nic, Seed, SeedFile, SeedUser, StaticNetwork

_file = partial(Field, of=SeedFile, change=Transition.SEED)
FILE = Form(
    SeedFile,
    (
        _file(name="path", kind=kinds.TEXT, what="Its absolute path in the guest."),
        _file(name="content", kind=kinds.CONTENT, what="What is in it."),
        _file(name="mode", kind=kinds.MODE, what="Permission bits."),
        _file(name="owner", kind=kinds.TEXT, what="`user:group` of the guest."),
    ),
)

_user = partial(Field, of=SeedUser, change=Transition.SEED)
USER = Form(
    SeedUser,
    (
        _user(name="name", kind=kinds.TEXT, what="What it is called."),
        _user(name="groups", kind=kinds.TEXTS, what="Further groups it is in, which the guest has."),
        _user(name="sudo", kind=kinds.FLAG, what="It may do everything by sudo."),
        _user(name="shell", kind=kinds.TEXT, optional=True, what="Its shell; null: the guest's own choice."),
        _user(name="authorized_keys", kind=kinds.KEYS, what="Public keys that let it in."),
        _user(
            name="password_hash",
            kind=kinds.TEXT,
            optional=True,
            what="Of its password, as in the guest's /etc/shadow; null: none lets it in.",
        ),
    ),
)

_address = partial(Field, of=StaticNetwork, change=Transition.SEED)
ADDRESS = Form(
    StaticNetwork,
    (
        _address(
            name="address",
            kind=kinds.TEXT,
            key="address",
            what="ADDRESS/PREFIX.",
            said="ADDRESS/PREFIX of the first machine; each next one has the next address. Or a pattern that"
            " makes one for each, in the order of their names: `10.0.0.{11..50}/24`. A list gives each"
            " several, as of both families. Left out: DHCP.",
        ),
        _address(
            name="gateway",
            kind=kinds.TEXT,
            optional=True,
            key="gateway",
            what="Where the way out is.",
            said="For machines with a static address; a list for one of each family.",
        ),
        _address(
            name="dns",
            kind=kinds.TEXTS,
            key="dns",
            what="Who knows names.",
            said="For machines with a static address.",
        ),
        _address(
            name="also",
            kind=kinds.TEXTS,
            later=True,
            what="More addresses of the card.",
        ),
        _address(
            name="other_gateway",
            kind=kinds.TEXT,
            optional=True,
            later=True,
            what="The gateway of the other family.",
        ),
    ),
)

_nic = partial(Field, of=Nic, change=Transition.SEED)
NIC = Form(
    Nic,
    (
        _nic(
            name="bridge",
            kind=kinds.TEXT,
            optional=True,
            what="A bridge of the host, or a network of the pool; null: one that leads nowhere.",
        ),
        _nic(
            name="network",
            kind=ADDRESS.kind("static address"),
            optional=True,
            what="As that of the first card.",
        ),
        _nic(name="manual", kind=kinds.FLAG, what="Nobody gives it an address."),
        _nic(name="vlan", kind=kinds.NUMBER, optional=True, what="Its VLAN, tagged."),
    ),
)

_seed = partial(Field, of=Seed, change=Transition.SEED)
SEED = Form(
    Seed,
    (
        _seed(
            name="hostname",
            kind=kinds.TEXT,
            given="hostname",
            key="hostname",
            told="hostname",
            word="hostname",
            what="What the guest calls itself.",
            said="What each calls itself (its name); always a template, as in `{name}-a`.",
        ),
        _seed(
            name="machine_id",
            kind=kinds.TEXT,
            change=Transition.NEVER,
            word="machine-id",
            what="The guest's /etc/machine-id.",
        ),
        _seed(
            name="generation",
            kind=kinds.NUMBER,
            change=Transition.ITSELF,
            shown="seed_generation",
            word="generation",
            what="Counts seeds: the guest applies each once.",
        ),
        _seed(
            name="network",
            kind=ADDRESS.kind("static address"),
            optional=True,
            given="static_network",
            told="address",
            word="network",
            what="Its static address; null is DHCP.",
        ),
        _seed(
            name="authorized_keys",
            kind=kinds.KEYS,
            given="authorized_keys",
            key="ssh_keys",
            told="ssh_keys",
            word="authorized-keys",
            what="Public keys that let in, the fleet's own first.",
            said="Public keys, each as text or as `{file: PATH}`; a file may hold several.",
        ),
        _seed(
            name="files",
            kind=FILE.several("files"),
            given="files",
            key="files",
            told="file",
            word="file",
            what="Files that the guest finds.",
            said="Files that machines find at their first start and after a reset.",
        ),
        _seed(
            name="run_once",
            kind=kinds.SCRIPT,
            optional=True,
            given="run_once",
            key="run_once",
            told="run_once",
            word="run-once",
            what="A script that runs once, when the network is up.",
            said="A script to run once, when the network is up: as text or as `{file: PATH}`.",
        ),
        _seed(
            name="follows_name",
            kind=kinds.FLAG,
            later=True,
            given="follow_name",
            key="follow_name",
            told="follow_name",
            word="hostname-from",
            protocol=2,
            what="At each boot the hostname becomes what the pool calls the machine then.",
            said="At each boot the hostname becomes what the pool calls the machine then (false; only on a"
            " pool).",
        ),
        _seed(
            name="nics",
            kind=NIC.several("cards"),
            later=True,
            given="nics",
            key="nics",
            told="nic",
            word="nic",
            protocol=3,
            what="Its cards beside the first.",
            said="Cards beside the first.",
        ),
        _seed(
            name="users",
            kind=USER.several("users"),
            later=True,
            given="users",
            key="users",
            told="users",
            word="user",
            protocol=3,
            what="Users that the guest is to have.",
            said="Users that machines are to have. One that is there is brought to what is said, and keeps"
            " what else it has; one that is no longer said stays, without the sudo that came with it.",
        ),
        _seed(
            name="timezone",
            kind=kinds.TEXT,
            optional=True,
            later=True,
            given="timezone",
            key="timezone",
            told="timezone",
            word="timezone",
            protocol=3,
            what="Its time zone; null is the master's.",
            said="The time zone, as in Europe/Berlin (the master's). The master needs the package tzdata.",
        ),
        _seed(
            name="locale",
            kind=kinds.TEXT,
            optional=True,
            later=True,
            given="locale",
            key="locale",
            told="locale",
            word="locale",
            protocol=3,
            what="The system's locale; null is the master's.",
            said="The system's locale, as in de_DE.UTF-8 (the master's). It must have been generated in the"
            " master; C.UTF-8 always is.",
        ),
        _seed(
            name="ntp",
            kind=kinds.TEXTS,
            later=True,
            given="ntp",
            key="ntp",
            told="ntp",
            word="ntp",
            protocol=3,
            what="Whom it asks for the time.",
            said="Names or addresses of time servers, for the systemd-timesyncd, chrony or ntpd of the"
            " master (the master's).",
        ),
        _seed(
            name="user_data",
            kind=kinds.CONTENT,
            optional=True,
            later=True,
            given="user_data",
            key="user_data",
            told="user_data",
            word="user-data",
            protocol=3,
            what="What its cloud-init is handed, as it is.",
            said="User-data for the master's cloud-init, as text or as `{file: PATH}`, handed on as it is."
            " Without it a master's cloud-init is off.",
        ),
    ),
)
