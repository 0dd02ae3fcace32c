"""Personal data: masked before anything is logged, sealed where it has to be kept.

`mask` walks once through the words of a text and asks the rules of an ordered list at each of them: does a datum begin
here? A rule looks a fixed number of words back and ahead, so the work grows as the text does and no faster. In doubt a
datum is masked: a trainer who reads the log does without it, a caller could not take it back.
"""

import base64
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import chain

from cryptography.fernet import Fernet, InvalidToken

from index import parses

REACH = 4  # words back to «паспорт», «зовут», «родилась»
LONGEST_RUN = 24  # groups of digits that one number is dictated in
LONGEST_NAME = 4  # words: «Орлова Кудрявцева Анна Петровна»
LONGEST_WORD = 40  # letters; what is longer is no name
MODERN = 2018  # a full date before this year is a birthday: what the hotline speaks of is younger


class Tag(StrEnum):
    """What stands in place of a datum; KEPT: a number that is nobody's stays as it is."""

    KEPT = ""
    EMAIL = "[почта]"
    PHONE = "[телефон]"
    SNILS = "[СНИЛС]"
    POLICY = "[полис]"
    PASSPORT = "[паспорт]"
    CARD = "[карта]"
    NUMBER = "[номер]"
    NAME = "[имя]"
    ADDRESS = "[адрес]"
    BIRTHDAY = "[дата рождения]"


@dataclass(frozen=True, slots=True)
class Word:
    """A word, a group of digits, a date, a figure such as 37,5, or a tag. `form`: in lower case, ё=е. `title`: written
    as names are."""

    start: int
    end: int
    kind: str
    form: str
    title: bool


@dataclass(frozen=True)
class Typed:
    """A text and its words. `public`: numbers that anybody may read, as `public_numbers` gives them."""

    text: str
    words: tuple[Word, ...]
    public: Collection[str]

    def form(self, place: int) -> str:
        """Empty beyond both ends."""
        return self.words[place].form if 0 <= place < len(self.words) else ""

    def kind(self, place: int) -> str:
        return self.words[place].kind if 0 <= place < len(self.words) else ""

    def before(self, place: int, reach: int = REACH) -> list[str]:
        """The words before, the nearest first."""
        return [word.form for word in reversed(self.words[max(0, place - reach) : place])]

    def gap(self, place: int) -> str:
        """What stands between a word and the one before it."""
        return self.text[self.words[place - 1].end : self.words[place].start]


@dataclass(frozen=True)
class Found:
    """A datum that begins at the word in question and ends before the character `end`."""

    end: int
    tag: Tag


def one_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


def any_of(words: str) -> str:
    """A pattern for one of these words, whole. The words may be patterns themselves."""
    return rf"(?<![^\W\d_])(?:{'|'.join(words.split())})(?![^\W\d_])"


# --- E-mail ----------------------------------------------------------------------------------------------------------

# ivanova@mail.ru; «иванова точка м собака мейл точка ру»
EMAIL = re.compile(
    r"(?<![\w.+-])(?:[\w.+-]++\s(?:точка|тире|дефис|подч[её]ркивание)\s){0,4}[\w.+-]++\s?"
    r"(?:@\s?[\w-]++(?:\.[\w-]++)+|(?:@|соба[чк]ка|собака)\s?[\w-]++(?:\s?\.\s?|\sточка\s|\s)(?:ру|ru|рф|ком|com|net)\b)",
    re.IGNORECASE,
)

# --- Numbers ---------------------------------------------------------------------------------------------------------

# As they are dictated, and written down in a hurry.
_SPOKEN = {
    form: str(number)
    for number, forms in {
        0: "ноль нуль ноля нуля нули нулей", 1: "один одна одно единица единичка", 2: "два две двойка двойки",
        3: "три тройка тройки", 4: "четыре четыри читыре четверка", 5: "пять пят пятерка пятерки",
        6: "шесть шест шестерка шестерки", 7: "семь сем семерка семерки", 8: "восемь восем восимь восьмерка восьмерки",
        9: "девять девят девить девятка девятки", 10: "десять десят десить", 11: "одиннадцать одинадцать одинацать",
        12: "двенадцать двенацать двинадцать", 13: "тринадцать тринацать", 14: "четырнадцать четырнацать",
        15: "пятнадцать пятнацать питнадцать", 16: "шестнадцать шеснадцать шеснацать", 17: "семнадцать семнацать",
        18: "восемнадцать восемнацать", 19: "девятнадцать девятнацать", 20: "двадцать двацать", 30: "тридцать трицать",
        40: "сорок сорак", 50: "пятьдесят пятдесят пиисят писят", 60: "шестьдесят шестдесят шисят шесят",
        70: "семьдесят семдесят семисят", 80: "восемьдесят восемдесят", 90: "девяносто девяноста", 100: "сто ста",
        200: "двести двесте", 300: "триста тристо", 400: "четыреста четыресто", 500: "пятьсот пятсот питсот",
        600: "шестьсот шестсот шесот", 700: "семьсот семсот", 800: "восемьсот восемсот",
        900: "девятьсот девятсот девяцот",
    }.items()
    for form in forms.split()
}  # fmt: skip
_BETWEEN = frozenset(("тире", "дефис", "потом", "дальше", "далее", "номер"))  # «сорок пять тире шестьдесят семь»
_GAP = re.compile(r"(?:_|[^\w,;:/%!?\n«»\"]){0,4}")
_COMMA_GAP = re.compile(r"(?:_|[^\w;:/%!?\n«»\"]){0,4}")  # «8, 916, 123, 45, 67»
_YEAR = re.compile(r"(?:19|20)\d\d")
_PHONE = re.compile(r"[78][3489]\d{9}|[3489]\d{9}")
_TOLL_FREE = re.compile(r"[78]?800\d{4,7}")
_MEASURED = ("давлен", "пульс", "сатурац", "температур", "сахар", "кислород")  # «давление 120 80 72» is no phone
_SUBJECTS = (
    ("паспорт", Tag.PASSPORT), ("сери", Tag.PASSPORT), ("снилс", Tag.SNILS), ("полис", Tag.POLICY), ("омс", Tag.POLICY),
    ("енп", Tag.POLICY), ("карт", Tag.CARD), ("счет", Tag.CARD), ("инн", Tag.NUMBER), ("тел", Tag.PHONE),
    ("моб", Tag.PHONE), ("сотов", Tag.PHONE), ("перезвон", Tag.PHONE), ("ватсап", Tag.PHONE), ("вотсап", Tag.PHONE),
)  # fmt: skip
_SHORTEST = 5  # digits from which a number after one of these words is the caller's


@dataclass(frozen=True)
class Run:
    """Groups of digits that follow each other; `ends`: where each of them ends in the text; `spoken`: one or more of
    them are in words, so there may be more digits than it seems («сто двадцать» is 120 or 100 20)."""

    groups: tuple[str, ...]
    ends: tuple[int, ...]
    spoken: bool

    @property
    def digits(self) -> str:
        return "".join(self.groups)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(map(len, self.groups))

    def first(self, count: int) -> "Run":
        return Run(self.groups[:count], self.ends[:count], self.spoken)


def run_from(typed: Typed, place: int, gap: re.Pattern[str] = _GAP, most: int = LONGEST_RUN) -> Run:
    """The groups from this word on, «сто двадцать три» being one. None if the word is not a number."""
    groups: list[str] = []
    ends: list[int] = []
    spoken = ever_spoken = False
    for at in range(place, min(place + 2 * most, len(typed.words))):
        word = typed.words[at]
        if at > place and not (_COMMA_GAP if word.form in _SPOKEN else gap).fullmatch(typed.gap(at)):
            break
        if groups and word.form in _BETWEEN:
            continue
        digits = word.form if word.kind == "digits" else _SPOKEN.get(word.form, "")
        if not digits or len(groups) == most:
            break
        if spoken and word.kind == "letters" and _continues(groups[-1], digits):
            groups[-1], ends[-1] = groups[-1][: -len(digits)] + digits, word.end
        else:
            groups.append(digits)
            ends.append(word.end)
        spoken = word.kind == "letters"
        ever_spoken |= spoken
    return Run(tuple(groups), tuple(ends), ever_spoken)


def _continues(group: str, digits: str) -> bool:
    """True of 120 after 100 and of 3 after 120, but not of 3 after 10."""
    return len(digits) < len(group) and group.endswith("0" * len(digits)) and digits != "0" and group != "10"


def public_numbers(phones: Iterable[str]) -> frozenset[str]:
    """Numbers as digits: short ones as they are and with Moscow's code (8 495 051), long ones without 8 and, in Moscow,
    without the code as well."""
    found = {re.sub(r"\D", "", phone) for phone in phones}
    long = {number[-10:] for number in found if len(number) == 11}
    local = {number[-7:] for number in long if number.startswith(("495", "499"))}
    return frozenset(found | long | local | {f"8495{number}" for number in found if len(number) == 3})


def is_public(run: Run, public: Collection[str]) -> bool:
    """True if it is one public or toll-free number, or nothing but public ones and years."""
    if run.digits in public or run.digits[1:] in public or _TOLL_FREE.fullmatch(run.digits):
        return True
    return all(group in public or _YEAR.fullmatch(group) for group in run.groups)


def subject(typed: Typed, place: int) -> Tag | None:
    """What the words before say that a number is."""
    for form in typed.before(place):
        for stem, tag in _SUBJECTS:
            if form.startswith(stem):
                return tag
    return None


def kind_of(run: Run, said: Tag | None) -> Tag | None:
    """What a number is by what is said of it, its groups and its length; None if it is nobody's."""
    length = len(run.digits)
    if said and length >= _SHORTEST:
        return said
    if run.shape == (3, 3, 3, 2):
        return Tag.SNILS
    if run.shape in ((4, 6), (2, 2, 6)):
        return Tag.PASSPORT
    if _PHONE.fullmatch(run.digits) or run.shape in ((7,), (3, 2, 2)):
        return Tag.PHONE
    if length >= 16:
        return Tag.CARD
    return Tag.NUMBER if length >= 9 or run.shape == (8,) or (run.spoken and length >= 7) else None


def number(typed: Typed, place: int) -> Found | None:
    """8 916 123-45-67, 4508 123456, «восемь девятьсот шестнадцать ...»; not 122, 1089н, 14 дней."""
    run = run_from(typed, place)
    if not run.groups:
        return None
    if is_public(run, typed.public):
        return Found(run.ends[-1], Tag.KEPT)
    said = subject(typed, place)
    tag = kind_of(run, said)
    if tag is None or (not said and len(run.digits) < 9 and any(f.startswith(_MEASURED) for f in typed.before(place))):
        return None
    return Found(run.ends[-1], tag)


def phone_with_commas(typed: Typed, place: int) -> Found | None:
    """8, 916, 123, 45, 67"""
    whole = run_from(typed, place, _COMMA_GAP, most=11)
    for count in range(len(whole.groups), 1, -1):
        run = whole.first(count)
        if _PHONE.fullmatch(run.digits):
            return Found(run.ends[-1], Tag.KEPT if is_public(run, typed.public) else Tag.PHONE)
    return None


# --- Birthdays -------------------------------------------------------------------------------------------------------

_SPOKEN_PART = any_of(" ".join(_SPOKEN))
_ORDINAL_STEM = (
    r"(?:перв|втор|трет|четв[её]рт|пят|шест|седьм|восьм|девят|десят|[а-я]{3,6}надцат|двадцат"
    r"|тридцат|сороков|[а-я]{4,5}десят|девянос)"
)
_ORDINAL_WORD = re.compile(rf"{_ORDINAL_STEM}(?:ый|ой|ий|ая|ья|ое|ье|ого|его|ом|ем|ую|ью|ей)")
_ORDINAL = rf"(?:{_SPOKEN_PART}\s)?{_ORDINAL_WORD.pattern}"
_MONTH = any_of(
    "январ[ья] феврал[ья] марта? апрел[ья] ма[йя] июн[ья] июл[ья] августа? сентябр[ья] октябр[ья] ноябр[ья] декабр[ья]"
)
_WRITTEN_DATE = re.compile(
    rf"(?:\d{{1,2}}(?:-?(?:го|ое|е))?|{_ORDINAL})\s{_MONTH}"
    rf"(?:\s(?:(?P<year>(?:19|20)?\d\d)(?!\d)|(?:тысяча\s|две\sтысячи\s)?(?:девятьсот\s)?{_ORDINAL}))?"
    r"(?:\s?(?:года?(?![а-я])|г(?![а-я]|\.?\s?р(?![а-я]))\.?))?",
    re.IGNORECASE,
)
_BORN = re.compile("родил.*|рождени.*|рожд|др")


def birthday(typed: Typed, place: int) -> Found | None:
    """12.03.1948, «родилась двенадцатого марта»; not 24.01.2022, «закон от 21.11.2011»."""
    word = typed.words[place]
    written = _WRITTEN_DATE.match(typed.text, word.start)
    end = word.end if word.kind == "date" else written.end() if written else 0
    if not end:
        return None
    year = year_of(word.form) if word.kind == "date" else written["year"] if written else None
    near = typed.before(place) + re.findall(r"[а-я]+", typed.text[end : end + 20].lower())[:2]
    born = any(map(_BORN.fullmatch, near))
    old = year is not None and full_year(year) < MODERN and typed.form(place - 1) != "от"
    return Found(end, Tag.BIRTHDAY) if born or old else None


def year_of(day: str) -> str:
    """Of 12.03.1948, 12.03.48 and 1948-03-12."""
    first, *_, last = re.split(r"\D", day)
    return first if len(first) == 4 else last


def full_year(year: str) -> int:
    """48 is 1948, 21 is 2021."""
    return int(year) if len(year) == 4 else int(year) + (2000 if int(year) < 30 else 1900)


# --- Words that are names --------------------------------------------------------------------------------------------

_PERSON = frozenset(("Name", "Surn", "Patr"))
_NAMES = _PERSON | {"Geox"}
_NO_NAMES = one_of("пол мороз миня лайт")  # names in the dictionary only
_FUNCTION = frozenset(("PREP", "CONJ", "PRCL", "NPRO", "VERB", "INFN", "ADVB", "PRED", "GRND", "NUMR", "INTJ", "COMP"))


@dataclass(frozen=True)
class Sort:
    """What the dictionary makes of a word: kinds of name (given, surname, patronymic, place) that it is `likely` to be
    and `possible`; `function`: a word that no name can be."""

    likely: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()
    function: bool = False


@lru_cache(maxsize=50_000)
def sort_of(form: str) -> Sort:
    """Nothing of the kind if it is too long or not Russian."""
    if form in _NO_NAMES or not 2 <= len(form) <= LONGEST_WORD or not re.fullmatch("[а-я]+", form):
        return Sort(function=len(form) < 2)
    first, *others = parses(form)
    likely = first.grammemes & _NAMES if first.known else frozenset()
    possible = _NAMES.intersection(chain.from_iterable(parse.grammemes for parse in (first, *others)))
    return Sort(likely, possible, not likely and not first.grammemes.isdisjoint(_FUNCTION))


def is_name(word: Word, kinds: frozenset[str]) -> bool:
    """«мария», «Роза»; not «роза»."""
    sort = sort_of(word.form)
    return bool(sort.likely & kinds) or (word.title and not sort.function and bool(sort.possible & kinds))


# --- Addresses -------------------------------------------------------------------------------------------------------

_STREET_SURE = one_of("ул пр-т наб мкр мкрн")
_STREET_SHORT = _STREET_SURE | one_of("пр просп пер пр-д бул дер пос ш")
_STREET = one_of(
    "улица улице улицы улицу проспект проспекте проспекта переулок переулке переулка бульвар бульваре бульвара шоссе "
    "набережная набережной проезд проезде аллея аллее тупик тупике микрорайон микрорайоне деревня "
    "деревне поселок поселке село селе снт"
)
_ROOM = one_of("кв квартира квартире квартиры квартиру подъезд домофон")
_HOUSE = _ROOM | one_of("д дом доме дома корп корпус корпусе к строение стр владение вл этаж этаже эт под код")
_NUMBERED = one_of("квартира квартире квартиру подъезд подъезде этаж этаже")  # «3 подъезд»; not «3 квартиры»
_ENDINGS = one_of("й я е м х ти и го")  # «5-й», «14-ти»
_COUNTED = tuple(
    one_of(
        "лет год дн день сут час мин недел мес руб процент градус человек раз тыс доз штук мг мл утра вечера "
        "январ феврал март апрел мая июн июл август сентябр октябр ноябр декабр класс"
    )
)
_LIVES = ("жив", "прожива", "адрес", "прописан", "зарегистрирован", "приезжай", "привез")
_ADJECTIVE = re.compile("(?:ая|ой|ую|ий|ом|ого)$")
_TOWNISH = re.compile("(?:ск|цк|н|в|р)(?:ая|ой)$")  # «тверская», «садовая»
_SHORT_GAP = re.compile(r"[\s.,№–-]{0,3}")
MOST_PARTS = 8  # «дом 5, корпус 2, подъезд 3, этаж 4, кв. 12, домофон 12»


def address(typed: Typed, place: int) -> Found | None:
    """ул. Ленина 5-12, «Ленинский проспект дом 5», «кв 17»; not «на улице холодно», «врача на дом 122»."""
    end = _street(typed, place) or _rooms(typed, place) or _home(typed, place)
    return Found(typed.words[end - 1].end, Tag.ADDRESS) if end else None


def _street(typed: Typed, place: int) -> int:
    """Where an address that begins with a street ends, 0 if none begins here."""
    form, word = typed.form(place), typed.words[place]
    if form in _STREET_SHORT or form in _STREET:
        first = place + 1 + (typed.kind(place + 1) == "digits")  # «улица 8 Марта»
        for after in range(first + 1, first + 4):
            if not _is_nameable(typed, after - 1) and not (place + 1 < first == after - 1):
                break
            if end := _house(typed, after):
                return end
        sure = form in _STREET_SURE or (form in _STREET and first < len(typed.words) and typed.words[first].title)
        return first + 1 if sure and _is_nameable(typed, first) else 0
    if _ADJECTIVE.search(form) and typed.form(place + 1) in _STREET and typed.gap(place + 1) == " ":
        return _house(typed, place + 2) or (place + 2 if word.title else 0)
    return 0


def _rooms(typed: Typed, place: int) -> int:
    """Where «дом 5, кв. 12» ends, 0 if it is not said here or says nothing of where one lives."""
    end = _parts(typed, place)
    if end == place:
        return 0
    forms = {word.form for word in typed.words[place:end]}
    at_house = typed.form(place) == "дом" and typed.form(place - 1) not in ("на", "детский", "родительский")
    in_house = not forms.isdisjoint(("д", "доме", "дома")) and len(forms & _HOUSE) > 1
    return end if forms & _ROOM or at_house or in_house else 0


def _home(typed: Typed, place: int) -> int:
    """Where «Ленина 5» or «тверской 15» ends after «живу на», «Ленина 5 кв 12» anywhere; 0 if none begins here."""
    lives = any(form.startswith(_LIVES) for form in typed.before(place))
    named = is_name(typed.words[place], _NAMES)
    if not named and not _TOWNISH.search(typed.form(place)):
        return 0
    for after in range(place + 1, place + 4 if named else place + 2):
        if (end := _house(typed, after)) and (lives or any(typed.form(at) in _HOUSE for at in range(after, end))):
            return end if typed.form(after) not in typed.public else 0
        if not _is_nameable(typed, after):
            break
    return 0


def _house(typed: Typed, place: int) -> int:
    """Where «5-12», «5 кв 12» or «дом 5, кв. 12» ends, 0 if it does not follow here."""
    if not _is_near(typed, place):
        return 0
    end = max(_parts(typed, place), _parts(typed, _house_number(typed, place)))
    return end if end > place else 0


def _parts(typed: Typed, place: int) -> int:
    """Where the houses, entrances and flats that are named from here on end."""
    end = _part(typed, place)
    for _ in range(MOST_PARTS):
        if not _is_near(typed, end):
            break
        end = _part(typed, end)
    return end


def _part(typed: Typed, place: int) -> int:
    """Where «дом 5» or «3-й подъезд» ends; the place itself if it is neither."""
    if typed.form(place) in _HOUSE:
        at = place + 1 + (typed.form(place + 1) == "номер")
        is_house = _is_near(typed, at) and not _YEAR.fullmatch(typed.form(at))
        return _house_number(typed, at) if is_house and _house_number(typed, at) > at else place
    end = _house_number(typed, place)
    rooms = _ROOM | _NUMBERED if _is_ordinal(typed.form(end - 1)) else _NUMBERED
    return end + 1 if end > place and typed.form(end) in rooms else place


def _house_number(typed: Typed, place: int) -> int:
    """Where 5, 5а, 12/7, 5-12 or «двадцать пять» ends; the place itself if it is something else: 5 лет, 60+."""
    if not _is_number(typed, place):
        return place
    end = place + 1
    while end < min(place + 4, len(typed.words)) and _belongs(typed, end):
        end += 1
    unit = typed.form(end + (typed.form(end) in _ENDINGS))
    behind = typed.words[end - 1].end
    return place if unit.startswith(_COUNTED) or typed.text[behind : behind + 1] in ("%", "+") else end


def _belongs(typed: Typed, place: int) -> bool:
    """True of the second part of 5а, 12/7, «двадцать пять»."""
    tight = typed.gap(place) in ("", "/", "-")
    spoken = typed.form(place - 1) in _SPOKEN and typed.kind(place) == "letters"
    return (tight and len(typed.form(place)) == 1) or ((tight or spoken) and _is_number(typed, place))


def _is_number(typed: Typed, place: int) -> bool:
    form = typed.form(place)
    if typed.kind(place) == "digits":
        return len(form) <= 4
    return form != "одна" and (form in _SPOKEN or _is_ordinal(form))


def _is_ordinal(form: str) -> bool:
    return bool(_ORDINAL_WORD.fullmatch(form))


def _is_near(typed: Typed, place: int) -> bool:
    """True if there is a word at this place, next to the one before."""
    return place < len(typed.words) and (place == 0 or bool(_SHORT_GAP.fullmatch(typed.gap(place))))


def _is_nameable(typed: Typed, place: int) -> bool:
    """True if a street may be called so."""
    form = typed.form(place)
    letters = typed.kind(place) == "letters" and _is_near(typed, place)
    return letters and not sort_of(form).function and not form.startswith(_COUNTED)


# --- Names -----------------------------------------------------------------------------------------------------------

_CALLED = one_of("зовут завут звать завать величают представилась представился")
_SURNAME = one_of("фамилия фамилию фамилией имя отчество фио")
_SOMEBODY = one_of(
    "я это звонит беспокоит гр гражданка гражданин гражданке гражданки пациент пациентка пациента пациентки "
    "абонент заявитель госпожа господин"
)
_KIN = one_of(
    "муж мужа мужу жена жену жене сын сына сыну дочь дочку дочке дочери мама маму маме папа папу папе отец отца "
    "бабушка бабушку бабушке дед деда дедушка дедушку брат брата сестра сестру сестре соседка соседку сосед соседа "
    "внук внучка внучку тетя тетю дядя дядю свекровь теща тещу"
)
_ALSO = _KIN | one_of("меня ее его их просто моя мое мой мою девичья у")  # «зовут ее Анна»
_NAME_GAP = re.compile(r"[ .\xa0-]{0,3}")
_CALLING = one_of("звонит беспокоит говорит звонила звонил")


def name(typed: Typed, place: int) -> Found | None:
    """«меня зовут Анна», «фамилия Ким», «это Петрова», «Иванова А. П.», «нина петровна»."""
    if typed.words[place].kind != "letters" or sort_of(typed.form(place)).function:
        return None
    end = _name_end(typed, place)
    if _introduced(typed, place):
        end = max(end, _name_end(typed, place + 1), place + 1)
        while end < place + LONGEST_NAME and _is_titled(typed, end):
            end += 1
    elif end == place or not (_is_whole(typed, place, end) or _is_somebody(typed, place, end)):
        return None
    return Found(typed.words[end - 1].end + _is_initial(typed, end - 1), Tag.NAME)


def _name_end(typed: Typed, place: int) -> int:
    """Where given names, surnames and initials that follow each other end."""
    end = place
    while end < min(place + LONGEST_NAME, len(typed.words)) and (end == place or _NAME_GAP.fullmatch(typed.gap(end))):
        if not is_name(typed.words[end], _PERSON) and not _is_initial(typed, end):
            break
        end += 1
    return end


def _is_initial(typed: Typed, place: int) -> bool:
    """True of А. and П. in «Иванова А. П.»."""
    word = typed.words[place]
    return word.title and word.end == word.start + 1 and typed.text[word.end : word.end + 1] == "."


def _is_titled(typed: Typed, place: int) -> bool:
    """True of «Ен» and «Су» in «зовут Ким Ен Су»."""
    if place >= len(typed.words) or typed.gap(place) != " ":
        return False
    return typed.words[place].title and not sort_of(typed.form(place)).function


def _introduced(typed: Typed, place: int) -> bool:
    """True of any word after «меня зовут», of one that may be a name after «фамилия», of a name after «зовут»."""
    before = typed.before(place)
    at = next((at for at, form in enumerate(before) if form not in _ALSO), len(before))
    cue, around = "".join(before[at : at + 1]), {*before[:at], *before[at + 1 : at + 2]}
    if "как" in before or typed.form(place) in _KIN or "," in typed.gap(place):
        return False
    maybe = bool(sort_of(typed.form(place)).possible & _PERSON)
    return (cue in _SURNAME and maybe) or (cue in _CALLED and (maybe or not _ALSO.isdisjoint(around)))


def _is_whole(typed: Typed, place: int, end: int) -> bool:
    """True of a name with a patronymic, a surname or initials to it."""
    sorts = [sort_of(word.form).possible for word in typed.words[place:end]]
    initials = any(_is_initial(typed, at) for at in range(place, end))
    kinds = frozenset().union(*sorts)
    return end > place + 1 and bool("Patr" in kinds or {"Name", "Surn"} <= kinds or (initials and "Surn" in kinds))


def _is_somebody(typed: Typed, place: int, end: int) -> bool:
    """True of «это Петрова», «Петрова звонит», «сына Колю»."""
    before = typed.form(place - 1)
    return before in _SOMEBODY or typed.form(end) in _CALLING or (before in _KIN and typed.words[place].title)


# --- The whole -------------------------------------------------------------------------------------------------------

RULES: tuple[Callable[[Typed, int], Found | None], ...] = (birthday, address, number, phone_with_commas, name)

_DAY, _MONTH_NUMBER = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
_WORDS = re.compile(
    rf"(?P<tag>{'|'.join(re.escape(tag) for tag in Tag if tag)})"
    rf"|(?P<date>(?<![\d.]){_DAY}[./ -]{_MONTH_NUMBER}[./ -](?:19|20)\d\d(?!\d)"
    rf"|(?<![\d.]){_DAY}\.{_MONTH_NUMBER}\.\d\d(?![.\d])|(?:19|20)\d\d-\d\d-\d\d(?!\d))"
    r"|(?P<figure>(?<![\d.,])\d{1,2}[.,]\d(?![.,]?\d))"
    r"|(?P<digits>\+?\d+)"
    r"|(?P<letters>пр-[тд](?![^\W\d_])|[^\W\d_]+)"
)


def words_of(text: str) -> Iterator[Word]:
    for found in _WORDS.finditer(text):
        form = found[0].lower().replace("ё", "е").lstrip("+")
        title = found[0][0].isupper() and not found[0][1:2].isupper()
        yield Word(found.start(), found.end(), found.lastgroup or "", form, title)


def mask(text: str, public: Collection[str] = ()) -> str:
    """The text with each personal datum replaced by its tag; what is public stays. Any text is accepted."""
    text = EMAIL.sub(Tag.EMAIL, text)
    typed = Typed(text, tuple(words_of(text)), public)
    parts, done = [], 0
    for place, word in enumerate(typed.words):
        if word.start < done:
            continue
        found = next(filter(None, (rule(typed, place) for rule in RULES)), None)
        if found:
            parts += [text[done : word.start], found.tag or text[word.start : found.end]]
            done = found.end
    return "".join((*parts, text[done:]))


# --- What has to be kept ---------------------------------------------------------------------------------------------


class VaultError(Exception):
    """What was sealed cannot be opened: another key, or damaged."""


class Vault:
    """Seals texts with a key of 32 bytes (AES-128-CBC with HMAC-SHA256: Fernet)."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise VaultError(f"the key has {len(key)} bytes; it takes 32")
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def seal(self, text: str) -> bytes:
        return self._fernet.encrypt(text.encode("utf-8", "surrogatepass"))

    def open(self, sealed: bytes) -> str:
        """Raises VaultError."""
        try:
            return self._fernet.decrypt(sealed).decode("utf-8", "surrogatepass")
        except InvalidToken:
            raise VaultError("a card cannot be opened: it was sealed with another key, or it is damaged") from None
