"""The volunteer's page: one field, the flag, the answers; the call beside them."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import gradio as gr
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from assistant import wording
from assistant.answer import Answer
from assistant.calls import CALL_ID, TO_WHOM
from assistant.card import NEEDS, WHO
from assistant.service import Service, now
from assistant.settings import parse_day
from assistant.specialist import Flag
from assistant.storage import Opinion, Outcome
from index import Level
from kb import Urgency

HERE = Path(__file__).parent
SHOWN = 5  # answers on the page; Alt+1..5 opens them
SCRIPTS = ("call.js", "volunteer.js")  # one after the other in one scope

OPINIONS = {
    Opinion.HELPED: "Помог",
    Opinion.NOT_THIS: "Не то",
    Opinion.OUTDATED: "Устарел",
    Opinion.UNCLEAR: "Непонятно",
    Opinion.WRONG: "Неверно",
}
OUTCOMES = {
    Outcome.ANSWERED: "Отвечено",
    Outcome.TRANSFERRED: "Передан",
    Outcome.CALL_BACK: "Перезвонить",
    Outcome.DROPPED: "Сорвался",
}

_templates = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def volunteer_page(service: Service) -> None:
    """Lay the page out in the current Blocks."""

    def ask(request: dict[str, Any]) -> str:
        return on_ask(service, request, now())

    gr.HTML(
        html_template=render_page(service),
        js_on_load="\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS),
        server_functions=[ask],
        apply_default_css=False,
        elem_id="volunteer",
    )


def render_page(service: Service) -> str:
    """HTML of the page before anything is typed, the same for everybody."""
    return _templates.get_template("volunteer.html").render(
        day=service.day,
        wording=wording,
        empty=render_empty(),
        WHO=WHO,
        NEEDS=NEEDS,
        OUTCOMES=OUTCOMES,
        TO_WHOM=TO_WHOM,
    )


def on_ask(service: Service, request: dict[str, Any], at: datetime) -> str:
    """HTML of the answer to `text`, for `day` (if it is none, for the default), for a caller who has called so many
    times (`calls`), with nothing repaired if `literally`. A question that is `settled`, no longer being typed, is noted
    under its `key` as one of the `call`."""
    text = str(request.get("text", ""))
    if not text.strip():
        return render_empty()
    calls = {"2": 2, "3": 3}.get(str(request.get("calls")), 1)
    literally = request.get("literally") is True
    if request.get("settled") is True:  # seen already: it is not counted once more
        current = service.live.current
        answer = current.assistant.ask(text, _day(request, service), calls=calls, literally=literally)
        service.log.put(answer, _id(request.get("call")), current.version, at, _id(request.get("key")))
    else:
        answer = service.ask(text, _day(request, service), calls=calls, literally=literally)
    return render_answer(answer)


def _day(request: dict[str, Any], service: Service) -> date:
    try:
        return parse_day(str(request.get("day")))
    except ValueError:
        return service.day


def _id(value: object) -> str | None:
    """An id as the page makes them."""
    return value if isinstance(value, str) and CALL_ID.fullmatch(value) else None


def render_answer(answer: Answer) -> str:
    """HTML: flag, level, answers. Every text of the question and of the base is escaped."""
    return _templates.get_template("answer.html").render(
        answer=answer,
        flag=answer.flag,
        quoted=highlighted(answer.question, answer.flag) if answer.flag else "",
        shown=answer.answers[:SHOWN],
        level=answer.level,
        Level=Level,
        OPINIONS=OPINIONS,
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
