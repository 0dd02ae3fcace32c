"""A call: what is taken down, who sees it, two tabs, fifty volunteers at once, and the tables that leave it."""

import csv
import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import openpyxl
import pytest
from conftest import base_of, entry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from assistant.accounts import Account, Accounts
from assistant.calls import Call, CallChange, Calls, NoSuchCall, NotFinished, NotYours, shift_of
from assistant.card import (
    DAY_PASSED,
    DAY_TOO_FAR,
    NO_DAY,
    NO_PHONE,
    UNREADABLE,
    Card,
    Details,
    Need,
    Who,
    read_card,
    readable_phone,
)
from assistant.handover import Turn, delivery_table, handover_sheet, turns
from assistant.privacy import Vault, VaultError
from assistant.settings import MOSCOW
from assistant.storage import CallQuestion, CallRecord, Conflict, Database, Outcome, Role, StorageBusy, audit_lines
from assistant.storage import calls as storage
from assistant.storage.tables import CallRow, QuestionRow
from assistant.tables_out import to_csv, to_xlsx
from kb import Route, Urgency

DAY = date(2022, 1, 24)
NOW = datetime(2022, 1, 24, 9, 0, tzinfo=MOSCOW)
CALL = "5d1f6a0e-0000-4000-8000-000000000001"

ANNA = Account(0, "anna", "Анна Петрова", Role.VOLUNTEER)
BORIS = Account(0, "boris", "Борис Ким", Role.VOLUNTEER)
SENIOR = Account(0, "vera", "Вера Ильина", Role.SENIOR)

FORM = {
    "name": "Мария Ивановна",
    "phone": "8 916 123-45-67",
    "district": "Митино",
    "address": "Барышиха, 12, подъезд 3",
    "who": ["alone", "65+"],
    "needs": ["medicines", "food"],
    "items": "хлеб, молоко",
    "delivery_day": "2022-01-25",
    "window": "с 10 до 14",
    "payment": "наличными",
    "note": "домофон не работает",
    "consent": True,
}


def change(tab: str = "", number: int = 0, **details: Any) -> CallChange:
    return CallChange(details=details, tab=tab, number=number)


def at(clock: str, day: date = DAY) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=MOSCOW)


def call_id(number: int) -> str:
    return str(UUID(int=number))


@pytest.fixture
def calls(database: Database) -> Calls:
    return Calls(database, Vault(bytes(32)))


# The card


def test_a_card_holds_what_the_hotline_takes_down() -> None:
    assert read_card(FORM, DAY) == (
        Card(
            name="Мария Ивановна",
            phone="+79161234567",
            district="Митино",
            address="Барышиха, 12, подъезд 3",
            who=frozenset((Who.OVER_65, Who.ALONE)),
            needs=frozenset((Need.FOOD, Need.MEDICINES)),
            items="хлеб, молоко",
            delivery_day=date(2022, 1, 25),
            window="с 10 до 14",
            payment="наличными",
            note="домофон не работает",
            consent=True,
        ),
        {},
    )


@pytest.mark.parametrize(
    ("typed", "kept", "read_aloud"),
    [
        ("8 916 123-45-67", "+79161234567", "8 (916) 123-45-67"),
        ("+7(916)1234567", "+79161234567", "8 (916) 123-45-67"),
        ("916 123 45 67", "+79161234567", "8 (916) 123-45-67"),
        ("8 495 870-45-09 доб. 12", "+74958704509 доб. 12", "8 (495) 870-45-09 доб. 12"),
        ("+49 30 123456", "+4930123456", "+49 30 123456"),
        ("", "", ""),
    ],
)
def test_a_phone_is_kept_in_one_form_and_shown_in_the_usual_one(typed: str, kept: str, read_aloud: str) -> None:
    card, errors = read_card({"phone": typed}, DAY)
    assert (card.phone, errors) == (kept, {})
    assert readable_phone(card.phone) == read_aloud
    assert Card(phone=kept).phone == kept


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("phone", "8 916 123", NO_PHONE),
        ("phone", "122", NO_PHONE),
        ("phone", "не скажет", NO_PHONE),
        ("phone", "89161234567, 89161234568", NO_PHONE),
        ("delivery_day", "завтра", NO_DAY),
        ("delivery_day", "2022-02-30", NO_DAY),
        ("delivery_day", "2022-01-23", DAY_PASSED),
        ("delivery_day", "24.01.1922", DAY_PASSED),
        ("delivery_day", "2022-02-24", DAY_TOO_FAR),
        ("delivery_day", "24.01.2202", DAY_TOO_FAR),
        ("name", "а" * 201, "Слишком длинно: сюда помещается 200 знаков."),
        ("note", "а" * 2001, "Слишком длинно: сюда помещается 2000 знаков."),
        ("name", ["Мария"], UNREADABLE),
        ("who", ["65+", "король"], UNREADABLE),
        ("needs", "food", UNREADABLE),
        ("consent", "может быть", UNREADABLE),
    ],
)
def test_a_field_that_cannot_be_read_says_why_and_loses_no_other(field: str, typed: Any, sentence: str) -> None:
    card, errors = read_card({**FORM, field: typed}, DAY)
    assert errors == {field: sentence}
    whole = read_card(FORM, DAY)[0]
    assert card == whole.model_copy(update={field: Card.model_fields[field].default})


@pytest.mark.parametrize(
    ("typed", "day"),
    [("2022-01-24", DAY), ("25.01.2022", date(2022, 1, 25)), ("2022-02-23", date(2022, 2, 23)), ("", None)],
)
def test_a_day_of_delivery_lies_between_today_and_a_month_ahead(typed: str, day: date | None) -> None:
    assert read_card({"delivery_day": typed}, DAY) == (Card(delivery_day=day), {})


PHONE_LIKE = st.builds(
    "{}{}{}".format,
    st.sampled_from(["8916", "+7 495", "+4930", "8 916 123-45-67"]),
    st.text("0123456789 -", max_size=9),
    st.sampled_from(["", " доб. 12", ";ext=3", "x4", "#5"]),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | PHONE_LIKE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*Card.model_fields, "unknown"]), JSON))
def test_no_form_whatever_breaks_the_card_and_what_is_sealed_opens_the_same(form: dict[str, Any]) -> None:
    details, errors = Details.read(form, DAY)
    assert set(errors) <= form.keys() & Card.model_fields.keys()
    assert Details.model_validate_json(details.model_dump_json()) == details


# The shift


@pytest.mark.parametrize(
    ("clock", "shift"),
    [
        ("07:29:59", None),
        ("07:30", "morning"),
        ("11:29:59", "morning"),
        ("11:30", None),
        ("12:00", "day"),
        ("15:59:59", "day"),
        ("16:00", None),
        ("23:00", None),
    ],
)
def test_the_shift_is_known_by_the_clock_of_moscow(clock: str, shift: str | None) -> None:
    found = shift_of(at(clock))
    assert (found.id if found else None) == shift


def test_a_shift_is_named_with_its_hours() -> None:
    shift = shift_of(at("09:00"))
    assert shift is not None
    assert shift.label == "утренняя смена, 07:30–11:30"


# Saving and coming back


def test_a_call_begins_with_the_first_keystroke_even_if_the_database_was_away_then(calls: Calls) -> None:
    saved = calls.save(CALL, ANNA, CallChange(details={"name": "Мария"}, elapsed_s=150), 0, at("11:31"))
    call = calls.unfinished(ANNA)
    assert call is not None
    assert saved.version == call.record.version == 1
    assert call.record.started_at == at("11:28:30")
    assert (call.record.shift_day, call.record.shift, call.record.actor) == (DAY, "morning", "anna")


def test_a_page_left_open_over_a_weekend_has_no_call_of_three_days(calls: Calls) -> None:
    calls.save(CALL, ANNA, CallChange(elapsed_s=3 * 86400), 0, NOW)
    assert calls.open(CALL, ANNA, NOW).record.started_at == NOW - timedelta(hours=4)


@pytest.mark.parametrize("bad_id", ["", CALL + "0", CALL.replace("-", "x"), "\0" * 36])
def test_a_call_has_an_id_as_pages_make_it(calls: Calls, bad_id: str) -> None:
    with pytest.raises(NoSuchCall):
        calls.save(bad_id, ANNA, change(name="Мария"), 0, NOW)


def test_after_a_reload_everything_typed_is_there_even_half_a_phone(calls: Calls) -> None:
    half = {**FORM, "phone": "8 916 12", "delivery_day": "25.1"}
    saved = calls.save(CALL, ANNA, change(**half), 0, NOW)
    call = calls.unfinished(ANNA)
    assert call is not None
    assert saved.errors == {"phone": NO_PHONE, "delivery_day": NO_DAY}
    assert call.details.card == read_card({**FORM, "phone": "", "delivery_day": ""}, DAY)[0]
    assert call.details.typed == {"phone": "8 916 12", "delivery_day": "25.1"}


def test_a_delivery_day_that_has_passed_meanwhile_still_opens(calls: Calls) -> None:
    calls.save(CALL, ANNA, change(**FORM), 0, NOW)
    assert calls.open(CALL, ANNA, NOW + timedelta(days=7)).details.card.delivery_day == date(2022, 1, 25)


def test_the_call_that_was_worked_on_last_comes_back_and_a_finished_one_does_not(calls: Calls) -> None:
    for number in (1, 2, 3):
        calls.save(call_id(number), ANNA, change(name=str(number)), 0, NOW + timedelta(minutes=number))
    calls.save(call_id(1), ANNA, change(name="снова"), 1, NOW + timedelta(minutes=9))
    assert calls.unfinished(BORIS) is None
    assert [_finish_the_unfinished(calls) for _ in range(4)] == ["снова", "3", "2", None]


def _finish_the_unfinished(calls: Calls) -> str | None:
    call = calls.unfinished(ANNA)
    if call is None:
        return None
    calls.finish(call.record.id, ANNA, Outcome.ANSWERED, None, None, NOW)
    return call.details.card.name


def test_two_tabs_of_one_volunteer_cannot_overwrite_each_other(calls: Calls) -> None:
    calls.save(CALL, ANNA, change("first", 1, name="Мария"), 0, NOW)
    calls.save(CALL, ANNA, change("second", 1, name="Мария", note="во второй"), 1, NOW)
    with pytest.raises(Conflict, match="в другой вкладке"):
        calls.save(CALL, ANNA, change("first", 2, name="Мария", note="в первой"), 1, NOW)
    stored = calls.open(CALL, ANNA, NOW)
    assert (stored.details.card.note, stored.record.version) == ("во второй", 2)
    # The volunteer has seen both and keeps the first tab's.
    assert calls.save(CALL, ANNA, change("first", 3, note="в первой"), stored.record.version, NOW).version == 3
    assert calls.open(CALL, ANNA, NOW).details.card.note == "в первой"


def test_a_save_whose_answer_was_lost_is_no_other_tab(calls: Calls) -> None:
    calls.save(CALL, ANNA, change("tab", 1, name="М"), 0, NOW)
    assert calls.save(CALL, ANNA, change("tab", 2, name="Мария"), 0, NOW).version == 2
    assert calls.open(CALL, ANNA, NOW).details.card.name == "Мария"


@pytest.mark.parametrize("number", [1, 2])
def test_a_save_that_comes_twice_or_was_overtaken_changes_nothing(calls: Calls, number: int) -> None:
    calls.save(CALL, ANNA, change("tab", 2, name="Мария"), 0, NOW)
    assert calls.save(CALL, ANNA, change("tab", number, name="М"), 0, NOW).version == 1
    assert calls.open(CALL, ANNA, NOW).details.card.name == "Мария"


def test_a_call_that_the_database_has_lost_is_saved_anew(calls: Calls) -> None:
    assert calls.save(CALL, ANNA, change(name="Мария"), 7, NOW).version == 1
    assert calls.open(CALL, ANNA, NOW).details.card.name == "Мария"


def test_while_a_call_is_being_changed_nobody_else_changes_it(database: Database) -> None:
    record = CallRecord(CALL, None, "anna", DAY, "", NOW, NOW)
    storage.change_call(database, CALL, lambda _: record)
    begun = threading.Event()

    def count(stored: CallRecord | None) -> CallRecord:
        assert stored is not None
        begun.set()
        return _later(stored)

    def count_slowly(stored: CallRecord | None) -> CallRecord:
        assert stored is not None
        second.start()
        begun.wait(0.3)  # in vain if the call is locked
        return _later(stored)

    second = threading.Thread(target=lambda: storage.change_call(database, CALL, count))
    storage.change_call(database, CALL, count_slowly)
    second.join()
    stored = storage.find_call(database, CALL)
    assert stored is not None
    assert stored.version == 2


def _later(call: CallRecord) -> CallRecord:
    return CallRecord(**{**vars(call), "version": call.version + 1})


def test_a_call_made_in_the_same_moment_by_two_is_made_once(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite lets one writer in at a time")
    seen: list[int | None] = []

    def make(stored: CallRecord | None) -> CallRecord:
        seen.append(stored.version if stored else None)
        if len(seen) == 1:
            storage.change_call(database, CALL, make)  # the other is faster
        return _later(stored or CallRecord(CALL, None, "anna", DAY, "", NOW, NOW))

    assert storage.change_call(database, CALL, make).version == 2
    assert seen == [None, None, 1]


def test_fifty_volunteers_save_at_once_and_no_save_is_lost(calls: Calls) -> None:
    together = threading.Barrier(50)

    def take_a_call(number: int) -> list[int]:
        account = Account(0, f"volunteer{number}", "", Role.VOLUNTEER)
        together.wait()
        return [_save_as_the_page_does(calls, call_id(number), account, f"{number}: {save}", save) for save in range(4)]

    with ThreadPoolExecutor(50) as pool:
        versions = list(pool.map(take_a_call, range(50)))
    assert versions == [[1, 2, 3, 4]] * 50
    stored = [calls.open(call_id(number), SENIOR, NOW).details.card.note for number in range(50)]
    assert stored == [f"{number}: 3" for number in range(50)]


def _save_as_the_page_does(calls: Calls, call: str, account: Account, note: str, version: int) -> int:
    """Again and again while the database is busy, on a slow machine for long."""
    while True:
        with suppress(StorageBusy):
            return calls.save(call, account, change(note=note), version, NOW).version


def test_a_clock_that_goes_back_neither_loses_a_save_nor_makes_a_call_end_before_it_began(calls: Calls) -> None:
    calls.save(CALL, ANNA, change(name="Мария", consent=True), 0, NOW)
    earlier = NOW - timedelta(days=400)
    assert calls.save(CALL, ANNA, change(name="Мария Ивановна", consent=True), 1, earlier).version == 2
    calls.finish(CALL, ANNA, Outcome.ANSWERED, None, None, earlier)
    assert calls.purge(NOW) == 0
    (line,) = calls.shift_now(NOW).finished
    assert (line.ended_at, line.minutes(NOW)) == (NOW, 0)
    assert calls.open(CALL, ANNA, NOW).details.card.name == "Мария Ивановна"


HOSTILE = [
    "'; DROP TABLE call; --",
    "Robert\"); DELETE FROM account WHERE ('1'='1",
    "<script>alert('Мария')</script><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} ${7 * 7} %s %(name)s",
    '=HYPERLINK("http://example.org";"Заказ")',
    "\u202eобратно\u2066 ёж 👵🏽",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_sql_and_html_in_every_field_stay_text(calls: Calls, hostile: str) -> None:
    fields = ("name", "district", "address", "items", "window", "payment", "note")
    typed = ("phone", "delivery_day")
    form = dict.fromkeys((*fields, *typed, "who", "needs", "consent"), hostile)
    calls.save(
        CALL, ANNA, CallChange(details=form, route=Route.DOCTOR, urgency=Urgency.TRANSFER, reason=hostile), 0, NOW
    )
    call = calls.open(CALL, ANNA, NOW)
    assert [getattr(call.details.card, field) for field in fields] == [hostile] * len(fields)
    assert [call.details.typed[field] for field in typed] == [hostile] * len(typed)
    assert call.record.reason == hostile
    assert handover_sheet(call, [Turn(hostile, hostile)]).count(hostile) == 12


def test_a_caller_cannot_write_a_line_of_the_sheet() -> None:
    call = _call(note="тихий\nПочему: всё хорошо\r\nКому: никому")
    assert "Примечание: тихий Почему: всё хорошо Кому: никому" in handover_sheet(call, [])


# Who sees a card


@pytest.mark.parametrize(
    ("who", "role", "sees"),
    [
        ("anna", Role.VOLUNTEER, True),
        ("anna", Role.TRAINER, True),
        ("boris", Role.VOLUNTEER, False),
        ("boris", Role.TRAINER, False),
        ("boris", Role.EDITOR, False),
        ("boris", Role.SENIOR, True),
        ("boris", Role.ADMINISTRATOR, True),
    ],
)
def test_a_card_is_for_its_volunteer_the_senior_and_the_administrator(
    calls: Calls, who: str, role: Role, sees: bool
) -> None:
    calls.save(CALL, ANNA, change(name="Мария"), 0, NOW)
    account = Account(0, who, "", role)
    looks: list[Callable[[], object]] = [
        lambda: calls.open(CALL, account, NOW),
        lambda: calls.finish(CALL, account, Outcome.CALL_BACK, None, None, NOW),
        lambda: calls.called_back(CALL, account, NOW),
    ]
    for look in looks:
        if sees:
            look()
        else:
            with pytest.raises(NotYours, match="видят только"):
                look()
    seen = [(line.actor, line.action, line.object) for line in audit_lines(calls.database)]
    assert seen == ([(who, "card.look", CALL)] if sees else [])


def test_nobody_saves_into_the_call_of_another_not_even_the_senior(calls: Calls) -> None:
    calls.save(CALL, ANNA, change(name="Мария"), 0, NOW)
    for other in (BORIS, SENIOR):
        with pytest.raises(NotYours):
            calls.save(CALL, other, change(name="чужое"), 1, NOW)
    assert calls.open(CALL, ANNA, NOW).details.card.name == "Мария"


@pytest.mark.parametrize("unknown", [call_id(7), "", "1", "' OR 1=1 --", CALL + "0", "\0" * 36, "%"])
def test_a_call_that_is_not_there_says_so(calls: Calls, unknown: str) -> None:
    calls.save(CALL, ANNA, change(), 0, NOW)
    for look in (
        lambda: calls.open(unknown, SENIOR, NOW),
        lambda: calls.finish(unknown, SENIOR, Outcome.DROPPED, None, None, NOW),
        lambda: calls.called_back(unknown, SENIOR, NOW),
    ):
        with pytest.raises(NoSuchCall, match="ещё не сохранился"):
            look()


def test_in_the_database_nothing_of_the_caller_can_be_read(calls: Calls) -> None:
    calls.save(CALL, ANNA, change(**FORM), 0, NOW)
    with calls.database.reading() as session:
        row = session.execute(text("SELECT * FROM call")).one()
    stored = b" ".join(bytes(value) if isinstance(value, bytes) else str(value).encode() for value in row)
    assert b"anna" in stored
    for secret in ("Мария", "9161234567", "Митино", "Барышиха", "хлеб", "домофон"):
        assert secret.encode() not in stored
    with pytest.raises(VaultError):
        Calls(calls.database, Vault(b"1" * 32)).open(CALL, ANNA, NOW)


# How a call ends, and what the senior sees


def test_a_call_is_transferred_to_somebody(calls: Calls) -> None:
    calls.save(CALL, ANNA, change(), 0, NOW)
    with pytest.raises(NotFinished, match="кому передан"):
        calls.finish(CALL, ANNA, Outcome.TRANSFERRED, None, None, NOW)
    assert len(calls.shift_now(NOW).running) == 1
    calls.finish(CALL, ANNA, Outcome.TRANSFERRED, Route.DOCTOR, at("12:00"), NOW)
    record = calls.open(CALL, ANNA, NOW).record
    assert (record.outcome, record.transferred_to, record.call_back_at) == (Outcome.TRANSFERRED, "doctor", None)


def test_how_a_call_has_ended_can_be_corrected_but_not_when(calls: Calls) -> None:
    calls.save(CALL, ANNA, change(), 0, NOW)
    calls.finish(CALL, ANNA, Outcome.TRANSFERRED, Route.LAWYER, None, NOW)
    calls.finish(CALL, ANNA, Outcome.DROPPED, None, None, NOW + timedelta(minutes=5))
    record = calls.open(CALL, ANNA, NOW).record
    assert (record.outcome, record.transferred_to, record.ended_at) == (Outcome.DROPPED, "", NOW)


@pytest.mark.parametrize(
    ("raised", "kept"),
    [
        ([(Route.DOCTOR, Urgency.TRANSFER), (Route.EMERGENCY, Urgency.NOW)], "emergency"),
        ([(Route.EMERGENCY, Urgency.NOW), (Route.DOCTOR, Urgency.TRANSFER)], "emergency"),
        ([(Route.DOCTOR, Urgency.TRANSFER), (Route.PSYCHOLOGIST, Urgency.TRANSFER)], "doctor"),
        ([(Route.DOCTOR, Urgency.TRANSFER), (Route.PSYCHOLOGIST, Urgency.NOW)], "psychologist"),
        ([(Route.SENIOR, Urgency.TRANSFER), (None, None)], "senior"),
        ([(None, None), (None, None)], ""),
    ],
)
def test_the_worst_flag_of_a_call_counts(
    calls: Calls, raised: list[tuple[Route | None, Urgency | None]], kept: str
) -> None:
    for version, (route, urgency) in enumerate(raised):
        flag = CallChange(route=route, urgency=urgency, reason=f"{route}")
        calls.save(CALL, ANNA, flag, version, NOW)
    record = calls.open(CALL, ANNA, NOW).record
    assert (record.route, record.reason) == (kept, kept)


def test_a_flag_is_one_of_the_policy() -> None:
    with pytest.raises(ValueError, match="no flag has the route doctor and the urgency now"):
        CallChange(route=Route.DOCTOR, urgency=Urgency.NOW)


def test_the_senior_sees_the_shift_and_nothing_of_the_callers(calls: Calls) -> None:
    anna = Accounts(calls.database).add("anna", "Анна Петрова", Role.VOLUNTEER, None, NOW)
    urgent = CallChange(details=FORM, route=Route.EMERGENCY, urgency=Urgency.NOW, reason="задыхается")
    calls.save(call_id(1), anna, change(), 0, at("11:29"))  # outlasts the morning
    calls.save(call_id(2), anna, urgent, 0, at("12:05"))
    calls.save(call_id(3), BORIS, CallChange(route=Route.TECH, urgency=Urgency.TRANSFER, reason="сбой"), 0, at("12:10"))
    calls.finish(call_id(3), BORIS, Outcome.TRANSFERRED, Route.TECH, None, at("12:13"))
    calls.save(call_id(4), BORIS, change(), 0, at("12:20"))
    calls.finish(call_id(4), BORIS, Outcome.ANSWERED, None, None, at("12:21"))
    calls.save(call_id(5), BORIS, change(), 0, at("09:00", date(2022, 1, 23)))  # left open yesterday
    _ask(calls, "как попасть на луну", "none", at("12:06"), call_id(2))
    _ask(calls, "где купить слона", "none", at("12:07"), None)
    _ask(calls, "как продлить больничный", "sure", at("12:08"), call_id(2))
    _ask(calls, "утренний вопрос", "none", at("09:00"), call_id(1))

    view = calls.shift_now(at("12:30"))

    assert view.shift is not None
    assert view.shift.id == "day"
    assert (view.calls, view.flagged, view.urgent, view.unanswered_count) == (3, 2, 1, 2)
    running = [(line.id, line.actor, line.full_name, line.started_at, line.minutes(view.now)) for line in view.running]
    assert running == [
        (call_id(1), "anna", "Анна Петрова", at("11:29"), 61),
        (call_id(2), "anna", "Анна Петрова", at("12:05"), 25),
    ]
    flags = [(line.route, line.urgency, line.reason) for line in view.running]
    assert flags == [("", "", ""), ("emergency", "now", "задыхается")]
    finished = [(line.id, line.outcome, line.transferred_to, line.minutes(view.now)) for line in view.finished]
    assert finished == [
        (call_id(4), Outcome.ANSWERED, "", 1),
        (call_id(3), Outcome.TRANSFERRED, "tech", 3),
    ]
    assert [(question.text, question.actor) for question in view.unanswered] == [
        ("где купить слона", ""),
        ("как попасть на луну", "anna"),
    ]
    for secret in ("Мария", "9161234567", "Барышиха"):
        assert secret not in repr(view)


def _ask(calls: Calls, text: str, level: str, when: datetime, call: str | None, used: str = "") -> None:
    with calls.database.writing() as session:
        session.add(QuestionRow(at=when, call_id=call, text=text, level=level, entries=[], used=used))


def test_between_the_shifts_the_senior_sees_the_day(calls: Calls) -> None:
    calls.save(call_id(1), ANNA, change(), 0, at("09:00"))
    calls.save(call_id(2), ANNA, change(), 0, at("11:40"))
    _ask(calls, "утренний вопрос", "none", at("09:00"), call_id(1))
    view = calls.shift_now(at("11:45"))
    assert (view.shift, view.calls, view.unanswered_count) == (None, 2, 1)


def test_the_last_hundred_finished_calls_are_shown_and_all_are_counted(calls: Calls) -> None:
    ended = NOW + timedelta(minutes=5)
    with calls.database.writing() as session:
        for number in range(103):
            session.add(CallRow(id=call_id(number), shift_day=DAY, shift="morning", started_at=NOW, changed_at=NOW))
        session.flush()
        session.execute(text("UPDATE call SET ended_at = :ended"), {"ended": ended.astimezone().isoformat(" ")})
    view = calls.shift_now(NOW)
    assert (view.calls, len(view.finished)) == (103, 100)


def test_call_backs_wait_in_order_of_time_until_somebody_has_called(calls: Calls) -> None:
    times = {1: at("15:00"), 2: at("10:00", date(2022, 1, 25)), 3: None, 4: at("14:00")}
    for number, when in times.items():
        calls.save(call_id(number), ANNA, change(), 0, NOW)
        calls.finish(call_id(number), ANNA, Outcome.CALL_BACK, None, when, NOW)
    tomorrow = NOW + timedelta(days=1)
    assert [line.id for line in calls.shift_now(tomorrow).call_backs] == [call_id(number) for number in (3, 4, 1, 2)]
    calls.called_back(call_id(4), SENIOR, tomorrow)
    calls.finish(call_id(1), ANNA, Outcome.ANSWERED, None, None, tomorrow)
    assert [line.id for line in calls.shift_now(tomorrow).call_backs] == [call_id(number) for number in (3, 2)]
    calls.finish(call_id(4), ANNA, Outcome.CALL_BACK, None, at("09:00", date(2022, 1, 26)), tomorrow)  # once more
    assert [line.id for line in calls.shift_now(tomorrow).call_backs] == [call_id(number) for number in (3, 2, 4)]


# Deliveries


def test_deliveries_of_a_day_are_for_the_senior_and_each_look_is_noted(calls: Calls) -> None:
    calls.save(call_id(1), ANNA, change(**{**FORM, "district": "Ясенево"}), 0, at("08:00"))
    calls.save(call_id(2), ANNA, change(**{**FORM, "delivery_day": "2022-01-26"}), 0, at("08:01"))
    calls.save(call_id(3), BORIS, change(**FORM), 0, at("08:02"))
    calls.save(call_id(4), BORIS, change(needs=["food"], phone="8 916 12"), 0, at("08:03"))  # no day said
    calls.save(call_id(5), BORIS, change(name="Игорь", phone="8 916 765-43-21"), 0, at("08:04"))  # wants nothing
    calls.save(call_id(6), BORIS, change(items="хлеб", delivery_day="завтра"), 0, at("08:05"))

    tomorrow = calls.deliveries(date(2022, 1, 25), SENIOR, NOW)
    today = calls.deliveries(DAY, SENIOR, NOW)

    assert [call.record.id for call in tomorrow] == [call_id(3), call_id(1)]
    assert [call.record.id for call in today] == [call_id(4), call_id(6)]
    looks = [(line.actor, line.action, line.object, line.detail["calls"]) for line in audit_lines(calls.database)]
    assert looks == [
        ("vera", "deliveries.look", "2022-01-25", [call_id(1), call_id(3)]),
        ("vera", "deliveries.look", "2022-01-24", [call_id(4), call_id(6)]),
    ]
    with pytest.raises(NotYours):
        calls.deliveries(DAY, ANNA, NOW)


def _call(**details: Any) -> Call:
    record = CallRecord(CALL, None, "anna", DAY, "morning", NOW, NOW)
    return Call(record, Details.read(details, DAY)[0])


def test_coordinators_get_a_table_that_they_can_read() -> None:
    head, row, unsure = delivery_table([_call(**FORM), _call(needs=["other"], phone="8 916", delivery_day="завтра")])
    assert dict(zip(head, row, strict=True)) == {
        "День": date(2022, 1, 25),
        "Часы": "с 10 до 14",
        "Район": "Митино",
        "Адрес": "Барышиха, 12, подъезд 3",
        "Имя": "Мария Ивановна",
        "Телефон": "8 (916) 123-45-67",
        "Кто": "65 лет и старше, живёт без близких",
        "Что нужно": "продукты, лекарства",
        "Список": "хлеб, молоко",
        "Оплата": "наличными",
        "Примечание": "домофон не работает",
        "Согласие на хранение": True,
        "Кто записал": "anna",
        "Когда записано": NOW,
        "Номер звонка": CALL,
    }
    shown = dict(zip(head, unsure, strict=True))
    assert (shown["Телефон"], shown["День"]) == ("8 916 (проверьте)", "завтра (проверьте)")


FORMULAS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    "+7 916 123-45-67",
    "-2+3",
    "@SUM(1;1)",
    "\t=1+1",
    "\tтекст",
    "\rтекст",
    "\r=1+1",
    "\n=1+1",
    "  =1+1",
    "\u00a0=1+1",
    "＝1+1",
    "＠SUM(1)",
]


def _in_csv(rows: list[Any]) -> list[list[str]]:
    return list(csv.reader(io.StringIO(to_csv(rows).decode("utf-8-sig"), newline=""), delimiter=";"))


def _in_xlsx(rows: list[Any]) -> list[tuple[Any, ...]]:
    book = openpyxl.load_workbook(io.BytesIO(to_xlsx(rows)))
    return list(book.worksheets[0].iter_rows())


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_text_becomes_a_formula(formula: str) -> None:
    rows = [("имя", formula), (formula, "Мария")]
    assert _in_csv(rows) == [["имя", f"'{formula}"], [f"'{formula}", "Мария"]]
    (_, head), (cell, _) = _in_xlsx(rows)
    for each in (head, cell):
        assert each.data_type == "s"
        assert each.value.removeprefix("'") in (formula, formula.replace("\r", "\n"))
        assert each.value.startswith("'")


@pytest.mark.parametrize("harmless", ["8 (916) 123-45-67", "хлеб - 2", "дом 5=6", "<b>1</b>", 'а;"б"\nв', "1089н", "'"])
def test_other_text_stays_as_it_is(harmless: str) -> None:
    assert _in_csv([(harmless,)]) == [[harmless]]
    assert _in_xlsx([(harmless,)])[0][0].value == harmless


def test_days_moments_and_numbers_are_such() -> None:
    row = (date(2022, 1, 25), NOW, -5, 0.5, True, None, {"calls": ["ё"]}, "a\0\ud800\uffffb")
    texts = ["25.01.2022", "24.01.2022 09:00", "-5", "0.5", "да", "", '{"calls": ["ё"]}', "ab"]
    assert _in_csv([row]) == [texts]
    heading, cells = _in_xlsx([("а",) * 8, row])
    assert [cell.value for cell in cells] == [
        datetime(2022, 1, 25),
        datetime(2022, 1, 24, 9),
        -5,
        0.5,
        "да",
        None,
        '{"calls": ["ё"]}',
        "ab",
    ]
    assert [cells[0].number_format, cells[1].number_format] == ["DD.MM.YYYY", "DD.MM.YYYY HH:MM"]
    assert heading[0].font.bold


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_delivery_opens_as_text(hostile: str) -> None:
    fields = ("district", "address", "name", "items", "payment", "note", "phone", "delivery_day")
    rows = delivery_table([_call(**dict.fromkeys(fields, hostile))])
    for cell in _in_xlsx(rows)[1]:
        assert cell.data_type in ("s", "d", "n")
        assert not str(cell.value).startswith(("=", "+", "-", "@"))
    assert not [cell for cell in _in_csv(rows)[1] if cell.startswith(("=", "+", "-", "@"))]


# Handover


def test_the_specialist_gets_one_sheet(calls: Calls) -> None:
    flag = CallChange(details=FORM, route=Route.EMERGENCY, urgency=Urgency.NOW, reason="боль в груди")
    calls.save(CALL, ANNA, flag, 0, NOW)
    calls.save(CALL, ANNA, change(**{**FORM, "phone": "8 916 12"}), 1, NOW)
    _ask(calls, "как продлить больничный", "sure", at("09:01"), CALL, used="sick-leave-extend")
    _ask(calls, "у мужа болит грудь", "check", at("09:02"), CALL)
    _ask(calls, "где купить слона", "none", at("09:03"), CALL)
    _ask(calls, "чужой вопрос", "none", at("09:03"), call_id(9))
    call = calls.open(CALL, ANNA, NOW)
    assert [question.text for question in call.questions][2:] == ["где купить слона"]
    assert handover_sheet(call, turns(call.questions, base_of(entry()))) == (
        "Кому: 103 или 112, СРОЧНО\n"
        "Почему: боль в груди\n"
        "Волонтёр: anna\n"
        "Начало звонка: 24.01.2022 09:00\n"
        "\n"
        "Имя: Мария Ивановна\n"
        "Телефон: 8 916 12 (проверьте)\n"
        "Адрес: Митино, Барышиха, 12, подъезд 3\n"
        "О звонящем: 65 лет и старше, живёт без близких\n"
        "Нужно: продукты, лекарства\n"
        "Список: хлеб, молоко\n"
        "Доставка: 25.01.2022, с 10 до 14\n"
        "Оплата: наличными\n"
        "Примечание: домофон не работает\n"
        "\n"
        "1. Спросили: как продлить больничный\n"
        "   Ответили: Позвоните врачу до последнего дня больничного.\n"
        "2. Спросили: у мужа болит грудь\n"
        "   Ответили: пока ничего\n"
        "3. Спросили: где купить слона\n"
        "   Ответили: в базе ответа нет"
    )


def test_of_an_empty_call_the_sheet_says_only_what_is_known() -> None:
    assert handover_sheet(_call(), []) == "Волонтёр: anna\nНачало звонка: 24.01.2022 09:00"


def test_a_question_with_a_flag_says_who_takes_it() -> None:
    asked = CallQuestion(NOW, "меня уволили", "none", "lawyer", "transfer", "retired-entry")
    assert turns([asked], base_of(entry())) == [Turn("меня уволили", "в базе ответа нет", "юрист")]


# How long a card is kept


@pytest.mark.parametrize(
    ("form", "last_day"),
    [
        ({"consent": True}, date(2022, 2, 23)),
        ({"consent": True, "delivery_day": "2022-01-28"}, date(2022, 2, 23)),
        ({}, date(2022, 1, 27)),
        ({"delivery_day": "2022-01-25"}, date(2022, 1, 27)),
        ({"delivery_day": "2022-01-30"}, date(2022, 1, 30)),
    ],
)
def test_a_card_is_kept_thirty_days_with_consent_and_else_as_long_as_it_takes(
    calls: Calls, form: dict[str, Any], last_day: date
) -> None:
    calls.save(CALL, ANNA, change(name="Мария", **form), 0, NOW)
    calls.finish(CALL, ANNA, Outcome.ANSWERED, None, None, NOW)
    assert calls.purge(at("23:59", last_day)) == 0
    assert calls.open(CALL, ANNA, NOW).details.card.name == "Мария"
    assert calls.purge(at("00:01", last_day + timedelta(days=1))) == 1
    assert calls.purge(at("00:02", last_day + timedelta(days=1))) == 0
    call = calls.open(CALL, ANNA, NOW)
    assert (call.details, call.record.card, call.record.outcome) == (Details(), None, Outcome.ANSWERED)
    purged = [(line.actor, line.detail) for line in audit_lines(calls.database) if line.action == "cards.purge"]
    assert purged == [("assistant", {"calls": [CALL]})]
    assert calls.deliveries(call.record.delivery_day or DAY, SENIOR, NOW) == []


def test_never_longer_than_the_setting_says(database: Database) -> None:
    calls = Calls(database, Vault(bytes(32)), keep_days=2)
    calls.save(CALL, ANNA, change(delivery_day="2022-01-30"), 0, NOW)
    assert calls.purge(at("00:01", date(2022, 1, 27))) == 1
