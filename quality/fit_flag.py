"""From which chance on the flag's classifier speaks; `make fit` writes assistant/thresholds.json.

Fitted on the fit halves of flags.yaml and questions.yaml alone, none of which the classifier learns from. A missed
emergency costs as much as MISSED_NOW false flags, a missed transfer as much as one: doubt is settled in favour of
the flag where life is at stake, and only there; the grid does not reach where only certainty would raise a red flag.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from rich.console import Console

from assistant.answer import Assistant
from assistant.build import open_assistant
from assistant.examples import THRESHOLDS, Taken, Thresholds
from assistant.settings import Settings
from assistant.specialist import Fired, Seen, Specialist
from kb import Urgency

from .questions import FLAGS, Asked, Half, load_questions

MISSED_NOW = 20.0
ROUNDS = 2
GRID = {
    "now": (0.1, 0.15),
    "silenced": (0.3, 0.4, 0.5),
    "among": (0.03, 0.05),
    "any": (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9),
    "doubt": (0.0, 0.1, 0.2, 0.3, 0.4),
}


@dataclass(frozen=True)
class Call:
    """One call: who takes it, what the rules see, and the classifier's chances."""

    label: Taken
    seen: Seen
    chances: Mapping[Taken, float]


def calls(assistant: Assistant) -> Iterator[Call]:
    """The calls to fit on."""
    specialist, read = assistant.specialist, assistant.index.reader.read
    assert specialist.classifier is not None, "kb/flag/examples.yaml is empty"
    for question in chain(load_questions(Half.FIT, FLAGS), _ordinary(assistant)):
        label = None if question.route in (None, "none") else (question.route, question.urgency)
        reading = read(question.text)
        chances = specialist.classifier.chances(reading, assistant.encode(reading))
        yield Call(label, specialist.see(question.text), chances)  # type: ignore[arg-type]


def _ordinary(assistant: Assistant) -> list[Asked]:
    """Questions of the fit half whose answer needs no specialist."""
    doubtful = {entry.id for entry in assistant.kb if entry.specialist}
    return [asked for asked in load_questions(Half.FIT) if asked.expect and doubtful.isdisjoint(asked.expect)]


def cost(specialist: Specialist, of: Sequence[Call]) -> float:
    """Of the errors that the specialist makes with its thresholds."""
    total = 0.0
    for each in of:
        urgencies = {step.urgency for step in specialist.weigh(each.seen, each.chances) if isinstance(step, Fired)}
        now, some = Urgency.NOW in urgencies, bool(urgencies)
        if each.label is None:
            total += some
        elif each.label[1] is Urgency.NOW:
            total += MISSED_NOW * (not now)
        else:
            total += (not some) + now
    return total


def fit_thresholds() -> Thresholds:
    """The best of the grid: one threshold after the other, ROUNDS times."""
    assistant, _ = open_assistant(Settings())
    specialist, found = assistant.specialist, list(calls(assistant))
    best = {name: values[len(values) // 2] for name, values in GRID.items()}

    def tried(name: str, value: float) -> float:
        specialist.thresholds = Thresholds(**{**best, name: value})
        return cost(specialist, found)

    for name, values in list(GRID.items()) * ROUNDS:
        best[name] = min(values, key=partial(tried, name))
    Console().print(f"{len(found)} calls, {best}, cost {tried('now', best['now']):.1f}")
    return Thresholds(**best)


if __name__ == "__main__":
    fit_thresholds().save()
    Console().print(f"-> {THRESHOLDS}")
