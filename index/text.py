"""Typed Russian -> search terms.

A volunteer types with one hand on the phone: wrong keyboard layout, translit, no spaces, misspelt, abbreviated.
Reader.read undoes that word by word and keeps, for each word, the place it was typed at.
A word that Russian or the base knows is never changed.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import pymorphy3
from rapidfuzz import process
from rapidfuzz.distance import OSA

from kb import Word, normalise

_LATIN_KEYS = "qwertyuiop[]asdfghjkl;'zxcvbnm,.`"
_RUSSIAN_KEYS = "йцукенгшщзхъфывапролджэячсмитьбюё"
_SHIFTED_KEYS = 'QWERTYUIOP{}ASDFGHJKL:"ZXCVBNM<>~'
_TO_RUSSIAN = str.maketrans(_LATIN_KEYS + _SHIFTED_KEYS, _RUSSIAN_KEYS + _RUSSIAN_KEYS.upper())
_TO_LATIN = str.maketrans(_RUSSIAN_KEYS, _LATIN_KEYS)

# Longest first: how callers' names of sounds are spelt in Latin letters.
_TRANSLIT = (
    ("shch", "щ"), ("sch", "щ"), ("sh", "ш"), ("ch", "ч"), ("zh", "ж"), ("kh", "х"), ("ts", "ц"), ("yu", "ю"),
    ("ju", "ю"), ("ya", "я"), ("ja", "я"), ("yo", "е"), ("jo", "е"), ("ye", "е"), ("je", "е"), ("iy", "ий"),
    ("yy", "ый"), ("a", "а"), ("b", "б"), ("v", "в"), ("w", "в"), ("g", "г"), ("d", "д"), ("e", "е"), ("z", "з"),
    ("i", "и"), ("j", "й"), ("k", "к"), ("l", "л"), ("m", "м"), ("n", "н"), ("o", "о"), ("p", "п"), ("r", "р"),
    ("s", "с"), ("t", "т"), ("u", "у"), ("f", "ф"), ("h", "х"), ("c", "ц"), ("y", "ы"), ("x", "кс"), ("q", "к"),
    ("'", "ь"), ("4", "ч"), ("6", "ш"),
)  # fmt: skip
_TRANSLIT_PIECES = dict(_TRANSLIT)
_TRANSLIT_PATTERN = re.compile("|".join(re.escape(latin) for latin, _ in _TRANSLIT))
# Sounds that translit writes in one way and Russian in several.
_SKELETON = str.maketrans({"ь": "", "ъ": "", "й": "и", "ы": "и", "э": "е", "щ": "ш", "ё": "е"})

_NUMBERS = {
    word: str(number)
    for number, words in {
        1: "один первый", 2: "два второй двое", 3: "три третий трое", 4: "четыре четвертый", 5: "пять пятый",
        6: "шесть шестой", 7: "семь седьмой", 8: "восемь восьмой", 9: "девять девятый", 10: "десять десятый",
        11: "одиннадцать", 12: "двенадцать", 13: "тринадцать", 14: "четырнадцать четырнадцатый", 15: "пятнадцать",
        16: "шестнадцать", 17: "семнадцать", 18: "восемнадцать", 20: "двадцать",
        30: "тридцать", 40: "сорок", 50: "пятьдесят", 60: "шестьдесят", 70: "семьдесят", 80: "восемьдесят",
        90: "девяносто",
        100: "сто",
    }.items()
    for word in words.split()
}  # fmt: skip

# Words that carry the call but not the question; dropped from the lexical side only.
_FILLER = frozenset(
    word
    for line in (
        "здравствовать здравствуйте алло добрый пожалуйста подсказать сказать извинить спасибо вопрос хотеть",
        "узнать мочь ли же бы то вот ну это этот такой там тут уже еще просто вообще очень и а но в на с к о у по за",
        "из для от до при или что чтобы как так он она они мы вы я ты мой ваш наш свой быть который",
    )
    for word in line.split()
)

_CHUNK = re.compile(r"\S+")
_WORDS = re.compile(r"[^\W_]+")
_CYRILLIC = re.compile(r"[а-я]+")
_HAS_LATIN = re.compile(r"[A-Za-z]")
_EDGES = "!?\"'«»()[]{}.,;:-–—…*"


@dataclass(frozen=True)
class Token:
    """One understood word: where it was typed, what it was read as, and its possible lemmas (ё=е)."""

    start: int
    end: int
    word: str
    lemmas: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """A question as understood."""

    text: str
    tokens: tuple[Token, ...]

    @property
    def terms(self) -> list[str]:
        """Lemmas for lexical search: all parses, numbers as digits, filler dropped (unless nothing else is left)."""
        terms = [term for token in self.tokens for term in token.lemmas if term not in _FILLER]
        return terms or [term for token in self.tokens for term in token.lemmas]

    @property
    def words(self) -> str:
        return " ".join(token.word for token in self.tokens)

    @property
    def changed(self) -> bool:
        """True if the words were read differently from how they were typed."""
        return self.words != " ".join(split(self.text))


def split(text: str) -> list[str]:
    """Words in lower case, ё=е; unlike in kb.normalise, parts of a hyphenated word stand alone."""
    return _WORDS.findall(normalise(text))


@lru_cache(maxsize=1)
def _morph() -> pymorphy3.MorphAnalyzer:
    return pymorphy3.MorphAnalyzer(lang="ru")


@lru_cache(maxsize=100_000)
def lemmas(word: str) -> tuple[str, ...]:
    """Distinct lemmas of all parses of a lower-case word, most probable first; number words as digits."""
    if not _CYRILLIC.fullmatch(word):
        return (word,)
    forms = (parse.normal_form.replace("ё", "е") for parse in _morph().parse(word))
    return tuple(dict.fromkeys(_NUMBERS.get(form, form) for form in forms))


@lru_cache(maxsize=100_000)
def is_russian(word: str) -> bool:
    """True if the dictionary has the word (ё may be written е)."""
    return bool(_CYRILLIC.fullmatch(word)) and bool(_morph().word_is_known(word))


@lru_cache(maxsize=20_000)
def is_present_tense(word: str) -> bool:
    """True if the word can be a verb of what is happening now: «задыхается», not «задыхался» or «одышка»."""
    return bool(_CYRILLIC.fullmatch(word)) and any(parse.tag.tense == "pres" for parse in _morph().parse(word))


@dataclass(frozen=True)
class Parse:
    """One way to read a word: its grammemes («NOUN», «Name», ...), and if the dictionary has it so."""

    grammemes: frozenset[str]
    known: bool


def parses(word: str) -> tuple[Parse, ...]:
    """All ways to read a lower-case word, the most probable first. For grammemes see OpenCorpora."""
    return tuple(Parse(frozenset(parse.tag.grammemes), bool(parse.is_known)) for parse in _morph().parse(word))


def from_layout(text: str) -> str:
    """What was meant by Russian typed with the Latin keyboard layout on."""
    return text.translate(_TO_RUSSIAN)


def from_translit(text: str) -> str:
    """Russian written in Latin letters, by sound; soft signs and endings may be missing."""
    return _TRANSLIT_PATTERN.sub(lambda found: _TRANSLIT_PIECES[found[0]], text.lower())


def _skeleton(word: str) -> str:
    return re.sub(r"(.)\1", r"\1", word.translate(_SKELETON).replace("тс", "ц"))


class Reader:
    """Reads questions with the vocabulary of one base.

    `phrases`: texts whose words count as known. `lexicon`: abbreviations and slang with what they stand for.
    """

    def __init__(self, phrases: Iterable[str], lexicon: Sequence[Word] = ()) -> None:
        self._lexicon = {tuple(split(entry.word)): entry.means for entry in lexicon}
        self._longest = max(map(len, self._lexicon), default=0)
        counts = Counter(word for phrase in phrases for word in split(phrase))
        for words in self._lexicon:
            counts.update(words)
        self._counts: Mapping[str, int] = counts
        self._by_length: dict[int, list[str]] = defaultdict(list)
        self._by_skeleton: dict[str, str] = {}
        for word, _ in counts.most_common():
            if not word.isdigit():
                self._by_length[len(word)].append(word)
                self._by_skeleton.setdefault(_skeleton(word), word)
        # An instance-level cache: the same words come back all day, and a new base brings a new Reader.
        self._repair = lru_cache(maxsize=50_000)(self._repair_uncached)

    def read(self, text: str, *, literally: bool = False) -> Reading:
        """The question word by word; literally: as it was typed, nothing repaired. Any text is accepted, whatever its
        characters."""
        if literally:
            typed = [(found.start(), found.end(), word) for found in _WORDS.finditer(text) for word in split(found[0])]
            return Reading(text, tuple(Token(start, end, word, lemmas(word)) for start, end, word in typed))
        chunks = list(_CHUNK.finditer(text))
        latin = self._latin_mode([chunk[0] for chunk in chunks if _HAS_LATIN.search(chunk[0])])
        words: list[tuple[int, int, str]] = []
        for chunk in chunks:
            words += self._chunk_words(chunk.start(), chunk[0], latin)
        words = [part for word in words for part in self._repaired(word)]
        return Reading(text, tuple(self._tokens(words)))

    def known(self, word: str) -> bool:
        return word.isdigit() or word in self._counts or is_russian(word)

    def _latin_mode(self, chunks: list[str]) -> str:
        """How Latin letters in this text are to be read: 'layout', 'translit' or 'latin', by majority of words."""
        votes: Counter[str] = Counter()
        unknown = [chunk for chunk in chunks if not all(word in self._counts for word in split(chunk))]
        telling = [chunk for chunk in unknown if len(chunk) > 2] or unknown
        for chunk in telling:
            votes["layout"] += self._layout(chunk) is not None
            sounds = split(from_translit(chunk))
            votes["translit"] += bool(sounds) and all(map(self._sounds_known, sounds))
        mode, count = max(votes.items(), key=lambda vote: vote[1], default=("latin", 0))
        return mode if 2 * count > len(telling) else "latin"

    def _sounds_known(self, word: str) -> bool:
        return self.known(word) or _skeleton(word) in self._by_skeleton or bool(self._nearest(word, 1))

    def _layout(self, chunk: str) -> str | None:
        """The chunk with the layout undone, if that gives known words; marks at its ends may be letters or marks."""
        for typed in (chunk, chunk.rstrip(_EDGES), chunk.lstrip(_EDGES), chunk.strip(_EDGES)):
            words = split(from_layout(typed))
            if words and all(self.known(word) or self._nearest(word, 1) for word in words) and max(map(len, words)) > 1:
                return " ".join(words)
        return None

    def _chunk_words(self, start: int, chunk: str, mode: str) -> list[tuple[int, int, str]]:
        shortest = 1 if mode == "latin" else 2  # a single letter is a name («V») only in a text that is not Latin
        if not _HAS_LATIN.search(chunk) or all(word in self._counts and len(word) >= shortest for word in split(chunk)):
            return [
                (start + found.start(), start + found.end(), form)
                for found in _WORDS.finditer(chunk)
                for form in split(found[0])
            ]
        read = chunk
        if mode == "layout":
            read = self._layout(chunk) or from_layout(chunk.rstrip(_EDGES))
        elif mode == "translit":
            read = from_translit(chunk)
        return [(start, start + len(chunk), word) for word in split(read)]

    def _repaired(self, word: tuple[int, int, str]) -> list[tuple[int, int, str]]:
        start, end, form = word
        return [(start, end, part) for part in ([form] if self.known(form) else self._repair(form).split())]

    def _repair_uncached(self, word: str) -> str:
        flipped = word.translate(_TO_LATIN)
        if flipped in self._counts:
            return flipped
        return (
            self._by_skeleton.get(_skeleton(word), "")
            or self._nearest(word, 1)
            or self._split(word)
            or self._nearest(word, 2)
            or word
        )

    def _nearest(self, word: str, most: int) -> str:
        """The base's word at most `most` edits away (short words: fewer), the nearest and then the most frequent."""
        distance = min(most, (len(word) - 1) // 3)
        if distance < 1 or len(word) > 40:
            return ""
        lengths = range(len(word) - distance, len(word) + distance + 1)
        near = [
            (edits, -self._counts[candidate], candidate)
            for length in lengths
            for candidate, edits, _ in process.extract(
                word, self._by_length.get(length, ()), scorer=OSA.distance, score_cutoff=distance, limit=5
            )
        ]
        return min(near)[2] if near else ""

    def _split(self, word: str) -> str:
        """Words written together, apart again: the fewest of the base's words that make up the whole."""
        if not 6 <= len(word) <= 200:
            return ""
        best: list[tuple[int, list[str]] | None] = [(0, [])] + [None] * len(word)
        for end in range(1, len(word) + 1):
            for start in range(max(0, end - 20), end):
                before, part = best[start], word[start:end]
                if before is None or not (part in self._counts and (len(part) > 2 or part in _FILLER)):
                    continue
                cost = before[0] + (2 if len(part) > 2 else 3)
                at_end = best[end]
                if at_end is None or cost < at_end[0]:
                    best[end] = (cost, [*before[1], part])
        whole = best[-1]
        return " ".join(whole[1]) if whole else ""

    def _tokens(self, words: list[tuple[int, int, str]]) -> Iterable[Token]:
        """Tokens with the lexicon's abbreviations spelt out, the longest match first."""
        place = 0
        while place < len(words):
            for size in range(min(self._longest, len(words) - place), 0, -1):
                means = self._lexicon.get(tuple(word for _, _, word in words[place : place + size]))
                if means is not None:
                    start, end = words[place][0], words[place + size - 1][1]
                    yield from (Token(start, end, word, lemmas(word)) for word in split(means))
                    place += size
                    break
            else:
                start, end, word = words[place]
                yield Token(start, end, word, lemmas(word))
                place += 1
