"""Which questions the base answers: a file of questions in, figures out."""

import csv
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any, Self
from zipfile import BadZipFile

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from index import Level
from kb import Route, Urgency, read_yaml

from .answer import Answer, Assistant
from .records import flag_record

COLUMNS = ("id", "text", "expect", "route", "urgency")


class CoverageError(Exception):
    """The file of questions cannot be used; the message says where and why."""


class Question(BaseModel):
    """One row. `expect`: ids of the right entries, empty if the base has no answer, None if not to be judged.
    `route`: the right flag, "none" for no flag, None if not to be judged. `day`: when it is asked, if that matters."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = ""
    text: str = Field(min_length=1)
    expect: tuple[str, ...] | None = None
    route: Route | str | None = None
    urgency: Urgency | None = None
    day: date | None = None

    @field_validator("id", "text", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) else value

    @field_validator("expect", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [part for part in re.split(r"[\s,;]+", value) if part] if isinstance(value, str) else value

    @field_validator("route")
    @classmethod
    def _known_route(cls, value: Route | str | None) -> Route | str | None:
        if value is None or value == "none":
            return value
        if value not in list(Route):
            raise ValueError(f"«{value}» is not a route; use none or one of {', '.join(Route)}")
        return Route(value)


@dataclass(frozen=True)
class Item:
    """One question asked."""

    question: Question
    answer: Answer
    seconds: float

    @property
    def entries(self) -> list[str]:
        return [ranked.entry.id for ranked in self.answer.answers]

    @property
    def rank(self) -> int | None:
        """Place of the first right entry, from 1; None if it is not among the answers."""
        expect = self.question.expect or ()
        return next((place for place, entry in enumerate(self.entries, 1) if entry in expect), None)

    def record(self) -> dict[str, Any]:
        return {
            "id": self.question.id,
            "text": self.question.text,
            "level": self.answer.level.value,
            "flag": flag_record(self.answer.flag),
            "answers": self.entries,
            "seconds": round(self.seconds, 5),
        }


@dataclass(frozen=True)
class Share:
    """`count` of `total`."""

    count: int
    total: int

    @classmethod
    def of(cls, results: Iterable[bool]) -> Self:
        listed = list(results)
        return cls(sum(listed), len(listed))

    @property
    def value(self) -> float | None:
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the value (Wilson 1927)."""
        if not self.total:
            return None
        z, share = 1.96, self.count / self.total
        middle = share + z * z / (2 * self.total)
        reach = z * math.sqrt(share * (1 - share) / self.total + z * z / (4 * self.total**2))
        scale = 1 + z * z / self.total
        return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)

    def record(self) -> dict[str, Any]:
        return {"value": None if self.value is None else round(self.value, 4), "count": self.count, "of": self.total}


def read_questions(path: Path) -> list[Question]:
    """Rows of a YAML, CSV or XLSX file. Raises CoverageError (ContentError for broken YAML)."""
    rows = _rows(path)
    questions, wrong = [], []
    for number, row in enumerate(rows, 1):
        try:
            question = Question.model_validate(row)
            questions.append(question if question.id else question.model_copy(update={"id": str(number)}))
        except ValidationError as error:
            found = error.errors()[0]
            wrong.append(f"{path}: row {number}: {'.'.join(map(str, found['loc']))}: {found['msg']}")
    if wrong:
        raise CoverageError("\n".join(wrong[:20]))
    if not questions:
        raise CoverageError(f"{path}: no questions; expected rows with the columns {', '.join(COLUMNS)}")
    return questions


def _rows(path: Path) -> list[Any]:
    match path.suffix.lower():
        case ".yaml" | ".yml":
            data = read_yaml(path)
            if not isinstance(data, list):
                raise CoverageError(f"{path}: expected a list of rows, each with text")
            return data
        case ".csv":
            try:
                with path.open(encoding="utf-8-sig", newline="") as file:
                    sample = file.read(4096)
                    file.seek(0)
                    delimiter = max(",;\t", key=sample.partition("\n")[0].count)
                    return [_cells(row) for row in csv.DictReader(file, delimiter=delimiter)]
            except (OSError, UnicodeDecodeError, csv.Error) as error:
                raise CoverageError(f"{path}: cannot be read as CSV in UTF-8: {error}") from error
        case ".xlsx":
            try:
                sheet = openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets[0]
                table = list(sheet.iter_rows(values_only=True))
            except (OSError, BadZipFile, InvalidFileException, KeyError) as error:
                raise CoverageError(f"{path}: cannot be read as XLSX: {error}") from error
            head = [str(cell or "").strip() for cell in table[0]] if table else []
            return [_cells(dict(zip(head, row, strict=False))) for row in table[1:] if any(row)]
    raise CoverageError(f"{path}: unknown kind of file; use .yaml, .csv or .xlsx")


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a table. A blank `expect` means that the base has no answer, unless the row is there for its route."""
    filled = {key: value for key, value in row.items() if key in COLUMNS and value not in (None, "")}
    if filled.get("expect") in ("-", "[]"):
        filled["expect"] = ""
    elif "expect" in row and "route" not in filled:
        filled.setdefault("expect", "")
    return filled


def run(
    assistant: Assistant, questions: Sequence[Question], day: date, progress: Callable[[], None] = lambda: None
) -> list[Item]:
    """Every question asked, in order, on its own day or else on this one."""
    items = []
    for question in questions:
        start = perf_counter()
        answer = assistant.ask(question.text, question.day or day)
        items.append(Item(question, answer, perf_counter() - start))
        progress()
    return items


def summary(items: Sequence[Item]) -> dict[str, Any]:
    """Figures with their counts; a figure that nothing was asked for has value None.

    hit@k: a right entry among the first k. MRR@10: mean of 1/rank, 0 beyond ten. abstention.refused: level `none`
    where the base has no answer. flag.flagged: any flag where one is due; right_route, right_urgency among those due;
    false_flags where none is due.
    """
    answerable = [item for item in items if item.question.expect]
    unanswerable = [item for item in items if item.question.expect == ()]
    ranks = [item.rank for item in answerable]
    due = [item for item in items if item.question.route not in (None, "none")]
    ordinary = [item for item in items if item.question.route == "none"]
    now = [item for item in due if item.question.urgency is Urgency.NOW]
    figures: dict[str, Any] = {"questions": len(items)}
    for most in (1, 3, 5):
        figures[f"hit@{most}"] = Share.of(rank is not None and rank <= most for rank in ranks).record()
    reciprocal = [1 / rank if rank else 0.0 for rank in ranks]
    figures["MRR@10"] = {"value": round(sum(reciprocal) / len(ranks), 4) if ranks else None, "of": len(ranks)}
    sure = [item for item in answerable + unanswerable if item.answer.level is Level.SURE]
    figures["abstention"] = {
        "refused": Share.of(item.answer.level is Level.NONE for item in unanswerable).record(),
        "not_sure": Share.of(item.answer.level is not Level.SURE for item in unanswerable).record(),
        "wrongly_refused": Share.of(item.answer.level is Level.NONE for item in answerable).record(),
        "sure_and_right": Share.of(item.rank == 1 for item in sure).record(),
    }
    figures["flag"] = {
        "flagged": Share.of(item.answer.flag is not None for item in due).record(),
        "right_route": Share.of(_routes_match(item) for item in due).record(),
        "now_recall": Share.of(_is_now(item) for item in now).record(),
        "false_flags": Share.of(item.answer.flag is not None for item in ordinary).record(),
    }
    return figures


def _routes_match(item: Item) -> bool:
    return item.answer.flag is not None and item.answer.flag.route == item.question.route


def _is_now(item: Item) -> bool:
    return item.answer.flag is not None and item.answer.flag.urgency is Urgency.NOW
