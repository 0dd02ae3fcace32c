"""Who may come in, and what every response carries: one ASGI layer around the pages, Gradio and the API.

A visit is judged by the rules at RULES, in their order. Who asks is then in `request.state.account`.
"""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import quote

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from assistant.accounts import Account, Role
from assistant.permission import only_for
from assistant.service import Service, local_account, now
from assistant.sessions import COOKIE
from assistant.storage import StorageError

from .pages import page

log = logging.getLogger(__name__)

ROLE_COOKIE = "assistant_role"  # which role one plays on a machine without accounts
PUBLIC = ("/login", "/oidc", "/static", "/favicon.ico", "/health", "/ready")
WITH_ONE_TIME_PASSWORD = ("/password", "/logout", "/static")
WITH_TOKEN = ("/api", "/metrics", "/openapi.json")
FOR_SCRIPTS = ("/api", "/desk", "/gradio_api", "/assets", "/config", "/metrics", "/openapi.json")  # no page among them
ADMINISTRATORS = (Role.ADMINISTRATOR,)
BY_ROLE = {"/shift": (Role.SENIOR, Role.ADMINISTRATOR)}
KEPT_BY_BROWSERS = ("/static", "/assets", "/favicon.ico")  # the same for everybody

LARGEST_BODY = 1_000_000  # bytes
LARGEST_IMPORT = 6_000_000
IMPORT = "/api/v1/entries/import"

AWAY = "База данных сейчас недоступна. Подождите минуту и попробуйте ещё раз."
BROKEN = "Что-то сломалось. Попробуйте ещё раз; если не поможет, скажите администратору."
ELSEWHERE = "Пока нет учётных записей, помощник открывается только на этом компьютере, по адресу 127.0.0.1."
FORGED = "Запрос пришёл с чужой страницы и не выполнен. Откройте помощника заново и повторите."
NOBODY = "Сначала войдите."
ONE_TIME = "Сначала смените одноразовый пароль."
TOO_LARGE = "Слишком большой запрос. Разделите его на части."

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
YEAR_S = 31_536_000
ENDS = "form-action 'self'; base-uri 'self'; object-src 'none'; frame-ancestors 'none'"
OURS = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    f"connect-src 'self'; {ENDS}"
)
# Gradio's page has scripts in it, and makes the code of our component by new Function.
GRADIOS = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data: blob:; font-src 'self' data:; {ENDS}"
)


@dataclass(frozen=True)
class Visit:
    """A request and who makes it. `open`: whoever is at this machine may do all."""

    request: Request
    account: Account | None
    open: bool

    @property
    def path(self) -> str:
        return str(self.request.scope["path"])

    @property
    def of_a_page(self) -> bool:
        """True if a person looks at what comes back, and no script."""
        navigates = self.request.headers.get("sec-fetch-mode", "navigate") == "navigate"
        return self.request.method in ("GET", "HEAD") and navigates and not under(self.path, FOR_SCRIPTS)

    @property
    def local(self) -> bool:
        """True if it comes from this machine and knows it by its own name. Another name that leads here is one that a
        foreign site has given us (DNS rebinding); a proxy brings visitors from elsewhere."""
        headers, client = self.request.headers, self.request.client
        forwarded = any(name in headers for name in ("forwarded", "x-forwarded-for", "x-real-ip"))
        named = is_loopback(_without_port(headers.get("host", "")))
        return named and not forwarded and client is not None and is_loopback(client.host)


def under(path: str, places: Sequence[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    """127.0.0.1:7860, [::1]:7860"""
    return re.sub(r":\d*$", "", host).strip("[]")


def _from_elsewhere(visit: Visit) -> Response | None:
    """http://evil.example made to lead to 127.0.0.1, where everything is open"""
    return None if visit.local or not visit.open else refusal(visit, 403, ELSEWHERE)


def _forged(visit: Visit) -> Response | None:
    """a form on another site that posts to ours. A request without both headers is sent by no browser; a program has
    no cookie of ours."""
    request = visit.request
    if request.method in ("GET", "HEAD", "OPTIONS") or _bearer(request):
        return None
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site:
        ours = site in ("same-origin", "none")
    elif origin:
        ours = origin.partition("://")[2] == request.headers.get("host")
    else:
        ours = COOKIE not in request.cookies
    return None if ours else refusal(visit, 403, FORGED)


def _signed_out(visit: Visit) -> Response | None:
    """the bookmark of a page, the next morning"""
    measures = visit.path == "/metrics" and visit.local
    if visit.account or measures or under(visit.path, PUBLIC):
        return None
    if not visit.of_a_page:
        return refusal(visit, 401, NOBODY)
    query = visit.request.scope["query_string"].decode("latin-1")
    wanted = quote(visit.path) + (f"?{query}" if query else "")
    return RedirectResponse(f"/login?next={quote(wanted, safe='/')}", 303)


def _with_one_time_password(visit: Visit) -> Response | None:
    """a newcomer with the password from the roster"""
    bound = visit.account is not None and visit.account.must_change
    if not bound or under(visit.path, (*PUBLIC, *WITH_ONE_TIME_PASSWORD)):
        return None
    return RedirectResponse("/password", 303) if visit.of_a_page else refusal(visit, 403, ONE_TIME)


def _of_another_role(visit: Visit) -> Response | None:
    """a volunteer who types /shift"""
    for place, roles in BY_ROLE.items():
        if under(visit.path, (place,)) and visit.account and visit.account.role not in roles:
            return refusal(visit, 403, only_for(roles))
    return None


def _measuring(visit: Visit) -> Response | None:
    """a volunteer who types /metrics: these are for whoever runs the machine, and for programs, whose account has no
    number"""
    account = visit.account
    if visit.path != "/metrics" or visit.local or (account and (account.id == 0 or account.role in ADMINISTRATORS)):
        return None
    return refusal(visit, 403, only_for(ADMINISTRATORS))


RULES = (_from_elsewhere, _forged, _signed_out, _with_one_time_password, _of_another_role, _measuring)


def refusal(visit: Visit, status: int, sentence: str) -> Response:
    """A page for a person, JSON for a script."""
    if visit.of_a_page:
        return page(visit.request, "notice.html", status, sentence=sentence)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"detail": sentence}, status, headers)


class Guard:
    """`told`: is told the status of every response."""

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        clock: Callable[[], datetime] = now,
        told: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.app = app
        self.service = service
        self.clock = clock
        self.told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # we have none
            await WebSocketClose()(scope, receive, send)
        elif scope["type"] == "http":
            await self._guarded(scope, receive, _Response(send, self._headers(scope["path"]), self.told))
        else:
            await self.app(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: "_Response") -> None:
        """Nobody ever sees a traceback, and no response lacks its headers."""
        try:
            await self._answered(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception:
            if send.begun:
                raise
            log.exception("%s %s failed", scope["method"], scope["path"])
            visit = Visit(Request(scope), None, self.service.open)
            await refusal(visit, 500, BROKEN)(scope, receive, send)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        try:
            account = await self._who(request)
        except StorageError:
            if not under(scope["path"], PUBLIC):
                return await refusal(Visit(request, None, self.service.open), 503, AWAY)(scope, receive, send)
            account = None
        visit = Visit(request, account, self.service.open)
        scope.setdefault("state", {})["account"] = account
        for rule in RULES:
            if response := rule(visit):
                return await response(scope, receive, send)
        body = await _body(scope, receive)
        if body is None:
            return await refusal(visit, 413, TOO_LARGE)(scope, receive, send)
        return await self.app(scope, _again(body, receive), send)

    async def _who(self, request: Request) -> Account | None:
        """Raises StorageError while that cannot be told."""
        if under(request.scope["path"], WITH_TOKEN) and (token := _bearer(request)):
            return await run_in_threadpool(self.service.tokens.account_of, token)
        if cookie := request.cookies.get(COOKIE):
            account = await run_in_threadpool(self.service.sessions.account, cookie, self.clock())
            if account:
                return account
        return local_account(_role_played(request)) if self.service.open else None

    def _headers(self, path: str) -> dict[str, str]:
        headers = {**HEADERS, "Content-Security-Policy": GRADIOS if path == "/" else OURS}
        if not under(path, KEPT_BY_BROWSERS):
            headers["Cache-Control"] = "no-store"
        if not self.service.settings.loopback:
            headers["Strict-Transport-Security"] = f"max-age={YEAR_S}"
        return headers


class _Response:
    """A response on its way out."""

    def __init__(self, send: Send, headers: dict[str, str], told: Callable[[int], object]) -> None:
        self.begun = False
        self._send = send
        self._headers = headers
        self._told = told

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            self._told(message["status"])
            MutableHeaders(scope=message).update(self._headers)
        await self._send(message)


def _bearer(request: Request) -> str:
    """The token of another program, empty if there is none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _role_played(request: Request) -> Role:
    try:
        return Role(request.cookies.get(ROLE_COOKIE, ""))
    except ValueError:
        return Role.VOLUNTEER


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """All of it; None if it is too large, whatever it says about itself. Raises ClientDisconnect."""
    most = LARGEST_IMPORT if scope["path"] == IMPORT else LARGEST_BODY
    declared = Request(scope).headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        return None
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect  # half a body must not be taken for a whole one
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever comes after it."""
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return again
