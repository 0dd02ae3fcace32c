"""Who did what when. A line is written in the transaction of the deed itself: both are there or neither."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from .database import Database, on_server
from .tables import AuditRow


def record(
    session: Session, actor: str, action: str, object: str = "", detail: dict[str, Any] | None = None, *, now: datetime
) -> None:
    """Add a line. `object`: what it was done to. `detail`: plain data, never a caller's details or a password."""
    session.add(AuditRow(at=now, actor=actor, action=action, object=object, detail=detail or {}))


def lines(database: Database, since: datetime | None = None, until: datetime | None = None) -> Iterator[AuditRow]:
    """The lines from `since` on and before `until`, in the order in which they were written."""
    query = select(AuditRow).order_by(AuditRow.id).execution_options(yield_per=1000)
    if since:
        query = query.where(AuditRow.at >= since)
    if until:
        query = query.where(AuditRow.at < until)
    with database.reading() as session:
        yield from session.scalars(query)


@contextmanager
def unguarded(session: Session) -> Iterator[None]:
    """Lets a restore replace the lines. No other transaction sees the guard gone: if this one fails, it never was."""
    guard = _triggers(session)
    for lift, _ in guard:
        session.execute(text(lift))
    yield
    for _, put_back in guard:
        session.execute(text(put_back))


def _triggers(session: Session) -> list[tuple[str, str]]:
    """Statements that lift the triggers of the table and put them back."""
    if on_server(session):
        return [("ALTER TABLE audit DISABLE TRIGGER USER", "ALTER TABLE audit ENABLE TRIGGER USER")]
    found = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'")
    return [(f"DROP TRIGGER {name}", sql) for name, sql in session.execute(found)]
