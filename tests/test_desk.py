"""The call beside the answers: what the page saves; in a real browser a whole call from its first keystroke."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import account_of, client_of, entry, service_of
from fastapi import FastAPI
from fastapi.testclient import TestClient
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait
from test_page import CONTRASTS, forget_calls, needs_chromium, press, type_in

from assistant.service import Service, local_account, now
from assistant.storage import Asked, Database, Outcome, Role, Used, open_feedback, save_notes
from assistant.web.desk import Desk, routes
from assistant.web.guard import Guard
from assistant.web.volunteer import on_ask
from index import Level
from quality.browser import browser, mood, resize, serving

CALL = "11111111-2222-4333-8444-555555555555"
KEY = "99999999-2222-4333-8444-555555555555"
SAY = "Позвоните врачу до последнего дня больничного."
QUESTION = "как продлить больничный"
LINES = (entry(question="Как продлить больничный?", say=SAY), entry("qr", topic="qr", question="Где мой код?"))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = service_of(tmp_path, *LINES, open=False)
    yield service
    service.log.close()
    service.database.close()


@pytest.fixture
def app(service: Service) -> FastAPI:
    """The routes behind the guard, without the rest, which takes a second to build."""
    app = FastAPI()
    app.include_router(routes(service))
    app.add_middleware(Guard, service=service)
    return app


@pytest.fixture
def volunteer(service: Service, app: FastAPI) -> TestClient:
    return client_of(service, Role.VOLUNTEER, app)


def save(client: TestClient, version: int = 0, tab: str = "one", number: int = 1, **details: Any) -> Any:
    change = {"details": details, "tab": tab, "number": number, "version": version}
    return client.put(f"/desk/calls/{CALL}", json=change)


def away(service: Service, tmp_path: Path) -> Database:
    """A database that cannot be opened."""
    return Database(f"sqlite:///{tmp_path / 'nowhere' / service.database.file.name}")  # type: ignore[union-attr]


class TestRoutes:
    def test_a_call_is_saved_restored_as_it_was_typed_and_finished(self, volunteer: TestClient) -> None:
        saved = save(volunteer, name="Мария", phone="8916", who=["65+"], consent=True).json()
        assert saved["version"] == 1
        assert set(saved["errors"]) == {"phone"}
        restored = volunteer.get("/desk/calls/unfinished").json()["call"]
        assert (restored["id"], restored["version"], restored["tab"]) == (CALL, 1, "one")
        shown = {name: restored["details"][name] for name in ("name", "phone", "who", "consent", "delivery_day")}
        assert shown == {"name": "Мария", "phone": "8916", "who": ["65+"], "consent": True, "delivery_day": None}
        assert restored["errors"] == saved["errors"]
        assert volunteer.post(f"/desk/calls/{CALL}/finish", json={"outcome": "answered"}).status_code == 204
        assert volunteer.get("/desk/calls/unfinished").json() == {"call": None}

    def test_another_tab_gets_what_is_stored_and_overwrites_nothing(self, volunteer: TestClient) -> None:
        save(volunteer, name="Мария")
        refused = save(volunteer, tab="two", name="Марья")
        assert refused.status_code == 409
        assert "в другой вкладке" in refused.json()["detail"]
        assert refused.json()["stored"]["details"]["name"] == "Мария"
        assert volunteer.get("/desk/calls/unfinished").json()["call"]["details"]["name"] == "Мария"

    def test_a_call_is_its_volunteers_and_the_senior_may_look(
        self, service: Service, app: FastAPI, volunteer: TestClient
    ) -> None:
        save(volunteer, name="Мария")
        trainer, senior = client_of(service, Role.TRAINER, app), client_of(service, Role.SENIOR, app)
        assert save(trainer, 1, "two", name="чужое").status_code == 403
        assert trainer.get(f"/desk/calls/{CALL}/sheet").status_code == 403
        assert "Имя: Мария" in senior.get(f"/desk/calls/{CALL}/sheet").text

    def test_the_sheet_says_to_whom_who_calls_what_was_asked_and_what_was_said(
        self, service: Service, volunteer: TestClient
    ) -> None:
        save(volunteer, name="Мария", phone="89161234567")
        asked = Asked(KEY, now(), CALL, QUESTION, Level.SURE, "", "", (LINES[0].id,), 1)
        save_notes(service.database, [asked, Used(KEY, LINES[0].id)])
        sheet = volunteer.get(f"/desk/calls/{CALL}/sheet?to=doctor")
        assert sheet.headers["content-type"] == "text/plain; charset=utf-8"
        for line in ("Кому: врач-консультант", "Имя: Мария", "Телефон: 8 (916) 123-45-67"):
            assert line in sheet.text
        assert sheet.text.endswith(f"1. Спросили: {QUESTION}\n   Ответили: {SAY}")

    @pytest.mark.parametrize(
        ("path", "ending", "status", "sentence"),
        [
            (CALL, {"outcome": "transferred"}, 422, "Выберите, кому передан звонок."),
            (KEY, {"outcome": "answered"}, 404, "Такого звонка нет"),
            ("x", {"outcome": "answered"}, 404, "Такого звонка нет"),
        ],
    )
    def test_an_ending_that_is_refused_says_why(
        self, volunteer: TestClient, path: str, ending: dict[str, str], status: int, sentence: str
    ) -> None:
        save(volunteer)
        refused = volunteer.post(f"/desk/calls/{path}/finish", json=ending)
        assert (refused.status_code, refused.json()["detail"].startswith(sentence)) == (status, True)

    def test_a_call_back_waits_for_its_time(self, service: Service, volunteer: TestClient) -> None:
        save(volunteer)
        ending = {"outcome": "call_back", "call_back_at": "2026-01-24T12:30:00Z"}
        volunteer.post(f"/desk/calls/{CALL}/finish", json=ending)
        [waiting] = service.calls.shift_now(now()).call_backs
        assert waiting.call_back_at == datetime(2026, 1, 24, 12, 30, tzinfo=UTC)

    def test_a_database_that_is_away_is_said_in_russian(
        self, service: Service, volunteer: TestClient, tmp_path: Path
    ) -> None:
        service.calls.database = away(service, tmp_path)
        for refused in (save(volunteer), volunteer.get("/desk/calls/unfinished")):
            assert refused.status_code == 503
            assert refused.json() == {"detail": "База данных сейчас не отвечает, повторяем сами."}
        assert volunteer.get("/desk/here").json()["account"] == "volunteer"

    def test_what_is_thought_of_an_answer_becomes_an_open_task_without_personal_data(
        self, service: Service, volunteer: TestClient
    ) -> None:
        said = {"entry": "qr", "opinion": "wrong", "word": "звоните 8 916 123-45-67", "question": QUESTION}
        assert volunteer.post("/desk/feedback", json=said).status_code == 204
        service.log.close()
        [task] = open_feedback(service.database)
        assert (task.entry_id, task.opinion, task.actor, task.question) == ("qr", "wrong", "volunteer", QUESTION)
        assert task.word == "звоните [телефон]"

    @pytest.mark.parametrize(("hour", "shift"), [(5, "утренняя смена, 07:30–11:30"), (20, "вне смены")])
    def test_the_shift_is_known_by_itself(self, service: Service, hour: int, shift: str) -> None:
        desk = Desk(service, lambda: datetime(2022, 1, 24, hour, tzinfo=UTC))
        assert desk.here(local_account(Role.VOLUNTEER))["shift"] == shift


class TestQuestionsCollect:
    def test_a_question_is_noted_when_it_has_settled_and_not_while_it_is_typed(
        self, service: Service, volunteer: TestClient
    ) -> None:
        typed = {"text": "как продл", "call": CALL, "key": KEY}
        settled = {"text": QUESTION, "call": CALL, "key": KEY, "settled": True}
        save(volunteer)
        assert SAY in on_ask(service, settled, now())
        on_ask(service, typed, now())
        volunteer.post(f"/desk/questions/{KEY}/used", json={"entry": LINES[0].id})
        service.log.close()
        [asked] = service.calls.open(CALL, account_of(service, Role.VOLUNTEER), now()).questions
        assert (asked.text, asked.used) == (QUESTION, LINES[0].id)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Served to the browser, without accounts."""
    service = service_of(tmp_path_factory.mktemp("desk"), *LINES)
    yield service
    service.log.close()
    service.database.close()


@pytest.fixture(scope="module")
def address(desk: Service) -> Iterator[str]:
    with serving(desk) as url:
        yield url


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chrome]:
    with browser() as driver:
        yield driver


@pytest.fixture
def page(chrome: Chrome, desk: Service, address: str) -> Chrome:
    """With the field in focus and no call begun."""
    while unfinished := desk.calls.unfinished(local_account(Role.VOLUNTEER)):
        end(desk, unfinished.record.id)
    forget_calls(chrome, address)
    load(chrome, address)
    return chrome


def end(desk: Service, call_id: str) -> None:
    desk.calls.finish(call_id, local_account(Role.VOLUNTEER), Outcome.DROPPED, None, None, now())


def load(chrome: Chrome, address: str) -> None:
    chrome.get(address)
    WebDriverWait(chrome, 60).until(lambda page: page.find_elements(By.ID, "question"))
    until(chrome, lambda page: page.switch_to.active_element.get_attribute("id") == "question")
    until(chrome, lambda page: page.find_element(By.ID, "call-shift").text)


def until(page: Chrome, condition: Any) -> Any:
    return WebDriverWait(page, 20).until(condition)


def field(page: Chrome, name: str) -> Any:
    return page.find_element(By.CSS_SELECTOR, f"#call [name={name}]")


def until_status(page: Chrome, beginning: str) -> None:
    until(page, lambda page: page.find_element(By.ID, "call-status").text.startswith(beginning))


@needs_chromium
class TestInTheBrowser:
    def test_a_whole_call_from_the_first_keystroke_to_the_next_call(self, page: Chrome, desk: Service) -> None:
        type_in(page, QUESTION)
        page.switch_to.active_element.send_keys(Keys.ENTER)
        press(page, "c", Keys.ALT)
        field(page, "name").send_keys("Мария")
        field(page, "phone").send_keys("8916", Keys.TAB)
        error = page.find_element(By.ID, "error-phone")
        until(page, lambda _: error.text.startswith("Такого номера не бывает"))
        field(page, "phone").clear()
        field(page, "phone").send_keys("89161234567", Keys.TAB)
        until(page, lambda _: not error.is_displayed())
        page.find_element(By.CSS_SELECTOR, "[name=outcome][value=transferred]").click()
        press(page, "n", Keys.ALT)
        assert page.find_element(By.ID, "error-outcome").is_displayed()
        Select(field(page, "transferred_to")).select_by_value("doctor")
        [running] = desk.calls.shift_now(now()).running
        press(page, "n", Keys.ALT)
        until(page, lambda _: not desk.calls.shift_now(now()).running)
        call = desk.calls.open(running.id, local_account(Role.VOLUNTEER), now())
        assert (call.record.outcome, call.record.transferred_to) == ("transferred", "doctor")
        assert (call.details.text("name"), call.details.phone) == ("Мария", "8 (916) 123-45-67")
        assert [(asked.text, asked.used) for asked in call.questions] == [(QUESTION, LINES[0].id)]
        assert page.find_element(By.ID, "question").get_attribute("value") == ""
        assert field(page, "name").get_attribute("value") == ""
        assert page.switch_to.active_element.get_attribute("id") == "question"
        until(page, lambda page: page.execute_script("return localStorage.length") == 0)

    def test_a_reload_in_the_middle_of_a_word_loses_nothing(self, page: Chrome, address: str) -> None:
        type_in(page, QUESTION)
        field(page, "address").send_keys("ул. Свободы <b>12</b>")
        page.find_element(By.CSS_SELECTOR, "[name=who][value=alone]").click()
        load(page, address)
        until(page, lambda page: field(page, "address").get_attribute("value") == "ул. Свободы <b>12</b>")
        assert page.find_element(By.CSS_SELECTOR, "[name=who][value=alone]").is_selected()
        assert page.find_element(By.ID, "question").get_attribute("value") == QUESTION
        until_status(page, "Сохранено")

    def test_escape_clears_the_question_and_leaves_the_call(self, page: Chrome) -> None:
        type_in(page, QUESTION)
        field(page, "name").send_keys("Мария", Keys.ESCAPE)
        assert page.find_element(By.ID, "question").get_attribute("value") == ""
        assert field(page, "name").get_attribute("value") == "Мария"

    def test_two_tabs_with_one_call_show_both_texts_and_let_choose(self, page: Chrome, address: str) -> None:
        field(page, "name").send_keys("Мария")
        until_status(page, "Сохранено")
        first = page.current_window_handle
        page.switch_to.new_window("tab")
        resize(page, 1280, 720)
        load(page, address)
        until(page, lambda page: field(page, "name").get_attribute("value") == "Мария")
        field(page, "name").send_keys(" Ивановна")
        until_status(page, "Сохранено")
        page.close()
        page.switch_to.window(first)
        field(page, "name").send_keys(" Петровна")
        box = page.find_element(By.ID, "call-conflict")
        until(page, lambda _: box.is_displayed())
        assert "здесь: Мария Петровна; там: Мария Ивановна" in box.text
        assert field(page, "name").get_attribute("value") == "Мария Петровна"
        box.find_element(By.CSS_SELECTOR, "[data-choice=theirs]").click()
        assert field(page, "name").get_attribute("value") == "Мария Ивановна"
        until_status(page, "Сохранено")

    def test_while_the_database_is_away_answers_go_on_and_everything_is_sent_later(
        self, page: Chrome, desk: Service, tmp_path: Path
    ) -> None:
        there, desk.calls.database = desk.calls.database, away(desk, tmp_path)
        try:
            type_in(page, QUESTION)
            field(page, "name").send_keys("Мария")
            until_status(page, "Не сохраняется: база данных сейчас не отвечает")
            assert "осталось на этом компьютере" in page.find_element(By.ID, "call-status").text
            press(page, "n", Keys.ALT)
            until(page, lambda page: "Ждут отправки звонки: 1." in page.find_element(By.ID, "call-status").text)
            type_in(page, "где мой код")
        finally:
            desk.calls.database = there
        until(page, lambda _: [line for line in desk.calls.shift_now(now()).finished if line.outcome == "answered"])
        last = desk.calls.shift_now(now()).finished[0]
        call = desk.calls.open(last.id, local_account(Role.VOLUNTEER), now())
        assert call.details.text("name") == "Мария"

    def test_an_opinion_waits_for_a_word_until_the_row_is_left(self, page: Chrome, desk: Service) -> None:
        type_in(page, QUESTION)
        row = page.find_element(By.CSS_SELECTOR, "details[open] .feedback")
        row.find_element(By.CSS_SELECTOR, "[data-opinion=outdated]").click()
        page.switch_to.active_element.send_keys("срок прошёл", Keys.ENTER)
        until(page, lambda _: "спасибо" in row.text)
        [task] = until(page, lambda _: open_feedback(desk.database))
        assert (task.opinion, task.word, task.entry_id) == ("outdated", "срок прошёл", LINES[0].id)

    @pytest.mark.parametrize("colours", ["light", "dark"])
    def test_a_filled_panel_has_the_contrast_of_wcag_aa_and_covers_nothing(
        self, chrome: Chrome, page: Chrome, address: str, colours: str
    ) -> None:
        mood(chrome, colours)
        load(page, address)
        type_in(page, "муж задыхается")
        page.find_element(By.CSS_SELECTOR, "[name=who][value=alone]").click()
        page.find_element(By.CSS_SELECTOR, "[name=outcome][value=transferred]").click()
        field(page, "phone").send_keys("1", Keys.TAB)
        until(page, lambda page: page.find_element(By.ID, "error-phone").is_displayed())
        assert [text for text in page.execute_script(CONTRASTS) if text["ratio"] < 4.5] == []
        band = page.find_element(By.CLASS_NAME, "flag-now").rect
        assert band["x"] + band["width"] <= page.find_element(By.ID, "call").rect["x"]
        assert Select(field(page, "transferred_to")).first_selected_option.get_attribute("value") == "emergency"

    def test_every_field_has_a_label(self, page: Chrome) -> None:
        fields = page.find_elements(By.CSS_SELECTOR, "#call :is(input, select, textarea)")
        assert len(fields) == 24
        assert [each for each in fields if not page.execute_script("return arguments[0].labels.length", each)] == []
