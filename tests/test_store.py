"""Vectors on disk: reused, refused, never half written."""

import errno
from pathlib import Path

import numpy as np
import pytest
from conftest import AxisEncoder, base_of, entry

from assistant.build import build_assistant
from index import StoreError, VectorStore

ENTRIES = entry("a"), entry("b")


def build(path: Path, *entries, **changes):  # type: ignore[no-untyped-def]
    encoder = AxisEncoder()
    assistant, built = build_assistant(base_of(*(entries or ENTRIES)), encoder, VectorStore(path), **changes)
    return assistant, built, encoder


def test_the_second_start_encodes_nothing_and_finds_the_same(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npz"
    first, built, _ = build(path)
    assert built.encoded == built.phrases - 1  # both entries say the same
    second, built, encoder = build(path)
    assert (built.encoded, encoder.encoded) == (0, [])
    asked = np.ones(4, dtype=np.float32)
    np.testing.assert_array_equal(first.index.dense(asked), second.index.dense(asked))


def test_an_edited_phrase_encodes_only_itself(tmp_path: Path) -> None:
    build(tmp_path / "vectors.npz")
    edited = entry("a", question="Как закрыть больничный?")
    _, _, encoder = build(tmp_path / "vectors.npz", edited, ENTRIES[1])
    assert encoder.encoded == ["Как закрыть больничный?"]


def test_what_is_no_longer_needed_is_dropped(tmp_path: Path) -> None:
    build(tmp_path / "vectors.npz")
    size = (tmp_path / "vectors.npz").stat().st_size
    build(tmp_path / "vectors.npz", ENTRIES[0])
    assert (tmp_path / "vectors.npz").stat().st_size < size


def test_vectors_of_another_model_are_refused_until_forced(tmp_path: Path) -> None:
    build(tmp_path / "vectors.npz")
    encoder = AxisEncoder()
    encoder.name = "another"
    store = VectorStore(tmp_path / "vectors.npz")
    with pytest.raises(StoreError, match="made with model axes, but the model set is another; run: assistant build"):
        build_assistant(base_of(*ENTRIES), encoder, store)
    assert build_assistant(base_of(*ENTRIES), encoder, store, force=True)[1].encoded > 0
    assert build_assistant(base_of(*ENTRIES), encoder, store)[1].encoded == 0


@pytest.mark.parametrize("damage", [b"", b"not an index", b"PK\x03\x04 cut short"])
def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "vectors.npz").write_bytes(damage)
    with pytest.raises(StoreError, match=r"damaged index .*; delete it and run: assistant build"):
        build(tmp_path / "vectors.npz")


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path / "vectors.npz")
    monkeypatch.setattr("index.store.FORMAT", 2)
    with pytest.raises(StoreError, match="index of format 1, this version reads 2"):
        build(tmp_path / "vectors.npz")


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vectors.npz"
    build(path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(StoreError, match="cannot be written \\(No space left on device\\); free some disk space"):
        build(path, entry("a", question="Как закрыть больничный?"))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
