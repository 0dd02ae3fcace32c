"""The one secret of an installation, from the environment or a key file, and the keys derived from it.

Whoever loses it loses the call cards; whoever else has it can read them and sign in as anybody.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VARIABLE = "ASSISTANT_SECRET_KEY"
FILE = "secret.key"
SHORTEST = 32  # characters
HOW_TO_MAKE = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


class SecretError(Exception):
    """There is no secret to be used; the message says why and what to do, and never shows it."""


def load_secret(folder: Path, given: str = "") -> bytes:
    """`given`, the value of ASSISTANT_SECRET_KEY, or else what the key file in `folder` holds; made there at the first
    start, readable by its owner alone. Raises SecretError."""
    if given.strip():
        return _checked(given, VARIABLE)
    file = folder / FILE
    try:
        if not file.exists():
            _make(file)
        _refuse_if_open_to_others(file)
        return _checked(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise SecretError(
            f"{file}: the key cannot be kept there ({error.strerror}); make the folder writable or set {VARIABLE}"
        ) from error
    except UnicodeDecodeError as error:
        raise SecretError(f"{file}: not a key; put the right one there or set {VARIABLE}") from error


def cookie_key(secret: bytes) -> bytes:
    """32 bytes that sign session cookies."""
    return _derived(secret, b"session cookies")


def card_key(secret: bytes) -> bytes:
    """32 bytes that encrypt call cards."""
    return _derived(secret, b"call cards")


def _derived(secret: bytes, purpose: bytes) -> bytes:
    """RFC 5869: from one derived key neither the secret nor another derived key can be told."""
    return HKDF(SHA256(), length=32, salt=None, info=purpose).derive(secret)


def _make(file: Path) -> None:
    """In place at once, whole, and on the disk: cards that are encrypted with it are too. The first of several
    processes wins, the others take its key."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=file.parent, prefix=FILE) as partial:
        partial.write(secrets.token_urlsafe(32) + "\n")
        partial.flush()
        os.fsync(partial.fileno())
        with suppress(FileExistsError):
            file.hardlink_to(partial.name)
    folder = os.open(file.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _refuse_if_open_to_others(file: Path) -> None:
    if file.stat().st_mode & 0o077:
        raise SecretError(f"{file}: others than its owner can read the key; run: chmod 600 {file}")


def _checked(value: str, where: str) -> bytes:
    value = value.strip()
    if len(value) < SHORTEST:
        raise SecretError(f"{where}: {len(value)} characters are too few for a key, at least {SHORTEST}; {HOW_TO_MAKE}")
    return os.fsencode(value)
