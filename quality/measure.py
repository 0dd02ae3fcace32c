"""How good and how fast: asks the judge half and writes quality/results/measure.json and README's table.

Times are of one run on one machine: compare them with the bare encoder call of the same run, not across machines.
"""

import json
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import partial
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console

from assistant.answer import Assistant
from assistant.build import open_assistant
from assistant.coverage import Item, Share, run, summary
from assistant.settings import ROOT, Settings
from index import load_encoder, packed_model
from kb import Route, Urgency

from .questions import FLAGS, Asked, Half, load_questions

RESULTS = Path(__file__).parent / "results"
README = ROOT / "README.md"
BEGIN, END = "<!-- quality table: make measure -->", "<!-- end of quality table -->"
ROUNDS = 3
NOTHING = {"value": None}


def percentiles(seconds: Iterable[float]) -> dict[str, float]:
    """p50 and p95 in milliseconds."""
    listed = list(seconds)
    return {
        "p50_ms": round(statistics.median(listed) * 1e3, 2),
        "p95_ms": round(float(np.percentile(listed, 95)) * 1e3, 2),
    }


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
        assistant.encoder = load_encoder(settings.model)  # with nothing cached
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
        "commit": _git("rev-parse", "--short", "HEAD"),
        "machine": f"{platform.machine()}, {platform.python_version()}",
        "base": {"entries": len(assistant.kb), "phrases": built.phrases, "fingerprint": assistant.kb.fingerprint[:12]},
        "judge": summary(items),
        "hit@1 by style": by_style(items),
        "flag": {half: flag_figures(called) for half, called in calls.items()},
        "missed emergencies": missed_emergencies(chain(*calls.values())),
        "milliseconds": speed,
        "ask_over_encoder_p50": ratio,
    }


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=ROOT, check=False).stdout.strip()


def table(result: dict[str, Any]) -> str:
    """README's table, in Markdown."""
    judge = result["judge"]
    rows = [(f"right entry, {name}", _share(judge[name])) for name in ("hit@1", "hit@3", "hit@5")]
    rows.append(("MRR@10", f"{judge['MRR@10']['value']:.3f} ({judge['MRR@10']['of']})"))
    rows += [(f"hit@1, {style}", _share(share)) for style, share in result["hit@1 by style"].items() if share["of"]]
    abstention = judge["abstention"]
    rows.append(("no answer in the base: refused", _share(abstention["refused"])))
    rows.append(("no answer in the base: refused or «check»", _share(abstention["not_sure"])))
    rows.append(("answer in the base, refused wrongly", _share(abstention["wrongly_refused"])))
    rows.append(("«sure» and right", _share(abstention["sure_and_right"])))
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
    return "\n".join([BEGIN, "", about, "", *lines, "", END])


def _share(share: dict[str, Any]) -> str:
    return "-" if share["value"] is None else f"{share['value']:.3f} ({share['count']} of {share['of']})"


def write_table(result: dict[str, Any], readme: Path = README) -> None:
    """Put the table between its two marks in README."""
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(before + table(result) + after, encoding="utf-8")


if __name__ == "__main__":
    result = measure()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "measure.json").write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    write_table(result)
    Console().print_json(data=result)
