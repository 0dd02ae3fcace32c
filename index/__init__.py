"""How we find it: typed Russian, vectors, search and how sure to be."""

from .classifier import Classifier
from .confidence import Calibration, Level, load_calibration
from .encoder import BUNDLED, Encoder, ModelError, Vectors, encoder_name, load_encoder, packed_model, untuned_file
from .search import Hit, Phrase, SearchIndex, phrases_of
from .store import Built, Progress, StoreError, VectorStore, stored_vectors, unheard, vectors_for
from .text import Parse, Reader, Reading, Token, is_present_tense, is_russian, lemmas, parses, split

__all__ = [
    "BUNDLED",
    "Built",
    "Calibration",
    "Classifier",
    "Encoder",
    "Hit",
    "Level",
    "ModelError",
    "Parse",
    "Phrase",
    "Progress",
    "Reader",
    "Reading",
    "SearchIndex",
    "StoreError",
    "Token",
    "VectorStore",
    "Vectors",
    "encoder_name",
    "is_present_tense",
    "is_russian",
    "lemmas",
    "load_calibration",
    "load_encoder",
    "packed_model",
    "parses",
    "phrases_of",
    "split",
    "stored_vectors",
    "unheard",
    "untuned_file",
    "vectors_for",
]
