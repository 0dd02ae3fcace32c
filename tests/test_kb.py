"""What an entry may be, how it is read and written, and which one holds on a day."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from conftest import base_of, entry
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kb import CONTENT, ContentError, Entry, dump_entries, load, load_entries, normalise, read_yaml


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_all_problems_of_a_folder_are_reported_at_once_with_file_and_line(tmp_path: Path) -> None:
    good = dump_entries([entry("a"), entry("b")])
    write(tmp_path, "1-good.yaml", good)
    write(tmp_path, "2-duplicate.yaml", dump_entries([entry("a", question="Иное?", variants=list("клмно"))]))
    write(tmp_path, "3-same.yaml", dump_entries([entry("c", question="КАК продлить, больничный a")]))
    write(tmp_path, "4-broken.yaml", "- id: [\n")
    write(tmp_path, "5-keys.yaml", dump_entries([entry("d")]).replace("  say:", "  sya:"))
    write(tmp_path, "6-few.yaml", dump_entries([entry("e")]).replace("  - продлить больничный e 4\n", ""))
    long = " ".join(["слово"] * 61)
    write(tmp_path, "7-long.yaml", dump_entries([entry("f")]).replace("Позвоните врачу", long))
    dates = entry("g").model_copy(update={"valid_from": date(2022, 2, 1), "valid_until": date(2022, 1, 1)})
    write(tmp_path, "8-dates.yaml", dump_entries([dates]))
    dead = entry("h", valid_until="2022-03-02", replaced_by="nowhere")
    write(tmp_path, "9-dead.yaml", dump_entries([dead]))
    write(tmp_path, "9-nul.yaml", dump_entries([entry("i")]).replace("say: Позвоните", 'say: "\\0"\n  #'))

    with pytest.raises(ContentError) as caught:
        load(tmp_path)

    found = [f"{Path(problem.file).name}:{problem.line}: {problem.what}" for problem in caught.value.problems]
    for expected in (
        "2-duplicate.yaml:1: a: duplicate id, first used in 1-good.yaml:1",
        "3-same.yaml:3: c: «КАК продлить, больничный a» is already a question of a",
        "4-broken.yaml:2: broken YAML",
        "5-keys.yaml:10: d: sya: unknown key",
        "5-keys.yaml:1: d: say: missing",
        "6-few.yaml:5: e: variants: 4 variants",
        "7-long.yaml:10: f: say: ",
        "8-dates.yaml:1: g: valid_until 2022-01-01 is before valid_from 2022-02-01",
        "9-dead.yaml:14: h: replaced_by names nowhere, which does not exist",
        "9-nul.yaml:10: i: say: control character U+0000",
    ):
        assert any(line.startswith(expected) for line in found), (expected, found)


def test_shipped_content_is_written_back_to_the_letter() -> None:
    for path in sorted(CONTENT.glob("*.yaml")):
        problems: list = []
        entries = load_entries([path], problems)
        assert dump_entries(entries.values()) == path.read_text(encoding="utf-8"), path.name


@pytest.mark.parametrize(
    "text", ["«ёлочки»", "ё Ё", "приказ № 1089н", "спасибо 🙏🏽", "a: b", "'", '"', "# нет", "- 1"]
)
def test_text_survives_a_round_trip(tmp_path: Path, text: str) -> None:
    before = entry(say=text, notes=[text])
    path = write(tmp_path, "one.yaml", dump_entries([before]))
    assert load_entries([path], []) == {before.id: before}


@given(st.text(st.characters(blacklist_categories=("Cc", "Cs"), max_codepoint=0x1FFFF), min_size=1, max_size=40))
def test_any_text_without_control_characters_survives_a_round_trip(text: str) -> None:
    text = text.strip() or "слово"
    before = entry(notes=[text])
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "one.yaml", dump_entries([before]))
        problems: list = []
        assert load_entries([path], problems) == {before.id: before}, problems


@pytest.mark.parametrize("bad", ["две\nстроки", "\u0007звонок", " пробел", "\ud800"])
def test_text_that_a_screen_cannot_show_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError):
        entry(say=bad)


def test_a_phrase_counts_as_the_same_whatever_its_case_marks_and_yo() -> None:
    assert normalise("Ещё  раз: QR-код?!") == normalise("еще раз qr-код") == "еще раз qr-код"


class TestDays:
    old = entry("old", valid_until="2022-03-02", replaced_by="new")
    new = entry("new", valid_from="2022-03-03")
    kb = base_of(old, new)

    @pytest.mark.parametrize("found", ["old", "new"])
    def test_either_is_answered_by_the_one_in_force(self, found: str) -> None:
        assert self.kb.on_day(found, date(2022, 3, 2)) is self.old
        assert self.kb.on_day(found, date(2022, 3, 3)) is self.new

    def test_an_expired_entry_without_successor_answers_nothing(self) -> None:
        kb = base_of(entry("a", valid_until="2022-01-31"))
        assert kb.on_day("a", date(2022, 1, 31)) is not None
        assert kb.on_day("a", date(2022, 2, 1)) is None

    def test_a_successor_of_several_answers_nothing_before_its_day(self) -> None:
        kb = base_of(self.old, entry("older", valid_until="2022-03-02", replaced_by="new"), self.new)
        assert kb.on_day("new", date(2022, 3, 2)) is None

    def test_a_chain_is_followed_to_its_end(self) -> None:
        chain = [
            entry("a", valid_until="2022-01-31", replaced_by="b"),
            entry("b", valid_from="2022-02-01", valid_until="2022-02-28", replaced_by="c"),
            entry("c", valid_from="2022-03-01"),
        ]
        kb = base_of(*chain)
        for day, expected in ((31, "a"), (32, "b"), (60, "c"), (365, "c")):
            found = kb.on_day("a", date(2021, 12, 31) + timedelta(day))
            assert found is not None
            assert found.id == expected


def test_replacements_in_a_circle_are_reported(tmp_path: Path) -> None:
    pair = [
        entry("a", valid_until="2022-01-31", replaced_by="b"),
        entry("b", valid_until="2022-02-28", replaced_by="a"),
    ]
    write(tmp_path, "pair.yaml", dump_entries(pair))
    with pytest.raises(ContentError, match="leads back to the entry itself"):
        load(tmp_path)


def test_the_fingerprint_follows_the_content_and_not_its_order() -> None:
    first, second = entry("a"), entry("b")
    assert base_of(first, second).fingerprint == base_of(second, first).fingerprint
    changed: Entry = entry("b", say="Иначе.")
    assert base_of(first, second).fingerprint != base_of(first, changed).fingerprint


@pytest.mark.parametrize("nested", ["[" * 100_000, "- " * 100_000, "{a: " * 100_000])
def test_what_is_nested_without_end_is_refused_and_does_not_end_the_process(tmp_path: Path, nested: str) -> None:
    file = tmp_path / "deep.yaml"
    file.write_text(nested, encoding="utf-8")
    with pytest.raises(ContentError, match="nested deeper"):
        read_yaml(file)
