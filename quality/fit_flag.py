"""From which chance on the flag's classifier raises a flag; `make fit` writes assistant/thresholds.json.

Fitted on the fit halves of flags.yaml and questions.yaml and, each left out of the training in its turn, on the calls
that the classifier learns from. A missed emergency costs as much as MISSED_NOW false flags, a missed transfer as much
as one: doubt is settled in favour of the flag where life is at stake, and only there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np
from rich.console import Console
from sklearn.model_selection import StratifiedKFold

from assistant.answer import Assistant
from assistant.build import open_assistant
from assistant.examples import THRESHOLDS, Taken, Thresholds, examples_of
from assistant.settings import Settings
from assistant.specialist import CERTAIN, any_of, now_of
from index import Classifier
from kb import Urgency

from .questions import FLAGS, Asked, Half, load_questions

MISSED_NOW, MISSED = 20.0, 1.0
PARTS = 0.03  # of the ordinary questions: the share that a part of them may raise a false flag for
GRID = np.round(np.arange(0.1, 1.0, 0.05), 3)
SEED = 2022


@dataclass(frozen=True)
class Call:
    """One call: who takes it, what the rules see, whether a guard spoke, and the classifier's chances, `part`: of
    urgency `now` in the most urgent part of a rambling one."""

    label: Taken
    rule_now: bool
    rule_any: bool
    silenced: bool
    now: float
    any: float
    part: float

    def flagged(self, thresholds: Thresholds) -> tuple[bool, bool]:
        """Whether there is a flag of urgency `now`, and any at all."""
        now = self.rule_now or self.now >= (CERTAIN if self.silenced else thresholds.now)
        return now, now or self.rule_any or self.any >= thresholds.any


def call(assistant: Assistant, text: str, label: Taken, parts: list[dict[Taken, float]]) -> Call:
    seen = assistant.specialist.see(text)
    return Call(
        label,
        any(each.urgency is Urgency.NOW for each in seen.fired),
        bool(seen.fired),
        seen.silenced,
        now_of(parts[0]),
        any_of(parts[0]),
        max(map(now_of, parts[1:]), default=0.0),
    )


def calls(assistant: Assistant) -> list[Call]:
    """The calls to fit on."""
    reader, classifier = assistant.index.reader, assistant.specialist.classifier
    assert classifier is not None, "kb/flag/examples.yaml is empty"
    known = dict(examples_of(assistant.kb))
    found = []
    for question in chain(load_questions(Half.FIT, FLAGS), _ordinary(assistant)):
        label = None if question.route in (None, "none") else (question.route, question.urgency)
        parts = [classifier.chances(part, vector) for part, vector in assistant.hear(reader.read(question.text))]
        found.append(call(assistant, question.text, label, parts))  # type: ignore[arg-type]
    texts, labels = list(known), list(known.values())
    readings = [reader.read(text) for text in texts]
    vectors = np.stack([assistant.encode(reading) for reading in readings])
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    for train, test in folds.split(texts, [str(label) for label in labels]):
        model = Classifier([readings[n] for n in train], vectors[train], [labels[n] for n in train])
        found += [call(assistant, texts[n], labels[n], [model.chances(readings[n], vectors[n])]) for n in test]
    return found


def _ordinary(assistant: Assistant) -> list[Asked]:
    """Questions of the fit half whose answer needs no specialist."""
    doubtful = {entry.id for entry in assistant.kb if entry.specialist}
    return [asked for asked in load_questions(Half.FIT) if asked.expect and doubtful.isdisjoint(asked.expect)]


def cost(of: Sequence[Call], thresholds: Thresholds) -> float:
    total = 0.0
    for each in of:
        now, some = each.flagged(thresholds)
        urgent = each.label is not None and each.label[1] is Urgency.NOW
        total += MISSED_NOW * (urgent and not now) + MISSED * (each.label is not None and not urgent and not some)
        total += (some and each.label is None) + (now and not urgent)
    return total


def fit_thresholds() -> Thresholds:
    assistant, _ = open_assistant(Settings())
    found = calls(assistant)
    rambling = [each.part for each in found if each.label is None and each.part and not each.rule_any]
    part = round(float(np.quantile(rambling, 1 - PARTS)), 3)
    grid = (Thresholds(float(now), float(some), part) for now, some in product(GRID, GRID))
    best = min(grid, key=lambda thresholds: cost(found, thresholds))
    Console().print(f"{len(found)} calls, {best}, cost {cost(found, best):.0f}")
    return best


if __name__ == "__main__":
    fit_thresholds().save()
    Console().print(f"-> {THRESHOLDS}")
