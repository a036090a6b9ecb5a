"""token create, list, revoke."""

import argparse

from skinnybox.cli import numbers, options, render, report
from skinnybox.cli.complete import ask_for

_COLUMNS = ("token", "name", "role", "fleet", "state", "made", "expires", "used")
_ROLES = ("viewer", "operator", "admin")


def add_to(commands: options.Commands) -> None:
    nouns = options.group(commands, "token", "say who may use the server, as what and how long")
    parser = options.command(
        nouns, "create", _create, "make a token, by which somebody comes in at the server",
        "It is printed this once: only its digest is kept.",
    )  # fmt: skip
    parser.add_argument("name", metavar="NAME", help="whose it is, as jobs are to tell who asked")
    parser.add_argument("--role", choices=_ROLES, required=True,
        help="viewer looks on; operator makes and changes machines; admin everything")  # fmt: skip
    parser.add_argument("--fleet", metavar="NAME", help="only the machines of this fleet file")
    parser.add_argument("--expires", metavar="TIME", type=numbers.lasting,
        help="as 12h, 90d or 4w: nobody comes in with it after that (default: never)")  # fmt: skip
    options.add_format(parser)

    parser = options.command(nouns, "list", _list, "list the tokens, and when each was last used")
    options.add_format(parser)

    parser = options.command(
        nouns, "revoke", _revoke, "let nobody in by a token any more",
        "What was asked for with it goes on: `jobs cancel` ends that.",
    )  # fmt: skip
    ask_for(parser.add_argument("token", metavar="ID", help="as `token list` tells it"), "tokens")


def _create(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet import present_tokens
    from skinnybox.fleet.tokens import Role

    role = Role[arguments.role.upper()]
    with options.fleet(arguments) as fleet:
        token, secret = fleet.tokens.create(
            arguments.name, role, fleet=arguments.fleet, lasts=arguments.expires
        )
    if arguments.format != "table":
        record = {**present_tokens.token(token), "secret": secret}
        columns = (*_COLUMNS, "secret")
        render.emit([record], columns, arguments.format, headers=not arguments.no_headers, one=True)
        return 0
    print(secret)
    report.note(f"this is the token of {token.name}, {token.id}; it is not shown again")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from skinnybox.fleet import present_tokens

    with options.fleet(arguments) as fleet:
        records = [present_tokens.token(token) for token in fleet.tokens.all()]
    render.emit(records, _COLUMNS, arguments.format, headers=not arguments.no_headers)
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    with options.fleet(arguments) as fleet:
        fleet.tokens.revoke(arguments.token)
    report.done(f"{arguments.token}: revoked")
    return 0
