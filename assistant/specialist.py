"""The flag: does this call need a specialist, who, and how urgently. Runs before search and without it.

A written policy applied to text, not a medical assessment. Rules are data (kb/flag/rules-*.yaml), each with its
example and counter-example; once the question has a vector, a classifier (index/classifier.py) may add what no rule
has seen. Here is how a phrase of a rule is read:

    задыхаться              the word in any form
    тяжело|трудно дышать    one of the two and the third, in any order, at most FAR words between neighbours
    не_просыпаться          neighbours in this order; «не_спит|без_сна» are two alternatives of two words each
    задых*                  any word that begins so
    =рожает                 this form only
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from index import Classifier, Reader, Reading, Token, Vectors, is_present_tense, lemmas
from kb import FlagData, FlagRule, Route, RouteCard, Urgency, normalise

from .examples import Taken, Thresholds

FAR = 3  # words that may stand between two words of one phrase
LIKENESS = "похоже на такие звонки"
REPEATED = "повторный звонок"
PAST_REACH = 6  # words around a symptom in which «полгода назад» makes it a past one
# Chance of any flag below which an urgent rule is given up, if the caller also says that something is past. Of 1,092
# urgent example calls that a rule sees, heard by a classifier that did not know them, none was lost by it.
QUIET = 0.02

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
    """A rule that fired, or the classifier, and the words it fired on."""

    rule: str
    reason: str
    route: Route
    urgency: Urgency
    evidence: tuple[Evidence, ...]

    @property
    def place(self) -> int:
        """In the order of the policy, 0 first."""
        return ORDER.index((self.route, self.urgency))


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
    """One line of the walk through the rules: what a rule or a guard did, in words; `urgent` if the rule is."""

    rule: str
    outcome: str
    urgent: bool = False


@dataclass(frozen=True)
class Seen:
    """A question as read, and the walk of the rules through it. `over`: it says somewhere that something is past."""

    reading: Reading
    steps: tuple[Fired | Step, ...]
    over: bool = False

    @property
    def fired(self) -> list[Fired]:
        return [step for step in self.steps if isinstance(step, Fired)]

    @property
    def silenced(self) -> bool:
        """True if a guard has set the words of an urgent rule aside."""
        return any(isinstance(step, Step) and step.urgent for step in self.steps)


class Part:
    """One word of a phrase."""

    def __init__(self, word: str) -> None:
        form = normalise(word)
        if not form:
            raise ValueError(f"«{word}» has no letters")
        self.prefix = form if word.endswith("*") else ""
        exact = ("=" + form,) if word.startswith("=") else (form, *lemmas(form))
        self.keys = frozenset(() if self.prefix else exact)

    def meets(self, keys: frozenset[str]) -> bool:
        """True if it is one of the keys of a word, or of a whole question."""
        if self.prefix:
            return any(key.startswith(self.prefix) for key in keys)
        return not self.keys.isdisjoint(keys)


class Words:
    """A question's tokens with the keys by which a part of a phrase meets them: word, lemmas, and =word."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.keys = [frozenset((token.word, "=" + token.word, *token.lemmas)) for token in tokens]
        self.all = frozenset().union(*self.keys)

    def __len__(self) -> int:
        return len(self.keys)


class Term:
    """One place of a phrase: alternatives, each of one or more neighbouring words."""

    def __init__(self, text: str) -> None:
        self._alternatives = [[Part(word) for word in alternative.split("_")] for alternative in text.split("|")]
        firsts = [parts[0] for parts in self._alternatives]
        self.keys = frozenset() if any(part.prefix for part in firsts) else frozenset().union(*(p.keys for p in firsts))

    def places(self, words: Words) -> list[range]:
        """Where one of the alternatives stands: numbers of words."""
        if self.keys and self.keys.isdisjoint(words.all):
            return []  # most terms leave here, in a fraction of a microsecond
        return [
            range(start, start + len(parts))
            for parts in self._alternatives
            if all(part.meets(words.all) for part in parts)
            for start in range(len(words) - len(parts) + 1)
            if all(part.meets(words.keys[start + offset]) for offset, part in enumerate(parts))
        ]


class Phrase:
    """Terms that must all stand near each other."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._terms = [Term(term) for term in text.split()]
        self.starts = self._terms[0].keys  # one of these is in the words; none: it is not known

    def find(self, words: Words) -> list[tuple[int, ...]]:
        """Every way the phrase stands in the words: their numbers, in order."""
        places: list[list[range]] = []
        for term in self._terms:
            places.append(term.places(words))
            if not places[-1]:
                return []
        found = []
        for first in places[0]:
            used = set(first)
            for others in places[1:]:
                near = {_gap(used, place): place for place in reversed(others) if used.isdisjoint(place)}
                if not near or min(near) > FAR:
                    break
                used.update(near[min(near)])
            else:
                found.append(tuple(sorted(used)))
        return found


def _gap(used: set[int], place: range) -> int:
    """Words between a new term and the nearest word already matched."""
    return max(0, min(min(abs(place[0] - at), abs(place[-1] - at)) for at in used) - 1)


class Phrases:
    """Phrases that mean the same, and by which word each begins: of hundreds, a question needs to try a few."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._phrases = [Phrase(text) for text in texts]
        self._by_key: dict[str, list[int]] = {}
        for number, phrase in enumerate(self._phrases):
            for key in phrase.starts or ("",):
                self._by_key.setdefault(key, []).append(number)

    def find(self, words: Words) -> list[tuple[Phrase, tuple[int, ...]]]:
        """Every phrase that stands in the words, and where."""
        tried = {number for key in words.all & self._by_key.keys() for number in self._by_key[key]}
        return [
            (self._phrases[number], place)
            for number in sorted(tried.union(self._by_key.get("", ())))
            for place in self._phrases[number].find(words)
        ]


class Specialist:
    """The rules, in the order of the policy, over one reader, and the classifier beside them if there is one."""

    def __init__(
        self,
        data: FlagData,
        reader: Reader,
        classifier: Classifier[Taken] | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self._data = data
        self._reader = reader
        self.classifier = classifier
        self.thresholds = thresholds or Thresholds.load()
        self._rules = [
            (rule, Phrases(rule.phrases), Phrases(rule.unless))
            for rule in sorted(data.rules, key=lambda rule: ORDER.index((rule.route, rule.urgency)))
        ]
        self._guards = {name: Phrases(texts) for name, texts in data.guards.items()}

    @cached_property
    def names(self) -> list[str]:
        return [rule.name for rule, _, _ in self._rules]

    def see(self, question: str) -> Seen:
        """What the rules make of the question; any text will do."""
        reading = self._reader.read(question)
        return Seen(reading, tuple(self._by_rules(reading)), self._any("over", reading.tokens))

    def flag(self, question: str, vector: Vectors | None = None, seen: Seen | None = None) -> Flag | None:
        """The most urgent flag of the question, or None; by the rules alone while it has no vector. `seen`: what
        the rules made of it, if that is known."""
        fired = [step for step in self._weighed(vector, seen or self.see(question)) if isinstance(step, Fired)]
        return self._flag(question, fired) if fired else None

    def repeated(self, flag: Flag | None, calls: int) -> Flag | None:
        """The flag of a call that is not the first about the same unsolved matter: the second goes to the senior if
        nobody else takes it, from the third on the senior comes before everybody but the urgent."""
        if calls < 2:
            return flag
        senior = self._data.card(Route.SENIOR, Urgency.TRANSFER)
        again = Flag(senior, REPEATED, f"{calls}-й звонок по нерешённому вопросу", (), "")
        if flag is None or flag.route is Route.SENIOR:
            return again
        if calls > 2 and flag.urgency is not Urgency.NOW:
            return replace(again, also=(flag.card, *(card for card in flag.also if card is not senior)))
        return flag if senior in flag.also else replace(flag, also=(*flag.also, senior))

    def why(self, question: str, vector: Vectors | None = None) -> list[Step]:
        """The walk through the rules: each rule that met its words, and what came of it."""
        seen = self.see(question)
        steps = [Step("прочитано", seen.reading.words)]
        for step in self._weighed(vector, seen):
            if isinstance(step, Fired):
                words = ", ".join(f"«{question[part.start : part.end]}»" for part in step.evidence)
                step = Step(step.rule, f"сработало на {words}: {step.route}, {step.urgency}")
            steps.append(step)
        if self.classifier and vector is not None:
            chances = self.classifier.chances(seen.reading, vector)
            likely = sorted(chances.items(), key=lambda each: -each[1])[:3]
            said = ", ".join(f"{' '.join(label) if label else 'без флага'} {chance:.2f}" for label, chance in likely)
            steps.append(Step("на что похоже", said))
        return steps

    def _flag(self, question: str, fired: list[Fired]) -> Flag:
        fired = sorted(fired, key=lambda each: each.place)
        first = fired[0]
        cards = [self._data.card(each.route, each.urgency) for each in fired]
        also = tuple(dict.fromkeys(card for card in cards if card.route is not first.route))
        quoted = " … ".join(question[part.start : part.end] for part in first.evidence)
        return Flag(cards[0], first.rule, first.reason, first.evidence, quoted, also)

    def _weighed(self, vector: Vectors | None, seen: Seen) -> Iterable[Fired | Step]:
        """The walk of the rules, and what the classifier makes of it and adds to it."""
        if self.classifier is None or vector is None:
            return seen.steps
        return self.weigh(seen, self.classifier.chances(seen.reading, vector))

    def weigh(self, seen: Seen, chances: Mapping[Taken, float]) -> Iterable[Fired | Step]:
        """The same with these chances."""
        doubted = {
            Urgency.TRANSFER: any_of(chances) < self.thresholds.doubt,
            Urgency.NOW: any_of(chances) < QUIET and seen.over,
        }
        fired = []
        for step in seen.steps:
            if isinstance(step, Fired) and doubted[step.urgency]:
                step = Step(step.rule, "не считается: похоже на обычный вопрос", step.urgency is Urgency.NOW)
            if isinstance(step, Fired):
                fired.append(step)
            yield step
        if label := self._by_likeness(chances, fired, seen.silenced):
            yield self._likened(seen.reading, label)

    def _by_likeness(self, chances: Mapping[Taken, float], fired: Sequence[Fired], silenced: bool) -> Taken:
        """Whose calls the question sounds like: urgency that no rule has seen, or a route where no rule has fired.
        Words that a guard has set aside («боли в груди нет») look urgent as well; then more is asked. What is handed
        over anyway is handed over rather too fast."""
        asked = self.thresholds
        flagged = bool(fired) or any_of(chances) >= asked.any
        if not any(each.urgency is Urgency.NOW for each in fired):
            bar = asked.silenced if silenced else asked.among if flagged else asked.now
            if now_of(chances) >= bar:
                return likeliest(chances, Urgency.NOW)
        return likeliest(chances, Urgency.TRANSFER) if flagged and not fired else None

    def _likened(self, reading: Reading, label: Taken) -> Fired:
        assert self.classifier is not None
        assert label is not None
        words: list[tuple[int, ...]] = [(number,) for number in self.classifier.telling(reading, label)]
        who = self._data.card(*label).who
        reason = f"Похоже на звонки, которые принимает {who[0].lower()}{who[1:]}"
        return Fired(LIKENESS, reason, *label, _stretches(words, reading.tokens))

    def _by_rules(self, reading: Reading) -> Iterable[Fired | Step]:
        words = Words(reading.tokens)
        figures = self._covered("figures", words)
        for rule, phrases, unless in self._rules:
            places = phrases.find(words)
            if not places:
                continue
            urgent = rule.urgency is Urgency.NOW
            if unless.find(words):
                yield Step(rule.name, "не считается: особый случай этого правила", urgent)
                continue
            kept: list[tuple[int, ...]] = []
            for phrase, place in places:
                reason = self._guarded(rule, place, figures, reading.tokens)
                if reason:
                    yield Step(rule.name, f"«{phrase.text}» не считается: {reason}", urgent)
                else:
                    kept.append(place)
            if kept:
                yield Fired(rule.name, rule.reason, rule.route, rule.urgency, _stretches(kept, reading.tokens))

    def _covered(self, guard: str, words: Words) -> set[int]:
        return {number for _, place in self._guards[guard].find(words) for number in place}

    def _guarded(self, rule: FlagRule, place: tuple[int, ...], figures: set[int], tokens: Sequence[Token]) -> str:
        """Why these words do not count, or ''."""
        if figures.intersection(place):
            return "образное выражение"
        if rule.urgency is Urgency.TRANSFER:
            return ""
        if self._denied(place, tokens):
            return "отрицание"
        around = tokens[max(0, place[0] - PAST_REACH) : place[-1] + 1 + PAST_REACH]
        happening = any(is_present_tense(tokens[number].word) for number in place)
        if not happening and self._any("past", around) and not self._any("present", around):
            return "прошлое, угрозы сейчас нет"
        return ""

    def _denied(self, place: tuple[int, ...], tokens: Sequence[Token]) -> bool:
        """True if a denial stands right before one of the words or within two words after the last."""
        for at, size in product(place, (1, 2)):
            if not set(place).isdisjoint(range(at - size, at)):
                continue
            before = Words(tokens[max(0, at - size) : at])
            if any(len(found) == size for _, found in self._guards["denied_before"].find(before)):
                return True
        return self._any("denied_after", tokens[place[-1] + 1 : place[-1] + 3])

    def _any(self, guard: str, tokens: Sequence[Token]) -> bool:
        return bool(self._guards[guard].find(Words(tokens)))


def now_of(chances: Mapping[Taken, float]) -> float:
    """Chance of any route of urgency `now`."""
    return sum(chance for taken, chance in chances.items() if taken and taken[1] is Urgency.NOW)


def likeliest(chances: Mapping[Taken, float], urgency: Urgency) -> Taken:
    """The likeliest route of this urgency."""
    return max((taken for taken in chances if taken and taken[1] is urgency), key=chances.__getitem__)


def any_of(chances: Mapping[Taken, float]) -> float:
    """Chance of any route at all."""
    return 1 - chances.get(None, 0.0)


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
