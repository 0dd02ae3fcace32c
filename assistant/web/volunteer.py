"""The volunteer's page: one field, the flag, the answers."""

from datetime import date
from pathlib import Path
from typing import Any

import gradio as gr
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from assistant import wording
from assistant.answer import Answer, Assistant
from assistant.settings import parse_day
from assistant.specialist import Flag
from index import Level
from kb import Urgency

HERE = Path(__file__).parent
SHOWN = 5  # answers on the page; Alt+1..5 opens them

_templates = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def volunteer_page(assistant: Assistant, day: date) -> None:
    """Lay the page out in the current Blocks."""

    def ask(request: dict[str, Any]) -> str:
        return on_ask(assistant, request, day)

    gr.HTML(
        html_template=_templates.get_template("volunteer.html").render(
            about=assistant.kb.about, day=day, wording=wording, empty=render_empty()
        ),
        js_on_load=(HERE / "volunteer.js").read_text(encoding="utf-8"),
        server_functions=[ask],
        apply_default_css=False,
        elem_id="volunteer",
    )


def on_ask(assistant: Assistant, request: dict[str, Any], default: date) -> str:
    """HTML of the answer to `text`, for `day` (if it is none, for `default`), for a caller who has called so many times
    (`calls`), with nothing repaired if `literally`."""
    text = str(request.get("text", ""))
    if not text.strip():
        return render_empty()
    try:
        day = parse_day(str(request.get("day")))
    except ValueError:
        day = default
    calls = {"2": 2, "3": 3}.get(str(request.get("calls")), 1)
    return render_answer(assistant.ask(text, day, calls=calls, literally=request.get("literally") is True))


def render_answer(answer: Answer) -> str:
    """HTML: flag, level, answers. Every text of the question and of the base is escaped."""
    return _templates.get_template("answer.html").render(
        answer=answer,
        flag=answer.flag,
        quoted=highlighted(answer.question, answer.flag) if answer.flag else "",
        shown=answer.answers[:SHOWN],
        level=answer.level,
        Level=Level,
        Urgency=Urgency,
        wording=wording,
    )


def render_empty() -> str:
    return _templates.get_template("empty.html").render()


def highlighted(question: str, flag: Flag) -> Markup:
    """The question with the words that raised the flag in <mark>, everything else escaped."""
    parts, place = [], 0
    for evidence in flag.evidence:
        parts.append(escape(question[place : evidence.start]))
        parts.append(Markup("<mark>{}</mark>").format(question[evidence.start : evidence.end]))
        place = evidence.end
    return Markup("").join([*parts, escape(question[place:])])
