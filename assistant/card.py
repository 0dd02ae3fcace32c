"""The caller's details as the hotline takes them down: each optional, each checked.

Nothing typed is lost: what cannot be read as a phone or a day is kept as it was typed, and a sentence says why.
"""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

import phonenumbers
from phonenumbers import PhoneNumberFormat
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from .settings import parse_day

FURTHEST_DELIVERY = timedelta(days=30)  # a day beyond is a slip of the finger
LONGEST = 2_000  # characters of one field

UNREADABLE = "Не получилось прочитать это поле. Заполните его, пожалуйста, ещё раз."
TOO_LONG = "Слишком длинно: сюда помещается {most} знаков."
NO_PHONE = "Такого номера не бывает. Проверьте цифры; второй номер запишите в примечание."
NO_DAY = "Не получилось понять дату. Напишите её так: 25.01.2022."
DAY_PASSED = "Этот день уже прошёл. Уточните, когда привезти."
DAY_TOO_FAR = "До этого дня больше месяца. Проверьте дату."


class Who(StrEnum):
    OVER_65 = "65+"
    ALONE = "alone"
    DISABLED = "disabled"
    FAMILY = "family"


class Need(StrEnum):
    FOOD = "food"
    MEDICINES = "medicines"
    OTHER = "other"


WHO = {
    Who.OVER_65: "65 лет и старше",
    Who.ALONE: "живёт без близких",
    Who.DISABLED: "человек с инвалидностью",
    Who.FAMILY: "семья с детьми",
}
NEEDS = {Need.FOOD: "продукты", Need.MEDICINES: "лекарства", Need.OTHER: "другое"}

# No keyboard types these; neither UTF-8 nor the XML of a spreadsheet takes all of them.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """Without control characters and halves of characters; tabs and new lines stay."""
    return _UNPRINTABLE.sub("", text)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(UNREADABLE)
    return printable(value).strip()


Line = Annotated[str, Field(max_length=200), BeforeValidator(_text)]
Text = Annotated[str, Field(max_length=LONGEST), BeforeValidator(_text)]


class Card(BaseModel):
    """`phone` in E.164 with its extension, if any; `items`: what to buy; `window`: hours of the delivery; `consent`: to
    keep these data. With `today` in the validation context a day of delivery must lie ahead."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    name: Line = ""
    phone: Line = ""
    district: Line = ""
    address: Text = ""
    who: frozenset[Who] = frozenset()
    needs: frozenset[Need] = frozenset()
    items: Text = ""
    delivery_day: date | None = None
    window: Line = ""
    payment: Line = ""
    note: Text = ""
    consent: bool = False

    @field_validator("phone")
    @classmethod
    def _valid_phone(cls, phone: str) -> str:
        number = _parsed(phone) if phone else None
        if number is None:
            return ""
        if not phonenumbers.is_valid_number(number):
            raise ValueError(NO_PHONE)
        extension = f" доб. {number.extension}" if number.extension else ""
        return phonenumbers.format_number(number, PhoneNumberFormat.E164) + extension

    @field_validator("delivery_day", mode="before")
    @classmethod
    def _possible_day(cls, value: Any, info: ValidationInfo) -> date | None:
        if value is None:
            return None
        try:
            day = value if isinstance(value, date) else parse_day(_text(value))
        except ValueError:
            raise ValueError(NO_DAY) from None
        today: date = (info.context or {}).get("today", day)
        if day < today:
            raise ValueError(DAY_PASSED)
        if day - today > FURTHEST_DELIVERY:
            raise ValueError(DAY_TOO_FAR)
        return day


def _parsed(phone: str) -> phonenumbers.PhoneNumber:
    """A number without + is a Russian one."""
    try:
        return phonenumbers.parse(phone, "RU")
    except phonenumbers.NumberParseException:
        raise ValueError(NO_PHONE) from None


def read_card(data: Mapping[str, Any], today: date) -> tuple[Card, dict[str, str]]:
    """The card as far as it can be read, and for each field that cannot a sentence that says why. Never raises."""
    context = {"today": today}
    filled = {name: value for name, value in data.items() if value not in (None, "")}
    try:
        return Card.model_validate(filled, context=context), {}
    except ValidationError as error:
        wrong = {str(found["loc"][0]): _sentence(found["type"], found.get("ctx", {})) for found in error.errors()}
    right = {name: value for name, value in filled.items() if name not in wrong}
    return Card.model_validate(right, context=context), wrong


def _sentence(kind: str, context: Mapping[str, Any]) -> str:
    """What pydantic has found wrong, in Russian."""
    match kind:
        case "value_error":
            return str(context["error"])
        case "string_too_long":
            return TOO_LONG.format(most=context["max_length"])
    return UNREADABLE


class Details(BaseModel):
    """What is sealed: the card, and what was `typed` into fields that cannot be read."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    card: Card = Card()
    typed: dict[str, str] = {}

    @classmethod
    def read(cls, data: Mapping[str, Any], today: date) -> tuple[Self, dict[str, str]]:
        """With the sentences of read_card. Of a text that is far too long only its beginning is kept."""
        card, wrong = read_card(data, today)
        typed = {name: _text(data[name])[:LONGEST] for name in wrong if isinstance(data[name], str)}
        return cls(card=card, typed=typed), wrong

    @property
    def wants_delivery(self) -> bool:
        return bool(self.card.needs or self.card.items or self.delivery)

    # For people to read, in the handover sheet and on the list of deliveries.

    @property
    def phone(self) -> str:
        return readable_phone(self.card.phone) or self._unchecked("phone")

    @property
    def delivery(self) -> str:
        """Day and hours."""
        return _listed(self.delivery_day, self.text("window"))

    @property
    def delivery_day(self) -> str:
        day = self.card.delivery_day
        return f"{day:%d.%m.%Y}" if day else self._unchecked("delivery_day")

    @property
    def place(self) -> str:
        return _listed(self.text("district"), self.text("address"))

    @property
    def who(self) -> str:
        return _listed(*(label for who, label in WHO.items() if who in self.card.who))

    @property
    def needs(self) -> str:
        return _listed(*(label for need, label in NEEDS.items() if need in self.card.needs))

    def text(self, field: str) -> str:
        """A field of text, even if it is too long."""
        return getattr(self.card, field) or self.typed.get(field, "")

    def _unchecked(self, field: str) -> str:
        return f"{self.typed[field]} (проверьте)" if field in self.typed else ""


def _listed(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def readable_phone(phone: str) -> str:
    """8 (916) 123-45-67; a foreign one begins with its +."""
    if not phone:
        return ""
    number = _parsed(phone)
    form = PhoneNumberFormat.NATIONAL if number.country_code == 7 else PhoneNumberFormat.INTERNATIONAL
    return phonenumbers.format_number(number, form).replace(" ext. ", " доб. ")
