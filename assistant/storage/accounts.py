"""Accounts, tries to sign in and tokens: the queries. Each works inside the transaction of its caller."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, exists, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from .database import on_server
from .errors import Conflict
from .tables import AccountRow, Role, SignInRow, Table, TokenRow

THROTTLE_LOCK = 20220125  # any number that no other lock of this database has


@dataclass(frozen=True)
class Account:
    """Somebody who may sign in; a program with a token has the id 0. `must_change`: the password was made for them and
    opens nothing but the page where they choose their own. Sessions of an older `epoch` are void."""

    id: int
    name: str
    full_name: str
    role: Role
    must_change: bool = False
    disabled: bool = False
    epoch: int = 0


@dataclass(frozen=True)
class Token:
    """A key of another program, without the key."""

    name: str
    role: Role
    disabled: bool
    made_at: datetime


def insert(
    session: Session, name: str, full_name: str, role: Role, digest: str | None, must_change: bool, now: datetime
) -> Account:
    """A new account; `digest`: of its password. Raises Conflict if the name is taken."""
    row = AccountRow(
        name=name, full_name=full_name, role=role, password=digest, must_change=must_change, disabled=False, made_at=now
    )
    _insert(session, row, f"the account {name} exists already")
    return _account(row)


def _insert(session: Session, row: Table, taken: str) -> None:
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(taken) from error


def change(session: Session, name: str, **values: Any) -> Account | None:
    """Set columns of an account; None if there is no such account."""
    changed = update(AccountRow).where(AccountRow.name == name).values(values).returning(AccountRow)
    row = session.scalar(changed)
    return _account(row) if row else None


def revoke(session: Session, name: str, **values: Any) -> Account | None:
    """The same, and every session of the account is void."""
    return change(session, name, epoch=AccountRow.epoch + 1, **values)


def by_id(session: Session, account_id: int) -> Account | None:
    row = session.get(AccountRow, account_id)
    return _account(row) if row else None


def by_name(session: Session, name: str) -> Account | None:
    row = session.scalar(select(AccountRow).where(AccountRow.name == name))
    return _account(row) if row else None


def password_digest(session: Session, name: str) -> str | None:
    """None if there is no such account or it has no password."""
    return session.scalar(select(AccountRow.password).where(AccountRow.name == name))


def all_accounts(session: Session) -> list[Account]:
    """By name, the disabled ones too."""
    return [_account(row) for row in session.scalars(select(AccountRow).order_by(AccountRow.name))]


def any_account(session: Session) -> bool:
    """True if there is somebody who may sign in."""
    return bool(session.scalar(select(exists().where(AccountRow.disabled.is_(False)))))


def _account(row: AccountRow) -> Account:
    return Account(row.id, row.name, row.full_name, row.role, row.must_change, row.disabled, row.epoch)


def count_tries(session: Session, name: str, address: str, since: datetime, until: datetime) -> tuple[int, int]:
    """Tries for this name from this address, those under way too; failed ones from this address for any name. Nobody
    else counts before this transaction ends, so that tries sent all at once do not slip through together."""
    _one_at_a_time(session)
    within = (SignInRow.address == address, SignInRow.at > since, SignInRow.at < until)
    of_name = func.count(case((SignInRow.name == name, 1)))
    failed = func.count(case((SignInRow.failed, 1)))
    counted = session.execute(select(of_name, failed).where(*within)).one()
    return counted[0], counted[1]


def begin_try(session: Session, name: str, address: str, since: datetime, now: datetime) -> int:
    """Its id. Tries before `since` count no more and are forgotten."""
    session.execute(delete(SignInRow).where(SignInRow.at <= since))
    row = SignInRow(name=name, address=address, at=now, failed=False)
    session.add(row)
    session.flush()
    return row.id


def fail_try(session: Session, try_id: int) -> None:
    session.execute(update(SignInRow).where(SignInRow.id == try_id).values(failed=True))


def forget_tries(session: Session, name: str, address: str | None = None) -> None:
    """Those for this name, from one address or from all."""
    _one_at_a_time(session)
    forgotten = delete(SignInRow).where(SignInRow.name == name)
    session.execute(forgotten.where(SignInRow.address == address) if address is not None else forgotten)


def _one_at_a_time(session: Session) -> None:
    """SQLite lets one writer in at a time anyway."""
    if on_server(session):
        session.execute(select(func.pg_advisory_xact_lock(THROTTLE_LOCK)))


def insert_token(session: Session, name: str, role: Role, digest: str, now: datetime) -> None:
    """Raises Conflict if the name is taken."""
    row = TokenRow(name=name, role=role, digest=digest, disabled=False, made_at=now)
    _insert(session, row, f"the token {name} exists already")


def token_of(session: Session, digest: str) -> Token | None:
    row = session.scalar(select(TokenRow).where(TokenRow.digest == digest))
    return _token(row) if row else None


def disable_token(session: Session, name: str) -> bool:
    """False if there is no such token."""
    disabled = update(TokenRow).where(TokenRow.name == name).values(disabled=True).returning(TokenRow.id)
    return session.scalar(disabled) is not None


def all_tokens(session: Session) -> list[Token]:
    """By name, the disabled ones too."""
    return [_token(row) for row in session.scalars(select(TokenRow).order_by(TokenRow.name))]


def _token(row: TokenRow) -> Token:
    return Token(row.name, row.role, row.disabled, row.made_at)
