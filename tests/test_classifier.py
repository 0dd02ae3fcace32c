"""What a question sounds like: chances that can be checked, telling words, and examples that count."""

import numpy as np
import pytest

from assistant.examples import examples_of, heard, known_or_not
from index import Classifier, Reader
from index.classifier import NEAREST, NEARNESS
from kb import Route, Urgency, load

CALLS = {
    "ребёнок проглотил батарейку": "скорая",
    "ребёнок проглотил магнит": "скорая",
    "муж проглотил уксус": "скорая",
    "как продлить больничный": None,
    "где продлить больничный": None,
    "когда закроют больничный": None,
}
READER = Reader(CALLS)
EAST, NORTH = np.eye(2, dtype=np.float32)


@pytest.fixture
def classifier() -> Classifier[str | None]:
    readings = [READER.read(call) for call in CALLS]
    vectors = np.stack([EAST if label else NORTH for label in CALLS.values()])
    return Classifier(readings, vectors, list(CALLS.values()))


def test_chances_add_up_to_one_and_follow_words_and_vector(classifier: Classifier[str | None]) -> None:
    swallowed, extend = READER.read("проглотил монету"), READER.read("продлить больничный")
    both = classifier.chances(swallowed, EAST)
    assert sum(both.values()) == pytest.approx(1)
    assert both["скорая"] > classifier.chances(swallowed, NORTH)["скорая"] > classifier.chances(extend, NORTH)["скорая"]


def test_chances_are_those_of_scikit_learn_times_those_of_the_nearest_examples() -> None:
    labels = ["скорая", "скорая", "врач", None, None, "врач"]
    readings = [READER.read(call) for call in CALLS]
    vectors = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    for some in (labels, [label is None for label in labels]):
        classifier = Classifier(readings, vectors, some)
        asked = READER.read("муж проглотил больничный"), np.array([0.5, -1, 0.2], dtype=np.float32)
        words = classifier._tfidf.transform([asked[0]])
        by_line = classifier._model.predict_proba(classifier._joined(asked[1][None], words))[0]
        cosines = {
            label: sorted(v @ asked[1] for v, each in zip(vectors, some, strict=True) if each == label)
            for label in some
        }
        nearest = np.array([np.mean(cosines[label][-NEAREST:]) for label in classifier.labels])
        expected = by_line * np.exp(NEARNESS * (nearest - nearest.max()))
        expected /= expected.sum()
        assert list(classifier.chances(*asked).values()) == pytest.approx(list(expected), rel=1e-5)


def test_the_telling_words_are_those_of_the_label(classifier: Classifier[str | None]) -> None:
    reading = READER.read("здравствуйте мой сын проглотил монету")
    words = [reading.tokens[number].word for number in classifier.telling(reading, "скорая")]
    assert "проглотил" in words
    assert "здравствуйте" not in words


def test_where_no_word_tells_the_whole_question_is_shown(classifier: Classifier[str | None]) -> None:
    reading = READER.read("помогите нам")
    assert classifier.telling(reading, "скорая") == [0, 1]


def test_the_examples_of_the_base_cover_every_route_and_no_call_has_two() -> None:
    kb = load()
    taken = list(examples_of(kb))
    of_flag = {call: label for call, label in taken if label}
    assert set(of_flag.values()) == {(card.route, card.urgency) for card in kb.flag.routes}
    assert not set(of_flag) & {call for call, label in taken if label is None}
    assert ("муж потерял сознание второй раз за утро", (Route.EMERGENCY, Urgency.NOW)) in taken


def test_phrasings_of_an_entry_that_may_need_a_specialist_do_not_teach_that_it_needs_none() -> None:
    kb = load()
    doubtful = {question for entry in kb if entry.specialist for question in heard(entry)}
    doubtful -= {call for example in kb.flag.examples for call in example.calls}
    assert len(doubtful) > 1000
    assert not doubtful & {call for call, _ in examples_of(kb)}


def test_what_the_base_does_not_answer_is_not_among_its_questions() -> None:
    answered: dict[bool, set[str]] = {True: set(), False: set()}
    for question, known in known_or_not(load()):
        answered[known].add(question.lower())
    assert len(answered[False]) > 300
    assert not answered[True] & answered[False]
