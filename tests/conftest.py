"""A tiny base and an encoder whose vectors can be worked out by hand; the shipped base for the tests of the whole."""

import os
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from assistant.answer import Assistant
from assistant.build import build_assistant, open_assistant
from assistant.settings import Settings
from index import VectorStore
from kb import Entry, KnowledgeBase, load

DAY = date(2022, 1, 24)
AXES = ("больничн", "прививк", "код", "врач")


class AxisEncoder:
    """A text's vector counts the words of each axis in it; a text without any points the same way on all axes."""

    name = "axes"

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode_document(self, texts: Sequence[str]) -> np.ndarray:
        self.encoded += texts
        counts = np.array([[text.lower().count(axis) for axis in AXES] for text in texts], dtype=np.float32)
        counts[counts.sum(axis=1) == 0] = 1
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    encode_query = encode_document


def entry(entry_id: str = "sick-leave-extend", **changes: Any) -> Entry:
    data = {
        "id": entry_id,
        "topic": "sick-leave",
        "question": f"Как продлить больничный {entry_id}?",
        "variants": [f"продлить больничный {entry_id} {number}" for number in range(5)],
        "say": "Позвоните врачу до последнего дня больничного.",
        "sources": ["Приказ № 1089н"],
        "reviewed": "2022-01-24",
        "owner": "редакция",
    }
    return Entry.model_validate({**data, **changes})


def base_of(*entries: Entry) -> KnowledgeBase:
    frame = load()
    rules_alone = frame.flag.model_copy(update={"examples": ()})
    return KnowledgeBase(frame.about, {each.id: each for each in entries}, rules_alone, frame.lexicon)


def tiny_assistant(*entries: Entry, encoder: AxisEncoder | None = None, store: VectorStore | None = None) -> Assistant:
    return build_assistant(base_of(*entries), encoder or AxisEncoder(), store)[0]


@pytest.fixture(scope="session")
def shipped() -> Assistant:
    """The shipped base with the bundled model; vectors come from var/ or are made there once."""
    return open_assistant(Settings())[0]
