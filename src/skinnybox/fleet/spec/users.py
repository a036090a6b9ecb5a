"""Users that a fleet file gives to machines, and the keys that let them in."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from skinnybox.fleet.spec.content import checked, public_keys
from skinnybox.fleet.spec.parts import Exact, FromFile, Text, fits, text_of
from skinnybox.model import SeedUser
from skinnybox.overlays import seed_system

_USER, _USER_WHAT = "[a-z_][a-z0-9_-]{0,31}", "a user's name"

User = Annotated[str, fits(_USER, _USER_WHAT), Field(pattern=f"^{_USER}$")]
GroupName = Annotated[str, fits(_USER, "a group's name"), Field(pattern=f"^{_USER}$")]


def _is_keys(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        public_keys(value)
    elif info.context and isinstance(value, dict) and isinstance(value.get("file"), str):
        public_keys(text_of(FromFile.model_construct(file=value["file"]), info.context))
    return value


Keys = list[Annotated[Text, BeforeValidator(_is_keys)]]


class SeededUser(Exact):
    """A user that every machine of the group has."""

    name: User
    """What it is called. Lower case letters, digits, _ and -."""
    groups: list[GroupName] = Field(default_factory=list)
    """Further groups it is in; the master must have them."""
    sudo: bool = False
    """Whether it may do everything by sudo: for its password where it has one, else without. The master must
    have sudo."""
    shell: str | None = None
    """Its absolute path in the guest. Left out: bash where the guest has it."""
    ssh_keys: Keys = Field(default_factory=list)
    """Public keys that let it in, each as text or as `{file: PATH}`."""
    password_hash: str | None = None
    """As in /etc/shadow, from `mkpasswd`. Left out: no password lets it in."""

    @model_validator(mode="after")
    def _made(self, info: ValidationInfo) -> "SeededUser":
        if info.context:
            folder: Path = info.context
            checked(lambda: seed_system.check_user(seed_user(self, folder)))
        return self


def keys_of(texts: list[str | FromFile], folder: Path) -> tuple[str, ...]:
    """Each once. Raises ValueError."""
    return tuple(dict.fromkeys(key for text in texts for key in public_keys(text_of(text, folder))))


def seed_user(user: SeededUser, folder: Path) -> SeedUser:
    """Raises ValueError when a file with keys cannot be read."""
    return SeedUser(
        name=user.name,
        groups=tuple(user.groups),
        sudo=user.sudo,
        shell=user.shell,
        authorized_keys=keys_of(user.ssh_keys, folder),
        password_hash=user.password_hash,
    )
