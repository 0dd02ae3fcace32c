"""A tiny base and an encoder whose vectors can be worked out by hand; the shipped base for the tests of the whole."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sqlalchemy import create_engine, make_url

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# One thread for the model: beside servers and browsers on the same cores, two of them spend their time waiting for each
# other, and a question takes ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from assistant.accounts import Account, Accounts, Cost, Role, Tokens
from assistant.answer import Assistant
from assistant.build import build_assistant, open_assistant
from assistant.calls import Calls
from assistant.live import Live
from assistant.log import QuestionLog
from assistant.privacy import Vault
from assistant.secrets import card_key, cookie_key
from assistant.service import Service, now
from assistant.sessions import COOKIE, Sessions
from assistant.settings import Settings
from assistant.storage import Database, fill_if_empty
from assistant.storage.tables import Table
from index import VectorStore
from kb import Entry, KnowledgeBase, load
from quality.browser import chromium_is_here

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

DAY = date(2022, 1, 24)
needs_chromium = pytest.mark.skipif(not chromium_is_here(), reason="Chromium is not installed; .ci/run installs it")
AXES = ("больничн", "прививк", "код", "врач")


class AxisEncoder:
    """A text's vector counts the words of each axis in it; a text without any points the same way on all axes."""

    name = "axes"

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode_document(self, texts: Sequence[str]) -> np.ndarray:
        self.encoded += texts
        counts = np.array([[text.lower().count(axis) for axis in AXES] for text in texts], dtype=np.float32)
        counts[counts.sum(axis=1) == 0] = 1
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    encode_query = encode_document


def entry(entry_id: str = "sick-leave-extend", **changes: Any) -> Entry:
    data = {
        "id": entry_id,
        "topic": "sick-leave",
        "question": f"Как продлить больничный {entry_id}?",
        "variants": [f"продлить больничный {entry_id} {number}" for number in range(5)],
        "say": "Позвоните врачу до последнего дня больничного.",
        "sources": ["Приказ № 1089н"],
        "reviewed": "2022-01-24",
        "owner": "редакция",
    }
    return Entry.model_validate({**data, **changes})


@cache
def _shipped_kb() -> KnowledgeBase:
    return load()


def base_of(*entries: Entry) -> KnowledgeBase:
    frame = _shipped_kb()
    rules_alone = frame.flag.model_copy(update={"examples": ()})
    return KnowledgeBase(frame.about, {each.id: each for each in entries}, rules_alone, frame.lexicon)


def tiny_assistant(*entries: Entry, encoder: AxisEncoder | None = None, store: VectorStore | None = None) -> Assistant:
    return build_assistant(base_of(*entries), encoder or AxisEncoder(), store)[0]


QUICK = Cost(passes=1, memory_kib=8, lanes=1)
SECRET = b"thirty-two bytes, for tests alone"


def service_of(tmp_path: Path, *entries: Entry, open: bool = True) -> Service:
    """Everything that pages and the API need, over a tiny base and an SQLite file. Passwords are quick to hash."""
    assistant = tiny_assistant(*(entries or (entry(),)))
    (tmp_path / "assistant.db").write_bytes(_empty_sqlite())
    database = Database(f"sqlite:///{tmp_path / 'assistant.db'}")
    version = fill_if_empty(database, assistant.kb.entries.values(), "edition", now())
    accounts = Accounts(database, QUICK)
    return Service(
        settings=Settings(data=tmp_path, database_url=database.url.render_as_string(hide_password=False)),
        database=database,
        live=Live(assistant, version, database),
        accounts=accounts,
        sessions=Sessions(accounts, cookie_key(SECRET)),
        tokens=Tokens(database),
        calls=Calls(database, Vault(card_key(SECRET))),
        log=QuestionLog(database),
        open=open,
    )


def app_of(service: Service) -> "FastAPI":
    """The whole application over it."""
    from assistant.web import build_app
    from quality.browser import uncollected

    with uncollected():
        return build_app(service)


def client_of(service: Service, role: Role | None = None, app: Any = None) -> "TestClient":
    """A browser on this machine, signed in with an account of this role, or, where it is open, playing it. `app`: if
    it is built already."""
    from fastapi.testclient import TestClient

    client = TestClient(
        app or app_of(service),
        base_url=f"http://127.0.0.1:{service.settings.port}",
        headers={"Sec-Fetch-Site": "same-origin"},
        client=("127.0.0.1", 50_000),
        follow_redirects=False,
    )
    if role and service.open:
        client.cookies.set("assistant_role", role.value)
    elif role:
        client.cookies.set(COOKIE, service.sessions.issue(account_of(service, role), now()))
    return client


def account_of(service: Service, role: Role) -> Account:
    """An account with the role's name, made if it is not there."""
    known = {account.name: account for account in service.accounts.list()}
    return known.get(role.value) or service.accounts.add(role.value, "", role, None, now())


@pytest.fixture(scope="session")
def shipped() -> Assistant:
    """The shipped base with the bundled model; vectors come from var/ or are made there once."""
    return open_assistant(Settings())[0]


POSTGRES = os.environ.get("ASSISTANT_TEST_POSTGRES", "")
FORMS = Path(__file__).parent / "forms"
KINDS = ["sqlite", "postgresql"] if POSTGRES else ["sqlite"]
SCHEMA = f"test_{os.getpid()}"  # of this test run alone: several share one server


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables and no rows: copied for each test, that takes a hundredth of the time."""
    file = tmp_path_factory.mktemp("migrated") / "empty.db"
    file.write_bytes(_empty_sqlite())
    return file


@pytest.fixture(scope="session")
def migrated_postgres() -> Iterator[str]:
    """URL of a schema with all tables and no rows."""
    with _schema(SCHEMA) as url:
        _migrate(url)
        yield url


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A migrated database without rows. On PostgreSQL too if ASSISTANT_TEST_POSTGRES holds the URL of one."""
    if request.param == "sqlite":
        file = tmp_path_factory.mktemp("database") / "assistant.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), file)
        opened = Database(f"sqlite:///{file}")
    else:
        opened = Database(request.getfixturevalue("migrated_postgres"))
        _execute(*_emptying())
    yield opened
    opened.close()


@pytest.fixture(params=KINDS)
def blank_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a database that has no tables yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('blank') / 'assistant.db'}"
    else:
        with _schema(f"{SCHEMA}_blank") as url:
            yield url


@contextmanager
def _schema(name: str) -> Iterator[str]:
    """URL of a schema that is dropped at the end."""
    _execute(f"DROP SCHEMA IF EXISTS {name} CASCADE", f"CREATE SCHEMA {name}")
    url = make_url(POSTGRES).update_query_dict({"options": f"-csearch_path={name}"})
    yield url.render_as_string(hide_password=False)
    _execute(f"DROP SCHEMA {name} CASCADE")


def fill(database: Database, form: str) -> None:
    """A row or more in every table, as they were written to a database of this form (a number of a migration)."""
    with database.engine.begin() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        for statement in (FORMS / f"{form}.sql").read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)


@cache
def _empty_sqlite() -> bytes:
    """A file with all tables and no rows."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "empty.db")
        _migrate(f"sqlite:///{file}")
        return file.read_bytes()


def _migrate(url: str) -> None:
    database = Database(url)
    database.migrate()
    database.close()


def _emptying() -> Iterator[str]:
    """Deleting takes a fifth of the time of TRUNCATE. The audit refuses it, unless to somebody who owns it."""
    yield f"ALTER TABLE {SCHEMA}.audit DISABLE TRIGGER USER"
    for table in reversed(Table.metadata.sorted_tables):
        yield f"DELETE FROM {SCHEMA}.{table.name}"
        if table.autoincrement_column is not None:
            yield f"ALTER SEQUENCE {SCHEMA}.{table.name}_id_seq RESTART"
    yield f"ALTER TABLE {SCHEMA}.audit ENABLE TRIGGER USER"


def _execute(*statements: str) -> None:
    engine = create_engine(POSTGRES)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
