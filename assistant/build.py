"""Puts the parts together: settings -> base -> reader -> vectors -> Assistant."""

from collections.abc import Hashable
from itertools import chain
from typing import TypeVar

import numpy as np

from index import (
    Built,
    Classifier,
    Encoder,
    Progress,
    Reader,
    SearchIndex,
    VectorStore,
    load_calibration,
    load_encoder,
    phrases_of,
    unheard,
    vectors_for,
)
from kb import KnowledgeBase, load

from .answer import Assistant
from .examples import examples_of, known_or_not
from .settings import Settings
from .specialist import Specialist, flag_words

Label = TypeVar("Label", bound=Hashable)


def reader_of(kb: KnowledgeBase) -> Reader:
    """A reader that knows the words of the base and of its flag rules."""
    texts = chain.from_iterable((*entry.phrasings, *entry.notes) for entry in kb)
    meanings = chain.from_iterable((word.means, word.example) for word in kb.lexicon)
    return Reader(chain(texts, meanings, flag_words(kb.flag)), kb.lexicon)


def build_assistant(
    kb: KnowledgeBase,
    encoder: Encoder,
    store: VectorStore | None = None,
    *,
    force: bool = False,
    progress: Progress = unheard,
) -> tuple[Assistant, Built]:
    """An assistant over this base, and what had to be encoded. Raises StoreError if stored vectors do not fit."""
    reader = reader_of(kb)
    phrases = phrases_of(kb)
    calls = list(examples_of(kb)) if kb.flag.examples else []
    questions = list(known_or_not(kb)) if kb.elsewhere else []
    readings = {text: reader.read(text) for text, _ in chain(calls, questions)}
    vectors, heard, built = vectors_for(
        [phrase.text for phrase in phrases],
        [reading.words for reading in readings.values()],
        encoder,
        store,
        kb.fingerprint,
        force=force,
        progress=progress,
    )
    asked = dict(zip(readings, heard, strict=True))

    def learnt(examples: list[tuple[str, Label]]) -> Classifier[Label] | None:
        if not examples:
            return None
        texts, labels = zip(*examples, strict=True)
        return Classifier([readings[text] for text in texts], np.stack([asked[text] for text in texts]), labels)

    calibration = load_calibration()
    index = SearchIndex(phrases, vectors, reader, calibration.fusion, learnt(questions))
    return Assistant(kb, index, encoder, calibration, Specialist(kb.flag, reader, learnt(calls))), built


def open_assistant(
    settings: Settings, *, kb: KnowledgeBase | None = None, force: bool = False, progress: Progress = unheard
) -> tuple[Assistant, Built]:
    """The assistant that the settings describe, over `kb` or else the content of their folder. Raises ContentError,
    ModelError or StoreError."""
    store = VectorStore(settings.data / "vectors.npz")
    return build_assistant(kb or load(settings.kb), load_encoder(settings.model), store, force=force, progress=progress)
