"""The senior's page: what it shows and what it keeps to itself, a card that is opened, tables of deliveries."""

import csv
import io
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import openpyxl
import pytest
import uvicorn
from conftest import client_of, entry, needs_chromium, service_of
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from assistant.accounts import Account, Role
from assistant.calls import NO_CALL, CallChange, Calls
from assistant.handover import DELIVERY_COLUMNS
from assistant.privacy import Vault
from assistant.service import Service
from assistant.sessions import COOKIE
from assistant.settings import MOSCOW
from assistant.storage import Outcome, StorageBusy, audit_lines
from assistant.web import shift, sign_in
from assistant.web.guard import Guard
from assistant.web.pages import AWAY, NOT_UNDERSTOOD, SEALED
from kb import Route, Urgency
from quality.browser import browser, free_port

NOW = datetime(2022, 1, 24, 10, 24, tzinfo=MOSCOW)
MINUTE = timedelta(minutes=1)
EVIL = "<script>alert(1)</script>"
BREATH = (Route.EMERGENCY, Urgency.NOW, "Человеку трудно дышать")
DOSE = (Route.DOCTOR, Urgency.TRANSFER, "Вопрос о дозе")
CALLER = {
    "name": "Мария Ивановна",
    "phone": "8 916 123-45-67",
    "address": "Барышиха, 12",
    "needs": ["food"],
    "delivery_day": "2022-01-25",
    "consent": True,
}


class Desk:
    """A shift to be looked at: volunteers, their calls, and the senior's browser. The clock stands at `now`."""

    def __init__(self, service: Service) -> None:
        self.service, self.now = service, NOW
        self.anna = self._account("anna", "Анна Петрова", Role.VOLUNTEER)
        self.boris = self._account("boris", "Борис Ким", Role.VOLUNTEER)
        self.vera = self._account("vera", "Вера Ильина", Role.SENIOR)
        self.app = self._app()
        self.browser = self.browser_of(self.vera)
        self._calls = 0

    def _account(self, name: str, full_name: str, role: Role) -> Account:
        return self.service.accounts.add(name, full_name, role, None, NOW)

    def _app(self) -> FastAPI:
        app = FastAPI(openapi_url=None)
        for page in (shift, sign_in):
            app.include_router(page.routes(self.service, lambda: self.now))
        app.mount("/static", StaticFiles(directory=Path(shift.__file__).parent / "static"))
        app.add_middleware(Guard, service=self.service, clock=lambda: self.now)
        return app

    def browser_of(self, account: Account) -> TestClient:
        client = client_of(self.service, app=self.app)
        client.cookies.set(COOKIE, self.service.sessions.issue(account, NOW))
        return client

    def call(self, volunteer: Account, flag: tuple[Route, Urgency, str] | None = None, ago: int = 5, **end: Any) -> str:
        """The id of a call that began so many minutes ago; ended, if told how."""
        self._calls += 1
        call_id, begun = str(UUID(int=self._calls)), NOW - ago * MINUTE
        route, urgency, reason = flag or (None, None, "")
        change = CallChange(details=CALLER, route=route, urgency=urgency, reason=reason)
        self.service.calls.save(call_id, volunteer, change, 0, begun)
        if end:
            ending = {"transferred_to": None, "call_back_at": None, **end}
            self.service.calls.finish(call_id, volunteer, now=NOW - MINUTE, **ending)
        return call_id

    def question(self, text: str, call_id: str | None = None) -> None:
        self.service.log.put(self.service.ask(text), call_id, 1, NOW - MINUTE)
        self.service.log.close()

    def section(self, name: str) -> str:
        """The words of a part of the page."""
        html = self.browser.get("/shift/now").text
        [part] = re.findall(rf'<(?:section|details) id="{name}".*?</(?:section|details)>', html, re.DOTALL)
        return words(part)

    def audit(self) -> list[tuple[str, str, str]]:
        return [(line.actor, line.action, line.object) for line in audit_lines(self.service.database)]


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    service = service_of(tmp_path, entry(), open=False)
    yield Desk(service)
    service.log.close()
    service.database.close()


PATHS = (
    "/shift",
    "/shift/now",
    f"/shift/calls/{UUID(int=1)}",
    "/shift/deliveries.xlsx?day=2022-01-25",
    "/shift/deliveries.csv?day=2022-01-25",
)


def test_only_the_senior_and_the_administrator_see_it(desk: Desk) -> None:
    desk.call(desk.anna)
    root = desk.service.accounts.add("root", "", Role.ADMINISTRATOR, None, NOW)
    browsers = [desk.browser_of(account) for account in (desk.anna, desk.vera, root)]
    for path in PATHS:
        assert [browser.get(path).status_code for browser in browsers] == [403, 200, 200], path


def test_each_route_asks_for_the_role_itself(desk: Desk) -> None:
    """Without the guard's list of pages too."""
    app = FastAPI()
    app.include_router(shift.routes(desk.service, lambda: NOW))

    @app.middleware("http")
    async def anna(request: Any, call_next: Any) -> Any:
        request.state.account = desk.anna
        return await call_next(request)

    client = TestClient(app)
    desk.call(desk.anna)
    assert [client.get(path).status_code for path in PATHS] == [403] * len(PATHS)
    assert client.post(f"/shift/calls/{UUID(int=1)}/called-back").status_code == 403


def test_the_shift_is_told_in_figures(desk: Desk) -> None:
    desk.call(desk.anna, BREATH)
    desk.call(desk.boris, DOSE, outcome=Outcome.ANSWERED)
    desk.call(desk.boris)
    desk.question("где получить загранпаспорт")
    assert desk.section("counts") == (
        "утренняя смена, 07:30–11:30 на 10:24 по Москве Звонки 3 Срочные 1 С флагом 2 Без ответа в базе 1"
    )
    assert "<title>Срочных: 1 · Смена" in desk.browser.get("/shift").text


def test_between_the_shifts_it_shows_the_day(desk: Desk) -> None:
    desk.call(desk.anna)
    desk.now = NOW.replace(hour=11, minute=45)
    assert desk.section("counts").startswith("Сейчас не смена, показан весь день на 11:45 по Москве Звонки 1")


def test_urgent_calls_come_first_then_the_longest(desk: Desk) -> None:
    desk.call(desk.anna, ago=12)
    desk.call(desk.boris, DOSE, ago=9)
    desk.call(desk.vera, BREATH, ago=3)
    assert desk.section("running") == (
        "Идут сейчас 3 Волонтёр Флаг Длится"
        " Вера Ильина срочно: 103 или 112 Человеку трудно дышать 3 мин"
        " Анна Петрова 12 мин"
        " Борис Ким врач-консультант Вопрос о дозе 9 мин"
    )


def test_call_backs_come_in_order_and_go_when_somebody_has_called(desk: Desk) -> None:
    back: dict[str, Any] = {"outcome": Outcome.CALL_BACK}
    desk.call(desk.anna, **back, call_back_at=NOW + timedelta(days=1))
    desk.call(desk.anna, **back, call_back_at=NOW + 6 * MINUTE)
    soonest = desk.call(desk.boris, DOSE, **back)
    assert desk.section("call-backs") == (
        "Перезвонить 3"
        " как можно скорее врач-консультант волонтёр Борис Ким Перезвонили"
        " в 10:30 волонтёр Анна Петрова Перезвонили"
        " 25.01 в 10:24 волонтёр Анна Петрова Перезвонили"
    )
    answer = desk.browser.post(f"/shift/calls/{soonest}/called-back")
    assert (answer.status_code, answer.headers["location"]) == (303, "/shift")
    assert desk.section("call-backs").startswith("Перезвонить 2 в 10:30")


def test_what_is_due_stands_out(desk: Desk) -> None:
    for minutes in (-1, 0, 1):
        desk.call(desk.anna, outcome=Outcome.CALL_BACK, call_back_at=NOW + minutes * MINUTE)
    desk.call(desk.anna, outcome=Outcome.CALL_BACK)
    html = desk.browser.get("/shift/now").text
    assert re.findall(r'class="due">([^<]+)<', html) == ["как можно скорее", "в 10:23", "в 10:24"]


def test_a_finished_call_says_how_it_has_ended(desk: Desk) -> None:
    ends: list[tuple[dict[str, Any], str]] = [
        ({"outcome": Outcome.ANSWERED}, "ответили"),
        ({"outcome": Outcome.TRANSFERRED, "transferred_to": Route.LAWYER}, "передан: юрист"),
        ({"outcome": Outcome.CALL_BACK}, "перезвонить"),
        ({"outcome": Outcome.DROPPED}, "сорвался"),
    ]
    for end, _ in ends:
        desk.call(desk.anna, ago=8, **end)
    for _, told in ends:
        assert f"10:23 Анна Петрова {told} 7 мин" in desk.section("finished")


def test_nothing_of_the_callers_is_on_the_page_and_nothing_is_markup(desk: Desk) -> None:
    mallory = desk.service.accounts.add("mallory", EVIL, Role.VOLUNTEER, None, NOW)
    call_id = desk.call(mallory, (Route.DOCTOR, Urgency.TRANSFER, EVIL))
    desk.question(f"загранпаспорт {EVIL}", call_id)
    html = desk.browser.get("/shift").text
    assert not any(str(value) in html for value in CALLER.values() if isinstance(value, str) and value != "2022-01-25")
    assert EVIL not in html
    assert html.count("&lt;script&gt;") == 3
    assert ("vera", "card.look", call_id) not in desk.audit()


def test_the_page_has_a_place_for_each_part_that_changes(desk: Desk) -> None:
    desk.call(desk.anna, outcome=Outcome.CALL_BACK)
    page, sections = desk.browser.get("/shift").text, desk.browser.get("/shift/now").text
    parts = re.findall(r'<(?:section|details) id="([\w-]+)"', sections)
    assert parts == ["counts", "running", "call-backs", "unanswered", "finished"]
    assert all(page.count(f' id="{part}"') == 1 for part in parts)


# A call


def test_an_opened_call_shows_card_and_sheet_and_the_audit_names_who_looked(desk: Desk) -> None:
    call_id = desk.call(desk.anna, BREATH)
    desk.question("как продлить больничный sick-leave-extend", call_id)
    html = desk.browser.get(f"/shift/calls/{call_id}").text
    sheet = re.findall(r"<pre[^>]*>(.*?)</pre>", html, re.DOTALL)[0]
    for line in (
        "Почему: Человеку трудно дышать",
        "Телефон: 8 (916) 123-45-67",
        "1. Спросили: как продлить больничный",
    ):
        assert line in sheet
    assert "Телефон 8 (916) 123-45-67" in words(html)
    assert "Согласие хранить данные получено." in html
    assert ("vera", "card.look", call_id) in desk.audit()


def test_an_emptied_card_says_so(desk: Desk) -> None:
    call_id = desk.call(desk.anna)
    desk.service.calls.purge(NOW + timedelta(days=31))
    assert "Здесь пусто" in desk.browser.get(f"/shift/calls/{call_id}").text


def test_what_goes_wrong_is_told_on_a_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for unknown in (str(UUID(int=99)), "zzz"):
        assert told(desk, f"/shift/calls/{unknown}") == (404, NO_CALL)
    assert told(desk, "/shift/deliveries.csv?day=завтра") == (422, NOT_UNDERSTOOD)

    monkeypatch.setattr(desk.service.calls, "shift_now", away)
    assert told(desk, "/shift") == (503, AWAY)
    assert desk.browser.get("/shift/now").status_code == 503


def test_a_card_under_another_key_is_told_on_a_page(desk: Desk) -> None:
    call_id = desk.call(desk.anna)
    other = Desk.__new__(Desk)
    vars(other).update(vars(desk), service=replace(desk.service, calls=Calls(desk.service.database, Vault(bytes(32)))))
    other.app = other._app()
    other.browser = other.browser_of(other.vera)
    assert told(other, f"/shift/calls/{call_id}") == (500, SEALED)


def away(*_: object) -> None:
    raise StorageBusy("locked")


def told(desk: Desk, path: str) -> tuple[int, str]:
    answer = desk.browser.get(path)
    return answer.status_code, re.findall(r'role="alert">([^<]+)<', answer.text)[0]


# Deliveries


def test_deliveries_of_a_day_are_downloaded_as_a_table_and_the_audit_says_so(desk: Desk) -> None:
    call_id = desk.call(desk.anna)
    book = desk.browser.get("/shift/deliveries.xlsx?day=2022-01-25")
    text = desk.browser.get("/shift/deliveries.csv?day=2022-01-25")
    assert book.headers["content-disposition"] == 'attachment; filename="dostavka-2022-01-25.xlsx"'
    assert text.headers["content-disposition"] == 'attachment; filename="dostavka-2022-01-25.csv"'
    rows = list(openpyxl.load_workbook(io.BytesIO(book.content)).active.values)
    assert rows[0] == DELIVERY_COLUMNS
    assert (rows[1][0], rows[1][5], rows[1][-1]) == (datetime(2022, 1, 25), "8 (916) 123-45-67", call_id)
    table = list(csv.reader(io.StringIO(text.content.decode("utf-8-sig")), delimiter=";"))
    assert [row[5] for row in table] == ["Телефон", "8 (916) 123-45-67"]
    assert desk.audit().count(("vera", "deliveries.look", "2022-01-25")) == 2


# In the browser


@contextmanager
def served(desk: Desk) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(desk.app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chrome]:
    with browser() as driver:
        yield driver


def renewed(page: Chrome) -> None:
    """As when the senior comes back to the tab."""
    page.execute_script("document.dispatchEvent(new Event('visibilitychange'))")


def waits(page: Chrome, words: str) -> None:
    WebDriverWait(page, 20).until(lambda page: words in page.find_element(By.TAG_NAME, "main").text)


@needs_chromium
def test_the_page_renews_itself_and_keeps_the_focus(
    desk: Desk, chrome: Chrome, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = desk.call(desk.anna, outcome=Outcome.CALL_BACK)
    with served(desk) as address:
        chrome.get(f"{address}/login")
        chrome.add_cookie({"name": COOKIE, "value": desk.service.sessions.issue(desk.vera, NOW)})
        chrome.get(f"{address}/shift")
        chrome.execute_script("document.querySelector('#finished').open = true")
        chrome.execute_script("arguments[0].focus()", chrome.find_element(By.ID, f"done-{waiting}"))

        desk.call(desk.boris, BREATH, ago=2)
        desk.call(desk.boris, outcome=Outcome.CALL_BACK)
        waits(chrome, "Человеку трудно дышать")  # by itself
        assert chrome.title.startswith("Срочных: 1 · Смена")
        assert chrome.switch_to.active_element.get_attribute("id") == f"done-{waiting}"
        assert chrome.find_element(By.ID, "finished").get_attribute("open")

        chrome.switch_to.active_element.click()
        waits(chrome, "Перезвонить 1")
        assert chrome.current_url == f"{address}/shift"

        stale = chrome.find_element(By.ID, "stale")
        with monkeypatch.context() as fault:
            fault.setattr(desk.service.calls, "shift_now", away)
            renewed(chrome)
            WebDriverWait(chrome, 20).until(lambda _: stale.is_displayed())
            assert "Борис Ким" in chrome.find_element(By.ID, "running").text
        renewed(chrome)
        WebDriverWait(chrome, 20).until(lambda _: not stale.is_displayed())

        desk.service.accounts.sign_out(desk.vera, NOW)
        renewed(chrome)
        WebDriverWait(chrome, 20).until(lambda page: "/login?next=/shift" in page.current_url)
