"""What leaves a call: a sheet to copy for the specialist, a table of deliveries for the coordinators."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from index import Level
from kb import KnowledgeBase, Route, Urgency

from .calls import Call
from .settings import MOSCOW
from .storage import CallQuestion
from .wording import ROUTES

NOTHING_SAID = "пока ничего"
NOT_IN_THE_BASE = "в базе ответа нет"

DELIVERY_COLUMNS = (
    "День",
    "Часы",
    "Район",
    "Адрес",
    "Имя",
    "Телефон",
    "Кто",
    "Что нужно",
    "Список",
    "Оплата",
    "Примечание",
    "Согласие на хранение",
    "Кто записал",
    "Когда записано",
    "Номер звонка",
)


@dataclass(frozen=True)
class Turn:
    """One question of a call: what was asked, what was read aloud, and who should take it, empty if anybody may."""

    asked: str
    said: str
    flag: str = ""


def turns(questions: Sequence[CallQuestion], kb: KnowledgeBase) -> list[Turn]:
    """The questions with the texts of the answers that were used."""
    return [Turn(asked.text, _said(asked, kb), _route(asked.route)) for asked in questions]


def _route(route: str) -> str:
    return ROUTES[Route(route)] if route else ""


def _said(asked: CallQuestion, kb: KnowledgeBase) -> str:
    if asked.used in kb.entries:
        return kb.entries[asked.used].say
    return NOT_IN_THE_BASE if asked.level == Level.NONE else NOTHING_SAID


def handover_sheet(call: Call, turns: Sequence[Turn]) -> str:
    """Russian text without markup: why the call is flagged, who calls, what was asked and what was said."""
    return "\n\n".join("\n".join(part) for part in (_why(call), _who(call), _talk(turns)) if part)


def _why(call: Call) -> list[str]:
    record = call.record
    urgent = ", СРОЧНО" if record.urgency == Urgency.NOW else ""
    return _lines(
        ("Кому", _route(record.transferred_to or record.route) + urgent),
        ("Почему", record.reason),
        ("Волонтёр", record.actor),
        ("Начало звонка", f"{_moscow(record.started_at):%d.%m.%Y %H:%M}"),
    )


def _who(call: Call) -> list[str]:
    details = call.details
    return _lines(
        ("Имя", details.text("name")),
        ("Телефон", details.phone),
        ("Адрес", details.place),
        ("О звонящем", details.who),
        ("Нужно", details.needs),
        ("Список", details.text("items")),
        ("Доставка", details.delivery),
        ("Оплата", details.text("payment")),
        ("Примечание", details.text("note")),
    )


def _talk(turns: Sequence[Turn]) -> list[str]:
    return [line for number, turn in enumerate(turns, 1) for line in _turn(number, turn)]


def _turn(number: int, turn: Turn) -> Iterator[str]:
    yield from _lines((f"{number}. Спросили", turn.asked))
    yield from (f"   {line}" for line in _lines(("Ответили", turn.said), ("Флаг", turn.flag)))


def _lines(*fields: tuple[str, str]) -> list[str]:
    """What is filled in, each on one line: nobody can write a line of the sheet into a field."""
    return [f"{name}: {' '.join(value.split())}" for name, value in fields if value]


def delivery_table(calls: Sequence[Call]) -> list[Sequence[object]]:
    """Rows for to_csv and to_xlsx, the first with the names of the columns."""
    return [DELIVERY_COLUMNS, *map(_delivery, calls)]


def _delivery(call: Call) -> Sequence[object]:
    record, details = call.record, call.details
    return (
        details.card.delivery_day or details.delivery_day,
        details.text("window"),
        details.text("district"),
        details.text("address"),
        details.text("name"),
        details.phone,
        details.who,
        details.needs,
        details.text("items"),
        details.text("payment"),
        details.text("note"),
        details.card.consent,
        record.actor,
        record.started_at,
        record.id,
    )


def _moscow(at: datetime) -> datetime:
    return at.astimezone(MOSCOW)
