"""A process that is killed, at whatever moment, loses nothing that it has committed and leaves nothing half done."""

import multiprocessing
import random
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import count
from multiprocessing.connection import Connection

from sqlalchemy import text

from assistant.storage import Database, audit_lines, record

NOW = datetime(2022, 1, 24, 9, 30, tzinfo=UTC)
KILLS = 12
LONGEST_S = 0.02  # between the last word of a process and its end: some transactions long
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["assistant.storage"])


def commit_for_ever(url: str, name: str, tell: Connection) -> None:
    """Transactions of two lines; tells the mark of each when it is committed. Many are needed to fill the write-ahead
    log, so the lines are long: kills meet checkpoints too."""
    database = Database(url)
    for number in count():
        mark = f"{name}-{number}"
        with database.writing() as session:
            for half in ("first", "second"):
                record(session, name, half, mark, {"long": mark * 2000}, now=NOW)
                session.flush()
        tell.send(mark)


def killed(url: str, name: str, chance: random.Random) -> list[str]:
    """The marks that a process has told before it was killed."""
    hear, tell = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=commit_for_ever, args=(url, name, tell))
    process.start()
    tell.close()
    marks = [hear.recv() for _ in range(chance.randint(1, 40))]
    time.sleep(chance.uniform(0, LONGEST_S))
    process.kill()
    process.join()
    while hear.poll():
        try:
            marks.append(hear.recv())
        except EOFError:
            break
    return marks


def test_nothing_committed_is_lost_and_nothing_is_half_done(database: Database) -> None:
    chance = random.Random(20220124)
    url = database.url.render_as_string(hide_password=False)
    told: list[str] = []
    for kill in range(KILLS):
        told += killed(url, f"process {kill}", chance)
        found = Counter(line.object for line in audit_lines(database))
        assert [mark for mark in told if mark not in found] == []
        assert set(found.values()) == {2}
    assert len(told) >= KILLS
    if database.is_sqlite:
        with database.reading() as session:
            assert session.scalars(text("PRAGMA integrity_check")).all() == ["ok"]
