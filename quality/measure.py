"""How good and how fast: asks the judge half: `make measure`.

Times are of one run on one machine: compare them with the bare encoder call of the same run, not across machines.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import partial
from itertools import chain
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console

from assistant.answer import Assistant
from assistant.build import open_assistant
from assistant.coverage import Item, Share, run, summary
from assistant.settings import Settings
from index import Encoder, Level, load_encoder, packed_model
from kb import Route, Urgency

from .calibration import area_under_risk, calibration_error, coverage_at
from .questions import FLAGS, Asked, Half, load_questions
from .report import percentiles, publish, stamp

ROUNDS = 3
NOTHING = {"value": None}


def _fresh(assistant: Assistant, encoder: Encoder) -> Assistant:
    """The same, with nothing cached."""
    return Assistant(assistant.kb, assistant.index, encoder, assistant.calibration, assistant.specialist)


def times(settings: Settings, assistant: Assistant, texts: list[str], day: date) -> dict[str, Any]:
    """Of `ask` with no question cached, of its stages, and of the bare model's encode_query, interleaved in one run."""
    read = assistant.index.reader.read
    stages: dict[str, list[float]] = {
        name: [] for name in ("encoder alone", "ask", "flag", "read", "search", "ask again")
    }
    bare = packed_model()
    bare.encode_query("разогрев")

    def clock(stage: str, call: Callable[[], Any]) -> None:
        start = perf_counter()
        call()
        stages[stage].append(perf_counter() - start)

    for _ in range(ROUNDS):
        assistant = _fresh(assistant, load_encoder(settings.model))
        assistant.ask("разогрев", day)
        for text in texts:
            reading = read(text)
            clock("encoder alone", partial(bare.encode_query, reading.words))
            clock("ask", partial(assistant.ask, text, day))
            clock("ask again", partial(assistant.ask, text, day))
            clock("flag", partial(assistant.specialist.flag, text))
            clock("read", partial(read, text))
            clock("search", partial(assistant.index.search, reading, assistant.encode(reading)))
    return {name: percentiles(seconds) for name, seconds in stages.items()}


def by_style(items: list[Item]) -> dict[str, Any]:
    styles = dict.fromkeys(item.question.style for item in items)  # type: ignore[attr-defined]
    return {
        style: summary([item for item in items if item.question.style == style])["hit@1"]  # type: ignore[attr-defined]
        for style in styles
    }


def confidence(assistant: Assistant, items: Sequence[Item]) -> dict[str, float]:
    """How far the chance that the first answer is right can be trusted, over questions with an answer and without."""
    read = assistant.index.reader.read
    readings = [read(item.question.text) for item in items]
    hits = [assistant.index.search(reading, assistant.encode(reading)) for reading in readings]
    chances = np.array([assistant.calibration.right.of(each) for each in hits])
    right = np.array([item.rank == 1 for item in items])
    return {
        "ECE": round(calibration_error(chances, right), 3),
        "coverage at 95 % precision": round(coverage_at(0.95, chances, right), 3),
        "AURC": round(area_under_risk(chances, right), 3),
    }


def refusals(items: Sequence[Item]) -> dict[str, Any]:
    """What becomes of questions without an answer, far from the base's topics and near them."""
    figures = {}
    for name, near in (("far", False), ("near", True)):
        asked = [item for item in items if item.question.expect == () and item.question.near is near]  # type: ignore[attr-defined]
        figures[f"{name}: refused"] = Share.of(item.answer.level is Level.NONE for item in asked).record()
        figures[f"{name}: refused or «check»"] = Share.of(
            item.answer.level is not Level.SURE for item in asked
        ).record()
    return figures


def check_in_three(items: Iterable[Item]) -> dict[str, Any]:
    """Of the questions with an answer that got the level «check»: the right one among the first three."""
    checked = [item for item in items if item.question.expect and item.answer.level is Level.CHECK]
    return Share.of(item.rank is not None and item.rank <= 3 for item in checked).record()


def missed_emergencies(items: Iterable[Item]) -> list[str]:
    """Emergencies that no urgent flag was raised for."""
    flags = [(item.question, item.answer.flag) for item in items if item.question.route == Route.EMERGENCY]
    return [asked.text for asked, flag in flags if flag is None or flag.urgency is not Urgency.NOW]


def flag_figures(items: Sequence[Item]) -> dict[str, Any]:
    """Shares of calls by route, style and kind; each record with its 95 % interval."""

    def share(right: Callable[[Item], bool], of: Callable[[Asked], bool]) -> dict[str, Any]:
        counted = Share.of(right(item) for item in items if of(item.question))  # type: ignore[arg-type]
        return {**counted.record(), "interval": [round(bound, 3) for bound in counted.interval or ()]}

    def flagged(item: Item) -> bool:
        return item.answer.flag is not None

    def on_route(item: Item) -> bool:
        return item.answer.flag is not None and item.answer.flag.route == item.question.route

    def urgent(item: Item) -> bool:
        return item.answer.flag is not None and item.answer.flag.urgency is Urgency.NOW

    def due(asked: Asked) -> bool:
        return asked.route != "none"

    figures = {
        "emergency: flagged as urgent": share(urgent, lambda asked: asked.route == Route.EMERGENCY),
        "urgent now: flagged as urgent": share(urgent, lambda asked: asked.urgency is Urgency.NOW),
        "all routes: flagged": share(flagged, due),
        "all routes: right route": share(on_route, due),
    }
    for route in Route:
        figures[f"{route}: flagged"] = share(flagged, partial(_is_for, route=route))
        figures[f"{route}: right route"] = share(on_route, partial(_is_for, route=route))
    for kind in ("ordinary", "hard"):
        figures[f"false flags, {kind} calls"] = share(flagged, lambda asked, kind=kind: asked.category == kind)  # type: ignore[misc]
    for style in dict.fromkeys(item.question.style for item in items):  # type: ignore[attr-defined]
        figures[f"{style}: flagged"] = share(flagged, lambda asked, style=style: due(asked) and asked.style == style)  # type: ignore[misc]
    return figures


def _is_for(asked: Asked, route: Route) -> bool:
    return asked.route == route


def measure() -> dict[str, Any]:
    """Figures on the judge half, in words that no variant was written with."""
    settings = Settings()
    assistant, built = open_assistant(settings)
    day = settings.day(assistant.kb)
    questions = load_questions(Half.JUDGE)
    items = run(assistant, questions, day)
    calls = {half.value: run(assistant, load_questions(half, FLAGS), day) for half in Half}
    speed = times(settings, assistant, [question.text for question in questions][:150], day)
    ratio = round(speed["ask"]["p50_ms"] / speed["encoder alone"]["p50_ms"], 3)
    return {
        **stamp(),
        "base": {"entries": len(assistant.kb), "phrases": built.phrases, "fingerprint": assistant.kb.fingerprint[:12]},
        "judge": summary(items),
        "hit@1 by style": by_style(items),
        "no answer": refusals(items),
        "check, right among three": check_in_three(items),
        "confidence": confidence(assistant, items),
        "flag": {half: flag_figures(called) for half, called in calls.items()},
        "missed emergencies": missed_emergencies(chain(*calls.values())),
        "milliseconds": speed,
        "ask_over_encoder_p50": ratio,
    }


def table(result: dict[str, Any]) -> str:
    """README's table, in Markdown."""
    judge = result["judge"]
    rows = [(f"right entry, {name}", _share(judge[name])) for name in ("hit@1", "hit@3", "hit@5")]
    rows.append(("MRR@10", f"{judge['MRR@10']['value']:.3f} ({judge['MRR@10']['of']})"))
    rows += [(f"hit@1, {style}", _share(share)) for style, share in result["hit@1 by style"].items() if share["of"]]
    abstention = judge["abstention"]
    rows += [(f"no answer in the base, {name}", _share(share)) for name, share in result["no answer"].items()]
    rows.append(("answer in the base, refused wrongly", _share(abstention["wrongly_refused"])))
    rows.append(("«sure» and right", _share(abstention["sure_and_right"])))
    rows.append(("«check» and right among the first three", _share(result["check, right among three"])))
    rows += [(f"confidence, {name}", f"{value:.3f}") for name, value in result["confidence"].items()]
    for name, of in result["milliseconds"].items():
        rows.append((f"time, {name}", f"p50 {of['p50_ms']} ms, p95 {of['p95_ms']} ms"))
    rows.append(("`ask` over the bare encoder call, p50", f"{result['ask_over_encoder_p50']} ×"))
    lines = ["| figure | judge half |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    flags = result["flag"]
    lines += ["", "| flag | judge half (95 % interval) | fit half |", "|---|---|---|"]
    for name, share in flags["judge"].items():
        low_high = "–".join(f"{bound:.3f}" for bound in share["interval"])
        lines.append(f"| {name} | {_share(share)}, {low_high} | {_share(flags['fit'].get(name, NOTHING))} |")
    base = result["base"]
    about = f"{base['entries']} entries, {base['phrases']} phrasings, {judge['questions']} questions of the judge half."
    return "\n".join([about, "", *lines])


def _share(share: dict[str, Any]) -> str:
    return "-" if share["value"] is None else f"{share['value']:.3f} ({share['count']} of {share['of']})"


if __name__ == "__main__":
    result = measure()
    publish("measure", result, table(result))
    Console().print_json(data=result)
