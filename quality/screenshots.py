"""Pictures of the volunteer's page for README and for looking at: `make screenshots`."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from assistant.service import open_service
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
    with (
        TemporaryDirectory() as folder,
        open_service(Settings(database_url=f"sqlite:///{folder}/assistant.db")) as service,
        serving(service) as address,
        browser() as driver,
    ):
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
                ActionChains(driver).key_down(Keys.ALT).send_keys("n").key_up(Keys.ALT).perform()  # the next call
                time.sleep(1)
            driver.add_cookie({"name": "assistant_role", "value": "senior"})
            driver.get(f"{address}/shift")
            time.sleep(1)
            driver.save_screenshot(str(PICTURES / f"shift-{view}.png"))
            driver.delete_all_cookies()


if __name__ == "__main__":
    take()
