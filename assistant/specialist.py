"""The flag: does this call need a specialist, who, and how urgently. Runs before search and without it.

A written policy applied to text, not a medical assessment. Rules are data (kb/flag/rules-*.yaml), each with its
example and counter-example; here is how a phrase of a rule is read:

    задыхаться              the word in any form
    тяжело|трудно дышать    either word, then the other, in any order, at most FAR words between neighbours
    не_просыпаться          neighbours in this order
    задых*                  any word that begins so
    =рожает                 this form only
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from index import Reader, Reading, Token, is_present_tense, lemmas
from kb import FlagData, FlagRule, Route, RouteCard, Urgency, normalise

FAR = 3  # words that may stand between two words of one phrase
PAST_REACH = 6  # words around a symptom in which «полгода назад» makes it a past one

ORDER = (
    (Route.EMERGENCY, Urgency.NOW),
    (Route.PSYCHOLOGIST, Urgency.NOW),
    (Route.DOCTOR, Urgency.TRANSFER),
    (Route.PSYCHOLOGIST, Urgency.TRANSFER),
    (Route.LAWYER, Urgency.TRANSFER),
    (Route.SOCIAL, Urgency.TRANSFER),
    (Route.TECH, Urgency.TRANSFER),
    (Route.SENIOR, Urgency.TRANSFER),
)


@dataclass(frozen=True)
class Evidence:
    """A stretch of the typed question, [start, end)."""

    start: int
    end: int


@dataclass(frozen=True)
class Fired:
    """A rule that fired, and the words it fired on."""

    rule: FlagRule
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Flag:
    """Who takes the call, how urgently, why, and on which words; `also` are the other routes that apply."""

    card: RouteCard
    rule: str
    reason: str
    evidence: tuple[Evidence, ...]
    quoted: str
    also: tuple[RouteCard, ...] = ()

    @property
    def route(self) -> Route:
        return self.card.route

    @property
    def urgency(self) -> Urgency:
        return self.card.urgency


@dataclass(frozen=True)
class Step:
    """One line of the walk through the rules: what a rule or a guard did, in words."""

    rule: str
    outcome: str


class Part:
    """One word of a phrase with its alternatives."""

    def __init__(self, text: str) -> None:
        words = text.split("|")
        self._prefixes = tuple(normalise(word[:-1]) for word in words if word.endswith("*"))
        forms = [word for word in words if not word.endswith("*")]
        plain = [normalise(word) for word in forms if not word.startswith("=")]
        exact = {"=" + normalise(word) for word in forms if word.startswith("=")}
        self._keys = frozenset(exact.union(plain, *(lemmas(word) for word in plain)))

    def meets(self, keys: frozenset[str]) -> bool:
        """True if one of the keys of a token, or of a whole question, is one of this part's."""
        if not self._keys.isdisjoint(keys):
            return True
        return bool(self._prefixes) and any(key.startswith(self._prefixes) for key in keys)


class Words:
    """A question's tokens with the keys by which a part of a phrase meets them: word, lemmas, and =word."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.keys = [frozenset((token.word, "=" + token.word, *token.lemmas)) for token in tokens]
        self.all = frozenset().union(*self.keys)

    def __len__(self) -> int:
        return len(self.keys)


class Term:
    """One place of a phrase: one or more neighbouring words."""

    def __init__(self, text: str) -> None:
        self.parts = [Part(part) for part in text.split("_")]

    def __len__(self) -> int:
        return len(self.parts)

    def starts(self, words: Words) -> list[int]:
        """Numbers of the words at which the neighbours begin."""
        return [
            place
            for place in range(len(words) - len(self.parts) + 1)
            if all(part.meets(words.keys[place + offset]) for offset, part in enumerate(self.parts))
        ]


class Phrase:
    """Terms that must all stand near each other."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._terms = [Term(term) for term in text.split()]

    def find(self, words: Words) -> list[tuple[int, ...]]:
        """Every way the phrase stands in the words: their numbers, in order."""
        found: list[tuple[int, ...]] = []
        if not all(part.meets(words.all) for term in self._terms for part in term.parts):
            return found
        starts = [term.starts(words) for term in self._terms]
        if not all(starts):
            return found
        for first in starts[0]:
            used = set(range(first, first + len(self._terms[0])))
            for term, places in zip(self._terms[1:], starts[1:], strict=True):
                near = [
                    place
                    for place in places
                    if used.isdisjoint(range(place, place + len(term))) and _gap(used, place, len(term)) <= FAR
                ]
                if not near:
                    break
                place = min(near, key=lambda place: _gap(used, place, len(term)))
                used.update(range(place, place + len(term)))
            else:
                found.append(tuple(sorted(used)))
        return found


def _gap(used: set[int], place: int, size: int) -> int:
    """Words between a new term and the nearest word already matched."""
    return max(0, min(min(abs(place - at), abs(place + size - 1 - at)) for at in used) - 1)


class Specialist:
    """The rules, in the order of the policy, over one reader."""

    def __init__(self, data: FlagData, reader: Reader) -> None:
        self._data = data
        self._reader = reader
        self._rules = [
            (rule, [Phrase(text) for text in rule.phrases], [Phrase(text) for text in rule.unless])
            for rule in sorted(data.rules, key=lambda rule: ORDER.index((rule.route, rule.urgency)))
        ]
        self._guards = {name: [Phrase(text) for text in texts] for name, texts in data.guards.items()}

    @cached_property
    def names(self) -> list[str]:
        return [rule.name for rule, _, _ in self._rules]

    def flag(self, question: str) -> Flag | None:
        """The most urgent flag of the question, or None."""
        fired = [step for step in self._walk(self._reader.read(question)) if isinstance(step, Fired)]
        return self._flag(question, fired) if fired else None

    def why(self, question: str) -> list[Step]:
        """The walk through the rules: each rule that met its words, and what came of it."""
        reading = self._reader.read(question)
        steps = [Step("прочитано", reading.words)]
        for step in self._walk(reading):
            if isinstance(step, Fired):
                words = ", ".join(f"«{question[part.start : part.end]}»" for part in step.evidence)
                step = Step(step.rule.name, f"сработало на {words}: {step.rule.route}, {step.rule.urgency}")
            steps.append(step)
        return steps

    def _flag(self, question: str, fired: list[Fired]) -> Flag:
        first = fired[0]
        cards = [self._data.card(each.rule.route, each.rule.urgency) for each in fired]
        also = tuple(dict.fromkeys(card for card in cards if card.route is not first.rule.route))
        quoted = " … ".join(question[part.start : part.end] for part in first.evidence)
        return Flag(cards[0], first.rule.name, first.rule.reason, first.evidence, quoted, also)

    def _walk(self, reading: Reading) -> Iterable[Fired | Step]:
        words = Words(reading.tokens)
        figures = self._covered("figures", words)
        for rule, phrases, unless in self._rules:
            places = [(phrase, place) for phrase in phrases for place in phrase.find(words)]
            if not places:
                continue
            if any(phrase.find(words) for phrase in unless):
                yield Step(rule.name, "не считается: особый случай этого правила")
                continue
            kept: list[tuple[int, ...]] = []
            for phrase, place in places:
                reason = self._guarded(rule, place, figures, reading.tokens)
                if reason:
                    yield Step(rule.name, f"«{phrase.text}» не считается: {reason}")
                else:
                    kept.append(place)
            if kept:
                yield Fired(rule, _stretches(kept, reading.tokens))

    def _covered(self, guard: str, words: Words) -> set[int]:
        return {number for phrase in self._guards[guard] for place in phrase.find(words) for number in place}

    def _guarded(self, rule: FlagRule, place: tuple[int, ...], figures: set[int], tokens: Sequence[Token]) -> str:
        """Why these words do not count, or ''."""
        if figures.intersection(place):
            return "образное выражение"
        if rule.urgency is Urgency.TRANSFER:
            return ""
        before, after = tokens[max(0, place[0] - 2) : place[0]], tokens[place[-1] + 1 : place[-1] + 3]
        if self._any("denied_before", before) or self._any("denied_after", after):
            return "отрицание"
        if any(not {"не", "нет"}.isdisjoint(token.lemmas) for token in _between(place, tokens)):
            return "отрицание"
        around = tokens[max(0, place[0] - PAST_REACH) : place[-1] + 1 + PAST_REACH]
        happening = any(is_present_tense(tokens[number].word) for number in place)
        if not happening and self._any("past", around) and not self._any("present", tokens):
            return "прошлое, угрозы сейчас нет"
        return ""

    def _any(self, guard: str, tokens: Sequence[Token]) -> bool:
        words = Words(tokens)
        return any(phrase.find(words) for phrase in self._guards[guard])


def _between(place: tuple[int, ...], tokens: Sequence[Token]) -> list[Token]:
    return [tokens[number] for number in range(place[0], place[-1]) if number not in place]


def _stretches(places: list[tuple[int, ...]], tokens: Sequence[Token]) -> tuple[Evidence, ...]:
    """The typed words behind the token numbers, neighbours joined, in the order of the question."""
    spans = sorted({(tokens[number].start, tokens[number].end) for place in places for number in place})
    joined: list[Evidence] = []
    for start, end in spans:
        if joined and start <= joined[-1].end + 1:
            joined[-1] = Evidence(joined[-1].start, max(end, joined[-1].end))
        else:
            joined.append(Evidence(start, end))
    return tuple(joined)


def flag_words(data: FlagData) -> list[str]:
    """Words of the rules, for a reader's vocabulary: so that a misspelt symptom is read as that symptom."""
    texts = [text for rule in data.rules for text in (*rule.phrases, rule.example)]
    texts += [text for guard in data.guards.values() for text in guard]
    return [re.sub(r"\w+\*", " ", text).replace("|", " ").replace("_", " ").replace("=", " ") for text in texts]
