"""Who may sign in: accounts and their passwords, a roster from a file, tokens of other programs.

AccountError            the message is a Russian sentence for the screen
├── SignInRefused       not this login and password, disabled, or too many tries
├── PasswordRefused     the new password is too easy to guess
└── RosterError         `problems`: all of the file, each with its line
"""

import csv
import hashlib
import io
import os
import re
import secrets
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from itertools import islice
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from .storage import Account, Conflict, Database, Role, Token, record
from .storage import accounts as stored

__all__ = [
    "ROLES",
    "Account",
    "AccountError",
    "Accounts",
    "Cost",
    "PasswordRefused",
    "Role",
    "RosterError",
    "RosterProblem",
    "SignInRefused",
    "Token",
    "Tokens",
]

WINDOW = timedelta(minutes=15)  # how long a try to sign in counts
TRIES_FOR_NAME = 5  # from one address
FAILURES_OF_ADDRESS = 50  # for all names: a whole call centre may sit behind one address
SHORTEST_PASSWORD = 10
LONGEST_FULL_NAME = 200
LARGEST_ROSTER = 5_000
COMMAND_LINE = "command line"  # who acts where nobody is signed in

NAME = re.compile(r"[^\W_][\w.@+-]{1,47}")  # of an account or a token
NOBODY = ""  # no account has this name
KEY_ROWS = "1234567890-qwertyuiopasdfghjklzxcvbnm йцукенгшщзхъфывапролджэячсмитьбю"
EASY_TO_DICTATE = "abcdefghjkmnpqrstuvwxyz23456789"  # no 0 and o, no 1, i and l

ROLES = {
    Role.VOLUNTEER: "волонтёр",
    Role.TRAINER: "наставник",
    Role.EDITOR: "редактор",
    Role.SENIOR: "старший смены",
    Role.ADMINISTRATOR: "администратор",
}

WRONG = "Логин или пароль не подходит. Проверьте раскладку клавиатуры и попробуйте ещё раз."
DISABLED = "Эта учётная запись отключена. Обратитесь к администратору."
TOO_MANY_TRIES = "Слишком много попыток входа. Подождите 15 минут или попросите администратора сбросить пароль."
ADDRESS_REFUSED = "С этого адреса слишком много неудачных попыток входа. Подождите 15 минут."
BAD_NAME = "«{}» не подходит: нужно от 2 до 48 букв, цифр и знаков . _ - + @, сначала буква или цифра."
BAD_FULL_NAME = f"Имя и фамилия длиннее {LONGEST_FULL_NAME} знаков."
TAKEN = "Имя «{}» уже занято."
UNKNOWN = "Имени «{}» среди записанных нет."


class AccountError(Exception):
    """The message is for the screen."""


class SignInRefused(AccountError):
    """It is not said which of login and password is wrong."""


class PasswordRefused(AccountError):
    """Too easy to guess."""


@dataclass(frozen=True, order=True)
class RosterProblem:
    """`line`: of the file, from 1."""

    line: int
    what: str


class RosterError(AccountError):
    """The roster cannot be used; nobody of it was added."""

    def __init__(self, *problems: RosterProblem) -> None:
        self.problems = problems
        super().__init__("\n".join(f"строка {problem.line}: {problem.what}" for problem in problems))


@dataclass(frozen=True)
class Cost:
    """How hard passwords are to hash with argon2id. The default is the least that OWASP recommends (Password Storage
    Cheat Sheet): some 25 ms each."""

    passes: int = 2
    memory_kib: int = 19 * 1024
    lanes: int = 1


OWASP = Cost()


@dataclass(frozen=True)
class Person:
    """Somebody to be given an account."""

    name: str
    full_name: str
    role: Role


class Accounts:
    """The accounts of one database. `by`: who changes somebody else's account, for the audit."""

    def __init__(self, database: Database, cost: Cost = OWASP) -> None:
        self.database = database
        self._hasher = PasswordHasher(cost.passes, cost.memory_kib, cost.lanes)
        self._nobodys_digest = self._digest(secrets.token_urlsafe())

    def add(
        self, name: str, full_name: str, role: Role, password: str | None, now: datetime, by: str = COMMAND_LINE
    ) -> Account:
        """Without a password they sign in after a `reset`, or from outside. Raises AccountError, PasswordRefused."""
        person = Person(_folded(name), _one_line(full_name), role)
        for what in _wrong_with(person.name, person.full_name):
            raise AccountError(what)
        if password is not None:
            _refuse_easy(password, person.name)
        digest = None if password is None else self._digest(password)
        return self._insert([(person, digest)], now, by)[0]

    def import_roster(self, file: Path, now: datetime, by: str = COMMAND_LINE) -> Sequence[tuple[str, str]]:
        """Accounts for everybody in a CSV file, or for nobody. Returns the logins with their one-time passwords. Raises
        RosterError, OSError."""
        people = read_roster(file, {account.name for account in self.list()})
        passwords = [one_time_password() for _ in people]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            digests = list(pool.map(self._digest, passwords))
        added = self._insert(list(zip(people, digests, strict=True)), now, by, must_change=True)
        return [(account.name, password) for account, password in zip(added, passwords, strict=True)]

    def sign_in(self, name: str, password: str, address: str, now: datetime) -> Account:
        """Raises SignInRefused."""
        account = self._prove(name, password, address, now)
        with self.database.writing() as session:
            record(session, account.name, "account.sign_in", account.name, now=now)
        return account

    def by_external(self, name: str, full_name: str, now: datetime) -> Account | None:
        """Sign in somebody whom another service vouches for. None if they have no account here or it is disabled."""
        with self.database.writing() as session:
            account = stored.by_name(session, _typed(name))
            if account is None or account.disabled:
                return None
            record(session, account.name, "account.sign_in", account.name, {"external": True}, now=now)
            full_name = _one_line(full_name)[:LONGEST_FULL_NAME] or account.full_name
            return stored.change(session, account.name, full_name=full_name)

    def sign_out(self, account: Account, now: datetime) -> None:
        """Everywhere: all sessions of the account are void."""
        self._revoke("account.sign_out", account.name, account.name, now)

    def change_password(self, account: Account, old: str, new: str, address: str, now: datetime) -> Account:
        """All sessions of before are void. Raises PasswordRefused, and SignInRefused if `old` is not the password."""
        _refuse_easy(new, account.name)
        if new == old:
            raise PasswordRefused("Новый пароль такой же, как прежний. Придумайте другой.")
        self._prove(account.name, old, address, now)
        digest = self._digest(new)
        return self._revoke("account.password", account.name, account.name, now, password=digest, must_change=False)

    def reset(self, name: str, now: datetime, by: str = COMMAND_LINE) -> str:
        """A one-time password in place of the one they had. Raises AccountError."""
        password = one_time_password()
        self._revoke("account.reset", by, name, now, password=self._digest(password), must_change=True)
        return password

    def disable(self, name: str, now: datetime, by: str = COMMAND_LINE) -> Account:
        """Raises AccountError."""
        return self._revoke("account.disable", by, name, now, disabled=True)

    def enable(self, name: str, now: datetime, by: str = COMMAND_LINE) -> Account:
        """Raises AccountError."""
        return self._revoke("account.enable", by, name, now, disabled=False)

    def get(self, account_id: int) -> Account | None:
        with self.database.reading() as session:
            return stored.by_id(session, account_id)

    def any(self) -> bool:
        """True if there is somebody who may sign in."""
        with self.database.reading() as session:
            return stored.any_account(session)

    def list(self) -> Sequence[Account]:
        """By login, the disabled ones too."""
        with self.database.reading() as session:
            return stored.all_accounts(session)

    def _insert(
        self, people: Sequence[tuple[Person, str | None]], now: datetime, by: str, must_change: bool = False
    ) -> Sequence[Account]:
        added = []
        with self.database.writing() as session:
            for person, digest in people:
                with _taken(person.name):
                    account = stored.insert(
                        session, person.name, person.full_name, person.role, digest, must_change, now
                    )
                record(session, by, "account.add", account.name, {"role": account.role.value}, now=now)
                added.append(account)
        return added

    def _revoke(self, action: str, by: str, name: str, now: datetime, **values: Any) -> Account:
        """Change an account; its sessions are void, and its tries to sign in count anew."""
        with self.database.writing() as session:
            account = stored.revoke(session, _typed(name), **values)
            if account is None:
                raise AccountError(UNKNOWN.format(name))
            stored.forget_tries(session, account.name)
            record(session, by, action, account.name, now=now)
            return account

    def _prove(self, name: str, password: str, address: str, now: datetime) -> Account:
        """Whose password this is. Raises SignInRefused. A try is counted before the slow work, so that many sent at
        once do not slip through together."""
        name, source = _typed(name), source_of(address)
        try_id = self._begin_try(name, source, now)
        with self.database.reading() as session:
            account, digest = stored.by_name(session, name), stored.password_digest(session, name)
        fits = self._fits(digest, password)
        with self.database.writing() as session:
            if account and fits and not account.disabled:
                stored.forget_tries(session, name, source)
                return account
            stored.fail_try(session, try_id)
        raise SignInRefused(DISABLED if fits else WRONG)

    def _begin_try(self, name: str, source: str, now: datetime) -> int:
        with self.database.writing() as session:
            # To both sides of now: a clock that is set back shuts nobody out for longer.
            tries, failures = stored.count_tries(session, name, source, now - WINDOW, now + WINDOW)
            if tries >= TRIES_FOR_NAME:
                raise SignInRefused(TOO_MANY_TRIES)
            if failures >= FAILURES_OF_ADDRESS:
                raise SignInRefused(ADDRESS_REFUSED)
            return stored.begin_try(session, name, source, now - WINDOW, now)

    def _fits(self, digest: str | None, password: str) -> bool:
        """As much work where there is nothing to compare with: the time does not tell which logins exist."""
        with suppress(VerificationError):
            return self._hasher.verify(digest or self._nobodys_digest, _bytes(password))
        return False

    def _digest(self, password: str) -> str:
        return self._hasher.hash(_bytes(password))


@contextmanager
def _taken(name: str) -> Iterator[None]:
    try:
        yield
    except Conflict:
        raise AccountError(TAKEN.format(name)) from None


class Tokens:
    """Keys of other programs, each with a role of its own. A key is shown once; only its digest is kept."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, name: str, role: Role, now: datetime, by: str = COMMAND_LINE) -> str:
        """The key. Raises AccountError."""
        name, key = _folded(name), f"va_{secrets.token_urlsafe(32)}"
        for what in _wrong_with(name):
            raise AccountError(what)
        with self.database.writing() as session:
            with _taken(name):
                stored.insert_token(session, name, role, _token_digest(key), now)
            record(session, by, "token.add", name, {"role": role.value}, now=now)
        return key

    def account_of(self, key: str) -> Account | None:
        """Whom a program with this key acts as; None if the key is not known or disabled."""
        with self.database.reading() as session:
            token = stored.token_of(session, _token_digest(key))
        if token is None or token.disabled:
            return None
        return Account(0, f"token:{token.name}", "", token.role)

    def disable(self, name: str, now: datetime, by: str = COMMAND_LINE) -> None:
        """For good. Raises AccountError."""
        with self.database.writing() as session:
            if not stored.disable_token(session, _typed(name)):
                raise AccountError(UNKNOWN.format(name))
            record(session, by, "token.disable", _typed(name), now=now)

    def list(self) -> Sequence[Token]:
        """By name, the disabled ones too."""
        with self.database.reading() as session:
            return stored.all_tokens(session)


def _token_digest(key: str) -> str:
    """A key is 256 random bits: it needs no slow hash."""
    return hashlib.sha256(_bytes(key)).hexdigest()


def _folded(name: str) -> str:
    """« Иванова.М» and «иванова.м» are one login."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def _typed(name: str) -> str:
    """A login from outside. What cannot be one, such as a password in the wrong field, is not kept."""
    folded = _folded(name)
    return folded if NAME.fullmatch(folded) else NOBODY


def _one_line(text: str) -> str:
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def _bytes(password: str) -> bytes:
    """й is one password, typed as one character or as two."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def source_of(address: str) -> str:
    """Whom the throttle takes for one: an IPv4 address; of IPv6 the /64, all of which one subscriber may use."""
    try:
        found = ip_address(address)
    except ValueError:
        return "elsewhere"
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or IPv6Network((int(found), 64), strict=False))
    return str(found)


def one_time_password() -> str:
    """Twelve characters that are not mistaken for others, 59 bits: k7fm-2xqp-9drw."""
    return "-".join("".join(secrets.choice(EASY_TO_DICTATE) for _ in range(4)) for _ in range(3))


def _short(password: str, _: str) -> bool:
    """зима2022"""
    return len(password) < SHORTEST_PASSWORD


def _mostly_the_login(password: str, name: str) -> bool:
    """ivanova2022 of ivanova"""
    return len(password.replace(name, "")) < 6


def _few_characters(password: str, _: str) -> bool:
    """1212121212"""
    return len(set(password)) < 5


def _row_of_keys(password: str, _: str) -> bool:
    """1234567890, йцукенгшщз"""
    return password in KEY_ROWS


BETTER = "Возьмите три-четыре слова, никак не связанных между собой."
EASY_PASSWORDS = (
    (_short, f"Пароль короче {SHORTEST_PASSWORD} знаков. {BETTER}"),
    (_mostly_the_login, f"Пароль почти повторяет логин. {BETTER}"),
    (_few_characters, f"В пароле повторяются одни и те же знаки. {BETTER}"),
    (_row_of_keys, f"Пароль набран клавишами подряд. {BETTER}"),
)


def _refuse_easy(password: str, name: str) -> None:
    """Raises PasswordRefused."""
    for is_easy, sentence in EASY_PASSWORDS:
        if is_easy(password.casefold(), name):
            raise PasswordRefused(sentence)


def _wrong_with(name: str, full_name: str = "") -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield BAD_NAME.format(name)
    if len(full_name) > LONGEST_FULL_NAME:
        yield BAD_FULL_NAME


COLUMNS = {
    "name": "name",
    "логин": "name",
    "full_name": "full_name",
    "фио": "full_name",
    "role": "role",
    "роль": "role",
}
ROLE_NAMES = {role.value: role for role in ROLES} | {name.replace("ё", "е"): role for role, name in ROLES.items()}


@dataclass(frozen=True)
class _Row:
    """One of a roster, tidied. `rest`: what stands right of the columns."""

    line: int
    name: str
    full_name: str
    role: str
    rest: str


def read_roster(file: Path, taken: Collection[str]) -> Sequence[Person]:
    """People of a CSV file: UTF-8 or Windows-1251, commas or semicolons. `taken`: logins that are there already.
    Raises RosterError, OSError."""
    rows = list(islice(_rows(_decoded(file.read_bytes())), LARGEST_ROSTER + 1))
    if not rows:
        raise RosterError(RosterProblem(1, "Под заголовком никого нет."))
    if len(rows) > LARGEST_ROSTER:
        raise RosterError(RosterProblem(rows[-1].line, f"Людей больше {LARGEST_ROSTER}. Разделите таблицу на части."))
    if problems := list(_problems(rows, taken)):
        raise RosterError(*problems)
    return [Person(row.name, row.full_name, ROLE_NAMES[row.role]) for row in rows]


def _problems(rows: Iterable[_Row], taken: Collection[str]) -> Iterator[RosterProblem]:
    first: dict[str, int] = {}
    for row in rows:
        wrong = [*_wrong_with(row.name, row.full_name)]
        if row.name in taken:
            wrong.append(TAKEN.format(row.name))
        if first.setdefault(row.name, row.line) != row.line:
            wrong.append(f"«{row.name}» есть уже в строке {first[row.name]}.")
        if row.role not in ROLE_NAMES:
            wrong.append(f"Роли «{row.role}» нет. Есть {', '.join(ROLES.values())}.")
        if row.rest:
            wrong.append(f"Лишнее в конце: «{row.rest}». Если в имени есть запятая, возьмите его в кавычки.")
        yield from (RosterProblem(row.line, what) for what in wrong)


def _decoded(content: bytes) -> str:
    for encoding in ("utf-8-sig", "cp1251"):
        with suppress(UnicodeDecodeError):
            return content.decode(encoding)
    raise RosterError(RosterProblem(1, "Файл не в UTF-8 и не в Windows-1251. Сохраните его как «CSV UTF-8»."))


def _rows(text: str) -> Iterator[_Row]:
    """Those that are not blank."""
    delimiter = max(",;", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = _columns(next(reader, []))
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _row(reader.line_num, columns, cells)
    except csv.Error as error:
        raise RosterError(RosterProblem(reader.line_num, f"Таблица повреждена: {error}.")) from error


def _columns(heading: Sequence[str]) -> Sequence[str]:
    columns = [COLUMNS.get(cell.strip().casefold(), cell) for cell in heading]
    if missing := [name for name in ("name", "full_name", "role") if name not in columns]:
        raise RosterError(RosterProblem(1, f"В заголовке нет: {', '.join(missing)}. Нужны name, full_name и role."))
    return columns


def _row(line: int, columns: Sequence[str], cells: Sequence[str]) -> _Row:
    cell = dict(zip(columns, cells, strict=False))
    role = _folded(cell.get("role", "")).replace("ё", "е")
    rest = " ".join(cells[len(columns) :]).strip()
    return _Row(line, _folded(cell.get("name", "")), _one_line(cell.get("full_name", "")), role, rest)
