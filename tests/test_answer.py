"""The whole way of a question: days, levels, faults, and text that nobody should have typed."""

from datetime import date

import pytest
from conftest import DAY, AxisEncoder, entry, tiny_assistant

from assistant import wording
from assistant.answer import Assistant, Ranked, between_which
from index import Level
from kb import Route

AFTER_QR = date(2022, 3, 4)

BAD_INPUT = [
    "а",
    "?",
    "12345",
    "🙏🏽🤒",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\0больничный\0",
    "\ud800больничный\udfff",
    "'; DROP TABLE entries; --",
    "{{ 7*7 }} ${7*7}",
    "how to extend my sick leave",
    "如何延长病假",
    "\u202eйынчиньлоб",
    "больничный\r\n\t" * 50,
    "(((((((((((((" * 100,
]


class TestTheShippedBase:
    def test_a_qr_code_is_valid_for_a_year_on_the_day_of_the_edition(self, shipped: Assistant) -> None:
        answer = shipped.ask("сколько действует qr-код после прививки", DAY)
        assert answer.answers[0].entry.id == "qr-validity-vaccinated"
        assert "двенадцать месяцев" in answer.answers[0].entry.say
        assert answer.answers[0].instead_of is None
        assert answer.level is Level.SURE

    def test_and_is_no_longer_asked_for_after_the_rule_has_ended(self, shipped: Assistant) -> None:
        answer = shipped.ask("сколько действует qr-код после прививки", AFTER_QR)
        assert answer.answers[0].entry.id == "qr-cancelled"
        assert answer.answers[0].instead_of is not None
        assert answer.answers[0].instead_of.id == "qr-validity-vaccinated"

    @pytest.mark.parametrize("day", [date(2020, 1, 1), DAY, AFTER_QR, date(2030, 1, 1)])
    def test_nothing_expired_or_not_yet_valid_is_ever_shown(self, shipped: Assistant, day: date) -> None:
        for question in ("qr-код", "больничный по ковиду", "карантин", "прививка", "поликлиника"):
            assert all(ranked.entry.in_force(day) for ranked in shipped.ask(question, day).answers)

    @pytest.mark.parametrize("text", BAD_INPUT, ids=ascii)
    def test_bad_input_gets_an_ordinary_answer(self, shipped: Assistant, text: str) -> None:
        answer = shipped.ask(text, DAY)
        assert answer.answers or answer.sentence
        assert answer.warning == ""
        assert answer.sentence != wording.SEARCH_FAILED

    def test_most_bad_input_has_no_sure_answer(self, shipped: Assistant) -> None:
        sure = [text for text in BAD_INPUT if shipped.ask(text, DAY).level is Level.SURE]
        assert sure == []

    def test_another_subject_is_not_answered(self, shipped: Assistant) -> None:
        answer = shipped.ask("как испечь яблочный пирог", DAY)
        assert answer.level is Level.NONE
        assert answer.sentence == wording.NO_ANSWER


class TestATinyBase:
    assistant = tiny_assistant(entry("a"), entry("b", question="Где прививка?", variants=list("деёжз")))

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", wording.EMPTY),
            ("  \n\t ", wording.EMPTY),
            ("123", wording.NO_WORDS),
            ("?!…", wording.NO_WORDS),
            ("слово " * 2_000, wording.TOO_LONG),
        ],
    )
    def test_what_is_no_question_gets_a_sentence(self, text: str, sentence: str) -> None:
        answer = self.assistant.ask(text, DAY)
        assert (answer.sentence, answer.level, answer.answers) == (sentence, Level.NONE, ())

    def test_even_a_text_that_is_too_long_is_checked_for_danger(self) -> None:
        answer = self.assistant.ask("слово " * 1_000 + "и он задыхается", DAY)
        assert answer.flag is not None
        assert answer.flag.route is Route.EMERGENCY

    def test_a_fault_in_search_hides_no_flag(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("index gone")

        monkeypatch.setattr(self.assistant.index, "search", fail)
        answer = self.assistant.ask("муж задыхается", DAY)
        assert answer.flag is not None
        assert answer.flag.route is Route.EMERGENCY
        assert answer.sentence == wording.SEARCH_FAILED

    def test_a_fault_in_the_model_hides_no_flag(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(type(self.assistant.encoder), "encode_query")
        answer = self.assistant.ask("муж задыхается", DAY)
        assert answer.flag is not None
        assert answer.sentence == wording.SEARCH_FAILED

    def test_a_fault_in_the_flag_says_to_check_by_hand_and_still_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("rules gone")

        monkeypatch.setattr(self.assistant.specialist, "flag", fail)
        answer = self.assistant.ask("продлить больничный", DAY)
        assert answer.warning == wording.FLAG_FAILED
        assert answer.answers

    def test_a_question_is_never_written_to_the_log(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("index gone")

        monkeypatch.setattr(self.assistant.index, "search", fail)
        self.assistant.ask("меня зовут Пётр Ильич, телефон 8 916 123-45-67", DAY)
        assert "search failed" in caplog.text
        assert "Пётр" not in caplog.text
        assert "916" not in caplog.text


@pytest.mark.parametrize(
    ("scores", "asked_back"),
    [([9.0, 2.0, 1.0], 0), ([5.0, 4.8, 1.0], 2), ([5.0, 4.9, 4.8, 4.7], 3), ([5.0], 0), ([], 0), ([700.0, 0.0], 0)],
)
def test_the_caller_is_asked_back_where_no_answer_stands_out(scores: list[float], asked_back: int) -> None:
    answers = tuple(Ranked(entry(f"e{number}"), "фраза", score) for number, score in enumerate(scores))
    assert between_which(answers) == answers[:asked_back]


@pytest.mark.parametrize(
    ("question", "calls", "route", "also"),
    [
        ("как продлить больничный", 1, None, []),
        ("как продлить больничный", 2, Route.SENIOR, []),
        ("как продлить больничный", 3, Route.SENIOR, []),
        ("чем сбить температуру", 2, Route.DOCTOR, [Route.SENIOR]),
        ("чем сбить температуру", 3, Route.SENIOR, [Route.DOCTOR]),
        ("мама задыхается", 3, Route.EMERGENCY, [Route.SENIOR]),
    ],
)
def test_a_repeated_call_is_raised_and_then_goes_to_the_senior(
    question: str, calls: int, route: Route | None, also: list[Route]
) -> None:
    flag = tiny_assistant(entry()).ask(question, DAY, calls=calls).flag
    assert (flag.route if flag else None) is route
    assert [card.route for card in (flag.also if flag else ())] == also


def test_the_same_question_is_worked_out_once_for_each_day_and_each_way_of_reading() -> None:
    encoder = AxisEncoder()
    assistant = tiny_assistant(entry(), encoder=encoder)
    encoder.encoded.clear()
    first = assistant.ask("продлить больничный", DAY)
    assert assistant.ask(" продлить больничный ", DAY, calls=2).answers == first.answers
    assert len(encoder.encoded) == 1
    assistant.ask("продлить больничный", AFTER_QR)
    assistant.ask("продлить больничный", DAY, literally=True)
    assert len(encoder.encoded) == 4  # literally: for the search, and as it was understood for the flag


def test_an_answer_that_failed_is_worked_out_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assistant = tiny_assistant(entry())
    with monkeypatch.context() as broken:
        broken.setattr(assistant, "find", None)
        assert assistant.ask("продлить больничный", DAY).sentence == wording.SEARCH_FAILED
    assert assistant.ask("продлить больничный", DAY).answers


def test_literally_searches_for_what_was_typed() -> None:
    assistant = tiny_assistant(entry())
    assert assistant.ask("ghjlkbnm", DAY).understood == "продлить"
    assert assistant.ask("ghjlkbnm", DAY, literally=True).understood == ""


def test_a_flag_seen_by_the_rules_shows_although_the_classifier_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assistant = tiny_assistant(entry())

    class Broken:
        def chances(self, *_: object) -> None:
            raise RuntimeError("broken")

    monkeypatch.setattr(assistant.specialist, "classifier", Broken())
    answer = assistant.ask("мама задыхается", DAY)
    assert answer.flag is not None
    assert answer.flag.route is Route.EMERGENCY
    assert answer.warning
    assert answer.answers
