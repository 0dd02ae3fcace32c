"""Who comes in, as whom, and with which headers everybody leaves. The app behind the guard says whom it sees."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import account_of, needs_chromium, service_of
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from starlette.websockets import WebSocketDisconnect

from assistant.accounts import Role
from assistant.service import Service, now
from assistant.sessions import COOKIE, LIFETIME
from assistant.storage import Database, StorageBusy
from assistant.web.guard import GRADIOS, IMPORT, LARGEST_BODY, LARGEST_IMPORT, OURS, Guard
from quality.browser import browser, serving

HERE = "http://127.0.0.1:7860"


def behind() -> FastAPI:
    """Says who it was told is asking, or breaks."""
    app = FastAPI()

    @app.api_route("/broken")
    def broken() -> None:
        raise RuntimeError("boom with +7 916 123-45-67")

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
    async def anything(request: Request) -> dict[str, Any]:
        account = request.state.account
        body = await request.body()
        return {"name": account.name if account else "", "role": account.role if account else "", "size": len(body)}

    return app


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """With an account of every role."""
    service = service_of(tmp_path_factory.mktemp("closed"), open=False)
    for role in Role:
        account_of(service, role)
    return service


@pytest.fixture(scope="module")
def open_(closed: Service) -> Service:
    return replace(closed, open=True)


def visitor(service: Service, role: Role | None = None, address: str = HERE, **options: Any) -> TestClient:
    """From this machine, with the session of an account of the role."""
    app = behind()
    app.add_middleware(Guard, service=service, **options)
    client = TestClient(app, base_url=address, client=("127.0.0.1", 5), follow_redirects=False)
    if role:
        client.cookies.set(COOKIE, service.sessions.issue(account_of(service, role), now()))
    return client


@pytest.fixture(scope="module")
def bearer(closed: Service) -> dict[str, str]:
    return {"Authorization": f"Bearer {closed.tokens.add('robot', Role.TRAINER, now())}"}


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    service = service_of(tmp_path_factory.mktemp("newcomer"), open=False)
    service.accounts.add("newcomer", "", Role.SENIOR, None, now())
    password = service.accounts.reset("newcomer", now())
    client = visitor(service)
    account = service.accounts.sign_in("newcomer", password, "127.0.0.1", now())
    client.cookies.set(COOKIE, service.sessions.issue(account, now()))
    return client


@contextmanager
def database_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def away(_: Database) -> Any:
        raise StorageBusy("away")

    with monkeypatch.context() as patch:
        for method in ("reading", "writing"):
            patch.setattr(Database, method, away)
        yield


class TestNobodySignedIn:
    @pytest.mark.parametrize(
        ("path", "sign_in"),
        [
            ("/", "/login?next=/"),
            ("/shift", "/login?next=/shift"),
            ("/shift?day=1&x=y", "/login?next=/shift%3Fday%3D1%26x%3Dy"),
            ("/nowhere", "/login?next=/nowhere"),
            ("/%D1%8F%3F%25", "/login?next=/%25D1%258F%253F%2525"),
            ("//evil.example/", "/login?next=//evil.example/"),  # the sign-in page takes local paths alone
        ],
    )
    def test_a_page_leads_to_the_sign_in_and_back(self, closed: Service, path: str, sign_in: str) -> None:
        response = visitor(closed).get(HERE + path)
        assert (response.status_code, response.headers["location"]) == (303, sign_in)

    @pytest.mark.parametrize("path", ["/api/v1/entries", "/config", "/gradio_api/info", "/desk/here", "/openapi.json"])
    def test_what_a_script_asks_for_is_refused_in_words(self, closed: Service, path: str) -> None:
        response = visitor(closed).get(path)
        assert (response.status_code, response.json()) == (401, {"detail": "Сначала войдите."})

    def test_a_part_of_a_page_that_a_script_fetches_is_no_sign_in_page(self, closed: Service) -> None:
        assert visitor(closed).get("/shift/now", headers={"Sec-Fetch-Mode": "cors"}).status_code == 401

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    def test_nothing_is_changed(self, closed: Service, method: str) -> None:
        assert visitor(closed).request(method, "/shift").status_code == 401

    @pytest.mark.parametrize("path", ["/login", "/oidc/start", "/static/x.css", "/favicon.ico", "/health", "/ready"])
    def test_these_are_for_everybody(self, closed: Service, path: str) -> None:
        assert visitor(closed).get(path).json()["name"] == ""

    @pytest.mark.parametrize("path", ["/loginx", "/static", "/healthy", "/Login", "/x/login"])
    def test_what_only_looks_like_them_is_not(self, closed: Service, path: str) -> None:
        assert visitor(closed).get(path).status_code == (200 if path == "/static" else 303)


class TestASession:
    @pytest.mark.parametrize("role", Role)
    def test_names_the_account(self, closed: Service, role: Role) -> None:
        assert visitor(closed, role).get("/").json() == {"name": role.value, "role": role.value, "size": 0}

    def test_does_not_take_a_role_from_a_cookie(self, closed: Service) -> None:
        client = visitor(closed, Role.VOLUNTEER)
        client.cookies.set("assistant_role", "administrator")
        assert client.get("/").json()["role"] == "volunteer"
        assert client.get("/shift").status_code == 403

    def test_with_one_letter_changed_is_none(self, closed: Service) -> None:
        client = visitor(closed)
        cookie = closed.sessions.issue(account_of(closed, Role.EDITOR), now())
        client.cookies.set(COOKIE, cookie[:-1] + ("A" if cookie[-1] != "A" else "B"))
        assert client.get("/").status_code == 303

    def test_is_over_after_its_time(self, closed: Service) -> None:
        later = visitor(closed, Role.EDITOR, clock=lambda: now() + LIFETIME - timedelta(minutes=1))
        assert later.get("/").status_code == 200
        too_late = visitor(closed, Role.EDITOR, clock=lambda: now() + LIFETIME + timedelta(minutes=1))
        assert too_late.get("/").status_code == 303

    def test_of_a_disabled_account_is_over_at_once(self, tmp_path: Path) -> None:
        service = service_of(tmp_path, open=False)
        client = visitor(service, Role.TRAINER)
        assert client.get("/").status_code == 200
        service.accounts.disable("trainer", now())
        assert client.get("/").status_code == 303

    def test_goes_on_while_the_database_is_away(self, closed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        client = visitor(closed, Role.EDITOR)
        client.get("/")
        with database_away(monkeypatch):
            assert client.get("/").json()["name"] == "editor"

    def test_that_cannot_be_looked_up_is_told_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        client = visitor(service_of(tmp_path, open=False), Role.EDITOR)
        with database_away(monkeypatch):
            response = client.get("/api/v1/entries")
            assert (response.status_code, "недоступна" in response.json()["detail"]) == (503, True)
            assert client.get("/").status_code == 503
            assert client.get("/login").json()["name"] == ""
            assert client.get("/health").status_code == 200


class TestAToken:
    def test_names_the_program_under_api(self, closed: Service, bearer: dict[str, str]) -> None:
        assert visitor(closed).get("/api/v1/x", headers=bearer).json()["name"] == "token:robot"
        assert visitor(closed).post("/api/v1/x", headers=bearer).json()["role"] == "trainer"

    @pytest.mark.parametrize("path", ["/", "/shift", "/desk/here", "/gradio_api/info", "/apis"])
    def test_opens_nothing_else(self, closed: Service, bearer: dict[str, str], path: str) -> None:
        assert visitor(closed).get(path, headers=bearer).status_code in (303, 401)

    @pytest.mark.parametrize("value", ["Bearer va_wrong", "Bearer \xff", "bearer  x y"])
    def test_that_is_wrong_opens_nothing_even_where_all_is_open(self, open_: Service, value: str) -> None:
        headers = {"Authorization": value.encode("latin-1")}
        assert visitor(open_).get("/api/v1/entries", headers=headers).status_code == 401  # type: ignore[arg-type]

    def test_that_is_disabled_opens_nothing(self, closed: Service) -> None:
        key = closed.tokens.add("old-robot", Role.EDITOR, now())
        closed.tokens.disable("old-robot", now())
        headers = {"Authorization": f"Bearer {key}"}
        assert visitor(closed).get("/api/v1/entries", headers=headers).status_code == 401


class TestAnOpenMachine:
    @pytest.mark.parametrize(
        ("cookie", "role"),
        [("senior", "senior"), ("administrator", "administrator"), ("root", "volunteer"), ("", "volunteer")],
    )
    def test_plays_the_role_of_the_cookie(self, open_: Service, cookie: str, role: str) -> None:
        client = visitor(open_)
        client.cookies.set("assistant_role", cookie)
        assert client.get("/").json() == {"name": "local", "role": role, "size": 0}

    @pytest.mark.parametrize("address", ["http://localhost:7860", "http://[::1]:7860", "http://127.0.0.1"])
    def test_knows_itself_by_its_own_names(self, open_: Service, address: str) -> None:
        assert visitor(open_, address=address).get("/").status_code == 200

    @pytest.mark.parametrize("address", ["http://evil.example", "http://127.0.0.1.evil.example", "http://10.0.0.5"])
    def test_is_not_opened_by_a_name_that_was_made_to_lead_here(self, open_: Service, address: str) -> None:
        assert visitor(open_, address=address).get("/api/v1/entries").status_code == 403
        assert "только на этом компьютере" in visitor(open_, address=address).get("/").text

    @pytest.mark.parametrize("host", ["", "[", "[::1", "::1", "127.0.0.1:7860:1", "localhost.evil.example"])
    def test_takes_a_broken_name_for_a_foreign_one(self, open_: Service, host: str) -> None:
        assert visitor(open_).get("/", headers={"Host": host}).status_code == 403

    @pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP"])
    def test_is_not_opened_through_a_proxy(self, open_: Service, header: str) -> None:
        assert visitor(open_).get("/", headers={header: "10.0.0.5"}).status_code == 403

    def test_is_not_opened_from_another_machine(self, open_: Service) -> None:
        client = TestClient(Guard(behind(), open_), base_url=HERE, client=("10.0.0.5", 5))
        assert client.get("/").status_code == 403

    def test_lets_a_program_without_a_browsers_headers_post(self, open_: Service) -> None:
        assert visitor(open_).post("/api/v1/ask").status_code == 200


FROM = [
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": HERE}, False),
    ({"Origin": HERE}, True),
    ({"Origin": "http://127.0.0.1:7861"}, False),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "http://["}, False),
    ({}, False),
]


class TestAForm:
    @pytest.mark.parametrize(("headers", "ours"), FROM)
    def test_of_another_site_changes_nothing(self, closed: Service, headers: dict[str, str], ours: bool) -> None:
        client = visitor(closed, Role.SENIOR)
        for method in ("POST", "PUT", "DELETE"):
            assert client.request(method, "/shift", headers=headers).status_code == (200 if ours else 403)

    def test_of_another_site_signs_nobody_in(self, closed: Service) -> None:
        assert visitor(closed).post("/login", headers={"Origin": "https://evil.example"}).status_code == 403

    def test_of_another_site_changes_nothing_where_all_is_open(self, open_: Service) -> None:
        assert visitor(open_).post("/role", headers={"Origin": "https://evil.example"}).status_code == 403

    def test_a_link_on_another_site_may_be_followed(self, closed: Service) -> None:
        client = visitor(closed, Role.SENIOR)
        assert client.get("/shift", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


class TestAOneTimePassword:
    @pytest.mark.parametrize("path", ["/password", "/static/x.css", "/logout", "/health"])
    def test_opens_what_is_needed_to_change_it(self, newcomer: TestClient, path: str) -> None:
        assert newcomer.get(path).status_code == 200

    @pytest.mark.parametrize("path", ["/", "/shift", "/docs"])
    def test_leads_from_any_page_to_the_change(self, newcomer: TestClient, path: str) -> None:
        response = newcomer.get(path)
        assert (response.status_code, response.headers["location"]) == (303, "/password")

    @pytest.mark.parametrize("path", ["/api/v1/entries", "/desk/here", "/gradio_api/info"])
    def test_opens_nothing_for_scripts(self, newcomer: TestClient, path: str) -> None:
        response = newcomer.get(path)
        assert (response.status_code, response.json()["detail"]) == (403, "Сначала смените одноразовый пароль.")


class TestARole:
    @pytest.mark.parametrize("role", Role)
    @pytest.mark.parametrize("path", ["/shift", "/shift/", "/shift/calls/1", "/shift/deliveries.csv"])
    def test_sees_the_shift_or_not(self, closed: Service, role: Role, path: str) -> None:
        may = role in (Role.SENIOR, Role.ADMINISTRATOR)
        response = visitor(closed, role).get(path)
        assert response.status_code == (200 if may else 403)
        assert may or "старший смены, администратор" in response.text

    @pytest.mark.parametrize("role", Role)
    def test_sees_the_metrics_from_elsewhere_or_not(self, closed: Service, role: Role) -> None:
        may = role is Role.ADMINISTRATOR
        response = visitor(closed, role).get("/metrics", headers={"X-Forwarded-For": "10.0.0.5"})
        assert response.status_code == (200 if may else 403)

    def test_none_is_needed_for_the_metrics_on_the_machine_itself(self, closed: Service) -> None:
        assert visitor(closed).get("/metrics").status_code == 200
        assert visitor(closed).get("/metrics", headers={"X-Forwarded-For": "10.0.0.5"}).status_code == 401

    def test_any_token_opens_the_metrics(self, closed: Service) -> None:
        headers = {
            "Authorization": f"Bearer {closed.tokens.add('prometheus', Role.VOLUNTEER, now())}",
            "X-Forwarded-For": "10.0.0.5",
        }
        assert visitor(closed).get("/metrics", headers=headers).json()["name"] == "token:prometheus"


class TestABody:
    @pytest.mark.parametrize(("path", "most"), [("/api/v1/ask", LARGEST_BODY), (IMPORT, LARGEST_IMPORT)])
    def test_is_limited_with_and_without_its_length(self, open_: Service, path: str, most: int) -> None:
        client = visitor(open_)
        assert client.post(path, content=b"x" * most).json()["size"] == most
        assert client.post(path, content=iter([b"x" * most])).json()["size"] == most
        for content in (b"x" * (most + 1), iter([b"x" * most, b"x"])):
            response = client.post(path, content=content)
            assert (response.status_code, "Слишком большой" in response.json()["detail"]) == (413, True)

    def test_that_breaks_off_is_not_taken_for_a_whole_one(self, open_: Service) -> None:
        reached, sent = [], []

        async def app(*_: Any) -> None:
            reached.append("the app")

        async def receive() -> dict[str, Any]:
            return next(messages)

        async def send(message: Any) -> None:
            sent.append(message)

        messages = iter([{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}])
        scope = {
            "type": "http", "method": "POST", "path": "/api/v1/ask", "query_string": b"", "client": ("127.0.0.1", 5),
            "headers": [(b"host", b"127.0.0.1")],
        }  # fmt: skip
        asyncio.run(Guard(app, open_)(scope, receive, send))
        assert (reached, sent) == ([], [])


class TestEveryResponse:
    CASES = (
        ("/", 200), ("/login", 200), ("/shift", 403), ("/api/v1/x", 200), ("/broken", 500), ("/static/x.js", 200),
    )  # fmt: skip

    @pytest.mark.parametrize(("path", "status"), CASES)
    def test_has_the_security_headers(
        self, closed: Service, path: str, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.CRITICAL)
        response = visitor(closed, Role.VOLUNTEER).get(path)
        assert response.status_code == status
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
        assert response.headers["referrer-policy"] == "same-origin"
        assert "camera=()" in response.headers["permissions-policy"]
        assert response.headers["content-security-policy"] == (GRADIOS if path == "/" else OURS)
        assert response.headers.get("cache-control") == (None if path.startswith("/static") else "no-store")
        assert "strict-transport-security" not in response.headers

    def test_has_them_when_it_is_a_refusal(self, closed: Service) -> None:
        for response in (
            visitor(closed).get("/"),
            visitor(closed).get("/config"),
            visitor(closed, Role.EDITOR).post("/", content=b"x", headers={"Origin": "https://evil.example"}),
            visitor(closed, Role.EDITOR).post(
                "/", content=b"x" * (LARGEST_BODY + 1), headers={"Sec-Fetch-Site": "same-origin"}
            ),
        ):
            assert response.status_code in (303, 401, 403, 413)
            assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
            assert response.headers["cache-control"] == "no-store"

    def test_insists_on_https_where_others_can_come(self, closed: Service) -> None:
        reachable = replace(closed, settings=closed.settings.model_copy(update={"host": "0.0.0.0"}))
        assert visitor(reachable).get("/login").headers["strict-transport-security"] == "max-age=31536000"

    def test_to_a_fault_is_a_sentence_and_no_traceback(self, closed: Service, caplog: pytest.LogCaptureFixture) -> None:
        statuses: list[int] = []
        client = visitor(closed, Role.VOLUNTEER, told=statuses.append)
        response = client.get("/broken", headers={"Sec-Fetch-Mode": "cors"})
        assert response.status_code == 500
        assert response.json()["detail"].startswith("Что-то сломалось.")
        assert "GET /broken failed" in caplog.text
        assert statuses == [500]


@needs_chromium
def test_no_page_breaks_its_own_policy(tmp_path: Path) -> None:
    """Nothing is refused, nothing is missing: the browser has nothing to complain about."""
    with serving(service_of(tmp_path)) as address, browser() as page:
        page.get(address)
        page.add_cookie({"name": "assistant_role", "value": "senior"})
        for path in ("/", "/shift", "/docs"):
            page.get(address + path)
            WebDriverWait(page, 60).until(lambda page: page.find_elements(By.TAG_NAME, "main"))
            assert [line["message"] for line in page.get_log("browser")] == [], path


def test_there_are_no_websockets(open_: Service) -> None:
    with pytest.raises(WebSocketDisconnect), visitor(open_).websocket_connect("/"):
        pass
