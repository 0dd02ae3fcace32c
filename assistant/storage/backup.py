"""All rows of one moment in one file, and back, while others go on working.

The file is gzipped JSON lines: a header, then one line for each row. It is the same for SQLite and PostgreSQL, so that
a backup of one can be restored into the other. It holds password hashes and sealed cards: only its owner may read it.
"""

import gzip
import json
import os
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Column, Date, LargeBinary, delete, insert, select, text
from sqlalchemy.orm import Session

from .audit import record, unguarded
from .database import Database, newest_revision, on_server
from .entries import newest_version
from .errors import StorageError
from .tables import Moment, Table, VersionRow

FORMAT = 1
WHAT = "volunteer-assistant backup"
BATCH = 1000
TABLES = {table.name: table for table in Table.metadata.sorted_tables}  # what is referred to comes first
READERS: dict[type, Callable[[str], Any]] = {
    Moment: datetime.fromisoformat,
    Date: date.fromisoformat,
    LargeBinary: b64decode,
}
DAMAGED = (EOFError, zlib.error, ValueError, KeyError, TypeError)

Line = tuple[str, dict[str, Any]]  # a table's name and one row of it


def backup(database: Database, file: Path, now: datetime) -> int:
    """Write all rows to `file`, in place at once and whole. Returns how many. Raises StorageError, leaving an older
    file as it was."""
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    header = {"what": WHAT, "format": FORMAT, "revision": newest_revision(), "at": now.isoformat()}
    try:
        with database.reading() as session, _private(partial) as out:
            rows = _write(out, header, session)
        partial.replace(file)
    except OSError as error:
        raise StorageError(
            f"{file}: the backup cannot be written ({error.strerror}); free some disk space or name another folder"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return rows


def restore(database: Database, file: Path, actor: str, now: datetime) -> int:
    """Make the database what it was when `file` was written, in one transaction. Returns the number of rows.

    Whoever is working goes on: the base gets a version above all before, which running processes follow. Raises
    StorageError and changes nothing if the file is damaged or of another format or revision.
    """
    try:
        with gzip.open(file, "rt", encoding="utf-8") as source:
            header = _header(file, source)
            database.migrate()
            with database.writing() as session:
                return _replace_all(session, source, header["at"], actor, now)
    except DAMAGED as error:
        raise StorageError(f"{file}: damaged backup ({error}); nothing was changed, take another one") from error
    except OSError as error:
        raise StorageError(f"{file}: the backup cannot be read ({error}); nothing was changed") from error


@contextmanager
def _private(file: Path) -> Iterator[IO[str]]:
    """A new file that only its owner may read, gzipped, and on the disk when the block ends."""
    number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, "wb") as raw:
        with gzip.open(raw, "wt", encoding="utf-8") as out:
            yield out
        raw.flush()
        os.fsync(raw.fileno())


def _write(out: IO[str], header: dict[str, Any], session: Session) -> int:
    rows = 0
    out.write(json.dumps(header) + "\n")
    for table in TABLES.values():
        query = select(table).order_by(*table.primary_key).execution_options(yield_per=BATCH)
        for row in session.execute(query).mappings():
            out.write(json.dumps((table.name, dict(row)), ensure_ascii=False, default=_plain) + "\n")
            rows += 1
    return rows


def _plain(value: object) -> str:
    match value:
        case date():
            return value.isoformat()
        case bytes():
            return b64encode(value).decode()
    raise TypeError(f"{type(value)} has no form in a backup")


def _header(file: Path, source: IO[str]) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(source.readline())
    if (header["what"], header["format"]) != (WHAT, FORMAT):
        raise StorageError(f"{file}: not a backup that this version reads (it reads format {FORMAT} of {WHAT})")
    if header["revision"] != newest_revision():
        raise StorageError(
            f"{file}: backup of revision {header['revision']}, this version works with {newest_revision()}; "
            "restore it with the version that wrote it, then upgrade"
        )
    return header


def _replace_all(session: Session, source: IO[str], made_at: str, actor: str, now: datetime) -> int:
    _alone(session)
    before = newest_version(session)
    with unguarded(session):
        for table in reversed(TABLES.values()):
            session.execute(delete(table))
        rows = _fill(session, map(json.loads, source))
    _let_follow(session, before, f"restored from the backup of {made_at}", actor, now)
    _count_on(session)
    record(session, actor, "restore", detail={"backup": made_at, "rows": rows}, now=now)
    return rows


def _alone(session: Session) -> None:
    """Nobody else writes from now on. The audit comes last, as in every other transaction: that rules out deadlock."""
    if on_server(session):
        names = sorted(TABLES, key=lambda name: name == "audit")
        session.execute(text(f"LOCK TABLE {', '.join(names)} IN EXCLUSIVE MODE"))


def _fill(session: Session, lines: Iterator[Line]) -> int:
    rows = 0
    for name, of_table in groupby(lines, key=itemgetter(0)):
        readers = {column.name: _reader(column) for column in TABLES[name].columns}
        ready = ({key: readers[key](value) for key, value in row.items()} for _, row in of_table)
        while batch := list(islice(ready, BATCH)):
            session.execute(insert(TABLES[name]), batch)
            rows += len(batch)
    return rows


def _reader(column: Column[Any]) -> Callable[[Any], Any]:
    """What makes a value of this column from its form in a backup."""
    read = READERS.get(type(column.type))
    return lambda value: read(value) if read and value is not None else value


def _let_follow(session: Session, before: int, note: str, actor: str, now: datetime) -> None:
    """A version with a number that nobody has seen, so that running processes take up what was restored."""
    restored = newest_version(session)
    if restored:
        fingerprint = session.get_one(VersionRow, restored).fingerprint
        session.add(VersionRow(id=max(before, restored) + 1, at=now, actor=actor, note=note, fingerprint=fingerprint))
        session.flush()


def _count_on(session: Session) -> None:
    """On PostgreSQL the next rows are numbered behind the restored ones; SQLite sees to that by itself."""
    if not on_server(session):
        return
    for table in TABLES.values():
        if table.autoincrement_column is not None:
            sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
            session.execute(text(f"SELECT setval({sequence}, coalesce(max(id), 0) + 1, false) FROM {table.name}"))
