"""From which chance on the flag's classifier raises a flag; `make fit` writes assistant/thresholds.json.

Fitted on the fit half of flags.yaml and, each left out of the training in its turn, on the calls that the classifier
learns from. A missed emergency costs as much as MISSED_NOW flags too many, a missed transfer as much as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from rich.console import Console
from sklearn.model_selection import StratifiedKFold

from assistant.answer import Assistant
from assistant.build import open_assistant
from assistant.examples import THRESHOLDS, Taken, Thresholds, examples_of
from assistant.settings import Settings
from assistant.specialist import CERTAIN
from index import Classifier
from kb import Urgency

from .questions import FLAGS, Half, load_questions

MISSED_NOW, MISSED = 20.0, 1.0
GRID = np.round(np.arange(0.05, 1.0, 0.025), 3)
SEED = 2022


@dataclass(frozen=True)
class Call:
    """One call: who takes it, what the rules see, whether a guard spoke, and the classifier's chances."""

    label: Taken
    rule_now: bool
    rule_any: bool
    silenced: bool
    now: float
    any: float

    def flagged(self, thresholds: Thresholds) -> tuple[bool, bool]:
        """Whether there is a flag of urgency `now`, and any at all."""
        bar = (CERTAIN, CERTAIN) if self.silenced else (thresholds.now, thresholds.any)
        now = self.rule_now or self.now >= bar[0]
        return now, now or self.rule_any or self.any >= bar[1]


def call(assistant: Assistant, text: str, label: Taken, chances: dict[Taken, float]) -> Call:
    steps = list(assistant.specialist.why(text))[1:]
    flag = assistant.specialist.flag(text)
    now = sum(chance for each, chance in chances.items() if each and each[1] is Urgency.NOW)
    silenced = any(not step.outcome.startswith("сработало") for step in steps)
    urgent = flag is not None and flag.urgency is Urgency.NOW
    return Call(label, urgent, flag is not None, silenced, now, 1 - chances.get(None, 0.0))


def calls(assistant: Assistant) -> list[Call]:
    """The calls to fit on."""
    reader, classifier = assistant.index.reader, assistant.specialist.classifier
    assert classifier is not None, "kb/flag/examples.yaml is empty"
    found = []
    for question in load_questions(Half.FIT, FLAGS):
        label = None if question.route == "none" else (question.route, question.urgency)
        reading = reader.read(question.text)
        found.append(call(assistant, question.text, label, classifier.chances(reading, assistant.encode(reading))))  # type: ignore[arg-type]
    texts, labels = zip(*examples_of(assistant.kb), strict=True)
    readings = [reader.read(text) for text in texts]
    vectors = np.stack([assistant.encode(reading) for reading in readings])
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    for train, test in folds.split(texts, [str(label) for label in labels]):
        model = Classifier([readings[n] for n in train], vectors[train], [labels[n] for n in train])
        found += [call(assistant, texts[n], labels[n], model.chances(readings[n], vectors[n])) for n in test]
    return found


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
    grid = (Thresholds(float(now), float(some)) for now, some in product(GRID, GRID))
    best = min(grid, key=lambda thresholds: cost(found, thresholds))
    Console().print(f"{len(found)} calls, {best}, cost {cost(found, best):.0f}")
    return best


if __name__ == "__main__":
    fit_thresholds().save()
    Console().print(f"-> {THRESHOLDS}")
