"""Signing in and out, one's own password, the role switch of an open machine."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse

from assistant.accounts import WRONG, Account, AccountError, PasswordRefused, Role, SignInRefused
from assistant.permission import asking
from assistant.service import Service, now
from assistant.sessions import COOKIE
from assistant.storage import StorageError

from .external import External
from .guard import ROLE_COOKIE
from .pages import Page, at_this_machine, go_to, page

LOCAL_PATH = re.compile(r"/(?!/)[^\\\s\x00-\x1f]*")  # browsers read a backslash as a slash
HOME = {Role.SENIOR: "/shift"}  # of everybody else: the questions

NOT_THE_SAME = "Новый пароль и его повтор не совпадают. Наберите их ещё раз."
WRONG_OLD = "Прежний пароль не подходит. Проверьте раскладку клавиатуры и попробуйте ещё раз."
NO_ACCOUNT = "Для вас ещё нет учётной записи, или она отключена. Обратитесь к администратору."

Text = Annotated[str, Form()]


def routes(service: Service, clock: Callable[[], datetime] = now) -> APIRouter:
    """/me, /login, /logout, /password, and /oidc if another service may vouch for people; on an open machine /role."""
    here = SignIn(service, clock)
    router = APIRouter(route_class=Page, include_in_schema=False)
    router.get("/me")(here.banner)
    router.get("/login")(here.form)
    if service.open:
        router.post("/role")(here.take_role)
        return router
    router.post("/login")(here.sign_in)
    router.post("/logout")(here.sign_out)
    router.get("/password")(here.password_form)
    router.post("/password")(here.change_password)
    if service.settings.oidc_issuer:
        External(service.settings, here.vouched, here.refuse).add_routes(router)
    return router


@dataclass(frozen=True)
class SignIn:
    service: Service
    clock: Callable[[], datetime]

    def form(self, request: Request, next: str = "/") -> Response:
        """On an open machine there is nothing to sign in to."""
        if self.service.open:
            return go_to("/")
        return self._form(request, next)

    def sign_in(self, request: Request, name: Text = "", password: Text = "", next: Text = "/") -> Response:
        try:
            account = self.service.accounts.sign_in(name, password, address_of(request), self.clock())
        except SignInRefused as refused:
            return self._form(request, next, 401, name=name, error=str(refused))
        return self._let_in(request, account, after_sign_in(next, account))

    def vouched(self, request: Request, name: str, full_name: str) -> Response:
        """Somebody whom another service knows under this name comes back from it; an empty name: it knows nobody."""
        account = self.service.accounts.by_external(name, full_name, self.clock())
        if account is None:
            return self.refuse(request, NO_ACCOUNT)
        return self._let_in(request, account, after_sign_in("/", account))

    def refuse(self, request: Request, sentence: str) -> Response:
        return self._form(request, "/", 401, error=sentence)

    def sign_out(self, request: Request) -> Response:
        """Everywhere; while the database is away at least here."""
        response = go_to("/login")
        response.delete_cookie(COOKIE)
        with suppress(StorageError):
            self.service.accounts.sign_out(asking(request), self.clock())
        return response

    def password_form(self, request: Request) -> Response:
        return page(request, "password.html", error="")

    def change_password(self, request: Request, old: Text = "", new: Text = "", again: Text = "") -> Response:
        """All sessions of before are void, this one goes on."""
        account = asking(request)
        try:
            if new != again:
                raise PasswordRefused(NOT_THE_SAME)
            account = self.service.accounts.change_password(account, old, new, address_of(request), self.clock())
        except AccountError as refused:
            sentence = WRONG_OLD if str(refused) == WRONG else str(refused)
            return page(request, "password.html", 422, error=sentence)
        return self._let_in(request, account, home(account.role))

    def banner(self, request: Request) -> Response:
        """Who is signed in and where they may go, for a page that is made before anybody asks for it."""
        return page(request, "banner.html")

    def take_role(self, role: Annotated[Role, Form()]) -> Response:
        """On a machine that nobody has to sign in to. The cookie says nothing once there are accounts."""
        response = go_to(home(role))
        response.set_cookie(ROLE_COOKIE, role, httponly=True, samesite="strict")
        return response

    def _form(self, request: Request, next: str, status: int = 200, name: str = "", error: str = "") -> HTMLResponse:
        external = bool(self.service.settings.oidc_issuer)
        return page(request, "sign_in.html", status, next=next, name=name, error=error, external=external)

    def _let_in(self, request: Request, account: Account, path: str) -> Response:
        response = go_to(path)
        external = bool(self.service.settings.oidc_issuer)
        local = at_this_machine(request)
        response.set_cookie(**self.service.sessions.cookie(account, self.clock(), loopback=local, external=external))
        return response


def home(role: Role) -> str:
    return HOME.get(role, "/")


def after_sign_in(next: str, account: Account) -> str:
    """Where they wanted to go, if that is a page of ours; home, if they wanted nothing special."""
    if account.must_change:
        return "/password"
    return next if next != "/" and LOCAL_PATH.fullmatch(next) else home(account.role)


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""
