"""What the volunteer's page saves while people talk: the card, how the call ends, which answers were used and how good
they were. Every refusal is {"detail": a Russian sentence}."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from assistant.calls import Call, CallChange, CallError, NoSuchCall, NotFinished, NotYours, shift_of
from assistant.card import Details, readable_phone
from assistant.handover import handover_sheet, turns
from assistant.permission import Asking
from assistant.privacy import VaultError
from assistant.service import Service, now
from assistant.settings import MOSCOW
from assistant.storage import Conflict, Opinion, Outcome, StorageError
from kb import Route

from .pages import SEALED, moscow

AWAY = "База данных сейчас не отвечает, повторяем сами."
NO_SHIFT = "вне смены"

REFUSALS: dict[type[Exception], HTTPStatus] = {
    NoSuchCall: HTTPStatus.NOT_FOUND,
    NotYours: HTTPStatus.FORBIDDEN,
    NotFinished: HTTPStatus.UNPROCESSABLE_ENTITY,
}

Short = Annotated[str, Field(max_length=120)]
Long = Annotated[str, Field(max_length=2_000)]


class Save(CallChange):
    """`version`: the one that the page knows."""

    version: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Ending(BaseModel):
    """A call back without a time: as soon as possible."""

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    transferred_to: Route | None = None
    call_back_at: AwareDatetime | None = None


class Use(BaseModel):
    """The entry that was read aloud."""

    model_config = ConfigDict(frozen=True)

    entry: Short


class Feedback(BaseModel):
    """`question`: what the answer was given to. `word`: why, if somebody cares to say."""

    model_config = ConfigDict(frozen=True)

    entry: Short
    opinion: Opinion
    word: Long = ""
    question: Annotated[str, Field(max_length=20_000)] = ""


class Desk:
    """The handlers. `clock`: gives the time of each request, aware."""

    def __init__(self, service: Service, clock: Callable[[], datetime] = now) -> None:
        self.service = service
        self.clock = clock

    def here(self, account: Asking) -> dict[str, Any]:
        """Who sits here, in which shift, and whether questions are being saved; known without the database."""
        shift = shift_of(self.clock())
        return {
            "account": account.name,
            "shift": shift.label if shift else NO_SHIFT,
            "saved": not self.service.trouble,
        }

    def unfinished(self, account: Asking) -> dict[str, Any]:
        """The call to go on with after a reload, if there is one."""
        call, at = self.service.calls.unfinished(account), self.clock()
        return {"call": shown(call, at) if call else None}

    def save(self, call_id: str, change: Save, account: Asking) -> Response:
        """Begin or change a call. 409 if another tab has saved since, with what it has saved."""
        at = self.clock()
        try:
            saved = self.service.calls.save(call_id, account, change, change.version, at)
        except Conflict as conflict:
            stored = self.service.calls.open(call_id, account, at)
            return JSONResponse({"detail": str(conflict), "stored": shown(stored, at)}, HTTPStatus.CONFLICT)
        return JSONResponse({"version": saved.version, "errors": saved.errors, "at": moscow(at)})

    def finish(self, call_id: str, ending: Ending, account: Asking) -> None:
        """End a call, or correct how it has ended."""
        self.service.calls.finish(
            call_id, account, ending.outcome, ending.transferred_to, ending.call_back_at, self.clock()
        )

    def sheet(self, call_id: str, account: Asking, to: Route | None = None) -> PlainTextResponse:
        """The handover sheet, for whom the volunteer has chosen if the call has not ended yet."""
        call = self.service.calls.open(call_id, account, self.clock())
        if to:
            call = replace(call, record=replace(call.record, transferred_to=to.value))
        return PlainTextResponse(handover_sheet(call, turns(call.questions, self.service.live.assistant.kb)))

    def used(self, key: Short, use: Use) -> None:
        """The answer to the question of this key was read aloud."""
        self.service.log.put_used(key, use.entry)

    def feedback(self, said: Feedback, account: Asking) -> None:
        """What the volunteer thinks of an answer."""
        self.service.log.put_remark(said.opinion, said.entry, account.name, self.clock(), said.word, said.question)


def shown(call: Call, at: datetime) -> dict[str, Any]:
    """A call as the page shows it: details as they were typed and what is wrong with them, its age in seconds."""
    typed, record = as_typed(call.details), call.record
    return {
        "id": record.id,
        "version": record.version,
        "tab": record.tab,
        "elapsed_s": max(0.0, (at - record.started_at).total_seconds()),
        "details": typed,
        "errors": Details.read(typed, at.astimezone(MOSCOW).date())[1],
    }


def as_typed(details: Details) -> dict[str, Any]:
    """The value of each field of the form."""
    card = details.card.model_dump(mode="json")
    return {**card, "phone": readable_phone(details.card.phone), **details.typed}


class SaysWhy(APIRoute):
    """A route whose failures become a status and a sentence."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except CallError as error:
                return refusal(REFUSALS[type(error)], str(error))
            except StorageError:
                return refusal(HTTPStatus.SERVICE_UNAVAILABLE, AWAY)
            except VaultError:
                return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, SEALED)

        return handled


def refusal(status: HTTPStatus, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status)


def routes(service: Service, clock: Callable[[], datetime] = now) -> APIRouter:
    """What the page calls; not for other programs, they have the API."""
    desk = Desk(service, clock)
    router = APIRouter(prefix="/desk", route_class=SaysWhy, include_in_schema=False)
    no_content = HTTPStatus.NO_CONTENT
    router.add_api_route("/here", desk.here, methods=["GET"])
    router.add_api_route("/calls/unfinished", desk.unfinished, methods=["GET"])
    router.add_api_route("/calls/{call_id}", desk.save, methods=["PUT"], response_model=None)
    router.add_api_route("/calls/{call_id}/finish", desk.finish, methods=["POST"], status_code=no_content)
    router.add_api_route("/calls/{call_id}/sheet", desk.sheet, methods=["GET"], response_model=None)
    router.add_api_route("/questions/{key}/used", desk.used, methods=["POST"], status_code=no_content)
    router.add_api_route("/feedback", desk.feedback, methods=["POST"], status_code=no_content)
    return router
