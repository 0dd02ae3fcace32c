"""The assistant in use, exchanged for a new one whenever a new version of the base is published.

Whoever asks reads `current` once and keeps what it got: a question in flight is answered from one base from beginning
to end. What is slow (reading, encoding, indexing) happens beside it, and the exchange is one assignment.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from index import SearchIndex, Vectors, phrases_of
from kb import Entry

from .answer import Assistant
from .build import reader_of
from .storage import Database, StorageError, current_version, live_entries

log = logging.getLogger(__name__)

Rebuild = Callable[[Assistant, Sequence[Entry]], Assistant]
RETRY_S = 10.0  # after a version that could not be used


@dataclass(frozen=True)
class Current:
    """An assistant and the version of the base that it answers from; 0: the shipped one, nothing is stored."""

    assistant: Assistant
    version: int


def with_entries(assistant: Assistant, entries: Sequence[Entry]) -> Assistant:
    """The same assistant over these entries, in the time that new phrases need to be encoded and all to be indexed.
    What it has learnt from examples (the flag, what the base answers) takes ten times as long and waits for the next
    start."""
    kb = replace(assistant.kb, entries={entry.id: entry for entry in entries})
    phrases, before = phrases_of(kb), assistant.index
    vectors = _vectors([phrase.text for phrase in phrases], assistant)
    index = SearchIndex(phrases, vectors, reader_of(kb), before.weights, before.known)
    return Assistant(kb, index, assistant.encoder, assistant.calibration, assistant.specialist)


def _vectors(texts: Sequence[str], assistant: Assistant) -> Vectors:
    """Of the texts, shape (texts, dimension): those that the assistant has, and the others encoded."""
    index = assistant.index
    known = dict(zip((phrase.text for phrase in index.phrases), index.vectors(), strict=True))
    missing = list(dict.fromkeys(text for text in texts if text not in known))
    if missing:
        known.update(zip(missing, assistant.encoder.encode_document(missing), strict=True))
    return np.stack([known[text] for text in texts])


class Live:
    """`rebuild`: makes an assistant for the entries of a version from the one in use."""

    def __init__(self, assistant: Assistant, version: int, database: Database, rebuild: Rebuild = with_entries) -> None:
        self.current = Current(assistant, version)
        self.saved = True  # False while the database is away
        self._database = database
        self._rebuild = rebuild
        self._unusable = 0  # the version that could not be used
        self._one_at_a_time = threading.Lock()

    @property
    def assistant(self) -> Assistant:
        return self.current.assistant

    def refresh(self) -> bool:
        """Look once. True if a new version has come into use; whatever fails is logged and the old one stays."""
        with self._one_at_a_time:
            try:
                found = self._newer()
            except StorageError as error:
                self._note(away=error)
                return False
            self._note(away=None)
            return found is not None and self._use(*found)

    @contextmanager
    def follow(self, interval_s: float = 0.25) -> Iterator[None]:
        """Refresh beside everything else for as long as the block lasts."""
        stop = threading.Event()
        thread = threading.Thread(target=self._follow, args=(interval_s, stop), name="live", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _follow(self, interval_s: float, stop: threading.Event) -> None:
        while not stop.wait(RETRY_S if self._unusable else interval_s):
            self.refresh()

    def _newer(self) -> tuple[int, tuple[Entry, ...]] | None:
        """What is published, if it is another version than the one in use."""
        if current_version(self._database) in (0, self.current.version):
            return None
        return live_entries(self._database)

    def _use(self, version: int, entries: tuple[Entry, ...]) -> bool:
        try:
            assistant = self._rebuild(self.current.assistant, entries)
        except Exception:
            if version != self._unusable:
                log.exception(
                    "version %d cannot be used; answers still come from version %d", version, self.current.version
                )
            self._unusable = version
            return False
        self.current, self._unusable = Current(assistant, version), 0
        log.info("version %d of the base is in use", version)
        return True

    def _note(self, away: StorageError | None) -> None:
        """Log it once when the database goes and once when it comes back."""
        if away and self.saved:
            log.warning("%s; answers still come from version %d", away, self.current.version)
        if not away and not self.saved:
            log.warning("the database is back")
        self.saved = away is None
