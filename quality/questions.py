"""The project's own questions, each in one of two halves: `fit` to learn from, `judge` to measure with.

questions.yaml asks for answers, flags.yaml for the flag. Nothing is ever fitted, and no rule or variant is ever
written, on `judge`.
"""

from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter

from assistant.coverage import Question
from kb import read_yaml

HERE = Path(__file__).parent
QUESTIONS = HERE / "questions.yaml"
FLAGS = HERE / "flags.yaml"


class Half(StrEnum):
    FIT = "fit"
    JUDGE = "judge"


class Asked(Question):
    """A question with its half and the style it is typed in (clean, spoken, hurried, misspelt, layout, translit,
    rambling). `near`: a near miss, close to the base but without an answer in it. `category`: of a call for the flag,
    ordinary and hard among them."""

    half: Half
    style: str
    near: bool = False
    category: str = ""


def load_questions(half: Half | None = None, path: Path = QUESTIONS) -> list[Asked]:
    """Questions of one half, or all."""
    asked = TypeAdapter(list[Asked]).validate_python(read_yaml(path))
    return [question for question in asked if half is None or question.half is half]
