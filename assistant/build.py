"""Puts the parts together: settings -> base -> reader -> vectors -> Assistant."""

from itertools import chain

from index import (
    Built,
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
from .settings import Settings
from .specialist import Specialist, flag_words


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
    texts = [phrase.text for phrase in phrases]
    vectors, built = vectors_for(texts, encoder, store, kb.fingerprint, force=force, progress=progress)
    calibration = load_calibration()
    index = SearchIndex(phrases, vectors, reader, calibration.fusion)
    return Assistant(kb, index, encoder, calibration, Specialist(kb.flag, reader)), built


def open_assistant(settings: Settings, *, force: bool = False, progress: Progress = unheard) -> tuple[Assistant, Built]:
    """The assistant that the settings describe. Raises ContentError, ModelError or StoreError."""
    kb = load(settings.kb)
    store = VectorStore(settings.data / "vectors.npz")
    return build_assistant(kb, load_encoder(settings.model), store, force=force, progress=progress)
