"""The commands for what is kept: accounts, tokens, the stored base, backup, cards, audit."""

import csv
import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .cli_told import out, settings_from, told

if TYPE_CHECKING:
    from .accounts import Role
    from .settings import Settings
    from .storage import Database

user = typer.Typer(no_args_is_help=True, help="Accounts: who may sign in.")
token = typer.Typer(no_args_is_help=True, help="Tokens of other programs.")
kb = typer.Typer(no_args_is_help=True, help="The stored base as YAML and back.")

Name = Annotated[str, typer.Argument(help="Login.")]
RoleName = Annotated[str, typer.Option("--role", help="volunteer, trainer, editor, senior or administrator.")]


def _database(settings: "Settings") -> "Database":
    from .service import open_database

    return open_database(settings)


def _stored_base(settings: "Settings") -> "Database":
    """The database with a base in it."""
    from kb import load

    from .service import stored_base

    database = _database(settings)
    stored_base(database, load(settings.kb))
    return database


def _role(name: str) -> "Role":
    from .accounts import Role

    if name not in list(Role):
        raise ValueError(f"«{name}» is not a role; use one of {', '.join(Role)}")
    return Role(name)


def _now() -> datetime:
    from .service import now

    return now()


@user.command("add")
def user_add(
    name: Name,
    role: RoleName = "volunteer",
    full_name: Annotated[str, typer.Option(help="As it is shown.")] = "",
) -> None:
    """Add somebody; prints a one-time password, to be changed at the first sign-in."""
    with told():
        from .accounts import Accounts

        accounts = Accounts(_database(settings_from()))
        accounts.add(name, full_name, _role(role), None, _now())
        out.print(f"{name}: {accounts.reset(name, _now())}", markup=False, highlight=False)


@user.command("list")
def user_list() -> None:
    """Everybody who has an account."""
    with told():
        from .accounts import Accounts

        table = Table("login", "name", "role", "")
        for account in Accounts(_database(settings_from())).list():
            table.add_row(account.name, account.full_name, account.role, "disabled" if account.disabled else "")
        out.print(table)


@user.command("reset")
def user_reset(name: Name) -> None:
    """A new one-time password; ends all sessions."""
    with told():
        from .accounts import Accounts

        password = Accounts(_database(settings_from())).reset(name, _now())
        out.print(f"{name}: {password}", markup=False, highlight=False)


@user.command("disable")
def user_disable(name: Name) -> None:
    """Lock somebody out at once; nothing is deleted."""
    with told():
        from .accounts import Accounts

        Accounts(_database(settings_from())).disable(name, _now())


@user.command("enable")
def user_enable(name: Name) -> None:
    """Let somebody in again."""
    with told():
        from .accounts import Accounts

        Accounts(_database(settings_from())).enable(name, _now())


@user.command("import")
def user_import(
    file: Annotated[Path, typer.Argument(help="CSV with the columns name, full_name, role.")],
) -> None:
    """Add a roster; prints login and one-time password of each as CSV."""
    with told():
        from .accounts import Accounts

        made = Accounts(_database(settings_from())).import_roster(file, _now())
        csv.writer(sys.stdout).writerows([("name", "password"), *made])


@token.command("add")
def token_add(name: Annotated[str, typer.Argument(help="Which program.")], role: RoleName = "volunteer") -> None:
    """Make a token; it is shown this once."""
    with told():
        from .accounts import Tokens

        out.print(Tokens(_database(settings_from())).add(name, _role(role), _now()), markup=False, highlight=False)


@token.command("list")
def token_list() -> None:
    """All tokens, without their keys."""
    with told():
        from .accounts import Tokens

        table = Table("program", "role", "made", "")
        for each in Tokens(_database(settings_from())).list():
            table.add_row(each.name, each.role, f"{each.made_at:%Y-%m-%d}", "disabled" if each.disabled else "")
        out.print(table)


@token.command("disable")
def token_disable(name: Annotated[str, typer.Argument(help="Which program.")]) -> None:
    """Make a token useless."""
    with told():
        from .accounts import Tokens

        Tokens(_database(settings_from())).disable(name, _now())


@kb.command("export")
def kb_export(folder: Annotated[Path, typer.Argument(help="An empty folder, or one of an earlier export.")]) -> None:
    """Write the live entries as YAML, one file per topic."""
    with told():
        from .exchange import export_base

        out.print(f"{export_base(_stored_base(settings_from()), folder)} entries -> {folder}")


@kb.command("import")
def kb_import(
    folder: Annotated[Path, typer.Argument(help="Folder of entries, the whole base.")],
    publish: Annotated[bool, typer.Option("--publish", help="Do it; without, only show what would change.")] = False,
) -> None:
    """Show what an import would change, or make the stored base what the folder says."""
    with told():
        from .exchange import import_base

        database = _stored_base(settings_from())
        found = import_base(database, folder, "command line", _now(), dry_run=not publish)
        for name in ("added", "changed", "retired"):
            for entry_id in getattr(found, name):
                out.print(f"{name:8} {entry_id}", markup=False, highlight=False)
        out.print(f"{len(found.same)} unchanged; " + ("published" if publish and found else "nothing published"))


def backup(file: Annotated[Path, typer.Argument(help="Where to; an older file gives way.")]) -> None:
    """Write everything that is kept to one file, while serving."""
    with told():
        from .storage import backup

        out.print(f"{backup(_database(settings_from()), file, _now())} rows -> {file}")


def restore(file: Annotated[Path, typer.Argument(help="A backup.")]) -> None:
    """Make everything what it was at a backup, while serving."""
    with told():
        from .storage import restore

        out.print(f"{restore(_database(settings_from()), file, 'command line', _now())} rows <- {file}")


def purge() -> None:
    """Empty the call cards whose time is over; happens by itself every hour while serving."""
    with told():
        from .calls import Calls
        from .privacy import Vault
        from .secrets import card_key, load_secret

        settings = settings_from()
        secret = load_secret(settings.data, settings.secret_key.get_secret_value())
        calls = Calls(_database(settings), Vault(card_key(secret)), settings.keep_days)
        out.print(f"{calls.purge(_now())} cards emptied")


def audit(
    since: Annotated[str, typer.Option(help="First day, 2022-01-24.")] = "",
    until: Annotated[str, typer.Option(help="Day after the last, 2022-01-25.")] = "",
) -> None:
    """Print who did what when, as CSV."""
    with told():
        from .storage import audit_lines
        from .tables_out import to_csv

        lines = audit_lines(_database(settings_from()), _midnight(since), _midnight(until))
        rows = [(line.at, line.actor, line.action, line.object, str(line.detail or "")) for line in lines]
        sys.stdout.buffer.write(to_csv([("at", "who", "action", "object", "detail"), *rows]))


def _midnight(day: str) -> datetime | None:
    from .settings import MOSCOW, parse_day

    found: date | None = parse_day(day) if day else None
    return datetime(found.year, found.month, found.day, tzinfo=MOSCOW) if found else None


def register(app: typer.Typer) -> None:
    """Add all of them to the command line."""
    app.add_typer(user, name="user")
    app.add_typer(token, name="token")
    app.add_typer(kb, name="kb")
    for command in (backup, restore, purge, audit):
        app.command()(command)
