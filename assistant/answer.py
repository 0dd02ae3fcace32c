"""The whole way of a question, top to bottom: text and day -> flag -> search -> level -> Answer."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from index import Calibration, Encoder, Hit, Level, Reading, SearchIndex, Vectors
from kb import Entry, KnowledgeBase

from . import wording
from .specialist import Flag, Specialist

log = logging.getLogger(__name__)

MOST_ANSWERS = 10


@dataclass(frozen=True)
class Ranked:
    """One answer in its place: what to say, which stored phrase matched, and what it replaced if that has expired."""

    entry: Entry
    matched: str
    score: float
    instead_of: Entry | None = None


@dataclass(frozen=True)
class Answer:
    """What people get. `sentence`: what the volunteer says or does when no answer is to be read aloud."""

    question: str
    day: date
    level: Level
    flag: Flag | None
    answers: tuple[Ranked, ...] = ()
    sentence: str = ""
    warning: str = ""
    understood: str = ""


class Assistant:
    """Answers questions from one immutable base, index and flag."""

    def __init__(
        self,
        kb: KnowledgeBase,
        index: SearchIndex,
        encoder: Encoder,
        calibration: Calibration,
        specialist: Specialist,
    ) -> None:
        self.kb = kb
        self.index = index
        self.encoder = encoder
        self.calibration = calibration
        self.specialist = specialist

    def ask(self, question: str, day: date) -> Answer:
        """The answer for this day. Never raises on any text: what fails is said in `sentence` or `warning`."""
        question = question.strip()
        if not question:
            return Answer(question, day, Level.NONE, None, sentence=wording.EMPTY)
        flag, warning = self.flag(question)
        if len(question) > wording.LONGEST_QUESTION:
            return Answer(question, day, Level.NONE, flag, sentence=wording.TOO_LONG, warning=warning)
        reading = self.index.reader.read(question)
        if not any(char.isalpha() for token in reading.tokens for char in token.word):
            return Answer(question, day, Level.NONE, flag, sentence=wording.NO_WORDS, warning=warning)
        try:
            level, answers = self.find(reading, day)
        except Exception:
            log.exception("search failed")
            return Answer(question, day, Level.NONE, flag, sentence=wording.SEARCH_FAILED, warning=warning)
        sentence = wording.NO_ANSWER if level is Level.NONE else ""
        understood = reading.words if reading.changed else ""
        return Answer(question, day, level, flag, answers, sentence, warning, understood)

    def flag(self, question: str) -> tuple[Flag | None, str]:
        """The flag, worked out without search, and a warning if that failed."""
        try:
            return self.specialist.flag(question), ""
        except Exception:
            log.exception("flag failed")
            return None, wording.FLAG_FAILED

    def find(self, reading: Reading, day: date) -> tuple[Level, tuple[Ranked, ...]]:
        """How sure, and the answers in force on the day, best first."""
        hits = self.index.search(reading, self.encode(reading))
        answers = self.in_force(hits, day)
        return (self.calibration.level(hits) if answers else Level.NONE), answers

    def encode(self, reading: Reading) -> Vectors:
        """The question's vector, shape (dimension,)."""
        vector: Vectors = self.encoder.encode_query([reading.words])[0]
        return vector

    def in_force(self, hits: Sequence[Hit], day: date) -> tuple[Ranked, ...]:
        """Each hit's entry, or what holds in its place on the day; each entry once."""
        answers: dict[str, Ranked] = {}
        for hit in hits:
            entry = self.kb.on_day(hit.entry_id, day)
            if entry is not None and entry.id not in answers:
                found = self.kb.entries[hit.entry_id]
                answers[entry.id] = Ranked(entry, hit.phrase, hit.score, found if found.expired(day) else None)
        return tuple(answers.values())[:MOST_ANSWERS]
