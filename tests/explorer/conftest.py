"""A headless Chromium, and the fake service that it looks at."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from tests.explorer.fake import World, build_fake

from pinfold.serving.page import FOLDER, read_page
from pinfold.serving.tokens import Tokens

ARGUMENTS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
PATIENCE_MS = 15_000  # machines are busy
READ, WRITE = "r" * 32, "w" * 32


@dataclass
class Fake:
    """A running fake."""

    address: str
    world: World


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one module: while it is open an event loop runs, and no other test could start one."""
    path = os.environ.get("PLAYWRIGHT_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium: apt-get install chromium, or name one by PLAYWRIGHT_CHROMIUM")
    if not (FOLDER / "index.html").is_file():
        pytest.skip("the explorer is not built: make web")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


def _served(world: World, tokens: Tokens) -> Iterator[Fake]:
    listening = socket.create_server(("127.0.0.1", 0))
    app = build_fake(read_page(), world, tokens)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Fake(f"http://127.0.0.1:{listening.getsockname()[1]}", world)
    server.should_exit = True
    thread.join(10)
    listening.close()


@pytest.fixture(scope="session")
def open_fake() -> Iterator[Fake]:
    """Without tokens."""
    yield from _served(World(), Tokens())


@pytest.fixture(scope="session")
def closed_fake() -> Iterator[Fake]:
    """With a token for reading and one for writing."""
    yield from _served(World(), Tokens(READ, WRITE))


@pytest.fixture
def fake(browser: Browser, open_fake: Fake) -> Fake:
    """As new."""
    open_fake.world.put.clear()
    open_fake.world.content = True
    return open_fake


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that is refused everything outside the service, and whose console must stay empty."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, color_scheme="light", locale="en-US")
    page = context.new_page()
    said: list[str] = []
    foreign: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # an answer of 4xx is a line of Chromium's own, and no error of the page
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            said.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: said.append(str(error)))
    context.on("request", lambda r: None if r.url.startswith("http://127.0.0.1:") else foreign.append(r.url))
    context.set_default_timeout(PATIENCE_MS)
    yield page
    assert page.evaluate("window.hacked") is None
    context.close()
    assert not said
    assert not foreign
