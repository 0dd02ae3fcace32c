"""Vectors on disk, by the hash of the text they stand for, under a header that says what they are.

What does not fit (another format, model or dimension, or a damaged file) is refused; what is missing is encoded
and what is no longer needed is dropped, so that an edited phrase costs one call of the model.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from .encoder import Encoder, Vectors

FORMAT = 1
BATCH = 64

Progress = Callable[[int, int], None]


def unheard(_done: int, _total: int) -> None:
    """The progress of a build that nobody watches."""


class StoreError(Exception):
    """The vectors on disk cannot be used or written; the message says what to do."""


@dataclass(frozen=True)
class Built:
    """What a build did."""

    phrases: int
    encoded: int
    path: Path | None


def phrase_key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


class VectorStore:
    """One file of vectors."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, model: str) -> dict[str, Vectors]:
        """Vectors (dimension,) by phrase_key; empty if there is no file yet. Raises StoreError if it does not fit."""
        if not self.path.exists():
            return {}
        try:
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                keys, vectors = file["keys"], file["vectors"]
        except (OSError, EOFError, ValueError, KeyError, BadZipFile, AttributeError, TypeError) as error:
            raise StoreError(f"{self.path}: damaged index ({error}); delete it and run: assistant build") from error
        if header["format"] != FORMAT:
            raise StoreError(
                f"{self.path}: index of format {header['format']}, this version reads {FORMAT}; "
                "delete it and run: assistant build"
            )
        if header["model"] != model:
            raise StoreError(
                f"{self.path}: index made with model {header['model']}, but the model set is {model}; "
                "run: assistant build --force, or set ASSISTANT_MODEL back"
            )
        if vectors.shape != (len(keys), header["dimension"]):
            raise StoreError(f"{self.path}: damaged index (shape {vectors.shape}); delete it and run: assistant build")
        return dict(zip(map(str, keys), vectors, strict=True))

    def save(self, model: str, fingerprint: str, vectors: dict[str, Vectors]) -> None:
        """Write the file anew, atomically. Raises StoreError, leaving the old file, if the disk does not take it."""
        stacked = np.stack(list(vectors.values()))
        header = {"format": FORMAT, "model": model, "dimension": stacked.shape[1], "fingerprint": fingerprint}
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}.partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                np.savez(file, header=json.dumps(header), keys=np.array(list(vectors)), vectors=stacked)
            partial.replace(self.path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise StoreError(
                f"{self.path}: the index cannot be written ({error.strerror}); "
                "free some disk space or set ASSISTANT_DATA to another folder"
            ) from error


def vectors_for(
    phrases: Sequence[str],
    encoder: Encoder,
    store: VectorStore | None,
    fingerprint: str,
    *,
    force: bool = False,
    progress: Progress = unheard,
) -> tuple[Vectors, Built]:
    """Vectors of the phrases, shape (len(phrases), dimension), each from the store or else encoded and stored."""
    known = {} if store is None or force else store.load(encoder.name)
    wanted = {phrase_key(phrase): phrase for phrase in phrases}
    missing = [(key, phrase) for key, phrase in wanted.items() if key not in known]
    for done, batch in _batches(missing):
        known.update(zip([key for key, _ in batch], encoder.encode_document([text for _, text in batch]), strict=True))
        progress(done + len(batch), len(missing))
    kept = {key: known[key] for key in wanted}
    if store is not None and (missing or len(known) != len(kept) or force):
        store.save(encoder.name, fingerprint, kept)
    vectors = np.stack([kept[phrase_key(phrase)] for phrase in phrases])
    return vectors, Built(len(phrases), len(missing), store.path if store else None)


def stored_vectors(phrases: Sequence[str], model: str, store: VectorStore) -> Vectors | None:
    """Vectors of the phrases if every one of them is stored, shape (len(phrases), dimension); encodes nothing."""
    known = store.load(model)
    keys = [phrase_key(phrase) for phrase in phrases]
    return np.stack([known[key] for key in keys]) if all(key in known for key in keys) else None


def _batches(items: list[tuple[str, str]]) -> Iterable[tuple[int, list[tuple[str, str]]]]:
    # Texts of like length together: a batch takes as long as its longest.
    ordered = sorted(items, key=lambda item: len(item[1]))
    for start in range(0, len(ordered), BATCH):
        yield start, ordered[start : start + BATCH]
