"""Questions as they were asked, and what volunteers think of the answers. Masked before they come here."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from index import Level

from . import audit
from .database import Database
from .errors import Conflict
from .tables import FeedbackRow, Opinion, QuestionRow


@dataclass(frozen=True)
class Asked:
    """A question and what was found. `key`: made by who asks. Asked again under the same key, it takes the place of
    what was asked before: a question grows while it is typed, and a note may come twice."""

    key: str
    at: datetime
    call_id: str | None
    text: str
    level: Level
    route: str
    urgency: str
    entries: tuple[str, ...]
    base_version: int | None


@dataclass(frozen=True)
class Used:
    """This entry was read aloud in answer to the question of this key."""

    key: str
    entry_id: str


@dataclass(frozen=True)
class Remark:
    """What somebody thinks of an answer. `question`: what it was given to. `word`: why, in their words."""

    at: datetime
    actor: str
    entry_id: str
    opinion: Opinion
    word: str
    question: str


@dataclass(frozen=True)
class Lacking:
    """A question without an answer, how often it was asked, and when last."""

    text: str
    times: int
    last: datetime


Note = Asked | Used | Remark


def save_notes(database: Database, notes: Iterable[Note]) -> None:
    """In their order and in one transaction: all of them or none."""
    with database.writing() as session:
        for note in notes:
            _write(session, note)


def _write(session: Session, note: Note) -> None:
    match note:
        case Asked():
            row = session.scalar(select(QuestionRow).where(QuestionRow.key == note.key)) or QuestionRow()
            for column, value in {**vars(note), "entries": list(note.entries)}.items():
                setattr(row, column, value)
            session.add(row)
        case Used():
            session.execute(update(QuestionRow).where(QuestionRow.key == note.key).values(used=note.entry_id))
        case Remark():
            session.add(FeedbackRow(**vars(note), open=note.opinion is not Opinion.HELPED))


def no_answer(database: Database, since: datetime) -> list[Lacking]:
    """Questions that the base did not answer, the most frequent first: what a trainer asks editors for."""
    times, last = func.count(), func.max(QuestionRow.at)
    lacking = select(QuestionRow.text, times, last).where(QuestionRow.level == Level.NONE, QuestionRow.at >= since)
    with database.reading() as session:
        rows = session.execute(lacking.group_by(QuestionRow.text).order_by(times.desc(), last.desc()))
        return [Lacking(*row) for row in rows]


def open_feedback(database: Database) -> list[FeedbackRow]:
    """What editors still have to deal with, the oldest first."""
    with database.reading() as session:
        return list(session.scalars(select(FeedbackRow).where(FeedbackRow.open).order_by(FeedbackRow.id)))


def close_feedback(database: Database, feedback_id: int, actor: str, now: datetime) -> None:
    """Somebody has dealt with it. Raises Conflict if it is not open (any more)."""
    waiting = update(FeedbackRow).where(FeedbackRow.id == feedback_id, FeedbackRow.open)
    closing = waiting.values(open=False, closed_by=actor, closed_at=now).returning(FeedbackRow.id)
    with database.writing() as session:
        if session.scalar(closing) is None:
            raise Conflict(f"feedback {feedback_id} is not open: somebody has dealt with it, or there is none")
        audit.record(session, actor, "feedback.close", str(feedback_id), now=now)
