"""Calls: one is changed at a time, under a lock; and the looks that a shift needs. Cards pass through here sealed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.exc import IntegrityError

from index import Level
from kb import Urgency

from . import audit
from .database import Database
from .errors import StorageError
from .tables import AccountRow, CallRow, Outcome, QuestionRow

NOBODY = "assistant"  # who acts where no person does


@dataclass(frozen=True)
class CallRecord:
    """One call as it is stored; the columns are explained at CallRow. `version` 0: not stored yet."""

    id: str
    account_id: int | None
    actor: str
    shift_day: date
    shift: str
    started_at: datetime
    changed_at: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    transferred_to: str = ""
    call_back_at: datetime | None = None
    called_back: bool = False
    route: str = ""
    urgency: str = ""
    reason: str = ""
    delivery_day: date | None = None
    card: bytes | None = None
    card_until: date | None = None
    version: int = 0
    tab: str = ""
    tab_save: int = 0


@dataclass(frozen=True)
class CallLine:
    """A call as the senior sees it: nothing of the caller. `full_name`: of the volunteer, empty without an account."""

    id: str
    actor: str
    full_name: str
    started_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None
    transferred_to: str
    call_back_at: datetime | None
    route: str
    urgency: str
    reason: str

    def minutes(self, now: datetime) -> int:
        """Full minutes that it has lasted, never less than 0."""
        return max(0, int(((self.ended_at or now) - self.started_at).total_seconds() // 60))


@dataclass(frozen=True)
class CallCounts:
    """Calls of a shift; `flagged`: with any flag, `urgent`: those of urgency now."""

    calls: int
    flagged: int
    urgent: int


@dataclass(frozen=True)
class CallQuestion:
    """A question of a call, masked. `used`: id of the entry that was read aloud, empty if none was."""

    at: datetime
    text: str
    level: str
    route: str
    urgency: str
    used: str


@dataclass(frozen=True)
class Unanswered:
    """A question that the base has no answer to, and whose call it came up in."""

    at: datetime
    text: str
    actor: str


def change_call(database: Database, call_id: str, revise: Callable[[CallRecord | None], CallRecord]) -> CallRecord:
    """What `revise` makes of the stored call (None: there is none), stored; nobody else changes it meanwhile. What it
    raises is passed on, and then nothing is stored."""
    try:
        return _change_call(database, call_id, revise)
    except StorageError as error:
        if not isinstance(error.__cause__, IntegrityError):
            raise
        # A call that is not there yet cannot be locked: somebody has made it in the same moment. Now it is there.
        return _change_call(database, call_id, revise)


def _change_call(database: Database, call_id: str, revise: Callable[[CallRecord | None], CallRecord]) -> CallRecord:
    with database.writing() as session:
        row = session.get(CallRow, call_id, with_for_update=True)
        after = revise(_record(row) if row else None)
        if row is None:
            session.add(CallRow(**vars(after)))
        else:
            for column, value in vars(after).items():
                setattr(row, column, value)
        return after


def find_call(database: Database, call_id: str) -> CallRecord | None:
    with database.reading() as session:
        row = session.get(CallRow, call_id)
        return _record(row) if row else None


def unfinished_call(database: Database, actor: str) -> CallRecord | None:
    """The call that this person has last worked on and not ended."""
    mine = select(CallRow).where(CallRow.actor == actor, CallRow.ended_at.is_(None))
    with database.reading() as session:
        row = session.scalars(mine.order_by(CallRow.changed_at.desc()).limit(1)).first()
        return _record(row) if row else None


def questions_of_call(database: Database, call_id: str) -> tuple[CallQuestion, ...]:
    """In the order in which they were asked."""
    columns = [getattr(QuestionRow, field.name) for field in fields(CallQuestion)]
    asked = select(*columns).where(QuestionRow.call_id == call_id).order_by(QuestionRow.at, QuestionRow.id)
    with database.reading() as session:
        return tuple(CallQuestion(*row) for row in session.execute(asked))


def calls_for_delivery(database: Database, day: date, actor: str, now: datetime) -> list[CallRecord]:
    """Calls with something to be brought on the day, as they came in; the look is in the audit."""
    due = select(CallRow).where(CallRow.delivery_day == day, CallRow.card.is_not(None)).order_by(CallRow.started_at)
    with database.writing() as session:
        found = [_record(row) for row in session.scalars(due)]
        calls = {"calls": [record.id for record in found]}
        audit.record(session, actor, "deliveries.look", day.isoformat(), calls, now=now)
        return found


def note_look(database: Database, call_id: str, actor: str, now: datetime) -> None:
    """An audit line: somebody looks at a card."""
    with database.writing() as session:
        audit.record(session, actor, "card.look", call_id, now=now)


def empty_cards(database: Database, today: date, now: datetime) -> int:
    """Empty the cards that were to be kept up to a day before this one; how many."""
    old = update(CallRow).where(CallRow.card_until < today).values(card=None, card_until=None).returning(CallRow.id)
    with database.writing() as session:
        emptied = list(session.scalars(old))
        if emptied:
            audit.record(session, NOBODY, "cards.purge", today.isoformat(), {"calls": emptied}, now=now)
        return len(emptied)


def running_calls(database: Database, day: date) -> tuple[CallLine, ...]:
    """Begun on the day and not ended, the longest first: also those that outlast their shift."""
    return _lines(database, CallRow.shift_day == day, CallRow.ended_at.is_(None), order=[CallRow.started_at])


def finished_calls(database: Database, day: date, shift: str | None, most: int) -> tuple[CallLine, ...]:
    """The last ones of the shift, or of the whole day."""
    ended = CallRow.ended_at.is_not(None)
    return _lines(database, *_of_shift(day, shift), ended, order=[CallRow.ended_at.desc()], most=most)


def waiting_call_backs(database: Database) -> tuple[CallLine, ...]:
    """Of any day, in order of time; first those to be called as soon as possible."""
    waiting = (CallRow.outcome == Outcome.CALL_BACK, CallRow.called_back.is_(False))
    soonest = [CallRow.call_back_at.is_not(None), CallRow.call_back_at, CallRow.ended_at]
    return _lines(database, *waiting, order=soonest)


def count_calls(database: Database, day: date, shift: str | None) -> CallCounts:
    flagged = func.count(case((CallRow.route != "", 1)))
    urgent = func.count(case((CallRow.urgency == Urgency.NOW, 1)))
    with database.reading() as session:
        counted = session.execute(select(func.count(), flagged, urgent).where(*_of_shift(day, shift))).one()
        return CallCounts(*counted)


def unanswered_questions(database: Database, since: datetime, most: int) -> tuple[int, tuple[Unanswered, ...]]:
    """How many since then, and the last ones."""
    lacking = (QuestionRow.level == Level.NONE, QuestionRow.at >= since)
    whose = select(QuestionRow.at, QuestionRow.text, func.coalesce(CallRow.actor, ""))
    last = whose.outerjoin(CallRow, CallRow.id == QuestionRow.call_id).where(*lacking)
    with database.reading() as session:
        count = session.scalar(select(func.count()).select_from(QuestionRow).where(*lacking)) or 0
        rows = session.execute(last.order_by(QuestionRow.at.desc(), QuestionRow.id.desc()).limit(most))
        return count, tuple(Unanswered(*row) for row in rows)


def _record(row: CallRow) -> CallRecord:
    return CallRecord(**{field.name: getattr(row, field.name) for field in fields(CallRecord)})


def _of_shift(day: date, shift: str | None) -> list[ColumnElement[bool]]:
    return [CallRow.shift_day == day, *([] if shift is None else [CallRow.shift == shift])]


def _lines(
    database: Database, *conditions: ColumnElement[bool], order: Iterable[Any], most: int | None = None
) -> tuple[CallLine, ...]:
    columns: dict[str, Any] = {field.name: getattr(CallRow, field.name, None) for field in fields(CallLine)}
    columns["full_name"] = func.coalesce(AccountRow.full_name, "")
    lines = select(*columns.values()).outerjoin(AccountRow, AccountRow.id == CallRow.account_id)
    with database.reading() as session:
        rows = session.execute(lines.where(*conditions).order_by(*order).limit(most))
        return tuple(CallLine(*row) for row in rows)
