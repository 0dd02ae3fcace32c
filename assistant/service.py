"""Everything that serves people, opened together and closed together: base, database, accounts, calls, logs."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from index import Progress, unheard
from kb import KnowledgeBase, load

from .accounts import Account, Accounts, Role, Tokens
from .answer import Answer
from .build import open_assistant
from .calls import Calls
from .exchange import follow_edition
from .live import Live
from .log import QuestionLog
from .privacy import Vault, public_numbers
from .secrets import card_key, cookie_key, load_secret
from .sessions import Sessions
from .settings import Settings
from .storage import Database, StorageError, live_entries

log = logging.getLogger(__name__)

PURGE_EVERY_S = 3600.0
NO_ACCOUNT = (
    "{} can be reached from other machines, but nobody has an account: everybody could come in. "
    "Make one first: assistant user add NAME --role administrator"
)


@dataclass(frozen=True)
class Service:
    """The parts that pages and the API are handed. `open`: nobody has an account, whoever is at this machine may do
    all."""

    settings: Settings
    database: Database
    live: Live
    accounts: Accounts
    sessions: Sessions
    tokens: Tokens
    calls: Calls
    log: QuestionLog
    open: bool

    @property
    def day(self) -> date:
        """The day that answers are for unless a question names another."""
        return self.settings.day(self.live.assistant.kb)

    @property
    def trouble(self) -> bool:
        """True while something is not being saved."""
        return self.log.behind or not self.live.saved

    def ask(self, question: str, day: date | None = None, *, calls: int = 1, literally: bool = False) -> Answer:
        """The answer of the base in use."""
        return self.live.assistant.ask(question, day or self.day, calls=calls, literally=literally)


def now() -> datetime:
    """The only clock of the program; everything below is handed its time."""
    return datetime.now(UTC)


def open_database(settings: Settings) -> Database:
    """The database, brought up to date. Raises StorageError."""
    database = Database(settings.database)
    database.migrate()
    return database


def stored_base(database: Database, shipped: KnowledgeBase) -> tuple[int, KnowledgeBase]:
    """The version in the database and its base; an empty database is filled with the shipped entries first."""
    if follow_edition(database, tuple(shipped), now()):
        log.info("the stored base and the shipped edition differ; «assistant kb import» shows how")
    version, entries = live_entries(database)
    return version, replace(shipped, entries={entry.id: entry for entry in entries})


@contextmanager
def open_service(settings: Settings, *, force: bool = False, progress: Progress = unheard) -> Iterator[Service]:
    """All parts, with what runs beside them: the base is followed, old cards are emptied. Raises ContentError,
    ModelError, StoreError, StorageError, SecretError; OSError if others could come in though nobody has an account."""
    database = open_database(settings)
    accounts = Accounts(database)
    is_open = not accounts.any()
    if is_open and not settings.loopback:
        raise OSError(NO_ACCOUNT.format(settings.host))
    shipped = load(settings.kb)
    version, kb = stored_base(database, shipped)
    assistant, _ = open_assistant(settings, kb=kb, force=force, progress=progress)
    secret = load_secret(settings.data, settings.secret_key.get_secret_value())
    live = Live(assistant, version, database)
    service = Service(
        settings=settings,
        database=database,
        live=live,
        accounts=accounts,
        sessions=Sessions(accounts, cookie_key(secret)),
        tokens=Tokens(database),
        calls=Calls(database, Vault(card_key(secret)), settings.keep_days),
        log=QuestionLog(database, public_numbers(phone.number for phone in shipped.phones)),
        open=is_open,
    )
    with live.follow(), _purging(service.calls):
        try:
            yield service
        finally:
            service.log.close()
            database.close()


def local_account(role: Role) -> Account:
    """Whoever sits at this machine while nobody has an account."""
    return Account(id=0, name="local", full_name="", role=role, must_change=False, disabled=False, epoch=0)


@contextmanager
def _purging(calls: Calls) -> Iterator[None]:
    """Empty the cards whose time is over now and every hour."""
    stop = threading.Event()

    def work() -> None:
        wait = 0.0
        while not stop.wait(wait):
            wait = PURGE_EVERY_S
            try:
                calls.purge(now())
            except StorageError as error:
                log.warning("old call cards could not be emptied: %s", error)

    thread = threading.Thread(target=work, name="purge", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
