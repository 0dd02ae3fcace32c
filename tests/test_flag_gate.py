"""The gate of a release: no emergency is missed that was not missed before, and no figure of the flag gets worse.

The committed figures are those of quality/results/measure.json (`make measure`).
"""

import json
import random
from collections.abc import Callable

import pytest
from conftest import DAY

from assistant.coverage import Item, run
from kb import Route, Urgency, load
from quality.measure import flag_figures, missed_emergencies
from quality.mutations import MUTATIONS
from quality.questions import FLAGS, Half, load_questions
from quality.report import RESULTS

COMMITTED = json.loads((RESULTS / "measure.json").read_text(encoding="utf-8"))
FALSE = "false flags"
pytestmark = pytest.mark.timeout(900)  # thousands of questions
LOST = 0.02  # share that a mutation may cost: a lost letter can make another word («с балкона», «с бакона»)


@pytest.fixture(scope="module")
def calls(shipped) -> dict[str, list[Item]]:  # type: ignore[no-untyped-def]
    return {half.value: run(shipped, load_questions(half, FLAGS), DAY) for half in Half}


@pytest.mark.parametrize("half", list(Half))
def test_no_emergency_is_missed_but_those_that_are_published_as_missed(
    calls: dict[str, list[Item]], half: Half
) -> None:
    assert set(missed_emergencies(calls[half])) <= set(COMMITTED["missed emergencies"])


@pytest.mark.parametrize("half", list(Half))
def test_no_figure_of_the_flag_is_worse_than_the_committed_one(calls: dict[str, list[Item]], half: Half) -> None:
    committed = COMMITTED["flag"][half]
    for name, share in flag_figures(calls[half]).items():
        before = committed[name]
        assert share["of"] == before["of"], f"{name}: the questions changed; run make measure"
        worse = share["count"] > before["count"] if name.startswith(FALSE) else share["count"] < before["count"]
        assert not worse, f"{half}, {name}: {share['count']} of {share['of']}, committed {before['count']}"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_an_emergency_stays_one_whatever_fingers_type_it(
    shipped,  # type: ignore[no-untyped-def]
    mutation: Callable[[str, random.Random], str],
) -> None:
    reader = shipped.index.reader
    fit = [question.text for question in load_questions(Half.FIT, FLAGS) if question.route == Route.EMERGENCY]
    clean = [text for text in fit if not reader.read(text).changed]
    clean += [rule.example for rule in load().flag.rules if rule.route is Route.EMERGENCY]
    assert len(clean) > 100
    rng = random.Random(2022)
    typed = [mutation(text, rng) for text in clean]
    flags = [shipped.ask(text, DAY).flag for text in typed]
    lost = [text for text, flag in zip(typed, flags, strict=True) if not flag or flag.urgency is not Urgency.NOW]
    assert len(lost) <= LOST * len(typed), lost
