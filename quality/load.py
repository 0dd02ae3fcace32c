"""Five hundred volunteers at once, over the page's own protocol, their calls being saved: `make load`.

The server is a process of its own, started as users start it; this one plays the volunteers beside it on the same
cores. Each thinks, types a question, waits for its answer, and the page saves the call. A new question is as nobody has
typed it before (a word left out, two exchanged); the others are COMMON ones that come again and again, as on a day when
everybody asks the same. Every question is logged, as that of a call is. PostgreSQL is measured too if
ASSISTANT_TEST_POSTGRES holds the URL of a server where databases may be made.
"""

import asyncio
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, sleep
from typing import Annotated, Any
from uuid import UUID, uuid4

import aiohttp
import psutil
import typer
from rich.console import Console
from sqlalchemy import create_engine, make_url, text

from .browser import free_port
from .questions import FLAGS, load_questions
from .report import percentiles, publish, rows, stamp

VOLUNTEERS = 500
PATIENCE_S = 30
COMMON = 300  # questions that everybody asks
SEED = 2022
POSTGRES = os.environ.get("ASSISTANT_TEST_POSTGRES", "")


@dataclass(frozen=True)
class Run:
    """How volunteers work: seconds of thinking between questions, and which share of these is new."""

    think_s: float
    new: float
    database: str = "SQLite"


RUNS = (
    Run(5, 0),
    Run(5, 0.2),
    Run(5, 0.2, "PostgreSQL"),
    Run(5, 1),
    Run(1, 0),
)


@dataclass
class Waits:
    """Seconds until each answer came, and how many did not come or were refused."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0

    def record(self, seconds: float) -> dict[str, float]:
        """Of a run of so many seconds."""
        per_s = round(len(self.seconds) / seconds, 1)
        return {"per_s": per_s, "errors": self.errors, **percentiles(self.seconds)}


@dataclass(frozen=True)
class Shift:
    """What the volunteers live through from `counts_from` on."""

    address: str
    page: dict[str, Any]
    run: Run
    counts_from: float
    until: float
    asked: Waits = field(default_factory=Waits)
    saved: Waits = field(default_factory=Waits)

    async def send(self, session: aiohttp.ClientSession, method: str, path: str, body: Any, waits: Waits) -> str:
        """The response; empty if none has come."""
        start, got = perf_counter(), ""
        try:
            async with session.request(method, self.address + path, json=body) as response:
                got = await response.text() if response.ok else ""
        except (aiohttp.ClientError, TimeoutError):
            pass
        if monotonic() >= self.counts_from:
            waits.errors += not got
            waits.seconds.append(perf_counter() - start)
        return got


@contextmanager
def served(database: str) -> Iterator[tuple[str, psutil.Process]]:
    """A server on a free port: its address and process."""
    port = free_port()
    command = [sys.executable, "-c", "from assistant.cli import app; app()", "serve", "--port", str(port)]
    with (
        _database(database) as url,
        subprocess.Popen(
            command, stdout=subprocess.DEVNULL, env={**os.environ, "ASSISTANT_DATABASE_URL": url}
        ) as process,
    ):
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
        finally:
            process.terminate()


@contextmanager
def _database(kind: str) -> Iterator[str]:
    """The URL of an empty database for the time of the block."""
    if kind == "SQLite":
        with TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/assistant.db"
        return
    name, engine = f"load_{uuid4().hex}", create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            yield make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + 300
    while monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        sleep(0.2)
    raise SystemExit("the server did not start; run «assistant serve» to see why")


def as_never_typed(question: str, rng: random.Random) -> str:
    words = question.split()
    if len(words) > 3:
        words.pop(rng.randrange(len(words)))
    first, second = rng.randrange(len(words)), rng.randrange(len(words))
    words[first], words[second] = words[second], words[first]
    return " ".join(words)


def questions(new: float, rng: random.Random) -> Iterator[str]:
    """Without end."""
    pool = [asked.text for asked in (*load_questions(), *load_questions(path=FLAGS))]
    common = rng.sample(pool, COMMON)
    while True:
        yield as_never_typed(rng.choice(pool), rng) if rng.random() < new else rng.choice(common)


async def page(session: aiohttp.ClientSession, address: str) -> dict[str, Any]:
    """What the page sends with every question."""
    async with session.get(f"{address}/config") as response:
        config = await response.json()
    component = next(each["id"] for each in config["components"] if each["props"].get("elem_id") == "volunteer")
    return {"component_id": component, "fn_name": "ask", "session_hash": "load"}


async def volunteer(session: aiohttp.ClientSession, shift: Shift, stream: Iterator[str], rng: random.Random) -> None:
    """One after the other: a question, and the call with it."""

    def new_id() -> str:
        return str(UUID(int=rng.getrandbits(128), version=4))

    await asyncio.sleep(rng.random() * shift.run.think_s)
    call, tab, saves = new_id(), new_id(), 0
    while monotonic() < shift.until:
        asked = {"text": next(stream), "day": "", "calls": "1", "literally": False}
        asked |= {"settled": True, "call": call, "key": new_id()}
        body = {**shift.page, "data": asked}
        await shift.send(session, "POST", "/gradio_api/component_server", body, shift.asked)
        details = {"name": "Анна Петровна", "phone": "+7 495 123-45-67", "note": f"вопрос {saves + 1}"}
        save = {"details": details, "tab": tab, "number": saves + 1, "version": saves}
        if await shift.send(session, "PUT", f"/desk/calls/{call}", save, shift.saved):
            saves += 1
        await asyncio.sleep(shift.run.think_s * (0.5 + rng.random()))


async def work(address: str, run: Run, warm_up_s: float, seconds: float, volunteers: int) -> Shift:
    """So many volunteers for so many seconds after the warm-up."""
    rng = random.Random(SEED)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        headers={"Sec-Fetch-Site": "same-origin"},
        timeout=aiohttp.ClientTimeout(PATIENCE_S),
    ) as session:
        start = monotonic() + warm_up_s
        shift = Shift(address, await page(session, address), run, start, start + seconds)
        stream = questions(run.new, rng)
        await asyncio.gather(*(volunteer(session, shift, stream, rng) for _ in range(volunteers)))
    return shift


def measured(run: Run, warm_up_s: float, seconds: float, volunteers: int) -> dict[str, Any]:
    with served(run.database) as (address, process):
        before, start = process.cpu_times(), monotonic()
        shift = asyncio.run(work(address, run, warm_up_s, seconds, volunteers))
        after, wall = process.cpu_times(), monotonic() - start
        used = after.user + after.system - before.user - before.system
        return {
            "volunteers": volunteers,
            "think_s": run.think_s,
            "new": run.new,
            "database": run.database,
            "asked": shift.asked.record(seconds),
            "saved": shift.saved.record(seconds),
            "server_cpu_share": round(used / wall / (psutil.cpu_count() or 1), 3),
            "server_memory_mb": round(process.memory_info().rss / 1e6),
        }


def _line(run: dict[str, Any]) -> tuple[Any, ...]:
    asked, saved = run["asked"], run["saved"]
    waits = (asked["per_s"], asked["p50_ms"], asked["p95_ms"], asked["max_ms"], saved["p50_ms"], saved["p95_ms"])
    errors = asked["errors"] + saved["errors"]
    share, memory = f"{run['server_cpu_share']:.0%}", run["server_memory_mb"]
    return (f"{run['think_s']:g} s", f"{run['new']:.0%}", run["database"], *waits, errors, share, memory)


HEAD = (
    "think time", "new questions", "database", "answers a second", "p50, ms", "p95, ms", "longest, ms",
    "save p50, ms", "save p95, ms", "errors", "server's share of both cores", "its memory, MB",
)  # fmt: skip


def main(
    seconds: Annotated[float, typer.Option(help="of each run, after the warm-up")] = 45,
    warm_up: Annotated[float, typer.Option(help="seconds that are not counted")] = 40,
    volunteers: int = VOLUNTEERS,
) -> None:
    """Measure and publish."""
    runs = [measured(run, warm_up, seconds, volunteers) for run in RUNS if POSTGRES or run.database == "SQLite"]
    publish("load", {**stamp(), "runs": runs}, rows(HEAD, map(_line, runs)))
    Console().print_json(data=runs)


if __name__ == "__main__":
    typer.run(main)
