"""Vectors on disk, by the hash of the text they stand for, under a header that says what they are.

What does not fit (another format, model or dimension, or a damaged file) is refused; what is missing is encoded
and what is no longer needed is dropped, so that an edited phrase costs one call of the model.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
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


def phrase_key(text: str, *, asked: bool = False) -> str:
    """What a vector is stored under: a model encodes what is asked otherwise than what is stored."""
    return hashlib.sha256(("? " * asked + text).encode("utf-8", "replace")).hexdigest()


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
        with self._partial() as partial:
            with partial.open("wb") as file:
                np.savez(file, header=json.dumps(header), keys=np.array(list(vectors)), vectors=stacked)
            partial.replace(self.path)

    def refuse_unwritable(self) -> None:
        """Raises StoreError where nothing can be written: better before minutes of encoding than after them."""
        with self._partial() as partial:
            partial.touch()
            partial.unlink()

    @contextmanager
    def _partial(self) -> Iterator[Path]:
        """A file beside the store's own, gone if anything fails."""
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}.partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise StoreError(
                f"{self.path}: the index cannot be written ({error.strerror}); "
                "free some disk space or set ASSISTANT_DATA to another folder"
            ) from error


def vectors_for(
    phrases: Sequence[str],
    questions: Sequence[str],
    encoder: Encoder,
    store: VectorStore | None,
    fingerprint: str,
    *,
    force: bool = False,
    progress: Progress = unheard,
) -> tuple[Vectors, Vectors, Built]:
    """Vectors of the stored phrases and of questions as they are asked, shapes (phrases, dimension) and (questions,
    dimension), each from the store or else encoded and stored."""
    known = {} if store is None or force else store.load(encoder.name)
    phrase_keys = [phrase_key(phrase) for phrase in phrases]
    question_keys = [phrase_key(question, asked=True) for question in questions]
    wanted = [
        (encoder.encode_document, dict(zip(phrase_keys, phrases, strict=True))),
        (encoder.encode_query, dict(zip(question_keys, questions, strict=True))),
    ]
    missing = [(encode, [item for item in texts.items() if item[0] not in known]) for encode, texts in wanted]
    total, done = sum(len(items) for _, items in missing), 0
    if total and store is not None:
        store.refuse_unwritable()
    for encode, items in missing:
        for batch in _batches(items):
            known.update(zip([key for key, _ in batch], encode([text for _, text in batch]), strict=True))
            done += len(batch)
            progress(done, total)
    kept = {key: known[key] for _, texts in wanted for key in texts}
    if store is not None and (total or len(known) != len(kept) or force):
        store.save(encoder.name, fingerprint, kept)
    vectors = np.stack([kept[key] for key in phrase_keys])
    asked = np.array([kept[key] for key in question_keys], dtype=np.float32).reshape(len(questions), vectors.shape[1])
    return vectors, asked, Built(len(phrases), total, store.path if store else None)


def stored_vectors(phrases: Sequence[str], model: str, store: VectorStore) -> Vectors | None:
    """Vectors of the phrases if every one of them is stored, shape (len(phrases), dimension); encodes nothing."""
    known = store.load(model)
    keys = [phrase_key(phrase) for phrase in phrases]
    return np.stack([known[key] for key in keys]) if all(key in known for key in keys) else None


def _batches(items: list[tuple[str, str]]) -> Iterable[list[tuple[str, str]]]:
    # Texts of like length together: a batch takes as long as its longest.
    ordered = sorted(items, key=lambda item: len(item[1]))
    for start in range(0, len(ordered), BATCH):
        yield ordered[start : start + BATCH]
