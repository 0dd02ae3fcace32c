"""Coverage figures by hand, and the three kinds of file."""

import csv
from pathlib import Path

import openpyxl
import pytest
from conftest import DAY, entry

from assistant.answer import Answer, Ranked
from assistant.coverage import CoverageError, Item, Question, read_questions, summary
from assistant.specialist import Flag
from index import Level
from kb import ContentError, Route, Urgency, load

CARDS = load().flag


def item(found: str, expect: str | None, level: Level = Level.CHECK, route: str = "", flag: str = "") -> Item:
    """`found` and `expect`: entry ids as letters, best first; `route` and `flag`: what is due and what was raised."""
    urgency = Urgency.NOW if route == "emergency" else None
    question = Question(
        text="?", expect=None if expect is None else tuple(expect), route=route or None, urgency=urgency
    )
    raised = None
    if flag:
        kind = Urgency.NOW if flag == "emergency" else Urgency.TRANSFER
        raised = Flag(CARDS.card(Route(flag), kind), "правило", "причина", (), "")
    answers = tuple(Ranked(entry(letter), letter, 1.0) for letter in found)
    return Item(question, Answer("?", DAY, level, raised, answers), 0.01)


def test_the_figures_are_those_counted_by_hand() -> None:
    figures = summary(
        [
            item("abc", "a", Level.SURE, "none"),
            item("bac", "a", Level.SURE, "none", "doctor"),
            item("bcdea", "a", Level.NONE),
            item("bcd", "a"),
            item("bca", "ax"),
            item("a", "", Level.NONE),
            item("a", "", Level.CHECK),
            item("a", None, route="emergency", flag="emergency"),
            item("a", None, route="emergency", flag="doctor"),
            item("a", None, route="doctor"),
        ]
    )
    assert figures["questions"] == 10
    assert figures["hit@1"] == {"value": 0.2, "count": 1, "of": 5}
    assert figures["hit@3"] == {"value": 0.6, "count": 3, "of": 5}
    assert figures["hit@5"] == {"value": 0.8, "count": 4, "of": 5}
    assert figures["MRR@10"] == {"value": round((1 + 1 / 2 + 1 / 5 + 0 + 1 / 3) / 5, 4), "of": 5}
    assert figures["abstention"] == {
        "refused": {"value": 0.5, "count": 1, "of": 2},
        "not_sure": {"value": 1.0, "count": 2, "of": 2},
        "wrongly_refused": {"value": 0.2, "count": 1, "of": 5},
        "sure_and_right": {"value": 0.5, "count": 1, "of": 2},
    }
    assert figures["flag"] == {
        "flagged": {"value": 0.6667, "count": 2, "of": 3},
        "right_route": {"value": 0.3333, "count": 1, "of": 3},
        "now_recall": {"value": 0.5, "count": 1, "of": 2},
        "false_flags": {"value": 0.5, "count": 1, "of": 2},
    }


def test_what_was_not_asked_has_no_value() -> None:
    assert summary([item("a", "a")])["flag"]["flagged"] == {"value": None, "count": 0, "of": 0}


ROWS = [
    {"id": "q1", "text": "как продлить", "expect": "sick-leave-extend, sick-leave-close", "route": "", "urgency": ""},
    {"id": "q2", "text": "билет в Сочи", "expect": "", "route": "", "urgency": ""},
    {"id": "", "text": "задыхается", "expect": "", "route": "emergency", "urgency": "now"},
]
READ = [
    Question(id="q1", text="как продлить", expect=("sick-leave-extend", "sick-leave-close")),
    Question(id="q2", text="билет в Сочи", expect=()),
    Question(id="3", text="задыхается", route=Route.EMERGENCY, urgency=Urgency.NOW),
]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv(tmp_path: Path, delimiter: str, encoding: str) -> None:
    path = tmp_path / "q.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, ROWS[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    assert read_questions(path) == READ


def test_xlsx(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(list(ROWS[0]))
    for row in ROWS:
        book.active.append(list(row.values()))
    book.save(tmp_path / "q.xlsx")
    assert read_questions(tmp_path / "q.xlsx") == READ


def test_yaml(tmp_path: Path) -> None:
    path = tmp_path / "q.yaml"
    path.write_text(
        "- {id: q1, text: как продлить, expect: [sick-leave-extend, sick-leave-close]}\n"
        "- {id: q2, text: билет в Сочи, expect: []}\n"
        "- {text: задыхается, route: emergency, urgency: now, style: clean}\n",
        encoding="utf-8",
    )
    assert read_questions(path) == READ


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.csv", "id,вопрос\n1,как\n", "row 1: text: Field required"),
        ("q.yaml", "- {text: как, route: врач}", "«врач» is not a route"),
        ("q.yaml", "text: как", "expected a list of rows"),
        ("q.yaml", "- [", "broken YAML"),
        ("q.csv", "text\n", "no questions"),
        ("q.txt", "как", "unknown kind of file"),
        ("q.xlsx", "not a book", "cannot be read as XLSX"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises((CoverageError, ContentError), match=message):
        read_questions(tmp_path / name)
