"""A call from its first keystroke to its handover: who may see it, how it ends, what the shift looks like.

CallError               the message is a Russian sentence for the screen
├── NoSuchCall          not stored, or not yet
├── NotYours            somebody else's card; a PermissionError too
└── NotFinished         an ending that lacks something
"""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kb import Route, Urgency

from .accounts import Account
from .card import Card, Details, read_card
from .privacy import Vault
from .settings import MOSCOW
from .specialist import ORDER
from .storage import CallLine, CallQuestion, CallRecord, Conflict, Database, Outcome, Role, Unanswered
from .storage import calls as storage

__all__ = [
    "Call",
    "CallChange",
    "CallError",
    "Calls",
    "Card",
    "Details",
    "NoSuchCall",
    "NotFinished",
    "NotYours",
    "Saved",
    "Shift",
    "ShiftView",
    "read_card",
    "shift_of",
]

SEE_ALL = frozenset((Role.SENIOR, Role.ADMINISTRATOR))
KEEP_DAYS = 30
WITHOUT_CONSENT = timedelta(days=3)  # a card is kept to do what was asked, or up to the day of delivery
LONGEST_CALL_S = 4 * 3600  # a whole shift; a page that was left open overnight is no call
SHOWN = 100  # finished calls and unanswered questions in the senior's view: nobody reads more

OTHER_TAB = "Этот звонок уже сохранён в другой вкладке. Ваш текст на месте: сравните оба и выберите, какой оставить."
NOT_YOURS = "Эту карточку видят только её волонтёр, старший смены и администратор."
NO_CALL = "Такого звонка нет: наверное, он ещё не сохранился. Подождите несколько секунд и попробуйте ещё раз."
TO_WHOM = "Выберите, кому передан звонок."

CALL_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class CallError(Exception):
    """The message is for the screen."""


class NoSuchCall(CallError):
    def __init__(self) -> None:
        super().__init__(NO_CALL)


class NotYours(CallError, PermissionError):
    def __init__(self) -> None:
        super().__init__(NOT_YOURS)


class NotFinished(CallError):
    """Raised before anything is stored."""


@dataclass(frozen=True)
class Shift:
    """[begins, ends) in Moscow."""

    id: str
    name: str
    begins: time
    ends: time

    @property
    def label(self) -> str:
        return f"{self.name} смена, {self.begins:%H:%M}–{self.ends:%H:%M}"


SHIFTS = (
    Shift("morning", "утренняя", time(7, 30), time(11, 30)),
    Shift("day", "дневная", time(12, 0), time(16, 0)),
)


def shift_of(now: datetime) -> Shift | None:
    """None between the shifts and at night."""
    clock = now.astimezone(MOSCOW).time()
    return next((shift for shift in SHIFTS if shift.begins <= clock < shift.ends), None)


def _day_of(now: datetime) -> date:
    return now.astimezone(MOSCOW).date()


class CallChange(BaseModel):
    """What a page saves: all details as typed, and the flag that was raised last. `tab`: made by the page when it
    loads; `number` counts its saves, so that one sent twice, or overtaken by the next, does no harm. `elapsed_s`:
    seconds since the first keystroke, which is long ago if the database was away."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    details: dict[str, Any] = {}
    route: Route | None = None
    urgency: Urgency | None = None
    reason: str = ""
    tab: Annotated[str, Field(pattern=r"^[\w-]{0,36}$")] = ""
    number: Annotated[int, Field(ge=0, lt=2**31)] = 0
    elapsed_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _flag_of_the_policy(self) -> Self:
        if (self.route or self.urgency) and (self.route, self.urgency) not in ORDER:
            raise ValueError(f"no flag has the route {self.route} and the urgency {self.urgency}")
        return self


@dataclass(frozen=True)
class Saved:
    """`errors`: for each field that cannot be read, a sentence that says why."""

    version: int
    errors: dict[str, str]


@dataclass(frozen=True)
class Call:
    """A call with its card open."""

    record: CallRecord
    details: Details
    questions: tuple[CallQuestion, ...] = ()


@dataclass(frozen=True)
class ShiftView:
    """What the senior sees. The counts are those of the shift, outside of the shifts those of the day. `running`: all
    of the day; `finished`, `unanswered`: the last ones; `call_backs`: all that wait, the first to be called first."""

    now: datetime
    shift: Shift | None
    calls: int
    flagged: int
    urgent: int
    unanswered_count: int
    running: tuple[CallLine, ...]
    finished: tuple[CallLine, ...]
    unanswered: tuple[Unanswered, ...]
    call_backs: tuple[CallLine, ...]


class Calls:
    """The calls of everybody. Each method may raise StorageError; those that open a card VaultError, if it was sealed
    with another key; those that are given an id NoSuchCall."""

    def __init__(self, database: Database, vault: Vault, keep_days: int = KEEP_DAYS) -> None:
        self.database = database
        self.vault = vault
        self.keep = timedelta(days=keep_days)

    def save(self, call_id: str, account: Account, change: CallChange, version: int, now: datetime) -> Saved:
        """Begin or change one's own call. `version`: the one that the page knows, 0 for a new call. Raises Conflict if
        another tab has saved since, NotYours."""
        details, errors = Details.read(change.details, _day_of(now))
        sealed = self.vault.seal(details.model_dump_json()) if details != Details() else None

        def revise(stored: CallRecord | None) -> CallRecord:
            before = stored or _begun(call_id, account, change, now)
            if not _owns(account, before):
                raise NotYours
            if stored and _came_late(change, stored):
                return stored
            if stored and version != stored.version and not _same_tab(change, stored):
                raise Conflict(OTHER_TAB)
            changed_at = max(now, before.changed_at)  # the clock may go back
            return replace(
                _with_worst_flag(before, change),
                card=sealed,
                card_until=self._kept_until(details.card, _day_of(changed_at)) if sealed else None,
                delivery_day=(details.card.delivery_day or before.shift_day) if details.wants_delivery else None,
                version=before.version + 1,
                tab=change.tab,
                tab_save=change.number,
                changed_at=changed_at,
            )

        return Saved(storage.change_call(self.database, _checked(call_id), revise).version, errors)

    def open(self, call_id: str, account: Account, now: datetime) -> Call:
        """Look at a card, one's own or, for those who may, any; a line in the audit says so. Raises NotYours."""
        record = _seen_by(account, storage.find_call(self.database, _checked(call_id)))
        storage.note_look(self.database, call_id, account.name, now)
        return self._opened(record, storage.questions_of_call(self.database, call_id))

    def unfinished(self, account: Account) -> Call | None:
        """One's own call to go on with after a reload, the last one worked on."""
        record = storage.unfinished_call(self.database, account.name)
        return self._opened(record, storage.questions_of_call(self.database, record.id)) if record else None

    def finish(
        self,
        call_id: str,
        account: Account,
        outcome: Outcome,
        transferred_to: Route | None,
        call_back_at: datetime | None,
        now: datetime,
    ) -> None:
        """End a call, or correct how it has ended. A call back without a time: as soon as possible. Raises NotFinished
        if it is transferred to nobody, NotYours."""
        if outcome is Outcome.TRANSFERRED and transferred_to is None:
            raise NotFinished(TO_WHOM)
        to_whom = transferred_to if outcome is Outcome.TRANSFERRED else None
        when = call_back_at if outcome is Outcome.CALL_BACK else None

        def end(call: CallRecord) -> CallRecord:
            return replace(
                call,
                outcome=outcome,
                transferred_to=to_whom or "",
                call_back_at=when,
                called_back=False,
                ended_at=call.ended_at or max(now, call.changed_at),
            )

        self._change(call_id, account, end)

    def called_back(self, call_id: str, account: Account, now: datetime) -> None:
        """Take a call off the list of those to be called back. Raises NotYours."""
        self._change(
            call_id, account, lambda call: replace(call, called_back=True, changed_at=max(now, call.changed_at))
        )

    def shift_now(self, now: datetime) -> ShiftView:
        """The shift as it is, with nothing of the callers but their questions, masked."""
        day, shift = _day_of(now), shift_of(now)
        since = datetime.combine(day, shift.begins if shift else time.min, MOSCOW)
        unanswered_count, unanswered = storage.unanswered_questions(self.database, since, SHOWN)
        return ShiftView(
            now=now,
            shift=shift,
            **asdict(storage.count_calls(self.database, day, shift.id if shift else None)),
            unanswered_count=unanswered_count,
            running=storage.running_calls(self.database, day),
            finished=storage.finished_calls(self.database, day, shift.id if shift else None, SHOWN),
            unanswered=unanswered,
            call_backs=storage.waiting_call_backs(self.database),
        )

    def deliveries(self, day: date, account: Account, now: datetime) -> list[Call]:
        """What is to be brought on the day, by district. A request without a day belongs to the day of its call. The
        audit names each. Raises NotYours."""
        if account.role not in SEE_ALL:
            raise NotYours
        records = storage.calls_for_delivery(self.database, day, account.name, now)
        calls = [self._opened(record) for record in records]
        return sorted(calls, key=lambda call: call.details.text("district").casefold())

    def purge(self, now: datetime) -> int:
        """Empty the cards whose time is over; how many."""
        return storage.empty_cards(self.database, _day_of(now), now)

    def _change(self, call_id: str, account: Account, revise: Callable[[CallRecord], CallRecord]) -> None:
        storage.change_call(self.database, _checked(call_id), lambda stored: revise(_seen_by(account, stored)))

    def _opened(self, record: CallRecord, questions: tuple[CallQuestion, ...] = ()) -> Call:
        details = Details.model_validate_json(self.vault.open(record.card)) if record.card else Details()
        return Call(record, details, questions)

    def _kept_until(self, card: Card, today: date) -> date:
        """The last day. Without consent only as long as it takes to help."""
        longest = today + self.keep
        return longest if card.consent else min(longest, max(today + WITHOUT_CONSENT, card.delivery_day or today))


def _checked(call_id: str) -> str:
    if not CALL_ID.fullmatch(call_id):
        raise NoSuchCall
    return call_id


def _owns(account: Account, call: CallRecord) -> bool:
    return call.actor == account.name


def _seen_by(account: Account, stored: CallRecord | None) -> CallRecord:
    if stored is None:
        raise NoSuchCall
    if not (_owns(account, stored) or account.role in SEE_ALL):
        raise NotYours
    return stored


def _begun(call_id: str, account: Account, change: CallChange, now: datetime) -> CallRecord:
    started_at = now - timedelta(seconds=min(change.elapsed_s, LONGEST_CALL_S))
    shift = shift_of(started_at)
    return CallRecord(
        id=call_id,
        account_id=account.id or None,
        actor=account.name,
        shift_day=_day_of(started_at),
        shift=shift.id if shift else "",
        started_at=started_at,
        changed_at=now,
    )


def _same_tab(change: CallChange, stored: CallRecord) -> bool:
    return bool(change.tab) and change.tab == stored.tab


def _came_late(change: CallChange, stored: CallRecord) -> bool:
    """True if this tab's save, or one after it, is stored already: the answer got lost or the way took longer."""
    return _same_tab(change, stored) and change.number <= stored.tab_save


def _with_worst_flag(call: CallRecord, change: CallChange) -> CallRecord:
    """A flag stays when the next question has none: the worst of the call counts."""
    if change.route and change.urgency and _place(change.route, change.urgency) < _place(call.route, call.urgency):
        return replace(call, route=change.route, urgency=change.urgency, reason=change.reason)
    return call


def _place(route: str, urgency: str) -> int:
    """In the order of the policy, 0 first; no flag comes last."""
    return ORDER.index((Route(route), Urgency(urgency))) if route else len(ORDER)
