"""A headless Chromium and a running assistant, for the page's tests and the screenshots."""

import gc
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import uvicorn
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service as Driver

from assistant.service import Service
from assistant.web import build_app

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--lang=ru",
)


def chromium_is_here() -> bool:
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


@contextmanager
def browser(width: int = 1280, height: int = 720, *flags: str) -> Iterator[webdriver.Chrome]:
    """A new Chromium with an empty profile and a page of this size, in CSS pixels."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = _started(options)
    try:
        resize(driver, width, height)
        yield driver
    finally:
        driver.quit()


def _started(options: webdriver.ChromeOptions, tries: int = 3) -> webdriver.Chrome:
    """Chromium, which on a busy machine sometimes gives up on its first start."""
    for left in reversed(range(tries)):
        try:
            return webdriver.Chrome(options, Driver(shutil.which("chromedriver")))
        except WebDriverException:
            if not left:
                raise
            time.sleep(2)
    raise AssertionError("tries must be at least 1")


def resize(driver: webdriver.Chrome, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def mood(driver: webdriver.Chrome, name: str) -> None:
    """`light` or `dark`, as the operating system would ask for it; takes effect with the next page."""
    feature = {"name": "prefers-color-scheme", "value": name}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected inside. A finaliser that imports while Gradio looks for IPython breaks that import on
    Python 3.11 (cpython issue 91351, mended in 3.12); a test run leaves such finalisers behind."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """The address of the pages, served by a thread of this process on any free port."""
    settings = service.settings.model_copy(update={"port": free_port()})
    with uncollected():
        app = build_app(replace(service, settings=settings))
    server = uvicorn.Server(uvicorn.Config(app, settings.host, settings.port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://{settings.host}:{settings.port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
