"""Five hundred volunteers at once, over the page's own protocol: `make load`.

The server is a process of its own, started as users start it; this one plays the volunteers beside it on the same
cores. Each thinks, types one question and waits for its answer. `new` questions are as nobody has typed them before (a
word left out, two exchanged); `repeated` ones are COMMON that come again and again, as on a day when everybody asks
the same. Every question is logged, as that of a call is.
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
from uuid import UUID

import aiohttp
import psutil
import typer
from rich.console import Console

from .questions import FLAGS, load_questions
from .report import percentiles, publish, rows, stamp

VOLUNTEERS = 500
PATIENCE_S = 30
WARM_UP_S = 15
COMMON = 300  # questions that everybody asks
SEED = 2022


@dataclass
class Seen:
    """What the volunteers lived through."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0


@contextmanager
def served() -> Iterator[tuple[str, psutil.Process]]:
    """A server on a free port: its address and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from assistant.cli import app; app()", "serve", "--port", str(port)]
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "ASSISTANT_DATABASE_URL": f"sqlite:///{folder}/assistant.db"}
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
            try:
                _wait_for(port, process)
                yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
            finally:
                process.terminate()


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


async def page(session: aiohttp.ClientSession, address: str) -> dict[str, Any]:
    """What the page sends with every question."""
    async with session.get(f"{address}/config") as response:
        config = await response.json()
    component = next(each["id"] for each in config["components"] if each["props"].get("elem_id") == "volunteer")
    return {"component_id": component, "fn_name": "ask", "session_hash": "load"}


async def volunteer(
    session: aiohttp.ClientSession, address: str, body: dict[str, Any], questions: Iterator[str], think: float,
    rng: random.Random, until: float, seen: Seen, counts_from: float,
) -> None:  # fmt: skip
    await asyncio.sleep(rng.random() * think)
    call = str(UUID(int=rng.getrandbits(128), version=4))
    while monotonic() < until:
        data = {"text": next(questions), "day": "", "calls": "1", "literally": False}
        data |= {"settled": True, "call": call, "key": str(UUID(int=rng.getrandbits(128), version=4))}
        start = perf_counter()
        try:
            async with session.post(f"{address}/gradio_api/component_server", json={**body, "data": data}) as response:
                html = await response.text()
                wrong = response.status != 200 or "<" not in html
        except (aiohttp.ClientError, TimeoutError):
            wrong = True
        if monotonic() >= counts_from:
            seen.errors += wrong
            seen.seconds.append(perf_counter() - start)
        await asyncio.sleep(think * (0.5 + rng.random()))


async def shift(address: str, think: float, seconds: float, new: bool, volunteers: int) -> Seen:
    """So many volunteers for so many seconds after the warm-up."""
    rng = random.Random(SEED)
    pool = [asked.text for path in (None, FLAGS) for asked in (load_questions(path=path) if path else load_questions())]

    def questions() -> Iterator[str]:
        while True:
            yield as_never_typed(rng.choice(pool), rng) if new else rng.choice(common)

    common = rng.sample(pool, COMMON)
    seen, stream = Seen(), questions()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, headers={"Sec-Fetch-Site": "same-origin"}, timeout=aiohttp.ClientTimeout(PATIENCE_S)
    ) as session:
        body = await page(session, address)
        start = monotonic() + WARM_UP_S
        await asyncio.gather(
            *(
                volunteer(session, address, body, stream, think, rng, start + seconds, seen, start)
                for _ in range(volunteers)
            )
        )
    return seen


def measured(think: float, seconds: float, new: bool, volunteers: int) -> dict[str, Any]:
    with served() as (address, process):
        before, start = process.cpu_times(), monotonic()
        seen = asyncio.run(shift(address, think, seconds, new, volunteers))
        after, wall = process.cpu_times(), monotonic() - start
        used = after.user + after.system - before.user - before.system
        return {
            "volunteers": volunteers,
            "think_s": think,
            "questions": "new" if new else "repeated",
            "asked": len(seen.seconds),
            "per_s": round(len(seen.seconds) / seconds, 1),
            "errors": seen.errors,
            **percentiles(seen.seconds),
            "server_cpu_share": round(used / wall / (psutil.cpu_count() or 1), 3),
            "server_memory_mb": round(process.memory_info().rss / 1e6),
        }


def main(
    seconds: Annotated[float, typer.Option(help="of each run, after the warm-up")] = 60,
    volunteers: int = VOLUNTEERS,
) -> None:
    """Measure and publish."""
    runs = [
        measured(think, seconds, new, volunteers)
        for think, new in ((5.0, False), (5.0, True), (1.0, False), (1.0, True))
    ]
    lines = [
        (
            f"{run['volunteers']}, {run['think_s']:g} s", run["questions"], run["per_s"], run["p50_ms"], run["p95_ms"],
            run["max_ms"], run["errors"], f"{run['server_cpu_share']:.0%}", run["server_memory_mb"],
        )
        for run in runs
    ]  # fmt: skip
    head = (
        "volunteers, think time", "questions", "answers a second", "p50, ms", "p95, ms", "longest, ms", "errors",
        "server's share of both cores", "server's memory, MB",
    )  # fmt: skip
    publish("load", {**stamp(), "runs": runs}, rows(head, lines))
    Console().print_json(data=runs)


if __name__ == "__main__":
    typer.run(main)
