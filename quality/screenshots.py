"""Pictures of the volunteer's page for README and for looking at: `make screenshots`."""

import time
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from assistant.build import open_assistant
from assistant.settings import Settings

from .browser import browser, mood, resize, serving

PICTURES = Path(__file__).parent / "screenshots"
QUESTIONS = {
    "sure": "как продлить больничный",
    "flag": "у мужа температура 39 и он задыхается, как вызвать врача",
    "between": "больничный на ребёнка",
    "transfer": "отстранили от работы без прививки",
    "none": "как испечь яблочный пирог",
    "empty": "",
}
VIEWS = {"light": ("light", 1280, 720), "dark": ("dark", 1280, 720), "narrow": ("light", 390, 844)}


def wait_for_answer(driver: WebDriver, question: str) -> None:
    """Until the page shows the answer to exactly this text."""
    script = "return document.querySelector('#result').dataset.question"
    WebDriverWait(driver, 30).until(lambda page: page.execute_script(script) == question)


def take() -> None:
    """Every question in every view."""
    PICTURES.mkdir(exist_ok=True)
    assistant, _ = open_assistant(Settings())
    with serving(assistant) as address, browser() as driver:
        for view, (colours, width, height) in VIEWS.items():
            mood(driver, colours)
            resize(driver, width, height)
            for name, question in QUESTIONS.items():
                driver.get(address)
                field = WebDriverWait(driver, 30).until(lambda page: page.find_element(By.ID, "question"))
                if question:
                    field.send_keys(question)
                    wait_for_answer(driver, question)
                time.sleep(0.3)
                driver.save_screenshot(str(PICTURES / f"{name}-{view}.png"))


if __name__ == "__main__":
    take()
