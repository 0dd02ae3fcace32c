"""The tables: entries with their revisions, calls, questions, feedback, accounts, audit.

What a table means stands in its docstring; how it changes stands in migrations/versions, which are never edited.
"""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, DateTime, Enum, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Moment(TypeDecorator[datetime]):
    """A moment in UTC, whatever the zone it came in. A moment without a zone is refused with ValueError."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """SQLite gives it back without a zone, PostgreSQL in the zone of the server."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Line(TypeDecorator[str]):
    """Text as it comes from people and programs, made to fit: NUL and halves of characters, which a database refuses,
    are replaced, and what is too long for the column is cut (SQLite would take it, PostgreSQL would not)."""

    impl = String
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.length = length

    def process_bind_param(self, value: str | None, _: Dialect) -> str | None:
        if value is None:
            return None
        whole = value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
        return whole[: self.length]


class Prose(Line):
    """The same of any length."""

    impl = Text
    cache_ok = True


def _enum(kind: type[StrEnum]) -> Enum:
    """Stored by value, as text without a constraint: a new member needs no migration."""
    return Enum(
        kind, native_enum=False, create_constraint=False, length=32, values_callable=lambda k: [m.value for m in k]
    )


class Role(StrEnum):
    VOLUNTEER = "volunteer"
    TRAINER = "trainer"
    EDITOR = "editor"
    SENIOR = "senior"
    ADMINISTRATOR = "administrator"


class RevisionState(StrEnum):
    DRAFT = "draft"
    IN_REVIEW = "in_review"
    PUBLISHED = "published"
    RETIRED = "retired"


class Outcome(StrEnum):
    ANSWERED = "answered"
    TRANSFERRED = "transferred"
    CALL_BACK = "call_back"
    DROPPED = "dropped"


class Opinion(StrEnum):
    HELPED = "helped"
    NOT_THIS = "not_this"
    OUTDATED = "outdated"
    UNCLEAR = "unclear"
    WRONG = "wrong"


class Table(DeclarativeBase):
    metadata = MetaData(naming_convention=CONVENTION)


class AccountRow(Table):
    """Somebody who may sign in. Disabled, never deleted: calls and audit lines name it. `epoch`: sessions of an older
    one are void (sign-out everywhere, new password)."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Line(64), unique=True)
    full_name: Mapped[str] = mapped_column(Line(200), default="")
    role: Mapped[Role] = mapped_column(_enum(Role))
    password: Mapped[str | None] = mapped_column(Line(200))
    must_change: Mapped[bool] = mapped_column(default=False)
    disabled: Mapped[bool] = mapped_column(default=False)
    epoch: Mapped[int] = mapped_column(default=0)
    made_at: Mapped[datetime] = mapped_column(Moment)


class SignInRow(Table):
    """A try to sign in, counted by the throttle until it has succeeded. Not `failed`: its password is being checked."""

    __tablename__ = "sign_in"
    __table_args__ = (Index(None, "name", "at"), Index(None, "address", "at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment)
    name: Mapped[str] = mapped_column(Line(64))
    address: Mapped[str] = mapped_column(Line(64))
    failed: Mapped[bool]


class TokenRow(Table):
    """A key of another program. `digest`: SHA-256 of the token, which itself is shown once."""

    __tablename__ = "token"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Line(64), unique=True)
    role: Mapped[Role] = mapped_column(_enum(Role))
    digest: Mapped[str] = mapped_column(Line(64), unique=True)
    disabled: Mapped[bool] = mapped_column(default=False)
    made_at: Mapped[datetime] = mapped_column(Moment)


class VersionRow(Table):
    """A version of the base: one for each publication. Running processes follow the highest id."""

    __tablename__ = "base_version"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment)
    actor: Mapped[str] = mapped_column(Line(64))
    note: Mapped[str] = mapped_column(Prose, default="")
    fingerprint: Mapped[str] = mapped_column(Line(64))


class EntryRow(Table):
    """An entry's place: which revision is live, none if it is retired or not yet published."""

    __tablename__ = "entry"

    id: Mapped[str] = mapped_column(Line(120), primary_key=True)
    live: Mapped[int | None]
    position: Mapped[int] = mapped_column(default=0)


class RevisionRow(Table):
    """One text of an entry. `body`: the Entry as JSON. Never changed once it is published."""

    __tablename__ = "revision"

    entry_id: Mapped[str] = mapped_column(ForeignKey("entry.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    state: Mapped[RevisionState] = mapped_column(_enum(RevisionState))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    author: Mapped[str] = mapped_column(Line(64))
    at: Mapped[datetime] = mapped_column(Moment)
    comment: Mapped[str] = mapped_column(Prose, default="")
    published_in: Mapped[int | None] = mapped_column(ForeignKey("base_version.id"))


class CallRow(Table):
    """One call. `id` is made by the page, so that a call can begin while the database is away. `actor`: whose call it
    is, by name, as in the audit; `account_id` is empty for another program and on a machine without accounts. `card`:
    the caller's details, encrypted; kept up to `card_until`. `version` grows with each save: two tabs cannot overwrite
    each other; `tab` and `tab_save` say which save of which tab was the last."""

    __tablename__ = "call"
    __table_args__ = (
        Index(None, "shift_day", "shift"),
        Index(None, "actor", "ended_at"),
        Index(None, "outcome", "called_back"),
    )

    id: Mapped[str] = mapped_column(Line(36), primary_key=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    actor: Mapped[str] = mapped_column(Line(64), default="")
    shift_day: Mapped[date]
    shift: Mapped[str] = mapped_column(Line(16), default="")
    started_at: Mapped[datetime] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    outcome: Mapped[Outcome | None] = mapped_column(_enum(Outcome))
    transferred_to: Mapped[str] = mapped_column(Line(32), default="")
    call_back_at: Mapped[datetime | None] = mapped_column(Moment)
    called_back: Mapped[bool] = mapped_column(default=False)
    route: Mapped[str] = mapped_column(Line(32), default="")
    urgency: Mapped[str] = mapped_column(Line(16), default="")
    reason: Mapped[str] = mapped_column(Line(200), default="")
    delivery_day: Mapped[date | None] = mapped_column(index=True)
    card: Mapped[bytes | None] = mapped_column(LargeBinary)
    card_until: Mapped[date | None] = mapped_column(index=True)
    version: Mapped[int] = mapped_column(default=1)
    tab: Mapped[str] = mapped_column(Line(36), default="")
    tab_save: Mapped[int] = mapped_column(default=0)
    changed_at: Mapped[datetime] = mapped_column(Moment)


class QuestionRow(Table):
    """A question as it was asked, with personal data masked before it comes here. `key`: made by who asks, so that it
    can be spoken of before it is stored."""

    __tablename__ = "question"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str | None] = mapped_column(Line(36), unique=True)
    at: Mapped[datetime] = mapped_column(Moment, index=True)
    call_id: Mapped[str | None] = mapped_column(Line(36), index=True)
    text: Mapped[str] = mapped_column(Prose)
    level: Mapped[str] = mapped_column(Line(16), index=True)
    route: Mapped[str] = mapped_column(Line(32), default="")
    urgency: Mapped[str] = mapped_column(Line(16), default="")
    entries: Mapped[list[str]] = mapped_column(JSON)
    used: Mapped[str] = mapped_column(Line(120), default="")
    base_version: Mapped[int | None]


class FeedbackRow(Table):
    """What a volunteer thinks of an answer; `open` until an editor has dealt with it (a helpful one never is)."""

    __tablename__ = "feedback"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment)
    actor: Mapped[str] = mapped_column(Line(64))
    entry_id: Mapped[str] = mapped_column(Line(120), index=True)
    opinion: Mapped[Opinion] = mapped_column(_enum(Opinion))
    word: Mapped[str] = mapped_column(Prose, default="")
    question: Mapped[str] = mapped_column(Prose, default="")
    open: Mapped[bool] = mapped_column(index=True)
    closed_by: Mapped[str] = mapped_column(Line(64), default="")
    closed_at: Mapped[datetime | None] = mapped_column(Moment)


class QuestionSetRow(Table):
    """A set of questions to measure coverage with; `rows` as in a coverage file."""

    __tablename__ = "question_set"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Line(120), unique=True)
    rows: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    author: Mapped[str] = mapped_column(Line(64))
    at: Mapped[datetime] = mapped_column(Moment)


class AuditRow(Table):
    """Who did what when. Append-only: the database itself refuses to change or delete a line."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment, index=True)
    actor: Mapped[str] = mapped_column(Line(64))
    action: Mapped[str] = mapped_column(Line(64), index=True)
    object: Mapped[str] = mapped_column(Line(200), default="")
    detail: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
