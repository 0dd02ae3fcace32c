"""Where figures go: a result file of each run, and README's table made from it, between two marks."""

import json
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from assistant.settings import ROOT

RESULTS = Path(__file__).parent / "results"
README = ROOT / "README.md"


def percentiles(seconds: Iterable[float]) -> dict[str, float]:
    """p50, p95 and the longest, in milliseconds."""
    p50, p95, longest = np.percentile(list(seconds), [50, 95, 100]) * 1e3
    return {"p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2), "max_ms": round(float(longest), 2)}


def stamp() -> dict[str, str]:
    """Which commit was measured, and on what."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=False)
    return {"commit": git.stdout.strip(), "machine": f"{platform.machine()}, {platform.python_version()}"}


def publish(name: str, result: dict[str, Any], table: str, readme: Path = README) -> None:
    """Write results/NAME.json, and the table (Markdown) between README's marks of this name."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, ensure_ascii=False, indent=2) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    write_table(name, table, readme)


def write_table(name: str, table: str, readme: Path = README) -> None:
    begin, end = f"<!-- make {name} -->", f"<!-- end of make {name} -->"
    text = readme.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{readme}: no place for the table; write the two lines {begin} and {end}")
    readme.write_text(f"{before}{begin}\n\n{table}\n\n{end}{after}", encoding="utf-8")


def rows(head: tuple[str, ...], lines: Iterable[tuple[Any, ...]]) -> str:
    """A Markdown table."""
    listed = [head, tuple("---" for _ in head), *lines]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in listed)
