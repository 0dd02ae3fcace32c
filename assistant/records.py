"""An Answer and a Flag as plain data: the same form for `ask --json`, coverage files and the API."""

from typing import Any

from .answer import Answer
from .specialist import Flag


def flag_record(flag: Flag | None) -> dict[str, Any] | None:
    if flag is None:
        return None
    return {
        "route": flag.route.value,
        "urgency": flag.urgency.value,
        "reason": flag.reason,
        "evidence": flag.quoted,
        "also": [card.route.value for card in flag.also],
    }


def answer_record(answer: Answer) -> dict[str, Any]:
    return {
        "question": answer.question,
        "as_of": answer.day.isoformat(),
        "level": answer.level.value,
        "flag": flag_record(answer.flag),
        "answers": [
            {
                "entry": ranked.entry.id,
                "question": ranked.entry.question,
                "matched": ranked.matched,
                "score": round(ranked.score, 4),
                "say": ranked.entry.say,
            }
            for ranked in answer.answers
        ],
    }
