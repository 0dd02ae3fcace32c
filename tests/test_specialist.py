"""The flag: the policy as a table, every rule by its own example, and how its phrases are read."""

import numpy as np
import pytest
from conftest import entry, tiny_assistant

from assistant.build import reader_of
from assistant.examples import Taken, Thresholds
from assistant.specialist import ORDER, Phrase, Specialist, Words
from index import Reader, Reading
from kb import FlagRule, Route, Urgency, load

KB = load()
READER = reader_of(KB)
RULES = {rule.name: rule for rule in KB.flag.rules}


@pytest.fixture(scope="module")
def specialist() -> Specialist:
    return tiny_assistant(entry()).specialist


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_every_rule_fires_on_its_example_and_not_on_its_counter_example(rule: FlagRule, specialist: Specialist) -> None:
    fired = {step.rule for step in specialist.why(rule.example) if step.outcome.startswith("сработало")}
    assert rule.name in fired
    flag = specialist.flag(rule.example)
    assert flag is not None
    assert (flag.route, flag.urgency) == (rule.route, rule.urgency)
    fired = {step.rule for step in specialist.why(rule.counter) if step.outcome.startswith("сработало")}
    assert rule.name not in fired


def test_every_route_of_the_policy_has_a_card(specialist: Specialist) -> None:
    for route, urgency in ORDER:
        assert KB.flag.card(route, urgency).say
    assert specialist.names


NO = None
CALLS = [
    ("у мужа температура 39 и задыхается", Route.EMERGENCY),
    ("тяжело дышать после ковида, где сделать КТ", Route.EMERGENCY),
    ("pfls[ftncz ve;", Route.EMERGENCY),
    ("муж pflsftncz", Route.EMERGENCY),
    ("zadyhaetsya babushka", Route.EMERGENCY),
    ("зодыхаеться мама", Route.EMERGENCY),
    ("мамазадыхается", Route.EMERGENCY),
    ("СЕРДЦЕ ЖМЁТ", Route.EMERGENCY),
    ("его перекосило", Route.EMERGENCY),
    ("наелась таблеток", Route.EMERGENCY),
    ("сатурация 91 что делать", Route.EMERGENCY),
    ("дочка выпала из окна", Route.EMERGENCY),
    ("пахнет газом в подъезде", Route.EMERGENCY),
    ("как оформить больничный, лежу не могу вдохнуть", Route.EMERGENCY),
    ("не хочу больше жить", Route.PSYCHOLOGIST),
    ("чем сбить температуру", Route.DOCTOR),
    ("какие антибиотики пить при ковиде", Route.DOCTOR),
    ("можно ли прививаться при астме", Route.DOCTOR),
    ("боли в груди нет, просто хочу записаться к кардиологу", NO),
    ("полгода назад был инсульт, положена ли диспансеризация", NO),
    ("полгода назад привилась, а сейчас отец задыхается", Route.EMERGENCY),
    ("год назад переболел, муж хрипит и синеет", Route.EMERGENCY),
    ("в прошлом году была потеря сознания, нужна ли справка", NO),
    ("судорога была летом, можно ли записаться на прививку", NO),
    ("инфаркт давно, инвалидность переоформить", NO),
    ("перекосило меня в 2019, с тех пор на учёте, какой невролог принимает", NO),
    ("летом была операция, а сейчас не может дышать", Route.EMERGENCY),
    ("инсульт был в 2019, сегодня опять лицо перекосило", Route.EMERGENCY),
    ("умираю со смеху с этих правил", NO),
    ("мы тут угораем от ваших правил", NO),
    ("мы угорели от печки", Route.EMERGENCY),
    ("температура 38, как вызвать врача на дом?", NO),
    ("как продлить больничный", NO),
    ("сколько действует qr-код", NO),
    ("часы работы поликлиники в субботу", NO),
    ("мама умерла дома, что делать", NO),
    ("где сдать кровь", NO),
]


@pytest.mark.parametrize(("question", "route"), CALLS)
def test_calls_go_where_the_policy_sends_them(shipped, question: str, route: Route | None) -> None:  # type: ignore[no-untyped-def]
    flag = shipped.specialist.flag(question)
    assert (flag.route if flag else None) is route


def test_the_most_urgent_route_comes_first_and_the_others_below(shipped) -> None:  # type: ignore[no-untyped-def]
    flag = shipped.specialist.flag("мама задыхается, какие таблетки дать")
    assert flag.route is Route.EMERGENCY
    assert Route.DOCTOR in [card.route for card in flag.also]


def test_the_evidence_is_where_it_was_typed(shipped) -> None:  # type: ignore[no-untyped-def]
    question = "Здравствуйте! Муж ЗАДЫХАЕТСЯ, помогите"
    flag = shipped.specialist.flag(question)
    assert [question[part.start : part.end] for part in flag.evidence] == ["ЗАДЫХАЕТСЯ,"] or flag.quoted == "ЗАДЫХАЕТСЯ"


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("задыхаться", "она задыхалась вчера", True),
        ("задых*", "он задыхаецца", True),
        ("тяжело|трудно дышать", "дышать ей стало очень трудно", True),
        ("тяжело|трудно дышать", "тяжело нести сумку из магазина по улице и дышать", False),
        ("не_просыпается", "он не просыпается", True),
        ("не_просыпается", "он не хочет, просыпается", False),
        ("рука не_поднимается", "не поднимается правая рука", True),
        ("рука рука", "рука", False),
        ("=рожает", "она рожает", True),
        ("=рожает", "ей рожать весной", False),
    ],
)
def test_phrases_are_read_as_described(phrase: str, text: str, found: bool) -> None:
    assert bool(Phrase(phrase).find(Words(Reader([]).read(text).tokens))) is found


def test_urgency_now_is_only_for_danger() -> None:
    now = {rule.route for rule in KB.flag.rules if rule.urgency is Urgency.NOW}
    assert now == {Route.EMERGENCY, Route.PSYCHOLOGIST}


class Said:
    """A classifier that answers what it is told to."""

    def __init__(self, **chances: float) -> None:
        self._chances = {label_of(name): chance for name, chance in chances.items()}

    def chances(self, *_: object) -> dict[Taken, float]:
        rest = 1 - sum(self._chances.values())
        return {**dict.fromkeys(ORDER, 0.0), **self._chances, None: rest}

    def telling(self, reading: Reading, _: Taken) -> list[int]:
        return list(range(len(reading.tokens)))


def label_of(name: str) -> Taken:
    route = Route(name)
    return route, Urgency.NOW if route is Route.EMERGENCY else Urgency.TRANSFER


THRESHOLDS = Thresholds(now=0.3, silenced=0.5, among=0.1, any=0.7, doubt=0.2)


@pytest.mark.parametrize(
    ("call", "chances", "route"),
    [
        ("как продлить больничный", {}, NO),
        ("как продлить больничный", {"doctor": 0.6}, NO),
        ("как продлить больничный", {"doctor": 0.8}, Route.DOCTOR),
        ("мне что-то нехорошо", {"emergency": 0.2}, NO),
        ("мне что-то нехорошо", {"emergency": 0.4}, Route.EMERGENCY),
        ("мне что-то нехорошо", {"doctor": 0.6, "emergency": 0.15}, Route.EMERGENCY),  # flagged anyway: rather too fast
        ("чем сбить температуру", {"doctor": 0.3}, Route.DOCTOR),  # a rule, and nothing speaks against it
        ("чем сбить температуру", {"doctor": 0.1}, NO),  # a rule, but it sounds ordinary
        ("муж задыхается", {}, Route.EMERGENCY),  # a rule of urgency now is never doubted
        ("отравление было неделю назад, дадут ли справку", {}, NO),  # unless it is over, and nothing sounds like danger
        ("отравление было неделю назад, дадут ли справку", {"emergency": 0.05}, Route.EMERGENCY),
        ("боли в груди нет", {"emergency": 0.4}, NO),  # a guard has spoken: more is asked
        ("боли в груди нет", {"emergency": 0.6}, Route.EMERGENCY),
    ],
)
def test_rules_and_classifier_together(call: str, chances: dict, route: Route | None) -> None:  # type: ignore[type-arg]
    together = Specialist(KB.flag, READER, Said(**chances), THRESHOLDS)  # type: ignore[arg-type]
    flag = together.flag(call, np.zeros(2, dtype=np.float32))
    assert (flag.route if flag else None) is route


def test_a_doubted_rule_says_so() -> None:
    together = Specialist(KB.flag, READER, Said(doctor=0.1), THRESHOLDS)  # type: ignore[arg-type]
    call = "чем сбить температуру"
    steps = together.why(call, np.zeros(2, dtype=np.float32))
    assert "не считается: похоже на обычный вопрос" in [step.outcome for step in steps]
