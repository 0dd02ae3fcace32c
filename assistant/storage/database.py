"""One database, SQLite or PostgreSQL: opened, brought up to date, and its faults told in our words.

SQLite runs in WAL mode: readers never wait for the one writer, and what is committed survives a kill.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Semaphore
from time import monotonic, sleep
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from .errors import StorageBusy, StorageError

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_S = 5.0
WRITERS = 20  # at once, on a server; they leave connections for those who read
MIGRATING = 20220124  # the advisory lock of PostgreSQL under which one process migrates
OPTIONS = {
    "hide_parameters": True,  # what is stored is nobody's business in a log
    "pool_size": 10,
    "max_overflow": 20,
}


class Database:
    """`url`: of SQLAlchemy, sqlite:///FILE or postgresql+psycopg://... `busy_s`: how long to wait for another who
    holds the database, or for a server that is silent. Raises StorageError if the URL cannot be used."""

    def __init__(self, url: str, busy_s: float = BUSY_S) -> None:
        try:
            self.url = make_url(url)
            self.is_sqlite = self.url.get_backend_name() == "sqlite"
            self.engine = _sqlite(self.url, busy_s) if self.is_sqlite else _server(self.url, busy_s)
        except (SQLAlchemyError, ImportError) as error:
            raise StorageError(
                f"ASSISTANT_DATABASE_URL cannot be used ({error}); "
                "write sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
            ) from error
        # SQLite lets in one writer; the others would ask again and again, and some would never get their turn.
        self._turn = Semaphore(1 if self.is_sqlite else WRITERS)
        self._busy_s = busy_s
        self._looks = _looking(self.engine, self.is_sqlite)
        self._writers = sessionmaker(self.engine, expire_on_commit=False)
        self._readers = sessionmaker(self._looks, expire_on_commit=False)

    @property
    def file(self) -> Path | None:
        """Of SQLite, None of a server."""
        return Path(self.url.database) if self.is_sqlite and self.url.database else None

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on any error. Raises StorageBusy if the database is held
        by another for too long or out of reach, StorageError for any other fault of it."""
        if not self._turn.acquire(timeout=self._busy_s):
            raise StorageBusy(f"the database was held by another for more than {self._busy_s:g} s")
        try:
            with _transaction(self._writers) as session:
                yield session
        finally:
            self._turn.release()

    def reading(self) -> AbstractContextManager[Session]:
        """The same for a look that changes nothing and waits for nobody: all of it sees the database of one moment."""
        return _transaction(self._readers)

    def migrate(self) -> None:
        """Bring the tables up to date. Safe to call by several processes at once. Raises StorageError."""
        try:
            if self._revision() != newest_revision():
                self._upgrade()
        except CommandError as error:
            raise StorageError(
                f"{self.url.render_as_string()}: the database is of another version of the assistant ({error}); "
                "install the newest version"
            ) from error
        except (SQLAlchemyError, OSError) as error:
            raise StorageError(
                f"{self.url.render_as_string()}: the database cannot be opened ({_cause(error)}); "
                "check ASSISTANT_DATABASE_URL and the space on the disk"
            ) from error

    def _revision(self) -> str | None:
        if self.file:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._looks.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def _upgrade(self) -> None:
        with self.engine.begin() as connection:
            if not self.is_sqlite:  # which lets one writer in at a time anyway
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATING})"))
            command.upgrade(migrations(connection), "head")

    def ping(self) -> bool:
        """True if the database answers."""
        try:
            with self._looks.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    def close(self) -> None:
        self.engine.dispose()


def migrations(connection: Connection) -> Config:
    """What Alembic's commands need to work on this connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def newest_revision() -> str:
    """The revision that this version of the assistant works with."""
    return str(ScriptDirectory(str(MIGRATIONS)).get_current_head())


def on_server(session: Session) -> bool:
    """True for PostgreSQL, which lets many write at once, False for SQLite."""
    return session.get_bind().dialect.name == "postgresql"


@contextmanager
def _transaction(sessions: sessionmaker[Session]) -> Iterator[Session]:
    try:
        with sessions.begin() as session:
            yield session
    except (OperationalError, PoolTimeout) as error:
        raise StorageBusy(f"the database cannot be reached or is busy: {_cause(error)}") from error
    except DBAPIError as error:
        raise StorageError(f"the database refused: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    """In the database's own words, without the statement and its values: those may be a caller's."""
    cause = getattr(error, "orig", None) or error
    short = getattr(getattr(cause, "diag", None), "message_primary", None)  # PostgreSQL's detail quotes values
    return " ".join(str(short or cause).split())


def _sqlite(url: URL, busy_s: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": busy_s}, pool_timeout=busy_s, **OPTIONS)

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy begins transactions itself, below
        _to_wal(connection, busy_s)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer at once as such: two readers that both want to write would deadlock.
        looks = connection.get_execution_options().get("looks", False)
        connection.exec_driver_sql("BEGIN" if looks else "BEGIN IMMEDIATE")

    return engine


def _to_wal(connection: sqlite3.Connection, busy_s: float) -> None:
    """SQLite refuses at once where two processes do this to a new file, whatever its timeout: it is tried again."""
    deadline = monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if monotonic() > deadline:
                raise
            sleep(0.02)


def _server(url: URL, busy_s: float) -> Engine:
    options = f"{url.query.get('options', '')} -c lock_timeout={busy_s * 1e3:.0f}"
    gone = {"connect_timeout": max(2, round(busy_s)), "tcp_user_timeout": round(busy_s * 1e3), "keepalives_idle": 5}
    connect_args = {"options": options, **gone}
    return create_engine(url, connect_args=connect_args, pool_pre_ping=True, pool_timeout=busy_s, **OPTIONS)


def _looking(engine: Engine, is_sqlite: bool) -> Engine:
    """The same connections, for transactions that only read and see one moment."""
    if is_sqlite:
        return engine.execution_options(looks=True)
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
