"""How we find it: typed Russian, vectors, search and how sure to be."""

from .confidence import Calibration, Level, load_calibration
from .encoder import BUNDLED, Encoder, ModelError, Vectors, bundled_model, encoder_name, load_encoder
from .search import Hit, Phrase, SearchIndex, phrases_of
from .store import Built, Progress, StoreError, VectorStore, stored_vectors, unheard, vectors_for
from .text import Reader, Reading, Token, is_present_tense, is_russian, lemmas, split

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
    "encoder_name",
    "is_present_tense",
    "is_russian",
    "lemmas",
    "load_calibration",
    "load_encoder",
    "phrases_of",
    "split",
    "stored_vectors",
    "unheard",
    "vectors_for",
]
