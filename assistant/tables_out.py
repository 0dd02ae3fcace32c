"""Tables for a spreadsheet, CSV and XLSX, in which no text becomes a formula.

A caller's «=HYPERLINK(...)» in a note would otherwise run on the coordinator's machine (OWASP: CSV injection).
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from .card import printable
from .settings import MOSCOW

Rows = Iterable[Sequence[object]]
Value = str | int | float | date | None

# What begins a formula: also in full width, and after blanks that a program may drop.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")
DAY, MOMENT = "DD.MM.YYYY", "DD.MM.YYYY HH:MM"
BOLD = Font(bold=True)
WIDTH = 24  # of a column, in characters


def to_csv(rows: Rows) -> bytes:
    """As a Russian Excel opens it at a double click: UTF-8 with its mark, semicolons."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=";").writerows([_written(_value(cell)) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def to_xlsx(rows: Rows) -> bytes:
    """The first row is a heading that stays in sight. Days, moments (in Moscow) and numbers are such, all else text."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.freeze_panes = "A2"
    sheet.sheet_format.defaultColWidth = WIDTH
    for number, row in enumerate(rows):
        sheet.append([_cell(sheet, _value(cell), heading=number == 0) for cell in row])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _value(cell: object) -> Value:
    """What a cell holds; a text that a spreadsheet would read as a formula begins with an apostrophe."""
    match cell:
        case None | "":
            return None
        case bool():
            return "да" if cell else "нет"
        case datetime():
            return cell.astimezone(MOSCOW).replace(tzinfo=None)
        case int() | float() | date():
            return cell
        case str():
            return _harmless(printable(cell))
    return _harmless(json.dumps(cell, ensure_ascii=False, sort_keys=True))


def _harmless(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _written(value: Value) -> str | int | float | None:
    match value:
        case datetime():
            return f"{value:%d.%m.%Y %H:%M}"
        case date():
            return f"{value:%d.%m.%Y}"
    return value


def _cell(sheet: Any, value: Value, *, heading: bool) -> Any:
    """A plain value where no form is needed: that is several times faster."""
    if not heading and not isinstance(value, date):
        return value
    cell = WriteOnlyCell(sheet)
    cell.value = value
    if heading:
        cell.font = BOLD
    else:
        cell.number_format = MOMENT if isinstance(value, datetime) else DAY
    return cell
