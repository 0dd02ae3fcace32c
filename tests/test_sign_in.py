"""Signing in and out, passwords, the role switch of an open machine, and another service that vouches for people."""

import base64
import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
import uvicorn
from conftest import client_of, service_of
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import RSAKey
from pydantic import SecretStr

from assistant.accounts import TOO_MANY_TRIES, WRONG, Account, Role
from assistant.service import Service
from assistant.sessions import COOKIE
from assistant.storage import StorageBusy
from assistant.web import sign_in
from assistant.web.external import FAILED, login_of
from assistant.web.guard import ROLE_COOKIE, Guard
from assistant.web.pages import AWAY, NOT_UNDERSTOOD
from assistant.web.sign_in import NO_ACCOUNT, NOT_THE_SAME, WRONG_OLD, after_sign_in
from quality.browser import free_port

WEB = Path(sign_in.__file__).parent
NOW = datetime(2022, 1, 24, 5, 0, tzinfo=UTC)
PASSWORD = "синий трактор в поле"
NEW = "красный дом у реки"
EVIL = '"><script>alert(1)</script>'


def browser_of(service: Service) -> TestClient:
    """In front of the pages of this module alone, at NOW."""
    app = FastAPI(openapi_url=None)
    app.include_router(sign_in.routes(service, lambda: NOW))
    app.add_middleware(Guard, service=service, clock=lambda: NOW)
    return client_of(service, app=app)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = service_of(tmp_path, open=False)
    service.accounts.add("ivanova", "Мария Иванова", Role.VOLUNTEER, PASSWORD, NOW)
    service.accounts.add("petrov", "Пётр Петров", Role.SENIOR, PASSWORD, NOW)
    yield service
    service.log.close()
    service.database.close()


@pytest.fixture
def browser(service: Service) -> TestClient:
    return browser_of(service)


def sign_in_as(browser: TestClient, name: str, password: str = PASSWORD, **further: str) -> httpx2.Response:
    return browser.post("/login", data={"name": name, "password": password, **further})


def is_in(browser: TestClient) -> bool:
    return browser.get("/me").status_code == 200


def test_whoever_has_an_account_signs_in_and_out(browser: TestClient) -> None:
    assert not is_in(browser)
    assert "Войти" in browser.get("/login").text
    answer = sign_in_as(browser, "ivanova")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Мария Иванова, волонтёр" in browser.get("/me").text
    assert browser.post("/logout").headers["location"] == "/login"
    assert not is_in(browser)


@pytest.mark.parametrize(
    ("address", "secure"), [("http://127.0.0.1", False), ("http://localhost", False), ("https://help.example", True)]
)
def test_the_cookie_is_for_this_site_alone_and_no_script_reads_it(
    browser: TestClient, address: str, secure: bool
) -> None:
    browser.base_url = address
    attributes = set(sign_in_as(browser, "ivanova").headers["set-cookie"].split("; ")[1:])
    assert attributes == {"HttpOnly", "Max-Age=43200", "Path=/", "SameSite=strict", *(["Secure"] if secure else [])}


def test_a_wrong_password_is_refused_and_only_the_login_stays_in_the_form(browser: TestClient) -> None:
    answer = sign_in_as(browser, "ivanova", "не тот пароль", next="/shift")
    assert answer.status_code == 401
    assert WRONG in answer.text
    assert 'value="ivanova"' in answer.text
    assert 'value="/shift"' in answer.text
    assert "не тот пароль" not in answer.text
    assert "set-cookie" not in answer.headers


def test_what_was_typed_into_the_form_is_never_markup(browser: TestClient) -> None:
    answer = sign_in_as(browser, EVIL, next=EVIL)
    assert "<script>" not in answer.text
    assert answer.text.count("&lt;script&gt;") == 2


def test_the_sixth_try_is_refused_even_with_the_right_password(browser: TestClient) -> None:
    for _ in range(5):
        assert WRONG in sign_in_as(browser, "ivanova", "не тот пароль").text
    assert TOO_MANY_TRIES in sign_in_as(browser, "ivanova").text
    assert not is_in(browser)


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [
        ("/shift?day=1", "/shift?day=1"),
        ("/", "/"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_one_goes_on_to_where_one_wanted_to_go_but_never_to_another_site(wanted: str, reached: str) -> None:
    assert after_sign_in(wanted, Account(1, "ivanova", "", Role.VOLUNTEER)) == reached


def test_the_page_that_was_asked_for_comes_after_the_form(browser: TestClient) -> None:
    assert 'value="/docs"' in browser.get("/login?next=/docs").text
    assert sign_in_as(browser, "ivanova", next="/docs").headers["location"] == "/docs"


def test_the_senior_begins_with_the_shift(browser: TestClient) -> None:
    assert sign_in_as(browser, "petrov", next="/").headers["location"] == "/shift"
    assert 'href="/shift"' in browser.get("/me").text


def test_signing_out_ends_the_sessions_on_all_computers(service: Service, browser: TestClient) -> None:
    elsewhere = browser_of(service)
    for each in (browser, elsewhere):
        sign_in_as(each, "ivanova")
    browser.post("/logout")
    assert not is_in(elsewhere)


def test_while_the_database_is_away_one_signs_out_here(
    service: Service, browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in_as(browser, "ivanova")
    monkeypatch.setattr(service.accounts, "sign_out", away)
    assert browser.post("/logout").headers["location"] == "/login"
    assert COOKIE not in browser.cookies


def test_while_the_database_is_away_a_page_says_so(
    service: Service, browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.accounts, "sign_in", away)
    answer = sign_in_as(browser, "ivanova")
    assert (answer.status_code, AWAY in answer.text) == (503, True)


def away(*_: object) -> None:
    raise StorageBusy("locked")


# One's own password

REFUSED: list[tuple[dict[str, str], str]] = [
    ({"again": "красный дом у моря"}, NOT_THE_SAME),
    ({"old": "не тот пароль"}, WRONG_OLD),
    ({"new": "короткий"}, "короче 10 знаков"),
    ({"new": "ivanova-2022"}, "почти повторяет логин"),
    ({"new": PASSWORD}, "такой же, как прежний"),
]


def change(browser: TestClient, old: str = PASSWORD, new: str = NEW, again: str | None = None) -> httpx2.Response:
    return browser.post("/password", data={"old": old, "new": new, "again": new if again is None else again})


def test_a_changed_password_ends_all_other_sessions(service: Service, browser: TestClient) -> None:
    elsewhere = browser_of(service)
    for each in (browser, elsewhere):
        sign_in_as(each, "ivanova")
    assert change(browser).headers["location"] == "/"
    assert is_in(browser)
    assert not is_in(elsewhere)
    assert WRONG in sign_in_as(elsewhere, "ivanova").text
    assert sign_in_as(elsewhere, "ivanova", NEW).status_code == 303


def test_a_password_is_refused_with_a_sentence_and_is_not_sent_back(browser: TestClient) -> None:
    sign_in_as(browser, "ivanova")
    for typed, sentence in REFUSED:
        answer = change(browser, **typed)
        assert (answer.status_code, sentence in answer.text) == (422, True), typed
        assert not any(password in answer.text for password in (PASSWORD, *typed.values()))
    assert is_in(browser)


def test_a_one_time_password_opens_nothing_but_the_page_to_choose_another(
    service: Service, browser: TestClient
) -> None:
    one_time = service.accounts.reset("petrov", NOW)
    assert sign_in_as(browser, "petrov", one_time, next="/shift").headers["location"] == "/password"
    assert browser.get("/me").headers["location"] == "/password"
    form = browser.get("/password").text
    assert "Одноразовый пароль" in form
    assert 'href="/shift"' not in form
    assert change(browser, one_time).headers["location"] == "/shift"
    assert is_in(browser)


# A machine without accounts


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[TestClient]:
    service = service_of(tmp_path)
    yield browser_of(service)
    service.log.close()
    service.database.close()


def test_an_open_machine_says_so_and_lets_choose_a_role(machine: TestClient) -> None:
    banner = machine.get("/me").text
    assert "Открыто без входа на этом компьютере" in banner
    assert current_role(banner) == "волонтёр"
    answer = machine.post("/role", data={"role": "senior"})
    assert (answer.headers["location"], machine.cookies[ROLE_COOKIE]) == ("/shift", "senior")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert current_role(machine.get("/me").text) == "старший смены"
    assert machine.post("/role", data={"role": "trainer"}).headers["location"] == "/"


def current_role(banner: str) -> str:
    return re.findall(r'aria-current="true">([^<]+)<', banner)[0]


def test_there_is_no_other_role(machine: TestClient) -> None:
    answer = machine.post("/role", data={"role": EVIL})
    assert (answer.status_code, NOT_UNDERSTOOD in answer.text) == (422, True)
    assert ROLE_COOKIE not in machine.cookies


def test_on_an_open_machine_there_is_nothing_to_sign_in_to(machine: TestClient) -> None:
    assert machine.get("/login").headers["location"] == "/"
    assert [machine.post(path).status_code for path in ("/login", "/logout", "/password")] == [405, 404, 404]


def test_where_there_are_accounts_nobody_takes_a_role(browser: TestClient) -> None:
    sign_in_as(browser, "ivanova")
    assert browser.post("/role", data={"role": "administrator"}).status_code == 404
    browser.cookies.set(ROLE_COOKIE, "administrator")
    assert "волонтёр" in browser.get("/me").text


# Another service vouches


class Provider:
    """An OpenID Connect service where somebody with these claims has just signed in."""

    def __init__(self, url: str, claims: dict[str, object]) -> None:
        self.url, self.claims = url, claims
        self.key = RSAKey.generate_key(2048, {"kid": "1"}, private=True)
        self.asked: dict[str, str] = {}

    def metadata(self) -> dict[str, object]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def keys(self) -> dict[str, object]:
        return {"keys": [self.key.as_dict(private=False)]}

    def authorize(self, request: Request) -> RedirectResponse:
        self.asked = dict(request.query_params)
        back = urlencode({"code": "once", "state": self.asked["state"]})
        return RedirectResponse(f"{self.asked['redirect_uri']}?{back}")

    async def token(self, request: Request) -> dict[str, object]:
        sent = parse_qs((await request.body()).decode())
        digest = hashlib.sha256(sent["code_verifier"][0].encode()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == self.asked["code_challenge"]
        at = int(time.time())
        known = {"iss": self.url, "aud": "assistant", "sub": "17", "iat": at, "exp": at + 60}
        claims = {**known, "nonce": self.asked["nonce"], **self.claims}
        token = jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.key)
        return {"access_token": "unused", "token_type": "Bearer", "id_token": token}


@contextmanager
def provided(**claims: object) -> Iterator[Provider]:
    port = free_port()
    provider = Provider(f"http://127.0.0.1:{port}", claims)
    app = FastAPI()
    app.get("/.well-known/openid-configuration")(provider.metadata)
    app.get("/keys")(provider.keys)
    app.get("/authorize")(provider.authorize)
    app.post("/token")(provider.token)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield provider
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def external_browser(service: Service, issuer: str) -> TestClient:
    values = {"oidc_issuer": issuer, "oidc_client_id": "assistant", "oidc_client_secret": SecretStr("secret")}
    return browser_of(replace(service, settings=service.settings.model_copy(update=values)))


def there_and_back(browser: TestClient) -> str:
    """The address under which the browser comes back."""
    there = browser.get("/oidc/start").headers["location"]
    assert urlsplit(there).path == "/authorize"
    return httpx2.get(there).headers["location"]


def test_another_service_may_vouch_for_people_who_have_an_account(service: Service) -> None:
    with provided(preferred_username="Ivanova", name="Мария Иванова-Ким") as provider:
        browser = external_browser(service, provider.url)
        assert 'href="/oidc/start"' in browser.get("/login").text
        answer = browser.get(there_and_back(browser))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "SameSite=lax" in answer.headers["set-cookie"]
    assert "Мария Иванова-Ким, волонтёр" in browser.get("/me").text


def test_it_sends_people_back_over_https_unless_to_this_machine(service: Service) -> None:
    with provided() as provider:
        browser = external_browser(service, provider.url)
        for address, back in (
            ("http://127.0.0.1:7860", "http://127.0.0.1:7860"),
            ("http://help.example", "https://help.example"),
        ):
            browser.base_url = address
            asked = parse_qs(urlsplit(browser.get("/oidc/start").headers["location"]).query)
            assert asked["redirect_uri"] == [f"{back}/oidc/back"]


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"preferred_username": "nobody"}, NO_ACCOUNT),
        ({}, NO_ACCOUNT),
        ({"preferred_username": "ivanova", "aud": "another program", "azp": "assistant"}, FAILED),
        ({"preferred_username": "ivanova", "iss": "https://evil.example"}, FAILED),
        ({"preferred_username": "ivanova", "nonce": "of another browser"}, FAILED),
        ({"preferred_username": "ivanova", "exp": 1}, FAILED),
    ],
)
def test_nobody_else_comes_in_that_way(service: Service, claims: dict[str, object], sentence: str) -> None:
    with provided(**claims) as provider:
        browser = external_browser(service, provider.url)
        answer = browser.get(there_and_back(browser))
    assert (answer.status_code, sentence in answer.text) == (401, True)
    assert not is_in(browser)


def test_what_one_browser_began_another_cannot_end(service: Service) -> None:
    with provided(preferred_username="ivanova") as provider:
        browser = external_browser(service, provider.url)
        back = there_and_back(browser)
        browser.cookies.clear()
        assert FAILED in browser.get(back).text
        assert FAILED in browser.get("/oidc/back?error=access_denied").text
    assert not is_in(browser)


def test_while_the_other_service_is_away_the_form_says_so(service: Service) -> None:
    browser = external_browser(service, f"http://127.0.0.1:{free_port()}")
    answer = browser.get("/oidc/start")
    assert (answer.status_code, FAILED in answer.text) == (401, True)


@pytest.mark.parametrize(
    ("claims", "login"),
    [
        ({"preferred_username": "ivanova", "email": "m@example.org", "email_verified": True}, "ivanova"),
        ({"email": "m@example.org", "email_verified": True}, "m@example.org"),
        ({"email": "m@example.org"}, ""),
        ({"email": "m@example.org", "email_verified": "true"}, ""),
        ({}, ""),
    ],
)
def test_an_address_is_a_login_only_if_it_was_checked(claims: dict[str, object], login: str) -> None:
    assert login_of(claims) == login


# The look


def test_the_plain_pages_have_the_colours_of_the_volunteers_page() -> None:
    theirs, ours = (colours((WEB / file).read_text()) for file in ("style.css", "static/pages.css"))
    assert len(ours) == 2
    for mood, expected in zip(ours, theirs, strict=True):
        assert mood.items() <= expected.items()


def colours(css: str) -> list[dict[str, str]]:
    """Those of the light mood and of the dark one."""
    blocks = re.findall(r"(?::root|\.dark) \{([^}]*--paper[^}]*)\}", css)
    return [dict(re.findall(r"(--[\w-]+): (#\w+)", block)) for block in blocks]
