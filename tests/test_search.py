"""Dense search against a plain matrix product, the sum against arithmetic done by hand, and words that were edited."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic, sleep

import numpy as np
import pytest
from conftest import AxisEncoder, entry, tiny_assistant

from index import Hit, Level, Phrase, Reader, SearchIndex, load_calibration
from index.confidence import FEATURES, Chance, features
from index.search import fuse, scaled, standard

EVEN = {"dense": 1.0, "lexical": 0.5, "wording": 0.25, "discriminant": 0.0, "exact": 10.0}


def test_dense_search_is_the_matrix_product_also_for_vectors_that_are_not_of_unit_length() -> None:
    numbers = np.arange(1, 61, dtype=np.float32).reshape(20, 3)
    vectors = np.concatenate([numbers, 61 - numbers[::-1] * 0.5]).astype(np.float32)
    phrases = [Phrase(f"e{number // 2}", f"фраза {number}") for number in range(len(vectors))]
    index = SearchIndex(phrases, vectors, Reader([]), EVEN)
    asked = np.array([2.0, -1.0, 0.5], dtype=np.float32)
    np.testing.assert_allclose(index.dense(asked), vectors @ asked, rtol=1e-6)


def test_the_sum_is_the_one_done_by_hand() -> None:
    signals = {
        "dense": scaled(np.array([0.90, 0.80, 0.85])),
        "lexical": scaled(np.array([0.0, 4.0, 2.0])),
        "wording": standard(np.array([1.0, 2.0, 3.0])),
        "discriminant": standard(np.array([9.0, -9.0, 0.0])),
        "exact": np.array([0.0, 0.0, 1.0]),
    }
    spread = (2 / 3) ** 0.5  # the deviation of 1, 2, 3
    expected = [1 + 0 - 0.25 / spread + 0, 0 + 0.5 * 1 + 0 + 0, 0.5 + 0.5 * 0.5 + 0.25 / spread + 10]
    np.testing.assert_allclose(fuse(signals, EVEN), expected, atol=1e-6)


def test_searches_that_cannot_tell_add_nothing() -> None:
    same = np.full(3, 0.7)
    assert scaled(same).tolist() == standard(same).tolist() == [0, 0, 0]


def test_the_discriminant_is_the_one_worked_out_by_hand() -> None:
    # Two entries, means (1, 0) and (-1, 0), each spread evenly in both directions: the covariance is a sphere of
    # 2 * 0.25 / 4 = 0.125, shrunk or not, so the log-likelihoods of x differ by (2, 0) x / 0.125.
    vectors = np.array([[1.5, 0], [0.5, 0], [1, 0.5], [1, -0.5], [-0.5, 0], [-1.5, 0], [-1, 0.5], [-1, -0.5]])
    phrases = [Phrase("ab"[number // 4], f"фраза {number}") for number in range(8)]
    index = SearchIndex(phrases, vectors.astype(np.float32), Reader([]), EVEN)
    for asked in ([0.3, 0.9], [-1.0, 2.0]):
        first, second = index.discriminant(np.array(asked, dtype=np.float32))
        assert first - second == pytest.approx(2 * asked[0] / 0.125, rel=1e-4)


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
    assert hits[0].signals["exact"] == 1
    assert hits[0].cosine == pytest.approx(1.0, abs=1e-6)
    assert hits[0].overlap == 1.0


@pytest.mark.parametrize("typed", ["БОЛЬНИЧНЫЙ, врач!", ",jkmybxysq dhfx"])
def test_an_exact_match_counts_whatever_its_case_marks_and_layout(typed: str) -> None:
    assistant = tiny_assistant(entry("b", question="Больничный врач?"), entry("a"))
    reading = assistant.index.reader.read(typed)
    assert assistant.index.search(reading, assistant.encode(reading))[0].signals["exact"]


def test_an_edited_entry_is_found_by_its_new_words_and_not_by_its_old_ones() -> None:
    other = entry("other", question="Где прививка?", variants=["укол", "вакцина", "спутник", "лайт", "доза"])
    before = tiny_assistant(entry("mine", variants=["ангина", "два", "три", "четыре", "пять"]), other)
    after = tiny_assistant(entry("mine", variants=["пневмония", "два", "три", "четыре", "пять"]), other)

    def lexical(assistant, word: str) -> float:  # type: ignore[no-untyped-def]
        return float(assistant.index.lexical(assistant.index.reader.read(word)).max())

    assert lexical(before, "ангина") > 0 == lexical(before, "пневмония")
    assert lexical(after, "пневмония") > 0 == lexical(after, "ангина")


def hit(
    score: float, cosine: float = 0.9, overlap: float = 0.5, coverage: float = 0.7, known: float = 1.5, **signals: float
) -> Hit:
    given = {"dense": 0.0, "lexical": 0.0, "wording": 0.0, "discriminant": 0.0, "exact": 0.0, **signals}
    return Hit("a", "фраза", score, given, cosine, overlap, coverage, 0.9, known)


def test_the_features_of_confidence_are_those_worked_out_by_hand() -> None:
    first, second = hit(1.5, dense=1.0, wording=3.0, discriminant=2.0), hit(1.1, lexical=1.0, discriminant=2.5)
    np.testing.assert_allclose(features([first, second]), [0.5, 0.4, 0.5, 0.7, 0.9, 2.0, 3.0, 2 / 4, 1.5, 0.0])
    np.testing.assert_allclose(
        features([hit(1.5, cosine=0.8, exact=1.0)]), [-0.5, 1.5, 0.5, 0.7, 0.9, 0.0, 0.0, 0.0, 1.5, 1.0]
    )


def test_no_hit_means_no_confidence_and_more_of_everything_means_more() -> None:
    calibration = load_calibration()
    assert calibration.level([]) is Level.NONE
    weak = [
        hit(1.5, cosine=0.8, overlap=0.0, coverage=0.0, known=-3.0, dense=0.5, discriminant=1.0),
        hit(1.49, cosine=0.8, lexical=1.0),
    ]
    strong = [
        hit(9.0, 0.97, 1.0, 1.0, 4.0, dense=1.0, lexical=1.0, wording=9.0, discriminant=6.0, exact=1.0),
        hit(2.0, cosine=0.85, overlap=0.2),
    ]
    for chance in (calibration.right, calibration.answerable):
        assert chance.of([]) == 0
        assert 0 < chance.of(weak) < chance.of(strong) < 1
    assert (calibration.level(weak), calibration.level(strong)) == (Level.NONE, Level.SURE)


def test_a_chance_is_the_logistic_function_of_the_weighted_features() -> None:
    chance = Chance({**dict.fromkeys(FEATURES, 0.0), "overlap": 2.0, "coverage": -1.0}, bias=0.5)
    assert chance.of([hit(1.0)]) == pytest.approx(1 / (1 + np.exp(-(0.5 + 2 * 0.5 - 0.7))))


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


class Slow:
    """A model that goes on only when told to, and remembers what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = Event()

    def encode_query(self, texts: list[str], **_: object) -> np.ndarray:
        self.batches.append(texts)
        assert self.go.wait(10)
        if "беда" in texts:
            raise RuntimeError("engine gone")
        return AxisEncoder().encode_query(texts)


def test_the_model_works_on_as_many_calls_as_it_has_lanes_and_once_on_the_same_question() -> None:
    from index.encoder import SentenceEncoder

    model = Slow()
    encoder = SentenceEncoder("m", model, lanes=2)
    with ThreadPoolExecutor(5) as volunteers:
        asked = ["код", "врач", "код", "прививка", "врач"]
        vectors = [volunteers.submit(encoder.encode_query, [text]) for text in asked]
        _until(lambda: len(model.batches) == 2 and len(encoder._recent) == 3)
        model.go.set()
        for text, vector in zip(asked, vectors, strict=True):
            np.testing.assert_array_equal(vector.result(10), AxisEncoder().encode_query([text]))
    assert sorted(model.batches) == [["врач"], ["код"], ["прививка"]]


def test_an_interrupted_question_leaves_nobody_waiting() -> None:
    from index.encoder import SentenceEncoder

    class Interrupted(Slow):
        def encode_query(self, texts: list[str], **_: object) -> np.ndarray:
            self.batches.append(texts)
            if len(self.batches) == 1:
                assert self.go.wait(10)
                raise KeyboardInterrupt
            return AxisEncoder().encode_query(texts)

    model = Interrupted()
    encoder = SentenceEncoder("m", model)
    with ThreadPoolExecutor(2) as volunteers:
        asked = [volunteers.submit(encoder.encode_query, ["код"]) for _ in range(2)]
        _until(lambda: len(model.batches) == 1)
        model.go.set()
        assert all(isinstance(one.exception(10), KeyboardInterrupt) for one in asked)
    np.testing.assert_array_equal(encoder.encode_query(["код"]), AxisEncoder().encode_query(["код"]))


def test_a_fault_of_the_model_reaches_those_who_asked_and_the_next_question_is_tried_anew() -> None:
    from index.encoder import SentenceEncoder

    model = Slow()
    model.go.set()
    encoder = SentenceEncoder("m", model)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="engine gone"):
            encoder.encode_query(["беда"])
    assert encoder.encode_query(["код"]).shape[0] == 1
    assert len(model.batches) == 3


def _until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 10
    while not condition():
        assert monotonic() < deadline
        sleep(0.005)


def test_a_big_base_is_searched_by_cells_and_finds_the_same_nearest_phrase(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(1).normal(size=(900, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    phrases = [Phrase(f"e{number // 3}", f"фраза {number}") for number in range(900)]
    exact = SearchIndex(phrases, vectors, Reader([]), EVEN).dense(vectors[7])
    monkeypatch.setattr("index.search.MANY", 500)
    monkeypatch.setattr("index.search.CELLS", 40)
    by_cells = SearchIndex(phrases, vectors, Reader([]), EVEN).dense(vectors[7])
    assert int(np.argmax(by_cells)) == int(np.argmax(exact)) == 7
    nearest = np.argsort(-exact)[:10]
    np.testing.assert_allclose(by_cells[nearest], exact[nearest], rtol=1e-5)
