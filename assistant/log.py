"""The log of questions: what was asked, what was found, what helped. Personal data are masked before anything is kept.

Answering never waits for the database: notes are put into a queue that one thread works off. While the database is
away they wait in memory, the oldest give way when there are too many, and `behind` tells the page.
"""

import logging
from collections import deque
from collections.abc import Collection
from datetime import datetime
from threading import Condition, Event, Thread
from uuid import uuid4

from .answer import Answer
from .privacy import mask
from .storage import Asked, Database, Note, Opinion, Remark, StorageError, Used, save_notes
from .wording import LONGEST_QUESTION

log = logging.getLogger(__name__)

ROOM = 20_000  # notes that wait at most: an hour of 500 volunteers who ask every 90 seconds
BATCH = 200  # notes in one transaction
PAUSE_S = 1.0  # before the database is tried again
GATHER_S = 0.2  # in which notes come together for one transaction: those of 500 volunteers would be a hundred a second


class QuestionLog:
    """`public`: phone numbers that stay readable, as privacy.public_numbers gives them. `lost`: notes that were never
    saved: for want of room, at the end, or because they cannot be written."""

    def __init__(
        self, database: Database, public: Collection[str] = (), room: int = ROOM, pause_s: float = PAUSE_S
    ) -> None:
        self.database = database
        self.lost = 0
        self.behind = False
        self._public = public
        self._room = room
        self._pause_s = pause_s
        self._batch = BATCH
        self._waiting: deque[Note] = deque()
        self._changed = Condition()
        self._closing = Event()
        self._thread = Thread(target=self._work, name="question log", daemon=True)
        self._thread.start()

    def put(
        self, answer: Answer, call_id: str | None, base_version: int | None, now: datetime, key: str | None = None
    ) -> str:
        """Note a question. Returns its key: with it the question can be put again, grown, and be marked as used."""
        flag = answer.flag
        asked = Asked(
            key=key or str(uuid4()),
            at=now,
            call_id=call_id,
            text=self._masked(answer.question),
            level=answer.level,
            route=flag.route.value if flag else "",
            urgency=flag.urgency.value if flag else "",
            entries=tuple(ranked.entry.id for ranked in answer.answers),
            base_version=base_version,
        )
        self._add(asked)
        return asked.key

    def put_used(self, key: str, entry_id: str) -> None:
        """Note that this entry was read aloud in answer to the question."""
        self._add(Used(key, entry_id))

    def put_remark(
        self, opinion: Opinion, entry_id: str, actor: str, now: datetime, word: str = "", question: str = ""
    ) -> None:
        """Note what somebody thinks of an answer."""
        self._add(Remark(now, actor, entry_id, opinion, self._masked(word), self._masked(question)))

    def close(self) -> None:
        """Save what waits, unless the database is away, and stop."""
        self._closing.set()
        with self._changed:
            self._changed.notify()
        self._thread.join()

    def _masked(self, text: str) -> str:
        return mask(text, self._public)[:LONGEST_QUESTION]

    def _add(self, note: Note) -> None:
        with self._changed:
            self._waiting.append(note)
            while len(self._waiting) > self._room:
                self._waiting.popleft()
                self.lost += 1
            self._changed.notify()

    def _work(self) -> None:
        while notes := self._next():
            last_try = self._closing.is_set()
            if self._is_saved(notes):
                continue
            with self._changed:
                self._waiting.extendleft(reversed(notes))
            if last_try and self.behind:
                break
            if self.behind:
                self._closing.wait(self._pause_s)
        if self._waiting:
            log.error("%d notes of the question log are lost: the database is away", len(self._waiting))
            self.lost += len(self._waiting)

    def _next(self) -> list[Note]:
        """The oldest notes; none when all is done and the log is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing.is_set())
        self._closing.wait(GATHER_S)
        with self._changed:
            return [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]

    def _is_saved(self, notes: list[Note]) -> bool:
        """False if they have to be tried again."""
        try:
            save_notes(self.database, notes)
        except StorageError as error:
            self._tell(True, str(error))
            return False
        except Exception:
            log.exception("%d notes of the question log cannot be written", len(notes))
            return self._is_given_up(notes)
        self._batch = min(BATCH, 2 * self._batch)
        self._tell(False)
        return True

    def _is_given_up(self, notes: list[Note]) -> bool:
        """True of a single note that cannot be written: it would stop all others for ever. A batch is halved, until the
        culprit is alone."""
        self._batch = max(1, len(notes) // 2)
        self.lost += len(notes) == 1
        return len(notes) == 1

    def _tell(self, behind: bool, why: str = "") -> None:
        if behind is not self.behind:
            log.warning("questions are not being saved: %s" if behind else "questions are being saved again%s", why)
        self.behind = behind
