"""What the assistant learns from at start: calls with who takes them, questions with whether the base answers them.

A new example (kb/flag/examples.yaml) counts at the next start. Calls that the volunteer answers are the base's own
questions and those near them; phrasings of an entry that may itself need a specialist teach nothing. What is far from
the base's topics goes to the shift senior, as the policy says.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from kb import Entry, KnowledgeBase, Route, Urgency

THRESHOLDS = Path(__file__).with_name("thresholds.json")

Taken = tuple[Route, Urgency] | None  # None: the volunteer answers


@dataclass(frozen=True)
class Thresholds:
    """Chances. From these on there is a flag: `now` of urgency now, `silenced` after a guard has spoken, `among` for a
    call that is flagged anyway; `any` of any urgency. Below `doubt` of any flag at all, a rule that is not urgent does
    not count. Fitted by `make fit`, stored beside this."""

    now: float
    silenced: float
    among: float
    any: float
    doubt: float

    @classmethod
    def load(cls, path: Path = THRESHOLDS) -> Self:
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def save(self, path: Path = THRESHOLDS) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def heard(entry: Entry) -> tuple[str, ...]:
    """Phrasings of an entry as questions to learn from: every other variant is enough, and is encoded in half the
    time."""
    return (entry.question, *entry.variants[::2])


def keywords(question: str, most: int) -> str:
    """The question as typed in a hurry, or so far: its longest words."""
    words = question.split()
    longest = sorted(range(len(words)), key=lambda place: -len(words[place]))[:most]
    return " ".join(words[place] for place in sorted(longest))


def known_or_not(kb: KnowledgeBase) -> Iterator[tuple[str, bool]]:
    """Questions with whether the base answers them; its own also by two or three keywords alone, so that being short
    is not taken for being none of ours."""
    for entry in kb:
        questions = heard(entry)
        yield from ((question, True) for question in questions)
        yield from ((keywords(question, 2 + place % 2), True) for place, question in enumerate(questions))
    for elsewhere in kb.elsewhere:
        yield from ((question, False) for question in elsewhere.questions)


def examples_of(kb: KnowledgeBase) -> Iterator[tuple[str, Taken]]:
    """Every call to learn from, with who takes it."""
    for example in kb.flag.examples:
        taken = (example.route, example.urgency) if example.route and example.urgency else None
        yield from ((call, taken) for call in example.calls)
    for rule in kb.flag.rules:
        yield rule.example, (rule.route, rule.urgency)
    for entry in kb:
        if not entry.specialist:
            yield from ((question, None) for question in (entry.question, *entry.variants))
    for elsewhere in kb.elsewhere:
        taken = None if elsewhere.near else (Route.SENIOR, Urgency.TRANSFER)  # far from the base: nothing to answer
        yield from ((question, taken) for question in elsewhere.questions)
