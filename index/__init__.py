"""How we find it: typed Russian, vectors, search and how sure to be."""

from .confidence import Calibration, Level, load_calibration
from .encoder import BUNDLED, Encoder, ModelError, Vectors, bundled_model, load_encoder
from .search import Hit, Phrase, SearchIndex, phrases_of
from .store import Built, Progress, StoreError, VectorStore, unheard, vectors_for
from .text import Reader, Reading, Token, is_present_tense, lemmas

__all__ = [
    "BUNDLED",
    "Built",
    "Calibration",
    "Encoder",
    "Hit",
    "Level",
    "ModelError",
    "Phrase",
    "Progress",
    "Reader",
    "Reading",
    "SearchIndex",
    "StoreError",
    "Token",
    "VectorStore",
    "Vectors",
    "bundled_model",
    "is_present_tense",
    "lemmas",
    "load_calibration",
    "load_encoder",
    "phrases_of",
    "unheard",
    "vectors_for",
]
