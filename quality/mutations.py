"""The same call as other fingers would have typed it: a flag must hold through all (tests/test_flag_gate.py)."""

import random
import re
from collections.abc import Callable

LATIN = dict(zip("йцукенгшщзхъфывапролджэячсмитьбюё", "qwertyuiop[]asdfghjkl;'zxcvbnm,.`", strict=True))
SOUNDS = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ё": "e", "ж": "zh", "з": "z", "и": "i", "й": "y",
    "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f",
    "х": "h", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "sch", "ъ": "", "ы": "y", "ь": "", "э": "e", "ю": "yu", "я": "ya",
}  # fmt: skip
BEFORE = ("здравствуйте подскажите пожалуйста", "алло девушка", "добрый день такой вопрос", "скажите")
AFTER = ("что делать", "и ещё хотела узнать как продлить больничный", "помогите", "спасибо заранее")


def shouting(text: str, _: random.Random) -> str:
    return text.upper()


def unmarked(text: str, _: random.Random) -> str:
    return re.sub(r"[^\w\s]", " ", text).lower()


def wrong_layout(text: str, _: random.Random) -> str:
    return "".join(LATIN.get(char, char) for char in text.lower())


def translit(text: str, _: random.Random) -> str:
    return "".join(SOUNDS.get(char, char) for char in text.lower())


def joined(text: str, rng: random.Random) -> str:
    """One space lost."""
    spaces = [found.start() for found in re.finditer(" ", text)]
    if not spaces:
        return text
    place = rng.choice(spaces)
    return text[:place] + text[place + 1 :]


def misspelt(text: str, rng: random.Random) -> str:
    """A letter of one long word lost or two of them swapped."""
    long = list(re.finditer(r"\w{6,}", text))
    if not long:
        return text
    found = rng.choice(long)
    at = rng.randrange(found.start() + 1, found.end() - 2)
    return text[:at] + text[at + 1 :] if rng.random() < 0.5 else text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def surrounded(text: str, rng: random.Random) -> str:
    return f"{rng.choice(BEFORE)} {text} {rng.choice(AFTER)}"


MUTATIONS: tuple[Callable[[str, random.Random], str], ...] = (
    shouting,
    unmarked,
    wrong_layout,
    translit,
    joined,
    misspelt,
    surrounded,
)
