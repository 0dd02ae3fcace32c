"""How the search grows with the base: `make scale`. Build time, memory and time of a search, each size in a process of
its own.

Beyond the real entries the base is synthetic: phrases joined of two real ones, with the mean of their vectors, a little
shaken. The model's share of a question's time does not depend on the base and is left out.
"""

import random
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from time import perf_counter
from typing import Any

import numpy as np
import psutil
from rich.console import Console

from assistant.build import open_assistant
from assistant.settings import Settings
from index import Phrase, SearchIndex, Vectors, load_calibration

from .questions import Half, load_questions
from .report import percentiles, publish, rows, stamp

SIZES = (250, 2_500, 25_000, 250_000)
PHRASES = 5  # of an entry: the question and four variants
QUESTIONS = 200
SHAKEN = 0.02
SEED = 2022


def synthetic(entries: int, texts: list[str], vectors: Vectors) -> tuple[list[Phrase], Vectors]:
    """So many entries of PHRASES phrases; vectors of unit length."""
    rng, noise = random.Random(SEED), np.random.default_rng(SEED)
    size = entries * PHRASES
    first, second = noise.integers(len(texts), size=(2, size))
    first = np.repeat(first[::PHRASES], PHRASES)  # the phrases of an entry share a half
    made = vectors[first] + vectors[second] + SHAKEN * noise.standard_normal((size, vectors.shape[1]), np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    words = [text.split() for text in texts]

    def half(number: int) -> list[str]:
        chosen = words[number]
        return rng.sample(chosen, (len(chosen) + 1) // 2)

    phrases = [
        Phrase(f"e{place // PHRASES}", " ".join(half(one) + half(other)))
        for place, (one, other) in enumerate(zip(first.tolist(), second.tolist(), strict=True))
    ]
    return phrases, made.astype(np.float32)


def measured(entries: int) -> dict[str, Any]:
    assistant, _ = open_assistant(Settings())
    reader = assistant.index.reader
    readings = [reader.read(asked.text) for asked in load_questions(Half.FIT)[:QUESTIONS]]
    asked = [assistant.encode(reading) for reading in readings]
    texts = [phrase.text for phrase in assistant.index.phrases]
    phrases, made = synthetic(entries, texts, assistant.index.vectors())
    before, start = psutil.Process().memory_info().rss, perf_counter()
    index = SearchIndex(phrases, made, reader, load_calibration().fusion)
    built = perf_counter() - start
    memory = psutil.Process().memory_info().rss - before
    times, same = [], 0
    for reading, vector in zip(readings, asked, strict=True):
        start = perf_counter()
        index.search(reading, vector)
        times.append(perf_counter() - start)
        same += int(np.argmax(index.dense(vector))) == int(np.argmax(made @ vector))
    return {
        "entries": entries,
        "phrases": len(phrases),
        "faiss": type(index._faiss).__name__,
        "build_s": round(built, 1),
        "memory_mb": round(memory / 1e6),
        **percentiles(times),
        "nearest phrase found": round(same / len(readings), 3),
    }


def main(sizes: tuple[int, ...]) -> None:
    results = []
    for size in sizes:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            results.append(alone.submit(measured, size).result())
        Console().print(results[-1])
    head = ("entries", "phrases", "FAISS index", "build, s", "memory, MB", "search p50, ms", "p95, ms", "nearest found")
    lines = [
        (
            f"{each['entries']:,}", f"{each['phrases']:,}", each["faiss"], each["build_s"], each["memory_mb"],
            each["p50_ms"], each["p95_ms"], each["nearest phrase found"],
        )
        for each in results
    ]  # fmt: skip
    publish("scale", {**stamp(), "sizes": results}, rows(head, lines))


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SIZES)
