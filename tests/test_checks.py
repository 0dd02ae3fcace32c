"""Each check of `assistant check`: what it finds, and what it lets pass."""

import pytest
from conftest import AxisEncoder, base_of, entry

from assistant.checks import CHECKS, Finding, Material, counted, findings, phones_in, terms_of
from index import phrases_of
from kb import Entry


def found_in(*entries: Entry) -> list[Finding]:
    kb = base_of(*entries)
    phrases = phrases_of(kb)
    return findings(Material(kb, phrases, AxisEncoder().encode_document([phrase.text for phrase in phrases])))


def names_of(*entries: Entry) -> set[str]:
    return {finding.check for finding in found_in(*entries)}


PLAIN = {"variants": ["прививка", "прививка где", "где прививка", "когда прививка", "прививка как"]}


def plain(entry_id: str = "a", **changes: object) -> Entry:
    return entry(entry_id, **{"question": "Где делают прививку?", **PLAIN, **changes})


def test_an_entry_in_order_passes_every_check() -> None:
    assert found_in(plain()) == []
    assert all(counts == (0, 0) for counts in counted([]).values())
    assert len(counted([])) == len(CHECKS)


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("spelling", {"say": "Позвоните врчау до последнего дня."}),
        ("reading time", {"say": " ".join(["Позвоните"] * 50)}),
        ("phones", {"say": "Звоните по номеру 8 800 123-45-67."}),
    ],
)
def test_what_is_wrong_with_one_entry_is_found(check: str, changes: dict[str, str]) -> None:
    assert check in names_of(plain(**changes))


def test_a_gap_before_the_successor_is_found() -> None:
    old = plain("a", valid_until="2022-01-31", replaced_by="b")
    new = {
        "question": "Где больничный?",
        "variants": [f"больничный {word}" for word in ("где", "как", "кто", "чей", "чем")],
    }
    assert "succession" in names_of(old, entry("b", valid_from="2022-02-03", **new))
    assert "succession" not in names_of(old, entry("b", valid_from="2022-02-01", **new))


def test_two_terms_for_one_matter_are_found_but_only_while_both_hold() -> None:
    others = [entry("c", question="Где больничный?", variants=[f"больничный {n}" for n in ("а", "б", "и", "о", "у")])]
    seven = plain("a", say="Ждать семь дней.", valid_until="2022-01-31")
    same_time = plain("b", question="Прививка?", variants=[f"прививка {n}" for n in "абиоу"], say="Ждать 14 дней.")
    later = same_time.model_copy(update={"valid_from": seven.valid_until.replace(month=2, day=1)})  # type: ignore[union-attr]
    assert "terms" in names_of(seven, same_time, *others)
    assert "terms" not in names_of(seven, later, *others)


def test_questions_that_ask_the_same_are_found() -> None:
    assert "near duplicates" in names_of(plain("a"), plain("b", question="Прививка — где?", variants=list("абиоу")))


def test_a_variant_of_another_entry_is_found() -> None:
    stray = plain("a", variants=["прививка", "прививка где", "где прививка", "когда прививка", "больничный"])
    other = entry("b", question="Где больничный?", variants=[f"больничный {n}" for n in ("а", "б", "и", "о", "у")])
    [finding] = [finding for finding in found_in(stray, other) if finding.check == "strays"]
    assert finding.entry == "a"
    assert "«больничный» is nearer to b" in finding.what


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("Звоните 103 или 112.", ["103", "112"]),
        ("Телефон 8 800 200-34-11, бесплатно", ["8002003411"]),
        ("Приказ № 103, статья 112.1, 051-У", []),
        ("+7 (495) 870-45-09", ["4958704509"]),
    ],
)
def test_phone_numbers_are_told_from_other_numbers(text: str, phones: list[str]) -> None:
    assert list(phones_in(text)) == phones


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Ждать четырнадцать дней", {"день": {14}}),
        ("не дольше 10 дней, потом две недели", {"день": {10}, "неделя": {2}}),
        ("через двадцать один день", {"день": {21}}),
        ("дом номер пять", {}),
    ],
)
def test_terms_are_read_from_words_and_figures(text: str, terms: dict[str, set[int]]) -> None:
    assert terms_of(text) == terms
