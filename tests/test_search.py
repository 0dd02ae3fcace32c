"""Dense search against a plain matrix product, the sum against arithmetic done by hand, and words that were edited."""

import numpy as np
import pytest
from conftest import AxisEncoder, entry, tiny_assistant

from index import Hit, Phrase, Reader, SearchIndex, load_calibration
from index.confidence import features
from index.search import fuse

NAN = float("nan")


def test_dense_search_is_the_matrix_product_also_for_vectors_that_are_not_of_unit_length() -> None:
    numbers = np.arange(1, 61, dtype=np.float32).reshape(20, 3)
    vectors = np.concatenate([numbers, 61 - numbers[::-1] * 0.5]).astype(np.float32)
    phrases = [Phrase(f"e{number}", f"фраза {number}") for number in range(len(vectors))]
    index = SearchIndex(phrases, vectors, Reader([]))
    asked = np.array([2.0, -1.0, 0.5], dtype=np.float32)
    np.testing.assert_allclose(index.dense(asked), vectors @ asked, rtol=1e-6)


def test_the_sum_is_the_one_done_by_hand() -> None:
    dense = np.array([0.90, 0.80, NAN, 0.85], dtype=np.float32)
    lexical = np.array([0.0, 4.0, 2.0, 0.0], dtype=np.float32)
    exact = np.array([False, False, False, True])
    # cosine over 0.80..0.90; half of BM25 over its best, 4.0; and 1 for the exact match
    expected = [1.0 + 0 + 0, 0.0 + 0.5 + 0, 0.0 + 0.25 + 0, 0.5 + 0 + 1]
    np.testing.assert_allclose(fuse(dense, lexical, exact), expected, atol=1e-5)


def test_a_sum_without_any_lexical_match_or_spread_is_finite() -> None:
    same = np.array([0.9, 0.9], dtype=np.float32)
    assert np.isfinite(fuse(same, np.zeros(2, dtype=np.float32), np.zeros(2, dtype=bool))).all()


def test_the_best_phrase_decides_for_its_entry_and_each_entry_comes_once() -> None:
    assistant = tiny_assistant(
        entry(
            "a", question="Где прививка?", variants=["код", "врач", "код врач", "врач код прививка", "больничный код"]
        ),
        entry("b", question="Где больничный?", variants=["больничный врач", "лист", "ангина", "справка", "бланк"]),
    )
    reading = assistant.index.reader.read("больничный врач")
    hits = assistant.index.search(reading, assistant.encode(reading))
    assert [hit.entry_id for hit in hits] == ["b", "a"]
    assert hits[0].phrase == "больничный врач"
    assert hits[0].exact
    assert hits[0].dense == pytest.approx(1.0, abs=1e-6)
    assert hits[0].overlap == 1.0


@pytest.mark.parametrize("typed", ["БОЛЬНИЧНЫЙ, врач!", ",jkmybxysq dhfx"])
def test_an_exact_match_counts_whatever_its_case_marks_and_layout(typed: str) -> None:
    assistant = tiny_assistant(entry("b", question="Больничный врач?"), entry("a"))
    reading = assistant.index.reader.read(typed)
    assert assistant.index.search(reading, assistant.encode(reading))[0].exact


def test_an_edited_entry_is_found_by_its_new_words_and_not_by_its_old_ones() -> None:
    other = entry("other", question="Где прививка?", variants=["укол", "вакцина", "спутник", "лайт", "доза"])
    before = tiny_assistant(entry("mine", variants=["ангина", "два", "три", "четыре", "пять"]), other)
    after = tiny_assistant(entry("mine", variants=["пневмония", "два", "три", "четыре", "пять"]), other)

    def lexical(assistant, word: str) -> float:  # type: ignore[no-untyped-def]
        return float(assistant.index.lexical(assistant.index.reader.read(word)).max())

    assert lexical(before, "ангина") > 0 == lexical(before, "пневмония")
    assert lexical(after, "пневмония") > 0 == lexical(after, "ангина")


def hit(entry_id: str = "a", score: float = 1.5, dense: float = 0.9, **changes: float) -> Hit:
    return Hit(**{"phrase": "", "lexical": 3.0, "exact": False, "overlap": 0.5, **changes}, **{  # type: ignore[arg-type]
        "entry_id": entry_id, "score": score, "dense": dense,
    })  # fmt: skip


def test_the_features_of_confidence_are_those_worked_out_by_hand() -> None:
    ranked = [hit(), hit("b", score=1.1, dense=0.88, lexical=1.0)]
    np.testing.assert_allclose(features(ranked), [0.5, 0.4, 0.5, 1.0, 0.0])
    np.testing.assert_allclose(features([hit(exact=True)]), [0.5, 1.0, 0.5, 1.0, 1.0])
    np.testing.assert_allclose(features([hit(), hit("b", score=1.1, lexical=9.0)]), [0.5, 0.4, 0.5, 0.0, 0.0])


def test_no_hit_means_no_confidence_and_more_of_everything_means_more() -> None:
    calibration = load_calibration()
    assert calibration.probability([]) == 0.0
    weak = calibration.probability([hit(overlap=0.0, dense=0.8), hit("b", score=1.49, dense=0.8)])
    strong = calibration.probability([hit(overlap=1.0, dense=0.97, exact=True), hit("b", score=0.6, dense=0.85)])
    assert 0 < weak < strong < 1


def test_the_bundled_model_gives_unit_vectors_that_put_like_with_like(shipped) -> None:  # type: ignore[no-untyped-def]
    texts = ["как продлить больничный", "продление листка нетрудоспособности", "расписание поездов на Казань"]
    vectors = shipped.encoder.encode_document(texts)
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.02


def test_a_recent_question_is_not_encoded_again() -> None:
    from index.encoder import SentenceEncoder

    class Model:
        calls = 0

        def encode_query(self, texts: list[str], **_: object) -> np.ndarray:
            Model.calls += len(texts)
            return AxisEncoder().encode_query(texts)

    encoder = SentenceEncoder("m", Model(), remember=2)
    first = encoder.encode_query(["код", "врач", "код"])
    assert Model.calls == 2
    np.testing.assert_array_equal(encoder.encode_query(["код"])[0], first[0])
    assert Model.calls == 2
    encoder.encode_query(["прививка"])
    encoder.encode_query(["врач"])
    assert Model.calls == 4
