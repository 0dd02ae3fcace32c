"""The volunteer's page in a real browser: typing, keys, the flag, escaping, contrast, zoom, no outside requests."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import DAY, entry, needs_chromium, service_of, tiny_assistant
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from assistant.answer import Assistant
from assistant.live import Live
from assistant.service import now
from assistant.web.volunteer import on_ask, render_answer, render_empty
from quality.browser import browser, mood, resize, serving
from quality.screenshots import wait_for_answer

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def address(shipped: Assistant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    service = service_of(tmp_path_factory.mktemp("page"))
    with serving(replace(service, live=Live(shipped, 1, service.database))) as url:
        yield url
    service.log.close()


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chrome]:
    with browser() as driver:
        yield driver


@pytest.fixture
def page(chrome: Chrome, address: str) -> Chrome:
    resize(chrome, 1280, 720)
    forget_calls(chrome, address)
    chrome.get(address)
    WebDriverWait(chrome, 60).until(lambda page: page.find_elements(By.ID, "question"))
    WebDriverWait(chrome, 10).until(lambda page: page.switch_to.active_element.get_attribute("id") == "question")
    return chrome


def forget_calls(chrome: Chrome, address: str) -> None:
    """The page would go on with the call of the test before."""
    chrome.get("about:blank")
    chrome.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": address, "storageTypes": "local_storage"})


def type_in(page: Chrome, text: str) -> None:
    page.switch_to.active_element.send_keys(text)
    wait_for_answer(page, text)


def opened(page: Chrome) -> list[str]:
    answers = page.find_elements(By.CSS_SELECTOR, "details[open]")
    return [answer.get_attribute("data-number") or "" for answer in answers]


def press(page: Chrome, key: str, *held: str) -> None:
    keys = ActionChains(page)
    for each in held:
        keys.key_down(each)
    keys.send_keys(key)
    for each in held:
        keys.key_up(each)
    keys.perform()


@needs_chromium
class TestInTheBrowser:
    def test_the_focus_is_in_the_field_and_answers_come_while_typing(self, page: Chrome) -> None:
        type_in(page, "как продлить больничный")
        answer = page.find_element(By.CSS_SELECTOR, "details[open]")
        assert answer.get_attribute("data-entry") == "sick-leave-extend"
        say = answer.find_element(By.CSS_SELECTOR, ".say")
        assert float(say.value_of_css_property("font-size").removesuffix("px")) >= 22
        assert "24 января 2022" in page.find_element(By.CLASS_NAME, "level").text
        assert "Совпало" in answer.text
        assert "Источник" in answer.text
        assert "Действует" in answer.text
        assert page.switch_to.active_element.get_attribute("id") == "question"

    def test_another_answer_is_opened_by_key_and_by_click_and_only_one_is_open(self, page: Chrome) -> None:
        type_in(page, "как продлить больничный")
        assert opened(page) == ["1"]
        press(page, "3", Keys.ALT)
        assert opened(page) == ["3"]
        page.find_element(By.CSS_SELECTOR, "details[data-number='2'] summary").click()
        assert opened(page) == ["2"]
        summary = page.find_element(By.CSS_SELECTOR, "details[data-number='5'] summary")
        assert summary.size["height"] < 60

    def test_escape_clears_and_gives_the_field_back(self, page: Chrome) -> None:
        type_in(page, "как продлить больничный")
        press(page, "2", Keys.ALT)
        press(page, Keys.ESCAPE)
        wait_for_answer(page, "")
        field = page.find_element(By.ID, "question")
        assert field.get_attribute("value") == ""
        assert page.switch_to.active_element == field
        assert page.find_elements(By.CLASS_NAME, "empty")

    def test_a_dangerous_call_shows_a_band_above_the_answers(self, page: Chrome) -> None:
        type_in(page, "муж задыхается, как вызвать врача")
        band = page.find_element(By.CSS_SELECTOR, ".flag-now[role=alert]")
        for words in ("СРОЧНО", "103", "112", "остаюсь с вами на линии", "не медицинская оценка"):
            assert words in band.text
        assert band.find_element(By.TAG_NAME, "mark").text == "задыхается"
        assert band.location["y"] + band.size["height"] <= page.find_element(By.CLASS_NAME, "answers").location["y"]

    def test_what_was_repaired_is_said_and_one_click_searches_for_what_was_typed(self, page: Chrome) -> None:
        type_in(page, "ghjlkbnm ,jkmybxysq")
        understood = page.find_element(By.CLASS_NAME, "understood")
        assert understood.text == "понято как: «продлить больничный»"
        understood.click()
        WebDriverWait(page, 10).until(lambda page: not page.find_elements(By.CLASS_NAME, "understood"))
        assert page.find_element(By.ID, "question").get_attribute("value") == "ghjlkbnm ,jkmybxysq"

    def test_a_repeated_call_is_ticked_and_goes_to_the_senior(self, page: Chrome) -> None:
        type_in(page, "как продлить больничный")
        assert not page.find_elements(By.CLASS_NAME, "flag")
        page.find_element(By.CSS_SELECTOR, "#calls input[value='2']").click()
        band = WebDriverWait(page, 10).until(lambda page: page.find_element(By.CLASS_NAME, "flag"))
        assert "Старший смены" in band.text
        assert "2-й звонок" in band.text
        press(page, Keys.ESCAPE)
        wait_for_answer(page, "")
        assert page.find_element(By.CSS_SELECTOR, "#calls input[value='1']").is_selected()

    def test_answers_that_stay_close_are_asked_back_and_one_click_settles_it(self, page: Chrome) -> None:
        type_in(page, "больничный на ребёнка")
        buttons = page.find_elements(By.CSS_SELECTOR, ".between button")
        assert 2 <= len(buttons) <= 3
        buttons[1].click()
        assert opened(page) == ["2"]
        assert buttons[1].text in page.find_element(By.CSS_SELECTOR, "details[open] summary").text

    def test_no_answer_says_so_in_words(self, page: Chrome) -> None:
        type_in(page, "как испечь яблочный пирог")
        assert "Ответа в базе нет" in page.find_element(By.CLASS_NAME, "level").text
        assert "старшему смены" in page.find_element(By.CLASS_NAME, "flag-say").text
        assert opened(page) == []

    def test_another_day_gives_that_days_answer(self, page: Chrome) -> None:
        type_in(page, "сколько действует qr-код после прививки")
        page.execute_script(
            "const day = document.querySelector('#day'); day.value = '2022-03-04';"
            "day.dispatchEvent(new Event('change'));"
        )
        WebDriverWait(page, 10).until(lambda page: page.find_elements(By.CLASS_NAME, "changed"))
        assert page.find_element(By.CSS_SELECTOR, "details[open]").get_attribute("data-entry") == "qr-cancelled"

    def test_markup_in_a_question_stays_text(self, page: Chrome) -> None:
        type_in(page, f"{EVIL} муж задыхается")
        assert not page.find_elements(By.CSS_SELECTOR, "#result img")
        assert EVIL in page.find_element(By.CLASS_NAME, "flag").text

    def test_copying_gives_the_words_to_say(self, page: Chrome) -> None:
        type_in(page, "как продлить больничный")
        say = page.find_element(By.CSS_SELECTOR, "details[open] .say").text
        button = page.find_element(By.CSS_SELECTOR, "details[open] .copy")
        assert button.get_attribute("data-say") == say
        press(page, "c", Keys.ALT)
        WebDriverWait(page, 5).until(lambda _: button.text != "Скопировать")

    def test_a_server_that_is_gone_is_said_and_nothing_typed_is_lost(self, page: Chrome) -> None:
        type_in(page, "как продлить")
        page.execute_cdp_cmd("Network.enable", {})
        offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        page.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **offline})
        try:
            page.switch_to.active_element.send_keys(" больничный")
            WebDriverWait(page, 10).until(lambda page: page.find_element(By.ID, "trouble").is_displayed())
        finally:
            page.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, **offline})
        assert page.find_element(By.ID, "question").get_attribute("value") == "как продлить больничный"
        wait_for_answer(page, "как продлить больничный")
        assert not page.find_element(By.ID, "trouble").is_displayed()

    @pytest.mark.parametrize(("width", "height"), [(1280, 720), (640, 360), (390, 844)])
    def test_nothing_is_cut_off_at_any_width_or_at_200_percent(self, page: Chrome, width: int, height: int) -> None:
        resize(page, width, height)
        type_in(page, "муж задыхается как продлить больничный")
        script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.execute_script(script) <= 0
        assert page.find_element(By.CSS_SELECTOR, ".answers").size["width"] <= width

    @pytest.mark.parametrize("colours", ["light", "dark"])
    def test_every_text_has_the_contrast_of_wcag_aa(self, chrome: Chrome, address: str, colours: str) -> None:
        mood(chrome, colours)
        forget_calls(chrome, address)
        chrome.get(address)
        WebDriverWait(chrome, 60).until(lambda page: page.find_elements(By.ID, "question"))
        assert (chrome.execute_script("return document.body.classList.contains('dark')")) is (colours == "dark")
        for question in ("муж задыхается", "как продлить больничный", "чем сбить жар", "как испечь яблочный пирог"):
            chrome.find_element(By.ID, "question").clear()
            chrome.find_element(By.ID, "question").send_keys(question)
            wait_for_answer(chrome, question)
            time.sleep(0.2)  # the opening fades in
            weak = [text for text in chrome.execute_script(CONTRASTS) if text["ratio"] < 4.5]
            assert weak == []

    def test_the_page_asks_nobody_else_for_anything(self, page: Chrome, address: str) -> None:
        type_in(page, "как продлить больничный")
        events = [json.loads(line["message"])["message"] for line in page.get_log("performance")]
        asked = [
            event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]
        assert asked
        outside = {url for url in asked if not url.startswith((address, "data:", "blob:", "chrome"))}
        assert outside == set()


CONTRASTS = """
const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (node) => {
  for (; node; node = node.parentElement) {
    const colour = parse(getComputedStyle(node).backgroundColor);
    if (colour.length === 3 || colour[3] > 0.99) return colour;
  }
  return [255, 255, 255];
};
const found = [];
const walker = document.createTreeWalker(document.querySelector('.desk'), NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, element = node.parentElement;
  if (!node.data.trim() || !element.checkVisibility()) continue;
  const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
  found.push({text: node.data.trim(), ratio: (a + 0.05) / (b + 0.05)});
}
return found;
"""


class TestWithoutABrowser:
    def test_markup_in_an_entry_stays_text(self) -> None:
        evil = entry("a", question=f"Больничный {EVIL}?", say=EVIL, notes=[EVIL], ask_back=[EVIL], sources=[EVIL])
        html = render_answer(tiny_assistant(evil).ask(f"больничный {EVIL}", DAY))
        assert "<img" not in html
        assert html.count("&lt;img") >= 6

    def test_an_empty_field_shows_the_empty_state(self, tmp_path: Path) -> None:
        assert on_ask(service_of(tmp_path), {"text": "  ", "day": "2022-01-24"}, now()) == render_empty()

    def test_a_day_that_is_none_means_the_default_day(self, tmp_path: Path) -> None:
        html = on_ask(service_of(tmp_path), {"text": "больничный", "day": "0000-99-99"}, now())
        assert "24 января 2022" in html

    def test_the_pages_say_nothing_in_latin_letters_but_names(self) -> None:
        allowed = {"Alt", "Esc", "C", "N", "H", "Ctrl", "MOS", "ru", "mos", "QR", "HTML", "kbd"}
        for name in ("empty.html", "volunteer.html", "answer.html", "call.html"):
            text = (Path("assistant/web") / name).read_text(encoding="utf-8")
            shown = re.sub(r"\{[{%].*?[%}]\}|<[^>]*>", " ", text, flags=re.DOTALL)
            assert set(re.findall(r"[A-Za-z]+", shown)) <= allowed, name
