"""What all commands share: where they print, their settings, and errors as one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from index import ModelError, StoreError
from kb import ContentError

if TYPE_CHECKING:
    from .settings import Settings

out = Console()
err = Console(stderr=True)


@contextmanager
def told() -> Iterator[None]:
    """Errors that people can mend, as one sentence and exit code 1."""
    from .accounts import AccountError
    from .coverage import CoverageError
    from .privacy import VaultError
    from .secrets import SecretError
    from .storage import StorageError

    try:
        yield
    except ContentError as error:
        raise _failed(*map(str, error.problems)) from None
    except ValidationError as error:
        names = ("ASSISTANT_" + "_".join(str(step) for step in found["loc"]).upper() for found in error.errors())
        said = [f"{name}: {found['msg']}" for name, found in zip(names, error.errors(), strict=True)]
        raise _failed(*said) from None
    except (
        ModelError, StoreError, CoverageError, AccountError, SecretError, StorageError, VaultError, OSError, ValueError,
    ) as error:  # fmt: skip
        raise _failed(str(error)) from None


def _failed(*messages: str) -> typer.Exit:
    for message in messages:
        err.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(1)


def settings_from(**changes: Any) -> "Settings":
    """The settings of the environment with those of the command line."""
    from .settings import Settings

    return Settings(**{name: value for name, value in changes.items() if value is not None})
