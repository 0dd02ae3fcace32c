"""The senior's page: the shift as it is now, one call with its card, what is to be delivered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from assistant.handover import delivery_table, handover_sheet, turns
from assistant.permission import asking, needs
from assistant.service import Service, now
from assistant.settings import MOSCOW
from assistant.storage import CallLine, CallRecord, Outcome, Role
from assistant.tables_out import Rows, to_csv, to_xlsx
from assistant.wording import ROUTES
from kb import Route, Urgency

from .pages import Page, go_to, moscow, page

OUTCOMES = {
    Outcome.ANSWERED: "ответили",
    Outcome.TRANSFERRED: "передан",
    Outcome.CALL_BACK: "перезвонить",
    Outcome.DROPPED: "сорвался",
}
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"


def routes(service: Service, clock: Callable[[], datetime] = now) -> APIRouter:
    """/shift and what lies below it."""
    here = ShiftPage(service, clock)
    seniors = [Depends(needs(Role.SENIOR, Role.ADMINISTRATOR))]
    router = APIRouter(prefix="/shift", route_class=Page, include_in_schema=False, dependencies=seniors)
    router.get("")(here.whole)
    router.get("/now")(here.sections)
    router.get("/calls/{call_id}")(here.call)
    router.post("/calls/{call_id}/called-back")(here.called_back)
    router.get("/deliveries.xlsx")(here.deliveries_xlsx)
    router.get("/deliveries.csv")(here.deliveries_csv)
    return router


@dataclass(frozen=True)
class ShiftPage:
    service: Service
    clock: Callable[[], datetime]

    def whole(self, request: Request) -> Response:
        at = self.clock()
        today = at.astimezone(MOSCOW).date()
        return page(request, "shift.html", **self._view(at), today=today)

    def sections(self, request: Request) -> Response:
        """Those parts of the page that change by themselves; the page asks for them every few seconds."""
        return page(request, "shift_now.html", **self._view(self.clock()))

    def call(self, request: Request, call_id: str) -> Response:
        """The card and the sheet for the specialist. The audit says who has looked."""
        at = self.clock()
        call = self.service.calls.open(call_id, asking(request), at)
        sheet = handover_sheet(call, turns(call.questions, self.service.live.assistant.kb))
        return page(request, "shift_call.html", call=call, sheet=sheet, ended=how_it_ended(call.record))

    def called_back(self, request: Request, call_id: str) -> Response:
        self.service.calls.called_back(call_id, asking(request), self.clock())
        return go_to("/shift")

    def deliveries_xlsx(self, request: Request, day: date) -> Response:
        return download(to_xlsx(self._deliveries(request, day)), XLSX, f"dostavka-{day}.xlsx")

    def deliveries_csv(self, request: Request, day: date) -> Response:
        return download(to_csv(self._deliveries(request, day)), CSV, f"dostavka-{day}.csv")

    def _deliveries(self, request: Request, day: date) -> Rows:
        return delivery_table(self.service.calls.deliveries(day, asking(request), self.clock()))

    def _view(self, at: datetime) -> dict[str, Any]:
        view = self.service.calls.shift_now(at)
        return {
            "view": view,
            "urgent_first": urgent_first,
            "due": due,
            "to_whom": to_whom,
            "how_it_ended": how_it_ended,
            "call_back_time": call_back_time,
        }


def urgent_first(lines: Sequence[CallLine]) -> Sequence[CallLine]:
    """Within the urgent ones and the others the order stays."""
    return sorted(lines, key=lambda line: line.urgency != Urgency.NOW)


def due(line: CallLine, at: datetime) -> bool:
    """True if it is time to call back."""
    return line.call_back_at is None or line.call_back_at <= at


def to_whom(route: str) -> str:
    return ROUTES[Route(route)] if route else ""


def how_it_ended(call: CallLine | CallRecord) -> str:
    """«передан: психолог»"""
    if call.outcome is None:
        return "идёт сейчас"
    whom = to_whom(call.transferred_to)
    return f"{OUTCOMES[call.outcome]}: {whom}" if whom else OUTCOMES[call.outcome]


def call_back_time(line: CallLine, at: datetime) -> str:
    """«в 10:30»; of another day with its date."""
    if line.call_back_at is None:
        return "как можно скорее"
    same_day = moscow(line.call_back_at, "%d.%m") == moscow(at, "%d.%m")
    return moscow(line.call_back_at, "в %H:%M" if same_day else "%d.%m в %H:%M")


def download(content: bytes, kind: str, name: str) -> Response:
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
