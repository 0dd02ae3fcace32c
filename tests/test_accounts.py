"""Who may sign in, and for how long: accounts, the throttle, a roster, session cookies, tokens, the key file."""

import csv
import hmac
import re
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from assistant.accounts import (
    ADDRESS_REFUSED,
    DISABLED,
    TOO_MANY_TRIES,
    WRONG,
    Account,
    AccountError,
    Accounts,
    Cost,
    PasswordRefused,
    Role,
    RosterError,
    SignInRefused,
    Tokens,
    one_time_password,
    source_of,
)
from assistant.secrets import SecretError, card_key, cookie_key, load_secret
from assistant.sessions import LIFETIME, PAUSE, Sessions
from assistant.storage import Database, StorageBusy, audit_lines

NOW = datetime(2022, 1, 24, 5, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUICK = Cost(passes=1, memory_kib=8, lanes=1)
PASSWORD = "синий трактор в поле"
HOME, ELSEWHERE = "10.0.0.7", "10.0.0.8"


@pytest.fixture
def accounts(database: Database) -> Accounts:
    return Accounts(database, QUICK)


@pytest.fixture
def ivanova(accounts: Accounts) -> Account:
    return accounts.add("ivanova", "Мария Иванова", Role.VOLUNTEER, PASSWORD, NOW)


def refusal(accounts: Accounts, name: str, password: str, address: str = HOME, now: datetime = NOW) -> str:
    with pytest.raises(SignInRefused) as refused:
        accounts.sign_in(name, password, address, now)
    return str(refused.value)


def fail(accounts: Accounts, times: int, name: str = "ivanova", address: str = HOME, now: datetime = NOW) -> None:
    for _ in range(times):
        assert refusal(accounts, name, "не тот пароль", address, now) == WRONG


def count(database: Database, table: str) -> int:
    with database.reading() as session:
        return int(session.scalar(text(f"SELECT count(*) FROM {table}")))


def audit(database: Database) -> list[tuple[str, str, str]]:
    return [(line.actor, line.action, line.object) for line in audit_lines(database)]


# Accounts


def test_an_account_that_was_added_signs_in(accounts: Accounts) -> None:
    added = accounts.add("ivanova", "  Мария\tИванова ", Role.SENIOR, PASSWORD, NOW)
    assert added == Account(added.id, "ivanova", "Мария Иванова", Role.SENIOR)
    assert accounts.sign_in("ivanova", PASSWORD, HOME, NOW) == added
    assert accounts.get(added.id) == added
    assert accounts.get(added.id + 1) is None


@pytest.mark.parametrize("typed", ["Сергей", "  СЕРГЕЙ ", unicodedata.normalize("NFD", "сергей")])
def test_a_login_is_the_same_however_it_is_typed(accounts: Accounts, typed: str) -> None:
    added = accounts.add("сергей", "", Role.VOLUNTEER, "майский чай и йод", NOW)
    assert accounts.sign_in(typed, unicodedata.normalize("NFD", "майский чай и йод"), HOME, NOW) == added
    with pytest.raises(AccountError, match="«сергей» уже занято"):
        accounts.add(typed, "", Role.VOLUNTEER, None, NOW)


@pytest.mark.parametrize("name", ["", "я", "я" * 49, "token:x", "a b", "-a", "=1+1", "a\0b", "a\nb", "<b>", "\ud800a"])
def test_a_bad_login_is_refused_with_a_sentence(accounts: Accounts, name: str) -> None:
    with pytest.raises(AccountError, match="не подходит"):
        accounts.add(name, "", Role.VOLUNTEER, None, NOW)
    assert not accounts.list()


def test_a_full_name_may_hold_anything_but_stays_one_short_line(accounts: Accounts) -> None:
    hostile = "'); DROP TABLE account; -- <script>alert(1)</script>"
    assert accounts.add("a1", f"{hostile}\0\ud800\n", Role.VOLUNTEER, None, NOW).full_name == hostile
    with pytest.raises(AccountError, match="длиннее 200"):
        accounts.add("a2", "я" * 201, Role.VOLUNTEER, None, NOW)


def test_of_two_who_add_a_login_at_once_one_is_told_that_it_is_taken(accounts: Accounts) -> None:
    together = Barrier(2)

    def add(_: int) -> str:
        together.wait()
        try:
            return accounts.add("ivanova", "", Role.VOLUNTEER, None, NOW).name
        except AccountError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(add, range(2))) == ["ivanova", "Имя «ivanova» уже занято."]


def test_there_is_somebody_as_long_as_one_account_is_open(accounts: Accounts) -> None:
    assert not accounts.any()
    accounts.add("petrov", "", Role.ADMINISTRATOR, None, NOW)
    accounts.add("ivanova", "", Role.VOLUNTEER, None, NOW)
    assert [account.name for account in accounts.list()] == ["ivanova", "petrov"]
    accounts.disable("petrov", NOW)
    assert accounts.any()
    accounts.disable("ivanova", NOW)
    assert not accounts.any()
    assert [account.disabled for account in accounts.list()] == [True, True]


def test_a_disabled_account_is_told_so_only_with_its_password(accounts: Accounts, ivanova: Account) -> None:
    assert accounts.disable("ivanova", NOW).epoch == ivanova.epoch + 1
    assert refusal(accounts, "ivanova", "не тот пароль") == WRONG
    assert refusal(accounts, "ivanova", PASSWORD) == DISABLED
    accounts.enable("ivanova", NOW)
    assert accounts.sign_in("ivanova", PASSWORD, HOME, NOW).epoch == ivanova.epoch + 2


def test_an_account_without_a_password_does_not_sign_in_with_any(accounts: Accounts) -> None:
    accounts.add("petrov", "", Role.EDITOR, None, NOW)
    assert refusal(accounts, "petrov", "") == WRONG


def test_a_login_that_is_not_there_costs_as_much_work(
    accounts: Accounts, ivanova: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts.add("petrov", "", Role.EDITOR, None, NOW)
    verify, costs = PasswordHasher.verify, []

    def watched(self: PasswordHasher, digest: str, password: bytes) -> bool:
        costs.append(digest.rsplit("$", 2)[0])
        return verify(self, digest, password)

    monkeypatch.setattr(PasswordHasher, "verify", watched)
    for name in (ivanova.name, "nobody", "petrov", "\0"):
        assert refusal(accounts, name, "не тот пароль") == WRONG
    assert costs == ["$argon2id$v=19$m=8,t=1,p=1"] * 4


@pytest.mark.parametrize("junk", ["", "\0", "\ud800", "' OR 1=1 --", "<b>", "я" * 100_000])
def test_junk_is_refused_like_a_wrong_password(accounts: Accounts, ivanova: Account, junk: str) -> None:
    assert refusal(accounts, junk, PASSWORD) == WRONG
    assert refusal(accounts, ivanova.name, junk) == WRONG
    assert refusal(accounts, junk, junk, junk) == WRONG


# The throttle


def test_after_five_failures_the_account_is_refused_from_there(accounts: Accounts, ivanova: Account) -> None:
    fail(accounts, 5)
    assert refusal(accounts, "ivanova", PASSWORD) == TOO_MANY_TRIES
    assert accounts.sign_in("ivanova", PASSWORD, ELSEWHERE, NOW) == ivanova
    assert refusal(accounts, "ivanova", PASSWORD, now=NOW + 14 * MINUTE) == TOO_MANY_TRIES
    assert accounts.sign_in("ivanova", PASSWORD, HOME, NOW + 15 * MINUTE) == ivanova


def test_who_has_signed_in_begins_anew(accounts: Accounts, ivanova: Account) -> None:
    for _ in range(3):
        fail(accounts, 4)
        assert accounts.sign_in("ivanova", PASSWORD, HOME, NOW) == ivanova


def test_a_reset_lets_in_at_once(accounts: Accounts, ivanova: Account) -> None:
    fail(accounts, 5)
    assert accounts.sign_in("ivanova", accounts.reset("ivanova", NOW), HOME, NOW).id == ivanova.id


def test_after_fifty_failures_an_address_is_refused_altogether(accounts: Accounts, ivanova: Account) -> None:
    for number in range(10):
        fail(accounts, 5, f"guess{number}")
    assert refusal(accounts, "ivanova", PASSWORD) == ADDRESS_REFUSED
    assert accounts.sign_in("ivanova", PASSWORD, ELSEWHERE, NOW) == ivanova
    assert accounts.sign_in("ivanova", PASSWORD, HOME, NOW + 15 * MINUTE) == ivanova


def test_many_who_sign_in_at_once_from_one_address_are_no_failures(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"volunteer{number}" for number in range(51)]
    for name in names:
        accounts.add(name, "", Role.VOLUNTEER, PASSWORD, NOW)
    together, verify = Barrier(len(names), timeout=60), PasswordHasher.verify

    def slow(self: PasswordHasher, digest: str, password: bytes) -> bool:
        together.wait()
        return verify(self, digest, password)

    monkeypatch.setattr(PasswordHasher, "verify", slow)
    with ThreadPoolExecutor(len(names)) as pool:
        signed_in = list(pool.map(lambda name: accounts.sign_in(name, PASSWORD, HOME, NOW), names))
    assert [account.name for account in signed_in] == names


def test_tries_sent_all_at_once_do_not_slip_through_together(
    accounts: Accounts, ivanova: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, verify, verified = Barrier(12), PasswordHasher.verify, []

    def watched(self: PasswordHasher, digest: str, password: bytes) -> bool:
        verified.append(digest)
        return verify(self, digest, password)

    def guess(number: int) -> str:
        together.wait()
        return refusal(accounts, ivanova.name, f"догадка {number}", now=NOW + number * timedelta(milliseconds=1))

    monkeypatch.setattr(PasswordHasher, "verify", watched)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(guess, range(12)))
    assert (answers.count(WRONG), answers.count(TOO_MANY_TRIES), len(verified)) == (5, 7, 5)


def test_a_clock_that_is_set_back_shuts_nobody_out(accounts: Accounts, ivanova: Account) -> None:
    fail(accounts, 5, now=NOW + timedelta(days=365))
    assert accounts.sign_in("ivanova", PASSWORD, HOME, NOW) == ivanova


def test_tries_that_no_longer_count_are_forgotten(accounts: Accounts, database: Database) -> None:
    fail(accounts, 3, "typed-by-mistake")
    assert count(database, "sign_in") == 3
    fail(accounts, 1, "other", ELSEWHERE, NOW + 16 * MINUTE)
    assert count(database, "sign_in") == 1


def test_a_password_typed_as_the_login_is_not_kept(accounts: Accounts, database: Database) -> None:
    assert refusal(accounts, PASSWORD, "ivanova") == WRONG
    with database.reading() as session:
        assert list(session.scalars(text("SELECT name FROM sign_in"))) == [""]


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("a.sock", "elsewhere"),
        ("", "elsewhere"),
    ],
)
def test_one_subscriber_is_one_source(address: str, source: str) -> None:
    assert source_of(address) == source


# Passwords


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "короче 10"),
        ("зима2022!", "короче 10"),
        ("ivanova2022", "повторяет логин"),
        ("IvanovaIvanova", "повторяет логин"),
        ("12121212121212", "одни и те же знаки"),
        ("1234567890", "клавишами подряд"),
        ("ЙЦУКЕНГШЩЗ", "клавишами подряд"),
        (PASSWORD, "такой же"),
    ],
)
def test_a_password_that_is_easy_to_guess_is_refused(
    accounts: Accounts, ivanova: Account, password: str, why: str
) -> None:
    with pytest.raises(PasswordRefused, match=why):
        accounts.change_password(ivanova, PASSWORD, password, HOME, NOW)
    if password != PASSWORD:
        with pytest.raises(PasswordRefused, match=why):
            accounts.add("ivanova", "", Role.VOLUNTEER, password, NOW)


def test_a_new_password_takes_the_place_of_the_old_one(accounts: Accounts, ivanova: Account) -> None:
    changed = accounts.change_password(ivanova, PASSWORD, "красный трактор дома", HOME, NOW)
    assert changed.epoch == ivanova.epoch + 1
    assert refusal(accounts, "ivanova", PASSWORD) == WRONG
    assert accounts.sign_in("ivanova", "красный трактор дома", HOME, NOW) == changed


def test_at_a_page_left_open_the_old_password_cannot_be_guessed(accounts: Accounts, ivanova: Account) -> None:
    for answer in [WRONG] * 5 + [TOO_MANY_TRIES]:
        with pytest.raises(SignInRefused, match=re.escape(answer)):
            accounts.change_password(ivanova, "не тот пароль", "красный трактор дома", HOME, NOW)
    assert accounts.sign_in("ivanova", PASSWORD, ELSEWHERE, NOW) == ivanova


def test_a_one_time_password_must_be_changed(accounts: Accounts, ivanova: Account) -> None:
    once = accounts.reset(" Ivanova", NOW)
    assert refusal(accounts, "ivanova", PASSWORD) == WRONG
    signed_in = accounts.sign_in("ivanova", once, HOME, NOW)
    assert (signed_in.must_change, signed_in.epoch) == (True, ivanova.epoch + 1)
    assert not accounts.change_password(signed_in, once, "красный трактор дома", HOME, NOW).must_change


def test_one_time_passwords_differ_and_can_be_dictated() -> None:
    made = {one_time_password() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"(?:[a-hjkmnp-z2-9]{4}-){2}[a-hjkmnp-z2-9]{4}", password) for password in made)


@pytest.mark.parametrize("change", [Accounts.reset, Accounts.disable, Accounts.enable])
def test_who_is_not_there_cannot_be_changed(accounts: Accounts, change: Callable[..., object]) -> None:
    with pytest.raises(AccountError, match="«nobody»"):
        change(accounts, "nobody", NOW)
    assert audit(accounts.database) == []


def test_another_service_signs_in_whom_we_know(accounts: Accounts, ivanova: Account) -> None:
    assert accounts.by_external("Ivanova", "Мария Петрова", NOW) == Account(
        ivanova.id, "ivanova", "Мария Петрова", Role.VOLUNTEER
    )
    known = accounts.by_external("ivanova", "", NOW)
    assert known is not None
    assert known.full_name == "Мария Петрова"
    assert accounts.by_external("stranger", "", NOW) is None
    assert accounts.by_external("\0", "", NOW) is None
    accounts.disable("ivanova", NOW)
    assert accounts.by_external("ivanova", "", NOW) is None
    assert len(accounts.list()) == 1


def test_every_change_is_in_the_audit_and_no_secret_is(accounts: Accounts, database: Database) -> None:
    petrov = "petrov"
    ivanova = accounts.add("ivanova", "", Role.VOLUNTEER, PASSWORD, NOW, petrov)
    accounts.sign_in("ivanova", PASSWORD, HOME, NOW)
    fail(accounts, 1)
    accounts.change_password(ivanova, PASSWORD, "красный трактор дома", HOME, NOW)
    once = accounts.reset("ivanova", NOW, petrov)
    accounts.disable("ivanova", NOW, petrov)
    accounts.enable("ivanova", NOW, petrov)
    accounts.by_external("ivanova", "", NOW)
    accounts.sign_out(ivanova, NOW)
    key = Tokens(database).add("crm", Role.SENIOR, NOW, petrov)
    Tokens(database).disable("crm", NOW)
    assert audit(database) == [
        (petrov, "account.add", "ivanova"),
        ("ivanova", "account.sign_in", "ivanova"),
        ("ivanova", "account.password", "ivanova"),
        (petrov, "account.reset", "ivanova"),
        (petrov, "account.disable", "ivanova"),
        (petrov, "account.enable", "ivanova"),
        ("ivanova", "account.sign_in", "ivanova"),
        ("ivanova", "account.sign_out", "ivanova"),
        (petrov, "token.add", "crm"),
        ("command line", "token.disable", "crm"),
    ]
    with database.reading() as session:
        kept = str([list(session.execute(text(f"SELECT * FROM {table}"))) for table in ("account", "token", "audit")])
    assert not [secret for secret in (PASSWORD, "красный трактор дома", once, key) if secret in kept]


# A roster

ROSTER = [
    ("Логин", "ФИО", "Роль"),
    ("Ivanova", "Иванова Мария", "волонтёр"),
    ("petrov", "Петров, Пётр", "Старший смены"),
    ("", "", ""),
    ("sidorova", "", "editor"),
]


def roster(tmp_path: Path, rows: Sequence[Sequence[str]], encoding: str = "utf-8", delimiter: str = ",") -> Path:
    path = tmp_path / "roster.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_everybody_of_a_roster_gets_a_one_time_password(
    accounts: Accounts, tmp_path: Path, encoding: str, delimiter: str
) -> None:
    given = dict(accounts.import_roster(roster(tmp_path, ROSTER, encoding, delimiter), NOW, "petrov"))
    signed_in = [accounts.sign_in(name, password, HOME, NOW) for name, password in given.items()]
    assert [(account.name, account.full_name, account.role, account.must_change) for account in signed_in] == [
        ("ivanova", "Иванова Мария", Role.VOLUNTEER, True),
        ("petrov", "Петров, Пётр", Role.SENIOR, True),
        ("sidorova", "", Role.EDITOR, True),
    ]
    assert audit(accounts.database)[:3] == [("petrov", "account.add", name) for name in given]


def test_all_problems_of_a_roster_are_told_at_once_and_nobody_is_added(accounts: Accounts, tmp_path: Path) -> None:
    accounts.add("petrov", "", Role.VOLUNTEER, None, NOW)
    rows = [
        ("name", "full_name", "role"),
        ("ivanova", "Иванова", "volunteer"),
        ("PETROV", "Петров", "volunteer"),
        ("Ivanova", "я" * 201, "директор"),
        ("", "Без логина", "volunteer"),
        ("a b",),
        ("last", "Последняя", "volunteer", "лишнее"),
    ]
    with pytest.raises(RosterError) as refused:
        accounts.import_roster(roster(tmp_path, rows), NOW)
    assert [(problem.line, problem.what.split(" ")[0]) for problem in refused.value.problems] == [
        (3, "Имя"),
        (4, "Имя"),
        (4, "«ivanova»"),
        (4, "Роли"),
        (5, "«»"),
        (6, "«a"),
        (6, "Роли"),
        (7, "Лишнее"),
    ]
    assert "строка 4: «ivanova» есть уже в строке 2." in str(refused.value).splitlines()
    assert [account.name for account in accounts.list()] == ["petrov"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "строка 1: В заголовке нет: name, full_name, role"),
        ("логин;имя;роль\nivanova;Мария;volunteer\n".encode(), "строка 1: В заголовке нет: full_name"),
        (b"name,full_name,role\n", "строка 1: Под заголовком никого нет"),
        (b'name,full_name,role\nivanova,"Maria,volunteer\n', "строка 2: Таблица повреждена"),
        (b"name,full_name,role\n\x98,Maria,volunteer\n", "строка 1: Файл не в UTF-8"),
        (b"name,full_name,role\nivan\0ova,Maria,volunteer\n", "строка 2: "),
        (b"name,full_name,role\n" + b"ivanova,Maria,volunteer\n" * 220_000, "строка 5002: Людей больше 5000"),
    ],
    ids=["empty", "headings", "nobody", "quote", "encoding", "nul", "5 MB"],
)
def test_a_roster_that_cannot_be_used_says_why(accounts: Accounts, tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "roster.csv").write_bytes(content)
    with pytest.raises(RosterError, match=re.escape(why)):
        accounts.import_roster(tmp_path / "roster.csv", NOW)
    assert not accounts.list()


def test_a_roster_of_five_hundred(accounts: Accounts, tmp_path: Path) -> None:
    rows = [("name", "full_name", "role"), *((f"volunteer{n}", f"Волонтёр {n}", "volunteer") for n in range(500))]
    given = dict(accounts.import_roster(roster(tmp_path, rows), NOW))
    assert len(set(given.values())) == len(accounts.list()) == 500
    assert accounts.sign_in("volunteer499", given["volunteer499"], HOME, NOW).full_name == "Волонтёр 499"


# Sessions


@pytest.fixture
def sessions(accounts: Accounts) -> Sessions:
    return Sessions(accounts, b"k" * 32)


def test_a_session_lasts_half_a_day(sessions: Sessions, ivanova: Account) -> None:
    cookie = sessions.issue(ivanova, NOW)
    assert sessions.account(cookie, NOW) == ivanova
    assert sessions.account(cookie, NOW + LIFETIME - MINUTE) == ivanova
    assert sessions.account(cookie, NOW + LIFETIME) is None


def test_a_clock_that_is_set_back_signs_nobody_out_and_keeps_nobody_in_for_days(
    sessions: Sessions, ivanova: Account
) -> None:
    cookie = sessions.issue(ivanova, NOW)
    assert sessions.account(cookie, NOW - 60 * MINUTE) == ivanova
    assert sessions.account(cookie, NOW - LIFETIME) is None


def test_a_cookie_of_another_key_or_changed_in_any_place_is_refused(
    sessions: Sessions, accounts: Accounts, ivanova: Account
) -> None:
    cookie = sessions.issue(ivanova, NOW)
    assert Sessions(accounts, b"o" * 32).account(cookie, NOW) is None
    body = cookie.rpartition(".")[0]
    for place, character in enumerate(body):
        changed = body[:place] + ("A" if character != "A" else "B") + body[place + 1 :]
        assert sessions.account(cookie.replace(body, changed), NOW) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(junk=st.text())
def test_junk_is_nobodys_cookie(sessions: Sessions, junk: str) -> None:
    assert sessions.account(junk, NOW) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda accounts, ivanova: accounts.sign_out(ivanova, NOW),
        lambda accounts, _: accounts.reset("ivanova", NOW),
        lambda accounts, _: accounts.disable("ivanova", NOW),
        lambda accounts, _: (accounts.disable("ivanova", NOW), accounts.enable("ivanova", NOW)),
        lambda accounts, ivanova: accounts.change_password(ivanova, PASSWORD, "красный трактор дома", HOME, NOW),
    ],
    ids=["sign out", "reset", "disable", "disable and enable", "new password"],
)
def test_a_session_ends_at_once(
    sessions: Sessions, accounts: Accounts, ivanova: Account, change: Callable[[Accounts, Account], object]
) -> None:
    cookie = sessions.issue(ivanova, NOW)
    change(accounts, ivanova)
    assert sessions.account(cookie, NOW) is None


def test_a_new_role_counts_in_a_running_session(sessions: Sessions, ivanova: Account, database: Database) -> None:
    cookie = sessions.issue(ivanova, NOW)
    with database.writing() as session:
        session.execute(text("UPDATE account SET role = 'senior'"))
    signed_in = sessions.account(cookie, NOW)
    assert signed_in is not None
    assert signed_in.role is Role.SENIOR


def test_a_disabled_account_that_signs_in_later_stays_out(sessions: Sessions, accounts: Accounts) -> None:
    accounts.add("petrov", "", Role.EDITOR, None, NOW)
    assert sessions.account(sessions.issue(accounts.disable("petrov", NOW), NOW), NOW) is None


def test_a_cookie_of_another_database_signs_in_nobody_else(
    sessions: Sessions, accounts: Accounts, ivanova: Account
) -> None:
    cookie = sessions.issue(ivanova, NOW)
    with accounts.database.writing() as session:
        session.execute(text("UPDATE account SET name = 'petrov'"))
    assert sessions.account(cookie, NOW) is None


def test_while_the_database_is_away_who_was_seen_stays_signed_in(
    sessions: Sessions, accounts: Accounts, ivanova: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    unseen = sessions.issue(accounts.add("petrov", "", Role.EDITOR, None, NOW), NOW)
    cookie = sessions.issue(ivanova, NOW)
    assert sessions.account(cookie, NOW) == ivanova
    asked, get = [], accounts.get

    def away(account_id: int) -> Account | None:
        asked.append(account_id)
        raise StorageBusy("away")

    monkeypatch.setattr(accounts, "get", away)
    assert [sessions.account(cookie, NOW) for _ in range(3)] == [ivanova] * 3
    with pytest.raises(StorageBusy):
        sessions.account(unseen, NOW)
    assert asked == [ivanova.id], "a database that is away is not asked at every request"
    assert sessions.account(cookie, NOW + PAUSE) == ivanova
    assert asked == [ivanova.id] * 2
    monkeypatch.setattr(accounts, "get", get)
    assert sessions.account(unseen, NOW + 2 * PAUSE) is not None


@pytest.mark.parametrize("loopback", [True, False])
@pytest.mark.parametrize(("external", "samesite"), [(True, "lax"), (False, "strict")])
def test_a_cookie_is_kept_from_scripts_and_other_sites(
    sessions: Sessions, ivanova: Account, loopback: bool, external: bool, samesite: str
) -> None:
    cookie = sessions.cookie(ivanova, NOW, loopback=loopback, external=external)
    assert sessions.account(cookie.pop("value"), NOW) == ivanova
    assert cookie == {
        "key": "assistant_session",
        "max_age": 12 * 60 * 60,
        "path": "/",
        "secure": not loopback,
        "httponly": True,
        "samesite": samesite,
    }


# Tokens


def test_a_program_acts_in_the_role_of_its_token_until_that_is_disabled(database: Database) -> None:
    tokens = Tokens(database)
    key, other = tokens.add("CRM", Role.SENIOR, NOW), tokens.add("bot", Role.VOLUNTEER, NOW)
    assert tokens.account_of(key) == Account(0, "token:crm", "", Role.SENIOR)
    assert [tokens.account_of(wrong) for wrong in ("", key[:-1], key.upper(), "\0", "\ud800")] == [None] * 5
    tokens.disable("crm", NOW)
    assert tokens.account_of(key) is None
    assert tokens.account_of(other) == Account(0, "token:bot", "", Role.VOLUNTEER)
    assert [(token.name, token.role, token.disabled, token.made_at) for token in tokens.list()] == [
        ("bot", Role.VOLUNTEER, False, NOW),
        ("crm", Role.SENIOR, True, NOW),
    ]


def test_a_token_needs_a_name_of_its_own(database: Database) -> None:
    tokens = Tokens(database)
    tokens.add("crm", Role.SENIOR, NOW)
    for name, why in (("CRM", "уже занято"), ("a b", "не подходит")):
        with pytest.raises(AccountError, match=why):
            tokens.add(name, Role.SENIOR, NOW)
    with pytest.raises(AccountError, match="«\0»"):
        tokens.disable("\0", NOW)
    assert len(tokens.list()) == 1


# The secret


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    secret = load_secret(tmp_path / "var")
    assert len(secret) >= 32
    assert load_secret(tmp_path / "var", " ") == secret
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["secret.key"]
    assert (tmp_path / "var" / "secret.key").stat().st_mode & 0o777 == 0o600
    assert load_secret(tmp_path / "other") != secret


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    together = Barrier(8)

    def start(_: int) -> bytes:
        together.wait()
        return load_secret(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_a_key_from_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    assert load_secret(tmp_path, "x" * 32) == b"x" * 32
    assert not list(tmp_path.iterdir())


def test_a_key_that_cannot_be_used_is_refused_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    file.write_text("too short for a key\n")
    file.chmod(0o600)
    for value in ("", "too short for a key"):
        with pytest.raises(SecretError, match="19 characters are too few") as refused:
            load_secret(tmp_path, value)
        assert "too short for a key" not in str(refused.value)
    file.write_bytes(b"\xff" * 32)
    with pytest.raises(SecretError, match="not a key"):
        load_secret(tmp_path)
    file.chmod(0o640)
    with pytest.raises(SecretError, match="chmod 600"):
        load_secret(tmp_path)
    with pytest.raises(SecretError, match=r"secret\.key: the key cannot be kept there \(File exists\)"):
        load_secret(file)


def test_derived_keys_are_those_of_rfc_5869(tmp_path: Path) -> None:
    secret = load_secret(tmp_path)
    extracted = hmac.digest(bytes(32), secret, "sha256")
    assert cookie_key(secret) == hmac.digest(extracted, b"session cookies\x01", "sha256")
    assert card_key(secret) == hmac.digest(extracted, b"call cards\x01", "sha256")
