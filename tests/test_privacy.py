"""Nothing personal is left in a masked text, nothing else is taken from it; sealed texts open with their key only."""

import re
import sys
import time
from collections.abc import Callable
from itertools import accumulate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assistant.privacy import EMAIL, Tag, Vault, VaultError, mask, public_numbers, words_of
from kb import KnowledgeBase, load

PUBLIC = public_numbers(["122", "103", "051", "8 800 200-34-11", "8 800 2000-112", "8 495 870-44-44"])

PHONES = """
мой телефон 8 916 123 45 67 перезвоните -> мой телефон [телефон] перезвоните
+7(916)123-45-67 -> [телефон]
89161234567 -> [телефон]
тел89161234567 мама -> тел[телефон] мама
8-916-123-45-67 -> [телефон]
8.916.123.45.67 -> [телефон]
8 9 1 6 1 2 3 4 5 6 7 -> [телефон]
916 123 45 67 -> [телефон]
8_916_123_45_67 -> [телефон]
8, 916, 123, 45, 67 -> [телефон]
8916 123 4567, муж на работе -> [телефон], муж на работе
+7 916 123 45 67 и второй 8 903 765 43 21 -> [телефон] и второй [телефон]
восемь девятьсот шестнадцать сто двадцать три сорок пять шестьдесят семь -> [телефон]
Восемь, девятьсот шестнадцать, сто двадцать три, сорок пять, шестьдесят семь -> [телефон]
восемь, девятьсот, сто, десять, двадцать два, ноль три -> [телефон]
плюс семь девятьсот три тире сто одиннадцать тире двадцать два ноль ноль -> плюс [телефон]
восем девятсот шеснадцать сто двацать три сорок пять шестдесят семь -> [телефон]
8 девятьсот шестнадцать 123 сорок пять 67 -> [телефон]
городской 123-45-67 -> городской [телефон]
сто двадцать три сорок пять шестьдесят семь -> [телефон]
телефон 12-34-56 -> телефон [телефон]
температура 38 телефон 1234567 -> температура 38 телефон [телефон]
+380 44 123 45 67 -> [номер]
"""
PAPERS = """
ivanova.maria@mail.ru напишите -> [почта] напишите
почта иванова собака мейл точка ру -> почта [почта]
мой имейл вася точка пупкин собака гмейл точка ком -> мой имейл [почта]
masha_85 собака yandex.ru -> [почта]
иванова точка м собака яндекс ру -> [почта]
пишите ivan@x.ru,пётр@почта.рф -> пишите [почта],[почта]
снилс 123-456-789 01 -> снилс [СНИЛС]
СНИЛС 12345678901 -> СНИЛС [СНИЛС]
123-456-789 01 -> [СНИЛС]
полис омс номер 7754 1234 5678 9012 не находит -> полис омс номер [полис] не находит
паспорт 4508 123456 -> паспорт [паспорт]
паспорт серия 45 08 номер 123456 выдан 2004 -> паспорт серия [паспорт] выдан 2004
паспорт 45 08 № 123456 -> паспорт [паспорт]
4508 123456 -> [паспорт]
карта 2202 2003 8912 3456 -> карта [карта]
4276380012345678 -> [карта]
больничный 910123456789 где смотреть -> больничный [номер] где смотреть
инн 771234567890 -> инн [номер]
"""
NAMES = """
меня зовут Мария Ивановна -> меня зовут [имя]
меня зовут мария ивановна живу одна 78 лет нужны продукты -> меня зовут [имя] живу одна 78 лет нужны продукты
меня завут света у меня температура -> меня завут [имя] у меня температура
меня зовут чингиз мне нужен больничный -> меня зовут [имя] мне нужен больничный
зовут Хатидже, не пускают -> зовут [имя], не пускают
маму зовут лида -> маму зовут [имя]
моя фамилия Хабибуллаева -> моя фамилия [имя]
фамилия иванова имя отчество мария петровна -> фамилия [имя] имя отчество [имя]
ФИО: Ким Ен Су -> ФИО: [имя]
это Петрова звонит из поликлиники -> это [имя] звонит из поликлиники
Петрова звонит опять -> [имя] звонит опять
я Иванова Мария -> я [имя]
сын Миша 7 лет -> сын [имя] 7 лет
звоню от смирновой галины ивановны -> звоню от [имя]
соседка нина петровна не открывает -> соседка [имя] не открывает
у Анны Петровны нет лекарств -> у [имя] нет лекарств
по обращению гр. Сидоровой А. П., 1936 г. р. -> по обращению гр. [имя], 1936 г. р.
"""
ADDRESSES = """
улица Ленина дом 5 кв 12 -> [адрес]
ул. Ленина 5-12 -> [адрес]
ул ленина 5 кв 12 подъезд 3 этаж 4 домофон 12К -> [адрес]
ул. 8 Марта, д. 5 -> [адрес]
живу на Ленина 5 квартира 12 -> живу на [адрес]
живу на тверской 15 -> живу на [адрес]
мой адрес бирюлёвская 34 корпус 2 квартира 118 -> мой адрес [адрес]
дом12кв5 -> [адрес]
Ленинский проспект, 45, к. 2, кв. 17 -> [адрес]
проспект мира 101 корпус 2 -> [адрес]
адрес: Москва, Тверская 12, кв 5 -> адрес: [адрес]
живу улица ленина дом пять квартира двенадцать -> живу [адрес]
улица Молодогвардейская, зайдите -> [адрес], зайдите
жилец из сорок второй квартиры -> жилец из [адрес]
нужны продукты; кв. 17, 2 подъезд -> нужны продукты; [адрес]
мкр Северный 12 -> [адрес]
г Москва ул Новаторов д 7 к 2 кв 44 тел 8 925 111 22 33 -> г [адрес] тел [телефон]
"""
BIRTHDAYS = """
родилась 12.03.48 -> родилась [дата рождения]
дата рождения 12 03 1948 -> дата рождения [дата рождения]
12.03.1948 г.р. -> [дата рождения] г.р.
ребёнок родился 5 мая 2020 года, где прививка -> ребёнок родился [дата рождения], где прививка
родилась двенадцатого марта сорок восьмого года -> родилась [дата рождения]
пациент Сидоров Пётр Сергеевич, 12 марта 1948 г.р. -> пациент [имя], [дата рождения] г.р.
"""
KEPT = """
приказ 1089н, справка 095/у, форма 057, код 021, КТ-1
122 не отвечает, 103 тоже, звонить 8 800 200-34-11 или 8 495 870-44-44
звоню на 88002000112, с мобильного 8 495 051
870-44-44 это что за номер
восемь восемьсот двести тридцать четыре одиннадцать не берут
8 800 555 35 35
14 дней после 24.01.2022, сатурация 93, температура 38.5
с 24.01.2022 - 14.02.2022 или до 2022-03-01
давление 120 80 72, было 120/80
температура 37,5 38,2 37,9 36,6
в 2021 2022 2023 году
сколько платят, 60 80 100 процентов
закон от 21.11.2011 № 323-ФЗ
маме 78 лет, рождена в 1943, 1943 г.р.
с 9:00-18:00, 09:00-20:00
мне 65+, живу одна 5 лет, живу в Химках 3 года
сижу дома 14 дней, дома 3 больных, дом престарелых
на улице холодно, 15 градусов, с какой улицы вход
вызвать врача на дом 122, врача на дом 2 раза
3 квартиры на карантине, в нашем подъезде больные
кабинет 5 этаж 3, корпус 2 больницы
бесплатный проезд 60+ отключили
имя с ошибкой, фамилия латиницей, фамилия поменялась
как зовут врача, как его зовут терапевта, как вас зовут, зовут на работу, звать скорую
в оперу её зовут, квадратик нужен
живу в Бутово 122 не отвечает
это спутник лайт, это пол-лёгкого, на улице мороз, центр имени Гамалеи
в рождество седьмого января дежурят
собака болеет. кто погуляет
код из смс 123456
"""


def rows(table: str) -> list[tuple[str, str]]:
    return [tuple(line.split(" -> ")) for line in table.splitlines() if line]


@pytest.mark.parametrize(("typed", "masked"), rows(PHONES + PAPERS + NAMES + ADDRESSES + BIRTHDAYS))
def test_personal_data_are_masked(typed: str, masked: str) -> None:
    assert mask(typed, PUBLIC) == masked


@pytest.mark.parametrize("typed", KEPT.strip().splitlines())
def test_what_the_question_is_about_stays(typed: str) -> None:
    assert mask(typed, PUBLIC) == typed


def test_a_public_number_is_masked_unless_it_is_handed_in() -> None:
    assert mask("8 495 870-44-44") == "[телефон]"


def test_public_numbers_are_known_with_and_without_codes() -> None:
    assert public_numbers(["122", "8 495 870-44-44", "8 800 2000-112"]) == {
        "122", "8495122", "84958704444", "4958704444", "8704444", "88002000112", "8002000112",
    }  # fmt: skip


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return load()


def test_the_phones_of_the_base_stay_readable(kb: KnowledgeBase) -> None:
    public = public_numbers(phone.number for phone in kb.phones)
    eaten = [
        phone.number for phone in kb.phones if mask(f"звонить {phone.number}", public) != f"звонить {phone.number}"
    ]
    assert eaten == []


def test_ordinary_questions_are_left_alone(kb: KnowledgeBase) -> None:
    """The base's own phrasings hold dates, orders and figures of all kinds; a few do name a person or a street."""
    public = public_numbers(phone.number for phone in kb.phones)
    phrases = [phrase for entry in kb for phrase in (entry.question, *entry.variants)][::2]
    changed = [(phrase, masked) for phrase in phrases if (masked := mask(phrase, public)) != phrase]
    numbers = set(Tag) - {Tag.KEPT, Tag.NAME, Tag.ADDRESS}
    assert [pair for pair in changed if any(tag in pair[1] for tag in numbers)] == []
    assert len(changed) <= len(phrases) / 200


# --- Dictated in all ways --------------------------------------------------------------------------------------------

UNITS, TEENS, TENS, HUNDREDS = map(
    str.split,
    (
        "ноль один два три четыре пять шесть семь восемь девять",
        "десять одиннадцать двенадцать тринадцать четырнадцать пятнадцать шестнадцать семнадцать восемнадцать "
        "девятнадцать",
        "двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто",
        "сто двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот",
    ),
)


def say(group: str) -> str:
    """123 is «сто двадцать три», 05 is «ноль пять», 1234 is «двенадцать тридцать четыре»."""
    if len(group) == 4:
        return f"{say(group[:2])} {say(group[2:])}"
    if group.startswith("0") or len(group) == 1:
        return " ".join(UNITS[int(digit)] for digit in group)
    hundreds, rest = divmod(int(group), 100)
    words = [HUNDREDS[hundreds - 1]] if hundreds else []
    if rest >= 20:
        words += [TENS[rest // 10 - 2], *([UNITS[rest % 10]] if rest % 10 else [])]
    elif rest >= 10:
        words.append(TEENS[rest - 10])
    elif rest:
        words.append(UNITS[rest])
    return " ".join(words)


@st.composite
def phone_groups(draw: st.DrawFn) -> list[str]:
    """A mobile number in groups as it is said, 8 first."""
    digits = "9" + draw(st.text("0123456789", min_size=9, max_size=9))
    sizes = draw(
        st.sampled_from([(3, 3, 2, 2), (3, 2, 2, 1, 2), (3, 3, 4), (3, 3, 1, 1, 1, 1), (1,) * 10, (2, 1, 3, 2, 2)])
    )
    ends = list(accumulate(sizes))
    return ["8", *(digits[end - size : end] for size, end in zip(sizes, ends, strict=True))]


SENTENCES = ("{}", "позвоните мне {} пожалуйста", "мой номер {}, я дома", "бабушка просит продукты ({})", "тел.{}")


@given(phone_groups(), st.sampled_from([" ", "-", " - ", ".", "", "  ", ") "]), st.sampled_from(SENTENCES))
def test_no_digit_of_a_typed_phone_is_left(groups: list[str], between: str, sentence: str) -> None:
    masked = mask(sentence.format(between.join(groups)), PUBLIC)
    assert not re.search(r"\d", masked)
    assert Tag.PHONE in masked


@given(phone_groups(), st.sampled_from([" ", ", ", " - ", " тире "]), st.sampled_from(SENTENCES))
def test_no_word_of_a_dictated_phone_is_left(groups: list[str], between: str, sentence: str) -> None:
    masked = mask(sentence.format(between.join(map(say, groups))), PUBLIC)
    left = set(re.findall("[а-я]+", masked)) & {*UNITS, *TEENS, *TENS, *HUNDREDS}
    assert left == set()


@given(st.integers(10**9, 10**20 - 1), st.sampled_from(["", "№ ", "полис ", "счёт: ", "мне 70 лет, "]))
def test_a_long_number_is_never_left(number: int, before: str) -> None:
    if not str(number).removeprefix("8").removeprefix("7").startswith("800"):
        assert str(number) not in mask(f"{before}{number} вот", PUBLIC)


@given(st.from_regex(r"[a-z][a-z0-9._-]{0,20}[a-z0-9]@[a-z0-9]{1,12}(\.[a-z]{2,6}){1,2}", fullmatch=True))
def test_no_e_mail_is_left(address: str) -> None:
    assert mask(f"пишите {address} вот", PUBLIC) == "пишите [почта] вот"


# --- Any text --------------------------------------------------------------------------------------------------------

WORDS = """
8 916 123 45 67 +7 ( ) - . , ; @ д 5 12 А. 12.03.1948 37,5 122 ё Ё İ ß 😀 ١٢٣٤٥٦٧٨٩ [имя] [телефон] собака точка ру
улица Ленина ул. дом кв подъезд меня зовут Анна Петровна фамилия я это звонит марта родилась восемь девятьсот сорок пять
второй лет паспорт полис
"""
PIECES = st.sampled_from((*WORDS.split(), "\ud800", "\0", "\u0301"))
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=40).map(" ".join), st.lists(PIECES).map("".join))


@given(TEXTS)
@example("меня зовут")
@example("8")
@settings(max_examples=500)
def test_whatever_is_typed_only_tags_are_put_in(text: str) -> None:
    """The masked text is the typed one with some stretches taken out and a tag in place of each."""
    parts = re.split("|".join(re.escape(tag) for tag in Tag if tag), mask(text, PUBLIC))
    assert re.fullmatch(".+?".join(map(re.escape, parts)), text, re.DOTALL) if len(parts) > 1 else parts == [text]


REPEATED = (
    "8 ", "1, ", "8-", "9", "1.", "12.12.", "a.", "a@", "a@b.", "а", "а1", "_", " ", "улица ", "ленина 5 ", "д 5 ",
    "кв ", "А. ", "Анна ", "меня зовут ", "двадцать пять ", "первого марта ", "иванова точка ", "собака ", "[имя]",
    "+7(",
)  # fmt: skip


def steps(work: Callable[[], object]) -> int:
    """How many lines of Python are run: the same number on every machine."""
    count = 0

    def note(*_: object) -> Callable[..., object]:
        nonlocal count
        count += 1
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def seconds(work: Callable[[], object]) -> float:
    """Of the processor, at best of five."""
    found = []
    for _ in range(5):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


@pytest.mark.parametrize("piece", REPEATED)
def test_no_repetition_makes_the_walk_longer_than_the_text(piece: str) -> None:
    mask(piece * 100)  # words are looked up once and for all
    assert steps(lambda: mask(piece * 800)) < 9 * steps(lambda: mask(piece * 100))


def test_the_walk_through_100_kb_is_eight_times_that_through_an_eighth() -> None:
    text = PHONES + PAPERS + NAMES + ADDRESSES + BIRTHDAYS + KEPT
    short, long = (text * (size // len(text.encode())) for size in (12_500, 100_000))
    mask(short)
    assert steps(lambda: mask(long)) / steps(lambda: mask(short)) == pytest.approx(len(long) / len(short), rel=0.1)


@pytest.mark.parametrize("piece", REPEATED)
def test_no_repetition_stalls_a_pattern_that_searches_the_whole_text(piece: str) -> None:
    """Eight times the text: about eight times the time, where it would be 64 times if a pattern went back and forth."""
    short, long = (piece * (size // len(piece.encode())) for size in (12_500, 100_000))
    assert seconds(lambda: scan(long)) < 24 * seconds(lambda: scan(short)) + 0.05


def scan(text: str) -> None:
    """What mask does to the whole text; all else begins at a word and ends a few words on."""
    EMAIL.sub("", text)
    for _ in words_of(text):
        pass


# --- What has to be kept ---------------------------------------------------------------------------------------------

KEY = bytes(range(32))


@given(st.text())
@example("")
@example("\ud800\0")
@settings(max_examples=30)
def test_what_is_sealed_opens_with_the_key(text: str) -> None:
    assert Vault(KEY).open(Vault(KEY).seal(text)) == text


def test_sealed_text_is_unreadable_and_never_the_same() -> None:
    first, second = Vault(KEY).seal("Мария"), Vault(KEY).seal("Мария")
    assert first != second
    assert "Мария".encode() not in first


def test_another_key_or_a_damaged_card_opens_nothing() -> None:
    sealed = Vault(KEY).seal("Мария")
    for vault, found in ((Vault(bytes(32)), sealed), (Vault(KEY), sealed[:-9] + b"AAAAAAAA="), (Vault(KEY), b"")):
        with pytest.raises(VaultError, match="another key, or it is damaged"):
            vault.open(found)


def test_a_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(VaultError, match="the key has 16 bytes; it takes 32"):
        Vault(bytes(16))
