"""What other programs may ask, under /api/v1: with a token (assistant token add), or with the session of a browser.

Every refusal is {"detail": a Russian sentence, "problems": [what is wrong, one by one]}.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from index import Level
from kb import ContentError, Entry, Route, Urgency, dump_entries

from .accounts import ROLES, Role
from .calls import ShiftView
from .coverage import Question, run, summary
from .exchange import import_base
from .permission import Asking, needs
from .records import answer_record
from .service import Service, now
from .storage import (
    Conflict,
    Lacking,
    Opinion,
    RevisionState,
    StorageError,
    audit_lines,
    close_feedback,
    history,
    no_answer,
    open_feedback,
)
from .tables_out import to_csv

MOST_ROWS = 1_000  # of one coverage run: some ten seconds
LONGEST_TEXT = 20_000
CSV = "text/csv; charset=utf-8"

AWAY = "База данных сейчас недоступна. Подождите минуту и попробуйте ещё раз."
OVERTAKEN = "Это уже изменил кто-то другой. Посмотрите, что изменилось, и попробуйте ещё раз."
NOT_JSON = "Запрос не понят: это не JSON."
NOT_UNDERSTOOD = "Запрос не понят."
UNUSABLE = "Эти записи нельзя взять в базу."
NO_ENTRY = "Такой записи нет и не было."

EDITORS = (Role.EDITOR, Role.ADMINISTRATOR)
ADMINISTRATORS = (Role.ADMINISTRATOR,)
SENIORS = (Role.SENIOR, Role.ADMINISTRATOR)
ALL_BUT_VOLUNTEERS = tuple(role for role in ROLES if role is not Role.VOLUNTEER)


class Record(BaseModel):
    """Comes in or goes out as JSON."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Refusal(Record):
    """`problems`: what is wrong, one by one, where there is more to say than the sentence."""

    detail: str
    problems: list[str] = []


class Ask(Record):
    """`calls`: which call about this matter it is. `literally`: search for what was typed, with nothing repaired."""

    question: str = Field(min_length=1, max_length=LONGEST_TEXT)
    as_of: date | None = None
    calls: int = Field(default=1, ge=1, le=99)
    literally: bool = False


class FlagRecord(Record):
    """Who takes the call, and why. `evidence`: the words that raised the flag. `also`: who else may be meant."""

    route: Route
    urgency: Urgency
    reason: str
    evidence: str
    also: list[Route]


class RankedRecord(Record):
    """One answer. `matched`: which stored phrase of the entry did. `say`: to be read aloud."""

    entry: str
    question: str
    matched: str
    score: float
    say: str


class AnswerRecord(Record):
    """`level`: sure, check (whether that is meant) or none. `answers`: best first."""

    question: str
    as_of: date
    level: Level
    flag: FlagRecord | None
    answers: list[RankedRecord]


class CoverageRun(Record):
    """`rows`: as in a coverage file."""

    rows: list[Question] = Field(min_length=1, max_length=MOST_ROWS)
    as_of: date | None = None


class CoverageResult(Record):
    """`summary`: figures with their counts. `items`: what each row got."""

    summary: dict[str, Any]
    items: list[dict[str, Any]]


class Base(Record):
    """The entries that questions are answered from. `version` 0: none is stored, these are the shipped ones."""

    version: int
    entries: list[Entry]


class Revision(Record):
    """A text that an entry has had. `published_in`: version of the base."""

    number: int
    state: RevisionState
    body: dict[str, Any]
    author: str
    at: datetime
    comment: str
    published_in: int


class EntryWithHistory(Record):
    """`entry`: none if it is retired. `history`: what has been published, the first text first."""

    entry: Entry | None
    history: list[Revision]


class Imported(Record):
    """What was done to which entries, or in a dry run would be done."""

    dry_run: bool
    added: list[str]
    changed: list[str]
    retired: list[str]
    same: list[str]


class Feedback(Record):
    """What somebody thinks of an answer. `question`: what it was given to. `word`: why, in their words."""

    entry: str = Field(min_length=1, max_length=120)
    opinion: Opinion
    word: str = Field(default="", max_length=2_000)
    question: str = Field(default="", max_length=LONGEST_TEXT)


class OpenFeedback(Record):
    """One that an editor still has to deal with."""

    id: int
    at: datetime
    actor: str
    entry_id: str
    opinion: Opinion
    word: str
    question: str


class AuditLine(Record):
    """Who did what to what, and when."""

    at: datetime
    actor: str
    action: str
    object: str
    detail: dict[str, Any]


Responses = dict[int | str, dict[str, Any]]  # of a route, as FastAPI takes them

REFUSED: Responses = {
    400: {"model": Refusal, "description": "Not JSON"},
    401: {"model": Refusal, "description": "No token and no session, or one that counts no more"},
    403: {"model": Refusal, "description": "Not for this role, or not with a one-time password"},
    413: {"model": Refusal, "description": "Larger than 1 MB (an import: 6 MB)"},
    422: {"model": Refusal, "description": "The request cannot be read; its problems say where"},
    503: {"model": Refusal, "description": "The database is away; try again"},
}
UNKNOWN: Responses = {404: {"model": Refusal, "description": "There is none"}}
CHANGED: Responses = {409: {"model": Refusal, "description": "Somebody else was faster"}}
AS_TABLE: Responses = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}

Entries = Annotated[list[Entry], Field(min_length=1)]
Moment = Annotated[
    AwareDatetime | None, Query(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC))
]


def routes(service: Service, clock: Callable[[], datetime] = now) -> APIRouter:
    """Everything under /api/v1."""
    api = Api(service, clock)
    token = HTTPBearer(auto_error=False, description="assistant token add NAME --role ROLE")
    router = APIRouter(prefix="/api/v1", responses=REFUSED, dependencies=[Depends(token)])
    router.post("/ask", tags=["answers"])(api.ask)
    router.post("/coverage", tags=["answers"], **only(ALL_BUT_VOLUNTEERS))(api.coverage)
    router.get("/entries", tags=["base"])(api.entries)
    router.get("/entries/{entry_id}", tags=["base"], responses=UNKNOWN)(api.entry)
    router.post("/entries/import", tags=["base"], **only(EDITORS, CHANGED))(api.import_entries)
    router.get("/calls/shift", tags=["shift"], **only(SENIORS))(api.shift)
    router.get("/questions/unanswered", tags=["shift"], **only(ALL_BUT_VOLUNTEERS))(api.unanswered)
    router.post("/feedback", tags=["feedback"], status_code=202)(api.give_feedback)
    router.get("/feedback", tags=["feedback"], **only(ALL_BUT_VOLUNTEERS))(api.feedback)
    closing = only(EDITORS, CHANGED)
    router.post("/feedback/{feedback_id}/close", tags=["feedback"], status_code=204, **closing)(api.close_feedback)
    router.get("/audit", tags=["audit"], response_model=list[AuditLine], **only(ADMINISTRATORS, AS_TABLE))(api.audit)
    return router


def only(roles: Sequence[Role], responses: Responses | None = None) -> dict[str, Any]:
    """What a route is given to let these roles in alone, and to say so."""
    refused = {403: {**REFUSED[403], "description": f"Only for {', '.join(roles)}"}}
    return {"dependencies": [Depends(needs(*roles))], "responses": {**refused, **(responses or {})}}


class Api:
    """The handlers. `clock`: gives the time of each request, aware."""

    def __init__(self, service: Service, clock: Callable[[], datetime] = now) -> None:
        self.service = service
        self.clock = clock

    def ask(self, asked: Ask) -> AnswerRecord:
        """Answer one question. It is noted for trainers, with personal data masked."""
        service = self.service
        answer = service.ask(asked.question, asked.as_of, calls=asked.calls, literally=asked.literally)
        if answer.question:
            service.log.put(answer, None, service.live.current.version, self.clock())
        return AnswerRecord.model_validate(answer_record(answer))

    def coverage(self, wanted: CoverageRun) -> CoverageResult:
        """Ask up to 1,000 questions and count how well the base answers them. Nothing is noted."""
        items = run(self.service.live.assistant, wanted.rows, wanted.as_of or self.service.day)
        return CoverageResult(summary=summary(items), items=[item.record() for item in items])

    def entries(self) -> Base:
        """All entries in use, in their order."""
        current = self.service.live.current
        return Base(version=current.version, entries=list(current.assistant.kb))

    def entry(self, entry_id: str) -> EntryWithHistory:
        """One entry and what it used to say."""
        entry = self.service.live.assistant.kb.entries.get(entry_id)
        published = [row for row in history(self.service.database, entry_id) if row.published_in is not None]
        if entry is None and not published:
            raise HTTPException(404, NO_ENTRY)
        return EntryWithHistory(entry=entry, history=[Revision.model_validate(row) for row in published])

    def import_entries(self, account: Asking, entries: Entries, dry_run: bool = True) -> Imported:
        """Make the base what this list says: entries that are not in it are retired. A dry run, which is the default,
        only tells what would change."""
        with TemporaryDirectory() as place:
            folder = Path(place, "api")
            folder.mkdir()
            (folder / "entries.yaml").write_text(dump_entries(entries), encoding="utf-8")
            found = import_base(self.service.database, folder, account.name, self.clock(), dry_run)
        return Imported(dry_run=dry_run, **{what: list(ids) for what, ids in vars(found).items()})

    def shift(self) -> ShiftView:
        """The shift as it is now, with nothing of the callers but their questions, masked."""
        return self.service.calls.shift_now(self.clock())

    def unanswered(self, days: Annotated[int, Query(ge=1, le=366)] = 7) -> list[Lacking]:
        """Questions of the last days that the base did not answer, the most frequent first."""
        return no_answer(self.service.database, self.clock() - timedelta(days=days))

    def give_feedback(self, given: Feedback, account: Asking) -> None:
        """Say what an answer was worth. Whatever has not helped becomes a task for editors."""
        self.service.log.put_remark(given.opinion, given.entry, account.name, self.clock(), given.word, given.question)

    def feedback(self) -> list[OpenFeedback]:
        """What editors still have to deal with, the oldest first."""
        return [OpenFeedback.model_validate(row) for row in open_feedback(self.service.database)]

    def close_feedback(self, feedback_id: Annotated[int, Field(ge=1, lt=2**31)], account: Asking) -> None:
        """Note that it has been dealt with."""
        close_feedback(self.service.database, feedback_id, account.name, self.clock())

    def audit(self, since: Moment = None, until: Moment = None, format: Literal["json", "csv"] = "json") -> Any:
        """Who did what when: from `since` (a day ago) on, before `until`."""
        since = since or self.clock() - timedelta(days=1)
        lines = [AuditLine.model_validate(line) for line in audit_lines(self.service.database, since, until)]
        if format == "json":
            return lines
        rows = ([line.at, line.actor, line.action, line.object, line.detail] for line in lines)
        name = f"audit-{since:%Y-%m-%d}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(to_csv([list(AuditLine.model_fields), *rows]), media_type=CSV, headers=headers)


def explain_faults(app: FastAPI) -> None:
    """What goes wrong behind a route becomes a Refusal."""
    for fault, explain in EXPLAINED.items():
        app.add_exception_handler(fault, explain)


def _not_json(_: Request, __: Exception) -> Response:
    return _refusal(400, NOT_JSON)


def _not_understood(_: Request, error: Any) -> Response:
    """What was sent is not repeated: it may be somebody's details."""
    problems = [f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()]
    return _refusal(422, NOT_UNDERSTOOD, problems)


def _unusable(_: Request, error: Any) -> Response:
    return _refusal(422, UNUSABLE, [problem.what for problem in error.problems])


def _overtaken(_: Request, __: Exception) -> Response:
    return _refusal(409, OVERTAKEN)


def _away(_: Request, __: Exception) -> Response:
    return _refusal(503, AWAY)


def _refusal(status: int, sentence: str, problems: Sequence[str] = ()) -> Response:
    """Half a character, which somebody may have sent and which cannot be sent back, becomes a question mark."""
    refusal = Refusal(detail=sentence, problems=list(problems)).model_dump()
    content = json.dumps(refusal, ensure_ascii=False).encode("utf-8", "replace")
    return Response(content, status, media_type="application/json")


EXPLAINED: dict[type[Exception] | int, Callable[[Request, Any], Response]] = {
    400: _not_json,
    RequestValidationError: _not_understood,
    ContentError: _unusable,
    Conflict: _overtaken,
    StorageError: _away,
}
