"""Sessions: login, logout, who may call what."""

import functools
from typing import Any

from tests.emulators.xapi.context import Call, Session, Xapi, implements
from tests.emulators.xapi.failure import Failure
from tests.emulators.xapi.kinds import NULL
from tests.emulators.xapi.model import Message, load

MOST_SESSIONS = 500


def login(xapi: Xapi, host: str, name: str, password: str, originator: str = "") -> str:
    """A new session's reference, for a user of the pool; only its master logs anybody in."""
    if host != xapi.master:
        raise Failure("HOST_IS_SLAVE", xapi.database.get("host", xapi.master, "address"))
    user = xapi.users.get(name)
    if user is None or user.password != password:
        raise Failure("SESSION_AUTHENTICATION_FAILED", name, "Authentication failure")
    same = [ref for ref, each in xapi.sessions.items() if (each.name, each.originator) == (name, originator)]
    for ref in same[: max(0, len(same) - MOST_SESSIONS + 1)]:
        end(xapi, ref)
    values: dict[str, Any] = {
        "this_host": host,
        "is_local_superuser": user.superuser,
        "auth_user_name": name,
        "originator": originator,
        "rbac_permissions": [] if user.superuser else _permissions(user.roles),
        "subject": next((ref for ref, _ in xapi.database.where("subject", subject_identifier=name)), NULL),
    }
    ref = xapi.database.create("session", values)
    xapi.sessions[ref] = Session(name=name, user=user, originator=originator)
    return ref


@functools.cache
def _permissions(roles: frozenset[str]) -> list[str]:
    """Names of calls, in lower case; of root, who may everything, xapi lists none."""
    messages = (each for one in load().classes.values() for each in one.messages.values())
    return sorted(each.full_name.lower() for each in messages if each.roles & roles)


def end(xapi: Xapi, ref: str) -> None:
    """Whoever waits for events in it hears SESSION_INVALID."""
    if xapi.sessions.pop(ref, None):
        xapi.registered.pop(ref, None)
        xapi.database.destroy("session", ref)


def check(xapi: Xapi, host: str, ref: str) -> Session:
    """The session of a call that came to `host`."""
    found = xapi.sessions.get(ref)
    if found is None:
        raise Failure("SESSION_INVALID", ref)
    if host != xapi.master:
        raise Failure("HOST_IS_SLAVE", xapi.database.get("host", xapi.master, "address"))
    return found


def authorise(session: Session, message: Message) -> None:
    """Failure RBAC_PERMISSION_DENIED unless a role of the user is one of the call's."""
    if session.user.superuser or session.user.roles & message.roles:
        return
    roles = ", ".join(sorted(message.roles))
    raise Failure(
        "RBAC_PERMISSION_DENIED",
        message.full_name.lower(),
        f"No permission in user session. (Roles with this permission: {roles})",
    )


@implements("session.logout", "session.local_logout")
def logout(call: Call) -> None:
    end(call.xapi, call.session)


@implements("session.get_all_subject_identifiers")
def all_subject_identifiers(call: Call) -> list[str]:
    return sorted({each.name for each in call.xapi.sessions.values() if not each.user.superuser})


@implements("session.logout_subject_identifier")
def logout_subject(call: Call, subject: str) -> None:
    for ref, each in list(call.xapi.sessions.items()):
        if each.name == subject and ref != call.session:
            end(call.xapi, ref)
