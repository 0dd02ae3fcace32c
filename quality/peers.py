"""The same questions to other tools: `make peers`, in an environment of its own.

Every peer gets the same stored phrasings, the same fine-tuned model and the same questions of the judge half, in one
run with ours; an entry counts at its best phrase. Peers do not know of days: an entry's successor counts as right too.

    txtai          hybrid index: vectors and BM25, its own fusion
    Haystack       BM25 and embedding retrievers, joined by reciprocal rank fusion
    plain          sentence-transformers and FAISS
    BM25           bm25s over lower-case words
    ours           assistant.ask: the flag, the level and the answers
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import bm25s
import faiss
import numpy as np
from haystack import Document
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from rich.console import Console
from txtai import Embeddings

from assistant.answer import Assistant
from assistant.build import open_assistant
from assistant.coverage import Share
from assistant.settings import Settings
from index import Phrase, Vectors, load_encoder, packed_model
from kb import KnowledgeBase

from .questions import Asked, Half, load_questions
from .report import percentiles, publish, rows, stamp

PHRASES = 60  # that a peer returns: enough for several entries
Ask = Callable[[str], Iterable[str]]  # question -> entry ids, best first, an entry as often as it has phrases


@dataclass(frozen=True)
class Base:
    """What every peer gets. `model`: a SentenceTransformer."""

    phrases: tuple[Phrase, ...]
    vectors: Vectors
    model: Any

    def query(self, question: str) -> Vectors:
        vector: Vectors = self.model.encode_query(question, normalize_embeddings=True, show_progress_bar=False)
        return vector


def txtai(base: Base) -> Ask:
    stored = dict(zip((phrase.text for phrase in base.phrases), base.vectors, strict=True))

    def transform(texts: list[str]) -> Any:
        return np.stack([stored[text] if text in stored else base.query(text) for text in texts])

    index = Embeddings(method="external", transform=transform, hybrid=True, content=False)
    index.index((number, phrase.text) for number, phrase in enumerate(base.phrases))
    return lambda question: (base.phrases[int(number)].entry_id for number, _ in index.search(question, PHRASES))


def haystack(base: Base) -> Ask:
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    store.write_documents(
        [
            Document(id=str(number), content=phrase.text, embedding=vector.tolist(), meta={"entry": phrase.entry_id})
            for number, (phrase, vector) in enumerate(zip(base.phrases, base.vectors, strict=True))
        ]
    )
    words, nearest = InMemoryBM25Retriever(store, top_k=PHRASES), InMemoryEmbeddingRetriever(store, top_k=PHRASES)
    joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion")

    def ask(question: str) -> Iterable[str]:
        by_words = words.run(query=question)["documents"]
        by_meaning = nearest.run(query_embedding=base.query(question).tolist())["documents"]
        return (document.meta["entry"] for document in joiner.run(documents=[by_words, by_meaning])["documents"])

    return ask


def plain(base: Base) -> Ask:
    index = faiss.IndexFlatIP(base.vectors.shape[1])
    index.add(base.vectors)

    def ask(question: str) -> Iterable[str]:
        _, numbers = index.search(base.query(question)[None], PHRASES)
        return (base.phrases[number].entry_id for number in numbers[0])

    return ask


def bm25(base: Base) -> Ask:
    def words(text: str) -> list[str]:
        return re.findall(r"\w+", text.lower())

    index = bm25s.BM25()
    index.index([words(phrase.text) for phrase in base.phrases], show_progress=False)

    def ask(question: str) -> Iterable[str]:
        scores = index.get_scores(words(question))
        return (base.phrases[number].entry_id for number in np.argsort(-scores, kind="stable")[:PHRASES])

    return ask


def ours(assistant: Assistant) -> Ask:
    day = Settings().day(assistant.kb)

    def ask(question: str) -> Iterable[str]:
        return (ranked.entry.id for ranked in assistant.ask(question, day).answers)

    return ask


def rank(kb: KnowledgeBase, question: Asked, found: Iterable[str]) -> int | None:
    """Place of a right entry, or of what it took the place of, from 1."""
    right = set(question.expect or ())
    right |= {entry.id for entry in kb if (today := kb.on_day(entry.id, _day(kb, question))) and today.id in right}
    return next((place for place, entry in enumerate(dict.fromkeys(found), 1) if entry in right), None)


def _day(kb: KnowledgeBase, question: Asked) -> Any:
    return question.day or kb.about.edition


def measured(name: str, ask: Ask, kb: KnowledgeBase, questions: list[Asked]) -> dict[str, Any]:
    list(ask("разогрев"))
    times, ranks = [], []
    for question in questions:
        start = perf_counter()
        found = list(ask(question.text))
        times.append(perf_counter() - start)
        ranks.append(rank(kb, question, found))
    hits = {f"hit@{most}": Share.of(place is not None and place <= most for place in ranks).record() for most in (1, 3)}
    mrr = round(float(np.mean([1 / place if place else 0.0 for place in ranks])), 3)
    return {"peer": name, **hits, "MRR": mrr, **percentiles(times)}


def main() -> None:
    settings = Settings()
    assistant, _ = open_assistant(settings)
    base = Base(assistant.index.phrases, assistant.index.vectors(), packed_model())
    assistant.encoder = load_encoder(settings.model)  # with nothing cached
    questions = [question for question in load_questions(Half.JUDGE) if question.expect]
    peers = {"ours": partial(ours, assistant)} | {
        name: partial(make, base)
        for name, make in {
            "txtai, hybrid": txtai,
            "Haystack, BM25 and embeddings": haystack,
            "sentence-transformers and FAISS": plain,
            "BM25 alone": bm25,
        }.items()
    }
    results = [measured(name, make(), assistant.kb, questions) for name, make in peers.items()]
    first = results[0]["p50_ms"]
    head = ("same base, model and questions", "hit@1", "hit@3", "MRR", "p50, ms", "p95, ms", "p50, ours is 1")
    lines = [
        (
            each["peer"], each["hit@1"]["value"], each["hit@3"]["value"], each["MRR"], each["p50_ms"], each["p95_ms"],
            f"{each['p50_ms'] / first:.2f} ×",
        )
        for each in results
    ]  # fmt: skip
    publish("peers", {**stamp(), "questions": len(questions), "peers": results}, rows(head, lines))
    Console().print_json(data=results)


if __name__ == "__main__":
    main()
