"""What the plain pages share: templates, who is asking, and a fault shown as a page that says what to do."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from assistant.accounts import ROLES, Account
from assistant.calls import SEE_ALL, CallError, NoSuchCall, NotYours
from assistant.privacy import VaultError
from assistant.settings import MOSCOW
from assistant.storage import StorageError

LOOPBACK = ("127.0.0.1", "localhost", "::1")

AWAY = "База данных сейчас не отвечает. Подождите минуту и попробуйте ещё раз."
SEALED = "Карточку не получилось расшифровать: она закрыта другим ключом. Позовите администратора."
NOT_UNDERSTOOD = "Не получилось понять, что нужно сделать. Вернитесь назад и попробуйте ещё раз."

# What may go wrong behind a page: the status and, unless the fault has its own sentence, what to say. The first that
# fits counts.
FAULTS: tuple[tuple[type[Exception], int, str], ...] = (
    (NoSuchCall, 404, ""),
    (NotYours, 403, ""),
    (CallError, 422, ""),
    (RequestValidationError, 422, NOT_UNDERSTOOD),
    (VaultError, 500, SEALED),
    (StorageError, 503, AWAY),
)

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(ROLES=ROLES, SEE_ALL=SEE_ALL)


def moscow(at: datetime, form: str = "%H:%M") -> str:
    return f"{at.astimezone(MOSCOW):{form}}"


_templates.filters["moscow"] = moscow


class Page(APIRoute):
    """A route for people: its faults are pages too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_or_explain(request: Request) -> Response:
            try:
                return await handle(request)
            except tuple(kind for kind, _, _ in FAULTS) as fault:
                status, sentence = _explained(fault)
                return page(request, "notice.html", status, sentence=sentence)

        return handle_or_explain


def _explained(fault: Exception) -> tuple[int, str]:
    return next((status, sentence or str(fault)) for kind, status, sentence in FAULTS if isinstance(fault, kind))


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Every text in `values` is escaped."""
    html = _templates.get_template(template).render(account=who_asks(request), **values)
    return HTMLResponse(html, status)


def who_asks(request: Request) -> Account | None:
    """As the guard in front of the pages has found; None on a page that is open to all."""
    account: Account | None = getattr(request.state, "account", None)
    return account


def at_this_machine(request: Request) -> bool:
    """True if the browser names this machine as its own: only there a page may come over plain HTTP."""
    return request.url.hostname in LOOPBACK


def go_to(path: str) -> RedirectResponse:
    """To be fetched with GET."""
    return RedirectResponse(path, 303)
