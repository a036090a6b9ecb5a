"""TLS: whom browsers believe that they talk to us, and that nobody else reads it."""

import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from skinnybox.errors import Blocked, SkinnyboxError, UsageError, of_system
from skinnybox.private import name_of

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: with forward secrecy, and none that the attacks on CBC concern. (Those of 1.3 are all so.)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """`chain`: PEM, ours first. `least` is a key of VERSIONS: the engine in XenCenter speaks 1.2."""

    chain: Path
    key: Path
    least: str = "1.2"


def context(certificate: Certificate) -> ssl.SSLContext:
    """UsageError when they are no pair, Blocked when others may read the key."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.minimum_version = VERSIONS[certificate.least]
    found.set_ciphers(_CIPHERS)
    found.set_alpn_protocols(["http/1.1"])
    load(found, certificate)
    return found


def renew(live: ssl.SSLContext, certificate: Certificate) -> None:
    """From now on it answers with what the files hold now. Tried beside it first: what is no pair changes
    nothing, and is the same error as in the beginning."""
    context(certificate)
    load(live, certificate)


def load(into: ssl.SSLContext, certificate: Certificate) -> None:
    _refuse_readers(certificate.key)
    try:
        certificate.chain.open("rb").close()  # else its error names no file
        into.load_cert_chain(certificate.chain, certificate.key, password=_nobody_knows)
    except ssl.SSLError as error:
        raise UsageError(
            f"{certificate.chain} and {certificate.key} are no certificate and its key:"
            f" {error.reason or error}",
            hint="PEM; `openssl x509 -noout -pubkey -in CERT` says what `openssl pkey -pubout -in KEY` says",
        ) from error
    except OSError as error:
        raise of_system(error, str(certificate.chain)) from error


def _nobody_knows() -> NoReturn:
    """Without this OpenSSL asks at the terminal, and a service waits for ever."""
    raise UsageError(
        "the key of the certificate has a passphrase, which nobody is there to type",
        hint="openssl pkey -in KEY -out NEW, in a folder that is yours alone",
    )


def _refuse_readers(key: Path) -> None:
    """Who reads it is us. As PostgreSQL has it: ours alone; or root's, who may lend it to a group."""
    try:
        found = key.stat()
    except OSError as error:
        raise of_system(error, str(key)) from error
    if found.st_uid not in (0, os.geteuid()):
        raise Blocked(
            f"{key} belongs to {name_of(found.st_uid)}, who could be this server",
            hint="chown it to us or to root",
        )
    lent = stat.S_IRGRP if found.st_uid == 0 and os.geteuid() != 0 else 0
    if found.st_mode & 0o077 & ~lent:
        raise Blocked(f"others may read {key}, and so be this server", hint=f"chmod 600 {key}")


def refuse_plain(where: str) -> SkinnyboxError:
    return UsageError(
        f"without TLS everybody on the way reads what is said at {where}, tokens too",
        hint="--tls-cert and --tls-key; or listen on 127.0.0.1, behind ssh -L or a proxy that has TLS",
    )
