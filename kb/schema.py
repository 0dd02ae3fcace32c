"""What one piece of knowledge is: an Entry, its parts, and what makes it valid.

Everything here is frozen: an edit makes a new Entry, and a question in flight keeps the one it started with.
"""

import re
import unicodedata
from datetime import date
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

SAY_WORDS = 60  # what can be read aloud in about 30 seconds
SAY_SENTENCES = 4
BRANCH_WORDS = 40
FEWEST_VARIANTS = 5

_WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…]+(?=\s|$)")


def normalise(text: str) -> str:
    """The form in which two phrasings count as the same: lower case, ё=е, words separated by one space."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).lower().replace("ё", "е")))


def _plain(text: str) -> str:
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cs"):
            raise ValueError(f"control character U+{ord(char):04X}; retype this line by hand")
    if text != text.strip():
        raise ValueError("spaces at the beginning or the end; remove them")
    return text


Text = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_plain)]
EntryId = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class Topic(StrEnum):
    SICK_LEAVE = "sick-leave"
    VACCINATION = "vaccination"
    CLINICS = "clinics"
    QR = "qr"
    TESTING = "testing"
    CONTACTS = "contacts"


class Route(StrEnum):
    """Who takes a call that the volunteer should not answer alone; the order is the order of urgency."""

    EMERGENCY = "emergency"
    PSYCHOLOGIST = "psychologist"
    DOCTOR = "doctor"
    LAWYER = "lawyer"
    SOCIAL = "social"
    TECH = "tech"
    SENIOR = "senior"


class Urgency(StrEnum):
    NOW = "now"
    TRANSFER = "transfer"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Branch(Frozen):
    """The answer for one reply of the caller."""

    when: Text
    say: Text

    @field_validator("say")
    @classmethod
    def _short_enough(cls, say: str) -> str:
        return _readable(say, BRANCH_WORDS)


class Condition(Frozen):
    """When an entry itself asks for a specialist."""

    route: Route
    when: Text


def _readable(say: str, most_words: int) -> str:
    words, sentences = len(say.split()), len(_SENTENCE_END.findall(say))
    if words > most_words:
        raise ValueError(f"{words} words, too long to read aloud; at most {most_words}, move the rest to notes")
    if sentences > SAY_SENTENCES:
        raise ValueError(f"{sentences} sentences, too long to read aloud; at most {SAY_SENTENCES}")
    return say


class Entry(Frozen):
    """One answer and the ways in which callers ask for it."""

    id: EntryId
    topic: Topic
    question: Text
    variants: tuple[Text, ...]
    say: Text
    notes: tuple[Text, ...] = ()
    ask_back: tuple[Text, ...] = ()
    branches: tuple[Branch, ...] = ()
    specialist: tuple[Condition, ...] = ()
    sources: tuple[Text, ...] = Field(min_length=1)
    valid_from: date | None = None
    valid_until: date | None = None
    replaced_by: EntryId | None = None
    reviewed: date
    owner: Text

    @field_validator("say")
    @classmethod
    def _short_enough(cls, say: str) -> str:
        return _readable(say, SAY_WORDS)

    @field_validator("variants")
    @classmethod
    def _enough_variants(cls, variants: tuple[str, ...]) -> tuple[str, ...]:
        if len(variants) < FEWEST_VARIANTS:
            raise ValueError(f"{len(variants)} variants; add the other ways callers say it, at least {FEWEST_VARIANTS}")
        return variants

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise ValueError(f"valid_until {self.valid_until} is before valid_from {self.valid_from}")
        if self.replaced_by and not self.valid_until:
            raise ValueError("replaced_by without valid_until; say on which day the replacement takes over")
        if self.replaced_by == self.id:
            raise ValueError("replaced_by names the entry itself")
        return self

    def in_force(self, day: date) -> bool:
        """True if the answer holds on `day`; both ends are included."""
        return (self.valid_from is None or self.valid_from <= day) and not self.expired(day)

    def expired(self, day: date) -> bool:
        return self.valid_until is not None and self.valid_until < day

    @property
    def phrasings(self) -> tuple[str, ...]:
        """What callers' words are matched against: the question, its variants and the read-aloud text."""
        return (self.question, *self.variants, self.say)
