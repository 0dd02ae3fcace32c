"""The whole way of a question, top to bottom: text and day -> flag -> search -> level -> Answer."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from threading import Lock

from cachetools import LRUCache

from index import Calibration, Encoder, Hit, Level, Reading, SearchIndex, Vectors
from kb import Entry, KnowledgeBase

from . import wording
from .specialist import Flag, Seen, Specialist, Step

log = logging.getLogger(__name__)

MOST_ANSWERS = 10
MOST_BETWEEN = 3  # answers that a question is asked back about
CLEAR = 0.7  # share of the first answer, from which nothing needs to be asked
WORTH_ASKING = 0.12  # share of an answer that may be meant as well
REMEMBERED = 5_000  # recent answers: on a day of new rules everybody asks the same


@dataclass(frozen=True)
class Ranked:
    """One answer in its place: what to say, which stored phrase matched, and what it replaced if that has expired."""

    entry: Entry
    matched: str
    score: float
    instead_of: Entry | None = None


@dataclass(frozen=True)
class Answer:
    """What people get. `sentence`: what the volunteer says or does when no answer is to be read aloud.
    `understood`: the question as it was read, if that differs from what was typed. `between`: the first answers, two or
    three, if they stay so close that the caller has to be asked which is meant."""

    question: str
    day: date
    level: Level
    flag: Flag | None
    answers: tuple[Ranked, ...] = ()
    sentence: str = ""
    warning: str = ""
    understood: str = ""
    between: tuple[Ranked, ...] = ()

    @property
    def failed(self) -> bool:
        """True if a part did not work: the next time it may."""
        return bool(self.warning) or self.sentence == wording.SEARCH_FAILED


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
        self._recent: LRUCache[tuple[str, date, bool], Answer] = LRUCache(REMEMBERED)
        self._recent_lock = Lock()

    def ask(self, question: str, day: date, *, calls: int = 1, literally: bool = False) -> Answer:
        """The answer for this day. `calls`: which call about this matter it is. `literally`: search for what was typed,
        with nothing repaired. Never raises on any text: what fails is said in `sentence` or `warning`."""
        answer = self._remembered(question.strip(), day, literally)
        return replace(answer, flag=self.specialist.repeated(answer.flag, calls))

    def _remembered(self, *asked: *tuple[str, date, bool]) -> Answer:
        """As _ask, which is not done twice for the same."""
        with self._recent_lock:
            answer = self._recent.get(asked)
        if answer is None:
            answer = self._ask(*asked)
            if not answer.failed and len(answer.question) <= wording.LONGEST_QUESTION:
                with self._recent_lock:
                    self._recent[asked] = answer
        return answer

    def _ask(self, question: str, day: date, literally: bool) -> Answer:
        if not question:
            return Answer(question, day, Level.NONE, None, sentence=wording.EMPTY)
        seen = self.see(question)
        flag, warning = self.flag(question, seen)
        if len(question) > wording.LONGEST_QUESTION:
            return Answer(question, day, Level.NONE, flag, sentence=wording.TOO_LONG, warning=warning)
        read = self.index.reader.read
        reading = seen.reading if seen and not literally else read(question, literally=literally)
        if not any(char.isalpha() for token in reading.tokens for char in token.word):
            return Answer(question, day, Level.NONE, flag, sentence=wording.NO_WORDS, warning=warning)
        try:
            vector = self.encode(reading)
            flag, warning = self.flag(question, seen, self.encode(seen.reading) if seen and literally else vector)
            level, answers = self.find(reading, vector, day)
        except Exception:
            log.exception("search failed")
            return Answer(question, day, Level.NONE, flag, sentence=wording.SEARCH_FAILED, warning=warning)
        sentence = wording.NO_ANSWER if level is Level.NONE else ""
        understood = reading.words if reading.changed else ""
        between = between_which(answers) if level is Level.CHECK else ()
        return Answer(question, day, level, flag, answers, sentence, warning, understood, between)

    def see(self, question: str) -> Seen | None:
        """What the flag's rules make of the question; None if they fail."""
        try:
            return self.specialist.see(question)
        except Exception:
            log.exception("flag failed")
            return None

    def flag(self, question: str, seen: Seen | None, vector: Vectors | None = None) -> tuple[Flag | None, str]:
        """The flag, worked out without search, and a warning if that failed. What the rules see shows also if what is
        made of the question's vector fails."""
        if seen is None:
            return None, wording.FLAG_FAILED
        flag = None
        try:
            flag = self.specialist.flag(question, None, seen)
            flag = self.specialist.flag(question, vector, seen)
        except Exception:
            log.exception("flag failed")
            return flag, wording.FLAG_FAILED
        return flag, ""

    def why(self, question: str) -> list[Step]:
        """The walk through the flag's rules, and what the classifier makes of the question."""
        return self.specialist.why(question, self.encode(self.index.reader.read(question)))

    def find(self, reading: Reading, vector: Vectors, day: date) -> tuple[Level, tuple[Ranked, ...]]:
        """How sure, and the answers in force on the day, best first."""
        hits = self.index.search(reading, vector)
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


def between_which(answers: Sequence[Ranked]) -> tuple[Ranked, ...]:
    """The first answers that may all be meant; none if one stands out. Scores are log-likelihoods (quality/fit.py), so
    their softmax is each answer's share."""
    if not answers:
        return ()
    weights = [math.exp(ranked.score - answers[0].score) for ranked in answers]
    shares = [weight / sum(weights) for weight in weights]
    close = tuple(ranked for ranked, share in zip(answers, shares, strict=True) if share >= WORTH_ASKING)
    return close[:MOST_BETWEEN] if len(close) > 1 and shares[0] < CLEAR else ()
