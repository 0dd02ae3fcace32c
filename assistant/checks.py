"""What a program can find wrong with the content beyond one entry's own rules: `assistant check`.

An ordered list of small checks, each with a name; an ERROR fails CI, a WARNING is for an editor to look at.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import combinations

import numpy as np
import phonenumbers

from index import Phrase, Vectors, is_russian, lemmas, split
from kb import Entry, KnowledgeBase

READING_SPEED = 13  # letters a second, read calmly to a worried person; a figure takes as long as six letters
READING_SECONDS = 30
SAME_QUESTION = 0.9  # cosine from which two entries ask the same
CLEARLY_NEARER = 0.15  # cosine by which a variant must be nearer to another entry to be worth a look
SAME_MATTER = 0.7  # cosine of two entries' mean phrases, less the mean of all, from which both speak of one thing
UNITS = frozenset(("день", "сутки", "неделя", "месяц", "год", "час", "минута", "рубль", "процент"))


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    severity: Severity
    check: str
    entry: str
    what: str


@dataclass(frozen=True)
class Material:
    """What the checks look at. `vectors`, shape (len(phrases), dimension), are None if the index is not built."""

    kb: KnowledgeBase
    phrases: Sequence[Phrase]
    vectors: Vectors | None


Found = Iterator[tuple[Severity, str, str]]


def texts_of(entry: Entry) -> Iterator[str]:
    """Everything of an entry that somebody reads or says."""
    yield from (entry.question, *entry.variants, entry.say, *entry.notes, *entry.ask_back)
    for branch in entry.branches:
        yield from (branch.when, branch.say)
    yield from (condition.when for condition in entry.specialist)


def spelling(material: Material) -> Found:
    """Every word is in the dictionary or in kb/words.yaml."""
    allowed = {word for line in material.kb.words for word in split(line)}
    allowed |= {word for line in material.kb.lexicon for word in split(line.word)}
    for entry in material.kb:
        words = {word for text in texts_of(entry) for word in split(text)}
        for word in sorted(words):
            if re.search(r"[а-я]", word) and not is_russian(word) and word not in allowed:
                yield (
                    Severity.ERROR,
                    entry.id,
                    f"«{word}» is not in the dictionary; correct it or add it to kb/words.yaml",
                )


def reading_time(material: Material) -> Found:
    """`say` can be read aloud in time."""
    for entry in material.kb:
        figures, letters = len(re.findall(r"\d", entry.say)), len(re.findall(r"[^\W\d_]", entry.say))
        seconds = (letters + 6 * figures) / READING_SPEED
        if seconds > READING_SECONDS:
            yield Severity.WARNING, entry.id, f"say takes {seconds:.0f} s to read aloud, at most {READING_SECONDS}"


_LONG_PHONE = re.compile(r"(?<![\d№-])(?:\+7|8)[ (-]*\d{3}[ )-]*(?:\d{3}[ -]*\d{2}[ -]*\d{2}|\d{4}-\d{3})(?!\d)")
_SHORT_PHONE = re.compile(r"(?<![\d№.,:/-])(?<!№ )(?:10[1-4]|112|115|122|051)(?![\d.,:/-]*\d)(?=[\s,.;:!?»)]|$)")


def phones_in(text: str) -> Iterator[str]:
    """Phone numbers of a text, as digits; ten-digit ones without the leading 7 or 8."""
    for found in _LONG_PHONE.findall(text):
        yield re.sub(r"\D", "", found)[-10:]
    yield from _SHORT_PHONE.findall(text)


def phones(material: Material) -> Found:
    """Every phone number is a valid one and stands in kb/phones.yaml, once, with what it is for."""
    meanings: dict[str, str] = {}
    for phone in material.kb.phones:
        digits = re.sub(r"\D", "", phone.number)
        key = digits[-10:] if len(digits) == 11 else digits
        if key in meanings:
            yield Severity.ERROR, "kb/phones.yaml", f"{phone.number} is there twice: «{meanings[key]}», «{phone.what}»"
        if len(key) == 10 and not phonenumbers.is_valid_number(phonenumbers.parse(f"+7{key}")):
            yield Severity.ERROR, "kb/phones.yaml", f"{phone.number} is not a valid number"
        meanings[key] = phone.what
    for entry in material.kb:
        for number in {number for text in texts_of(entry) for number in phones_in(text)}:
            if number not in meanings:
                yield (
                    Severity.ERROR,
                    entry.id,
                    f"phone {number} is not in kb/phones.yaml; correct it or add it with its use",
                )


def succession(material: Material) -> Found:
    """An entry's successor takes over on the very next day."""
    for entry in material.kb:
        if entry.replaced_by and entry.valid_until:
            starts = material.kb.entries[entry.replaced_by].valid_from
            if starts is not None and starts != entry.valid_until + timedelta(1):
                gap = f"{entry.id} ends on {entry.valid_until}, {entry.replaced_by} begins on {starts}"
                severity = Severity.ERROR if starts > entry.valid_until else Severity.WARNING
                yield severity, entry.id, gap


def one_family(kb: KnowledgeBase, first: str, second: str) -> bool:
    """True if one of the two leads to the other, or both to the same successor."""

    def line(entry_id: str) -> set[str]:
        found = {entry_id}
        while (successor := kb.entries[entry_id].replaced_by) and successor not in found:
            found.add(entry_id := successor)
        return found

    return not line(first).isdisjoint(line(second))


def near_duplicates(material: Material) -> Found:
    """No two entries ask the same."""
    if material.vectors is None:
        return
    places = [place for place, phrase in enumerate(material.phrases) if _is_question(material.kb, phrase)]
    cosines = material.vectors[places] @ material.vectors[places].T
    for first, second in combinations(range(len(places)), 2):
        ids = material.phrases[places[first]].entry_id, material.phrases[places[second]].entry_id
        if cosines[first, second] >= SAME_QUESTION and not one_family(material.kb, *ids):
            what = (
                f"asks nearly the same as {ids[1]} (cosine {cosines[first, second]:.3f}); merge them or tell them apart"
            )
            yield Severity.WARNING, ids[0], what


def _is_question(kb: KnowledgeBase, phrase: Phrase) -> bool:
    return phrase.text == kb.entries[phrase.entry_id].question


def strays(material: Material) -> Found:
    """No variant is clearly nearer to another entry than to the rest of its own."""
    if material.vectors is None:
        return
    owners = np.array([phrase.entry_id for phrase in material.phrases])
    for place, phrase in enumerate(material.phrases):
        if phrase.text not in material.kb.entries[phrase.entry_id].variants:
            continue
        cosines = material.vectors @ material.vectors[place]
        cosines[place] = -1
        own = cosines[owners == phrase.entry_id].max()
        nearest = int(cosines.argmax())
        other = str(owners[nearest])
        if cosines[nearest] > own + CLEARLY_NEARER and not one_family(material.kb, phrase.entry_id, other):
            what = f"«{phrase.text}» is nearer to {other} («{material.phrases[nearest].text}»)"
            yield Severity.WARNING, phrase.entry_id, what


def terms_of(text: str) -> dict[str, set[int]]:
    """How many of each unit a text names: «четырнадцать дней» is {"день": {14}}."""
    found: dict[str, set[int]] = defaultdict(set)
    numbers: list[int] = []
    for word in split(text):
        readings = lemmas(word)
        if number := next((reading for reading in readings if reading.isdigit()), ""):
            numbers.append(int(number))
            continue
        if numbers and (unit := next((reading for reading in readings if reading in UNITS), "")):
            tens_and_ones = len(numbers) > 1 and numbers[-2] >= 20 > numbers[-1]
            found[unit].add(sum(numbers[-2:]) if tens_and_ones else numbers[-1])
        numbers = []
    return found


def terms(material: Material) -> Found:
    """Entries of one matter, in force together, do not read out different terms."""
    if material.vectors is None:
        return
    owners = np.array([phrase.entry_id for phrase in material.phrases])
    centres = np.array([material.vectors[owners == entry.id].mean(0) for entry in material.kb])
    centres -= centres.mean(0)
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
    cosines = centres @ centres.T
    said = [terms_of(entry.say) for entry in material.kb]
    for (first, entry), (second, other) in combinations(enumerate(material.kb), 2):
        if cosines[first, second] < SAME_MATTER or not together(entry, other):
            continue
        for unit in said[first].keys() & said[second].keys():
            if said[first][unit].isdisjoint(said[second][unit]):
                here, there = (", ".join(map(str, sorted(terms[unit]))) for terms in (said[first], said[second]))
                yield (
                    Severity.WARNING,
                    entry.id,
                    f"says {here} ({unit}), {other.id} says {there}; is it the same thing?",
                )


def together(first: Entry, second: Entry) -> bool:
    """True if there is a day on which both are in force."""
    starts = max(first.valid_from or date.min, second.valid_from or date.min)
    return starts <= min(first.valid_until or date.max, second.valid_until or date.max)


CHECKS: tuple[Callable[[Material], Found], ...] = (
    spelling,
    reading_time,
    phones,
    succession,
    terms,
    near_duplicates,
    strays,
)


def findings(material: Material) -> list[Finding]:
    """Everything found, in the order of the checks."""
    found: dict[Finding, None] = {}
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        found.update((Finding(severity, name, entry, what), None) for severity, entry, what in check(material))
    return list(found)


def counted(found: Sequence[Finding]) -> dict[str, tuple[int, int]]:
    """Errors and warnings of each check."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for check in CHECKS:
        counts[check.__name__.replace("_", " ")] = [0, 0]
    for finding in found:
        counts[finding.check][finding.severity is Severity.WARNING] += 1
    return {name: (errors, warnings) for name, (errors, warnings) in counts.items()}
