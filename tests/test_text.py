"""What volunteers type and how it is read."""

import pytest
from conftest import DAY, AxisEncoder, base_of, entry
from hypothesis import given
from hypothesis import strategies as st

from assistant.answer import Assistant
from assistant.build import reader_of
from index import Reader
from index.text import from_layout, from_translit
from kb import Word

PHRASES = [
    "как продлить больничный если врач не пришёл",
    "сколько действует qr-код после прививки",
    "где сделать прививку от коронавируса",
    "у мужа температура и он задыхается",
    "вызвать скорую помощь для ребёнка",
]
LEXICON = [
    Word(word="б/л", means="больничный", example="продлить б/л"),
    Word(word="куар", means="qr-код", example="куар"),
]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(PHRASES, LEXICON)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("Как ПРОДЛИТЬ больничный?", "как продлить больничный"),
        ("rfr ghjlkbnm ,jkmybxysq", "как продлить больничный"),
        ("Rfr ghjlkbnm ,jkmybxysq?", "как продлить больничный"),
        ("e ve;f ntvgthfnehf b jy pflsftncz", "у мужа температура и он задыхается"),
        ("kak prodlit bolnichny", "как продлит больничный"),
        ("kak prodlit' bol'nichnyj", "как продлить больничный"),
        ("rfr ghjlkbnm d gjkbrkbybrt", "как продлить в поликлинике"),
        ("muzh zadyhaetsya", "муж задыхается"),
        ("прадлить балничный", "продлить больничный"),
        ("продлить болничный", "продлить больничный"),
        ("задыхаеться", "задыхается"),
        ("какпродлитьбольничный", "как продлить больничный"),
        ("продлить б/л", "продлить больничный"),
        ("куар после прививки", "qr код после прививки"),
        ("йк-код после прививки", "qr код после прививки"),
        ("гололёд на улице", "гололед на улице"),
        ("how do I extend", "how do i extend"),
        ("", ""),
    ],
)
def test_typed_words_are_read_as_meant(reader: Reader, typed: str, read: str) -> None:
    assert reader.read(typed).words == read


def test_a_word_that_russian_knows_is_never_changed(reader: Reader) -> None:
    assert reader.read("прививки привычки продлить продлеть").words.split()[:3] == ["прививки", "привычки", "продлить"]


def test_each_word_keeps_the_place_it_was_typed_at(reader: Reader) -> None:
    typed = "Алло,   у мужа ntvgthfnehf!"
    places = [typed[token.start : token.end] for token in reader.read(typed).tokens]
    assert places == ["Алло", "у", "мужа", "ntvgthfnehf!"]


def test_all_parses_count_and_numbers_are_digits(reader: Reader) -> None:
    assert reader.read("стали").tokens[0].lemmas[:2] in [("стать", "сталь"), ("сталь", "стать")]
    assert reader.read("седьмой день").terms[0] == reader.read("7 день").terms[0] == "7"


def test_filler_is_dropped_unless_nothing_else_is_left(reader: Reader) -> None:
    assert reader.read("здравствуйте подскажите пожалуйста как продлить").terms[-1] == "продлить"
    assert "как" not in reader.read("как продлить").terms
    assert reader.read("а как").terms


@pytest.mark.parametrize("russian", ["продлить больничный", "объём", "жёлтый хвост"])
def test_the_layout_and_translit_maps_agree_with_the_keyboard(russian: str) -> None:
    keys = dict(zip("йцукенгшщзхъфывапролджэячсмитьбюё", "qwertyuiop[]asdfghjkl;'zxcvbnm,.`", strict=True))
    assert from_layout("".join(keys.get(char, char) for char in russian)) == russian
    assert from_translit("shchuka") == "щука"


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    reading = Reader(PHRASES, LEXICON).read(text)
    assert all(0 <= token.start < token.end <= len(text) for token in reading.tokens)


@pytest.mark.parametrize("part", ["а", "x", "слово ", "qwe ", "([{", "-"])
def test_a_very_long_text_is_read(reader: Reader, part: str) -> None:
    text = part * (100_000 // len(part))  # what grows with the square of the length would hang here
    assert all(0 <= token.start < token.end <= len(text) for token in reader.read(text).tokens)


def test_an_answer_says_how_a_repaired_question_was_understood() -> None:
    kb = base_of(entry())
    assert reader_of(kb).read("продлить больничный").changed is False
    from assistant.build import build_assistant

    assistant: Assistant = build_assistant(kb, AxisEncoder())[0]
    assert assistant.ask("ghjlkbnm ,jkmybxysq", DAY).understood == "продлить больничный"
