"""The stored base: revisions and versions, several publishers at once, and its way into YAML and back."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import base_of, entry
from sqlalchemy import select, text

from assistant.exchange import Difference, difference, export_base, follow_edition, import_base
from assistant.storage import (
    Conflict,
    Database,
    RevisionState,
    StorageError,
    audit_lines,
    current_version,
    fill_if_empty,
    history,
    live_entries,
    publish,
)
from assistant.storage.tables import VersionRow
from kb import CONTENT, ContentError, Entry, KnowledgeBase, load, load_entries

NOW = datetime(2022, 1, 24, 9, 30, tzinfo=UTC)
A, B, C = entry("a"), entry("b"), entry("c")
EDITED = entry("a", say="Врач продлит больничный по телефону.")
OLD = entry("b", valid_until="2022-01-31", replaced_by="c")


@pytest.fixture
def filled(database: Database) -> Database:
    """With a and b, at version 1."""
    fill_if_empty(database, [A, B], "system", NOW)
    return database


@pytest.fixture(scope="module")
def shipped_kb() -> KnowledgeBase:
    return load()


def change(database: Database, *changes: Entry, retired: tuple[str, ...] = (), **more: Any) -> int:
    return publish(database, changes, retired, "redaktor", "правка", NOW, **more)


def live(database: Database) -> list[Entry]:
    return list(live_entries(database)[1])


class TestFilling:
    def test_an_empty_database_has_version_0_and_no_entries(self, database: Database) -> None:
        assert (current_version(database), live_entries(database), history(database, "a")) == (0, (0, ()), [])

    def test_it_is_filled_once_in_the_order_given(self, database: Database) -> None:
        assert fill_if_empty(database, [B, A], "system", NOW) == 1
        assert fill_if_empty(database, [C], "system", NOW) == 1
        assert live_entries(database) == (1, (B, A))

    def test_several_that_start_at_once_fill_it_once(self, database: Database) -> None:
        with ThreadPoolExecutor(8) as threads:
            versions = list(threads.map(lambda _: fill_if_empty(database, [A, B], "system", NOW), range(8)))
        assert versions == [1] * 8
        assert len(list(audit_lines(database))) == 1

    def test_the_shipped_base_comes_back_as_it_is(self, database: Database, shipped_kb: KnowledgeBase) -> None:
        fill_if_empty(database, shipped_kb, "system", NOW)
        assert live(database) == list(shipped_kb)
        with database.reading() as session:
            assert session.scalars(select(VersionRow.fingerprint)).all() == [shipped_kb.fingerprint]


class TestPublishing:
    def test_an_edit_adds_a_revision_and_leaves_the_one_before(self, filled: Database) -> None:
        assert change(filled, EDITED) == 2
        assert live_entries(filled) == (2, (EDITED, B))
        first, second = history(filled, "a")
        assert [Entry.model_validate(revision.body) for revision in (first, second)] == [A, EDITED]
        assert (first.number, first.state, first.published_in) == (1, RevisionState.PUBLISHED, 1)
        assert (second.number, second.state, second.published_in) == (2, RevisionState.PUBLISHED, 2)
        assert (second.author, second.comment, second.at) == ("redaktor", "правка", NOW)

    def test_a_new_entry_comes_last(self, filled: Database) -> None:
        change(filled, C, EDITED)
        assert live(filled) == [EDITED, B, C]

    def test_a_retired_entry_keeps_its_history_and_can_come_back_to_its_place(self, filled: Database) -> None:
        change(filled, retired=("a",))
        assert live(filled) == [B]
        change(filled, EDITED)
        assert live(filled) == [EDITED, B]
        published, retired = RevisionState.PUBLISHED, RevisionState.RETIRED
        assert [revision.state for revision in history(filled, "a")] == [published, retired, published]
        assert Entry.model_validate(history(filled, "a")[1].body) == A

    def test_the_audit_says_who_changed_what(self, filled: Database) -> None:
        change(filled, EDITED, C, retired=("b",))
        filling, line = audit_lines(filled)
        assert (filling.actor, filling.object) == ("system", "version 1")
        assert (line.actor, line.action, line.object, line.at) == ("redaktor", "publish", "version 2", NOW)
        assert line.detail == {"note": "правка", "changed": ["a", "c"], "retired": ["b"]}

    def test_the_fingerprint_is_that_of_the_base(self, filled: Database) -> None:
        change(filled, EDITED, C, retired=("b",))
        with filled.reading() as session:
            found = session.scalars(select(VersionRow.fingerprint).order_by(VersionRow.id)).all()
        assert found == [base_of(A, B).fingerprint, base_of(EDITED, C).fingerprint]

    @pytest.mark.parametrize(
        ("changes", "retired", "said"),
        [
            ([EDITED], ["x"], "x: cannot be retired, it is not live"),
            ([C], ["c"], "c: cannot be retired, it is not live"),
            ([EDITED, OLD], [], "b: replaced_by names c, which would not be live; change both together"),
            ([OLD, C], ["a", "b", "c"], "c: cannot be retired, it is not live"),
            ([], ["a", "b"], "a base without entries cannot be published"),
        ],
    )
    def test_what_would_break_the_base_is_refused_as_a_whole(
        self, filled: Database, changes: list[Entry], retired: list[str], said: str
    ) -> None:
        with pytest.raises(StorageError, match=said):
            change(filled, *changes, retired=tuple(retired))
        assert live_entries(filled) == (1, (A, B))
        assert len(history(filled, "a")) == 1
        assert len(list(audit_lines(filled))) == 1

    def test_an_entry_cannot_be_retired_while_another_leads_to_it(self, filled: Database) -> None:
        change(filled, OLD, C)
        with pytest.raises(StorageError, match="b: replaced_by names c"):
            change(filled, retired=("c",))
        change(filled, retired=("b", "c"))
        assert live(filled) == [A]

    def test_a_base_that_somebody_else_has_changed_is_not_overwritten(self, filled: Database) -> None:
        change(filled, EDITED, expected=1)
        with pytest.raises(Conflict, match="the base is at version 2, no longer at 1"):
            change(filled, A, expected=1)
        assert live_entries(filled) == (2, (EDITED, B))

    def test_a_stored_entry_that_no_longer_fits_is_named(self, filled: Database) -> None:
        with filled.writing() as session:
            session.execute(text("""UPDATE revision SET body = '{"id": "a"}' WHERE entry_id = 'a'"""))
        with pytest.raises(StorageError, match="a, revision 1: does not fit this version"):
            live_entries(filled)


class TestSeveralAtOnce:
    def test_each_publisher_gets_a_version_of_its_own_and_nothing_is_lost(self, filled: Database) -> None:
        entries = [entry(f"new-{number}") for number in range(12)]
        with ThreadPoolExecutor(6) as threads:
            versions = list(threads.map(lambda new: change(filled, new, EDITED), entries))
        assert sorted(versions) == list(range(2, 14))
        assert {new.id for new in live(filled)} == {"a", "b", *(new.id for new in entries)}
        assert [revision.number for revision in history(filled, "a")] == list(range(1, 14))

    def test_a_reader_never_sees_half_of_a_publication(self, filled: Database) -> None:
        def both_say(number: int) -> list[Entry]:
            return [entry(name, say=f"Версия {number}.") for name in ("a", "b")]

        with ThreadPoolExecutor(1) as publisher:
            versions = range(2, 27)
            published = publisher.map(lambda version: change(filled, *both_say(version)), versions)
            seen = [(1, tuple(both_say(1)))]
            while seen[-1][0] < versions[-1]:
                seen.append(live_entries(filled))
            assert list(published) == list(versions)
        assert [entries for version, entries in seen[1:] if version > 1] == [
            tuple(both_say(version)) for version, _ in seen[1:] if version > 1
        ]
        assert all(earlier <= later for (earlier, _), (later, _) in pairwise(seen))


class TestDifference:
    @pytest.mark.parametrize(
        ("stored", "incoming", "found"),
        [
            ([], [], Difference((), (), (), ())),
            ([], [A, B], Difference(("a", "b"), (), (), ())),
            ([A, B], [B, A], Difference((), (), (), ("b", "a"))),
            ([A, B], [EDITED, C], Difference(("c",), ("a",), ("b",), ())),
            ([A, B], [], Difference((), (), ("a", "b"), ())),
        ],
    )
    def test_it_is_told_by_id(self, stored: list[Entry], incoming: list[Entry], found: Difference) -> None:
        assert difference(stored, incoming) == found
        assert bool(found) is (set(incoming) != set(stored))


HARD = entry(
    "hard",
    question="«Да», «нет», null — это ответ?",
    variants=["yes", "null", "2022-01-24", "1.0", "- : # ' \" {} [] & * ! | > % @ ` а", "🙏🏽 \u2028 \u00a0 x"],
    say="Слова: «нет»; 12:30, №5 & <b>так</b>.",
    notes=["'", '"', "\\n", "~", "0x1F", "да" * 900],
    branches=[{"when": "no", "say": "true"}],
    specialist=[{"route": "doctor", "when": "off"}],
    valid_from="2022-01-01",
    valid_until="2022-12-31",
)


class TestExchange:
    def test_what_is_exported_and_imported_again_changes_nothing(self, database: Database, tmp_path: Path) -> None:
        fill_if_empty(database, [A, HARD, entry("q", topic="qr")], "system", NOW)
        assert export_base(database, tmp_path) == 3
        assert sorted(file.name for file in tmp_path.iterdir()) == ["qr.yaml", "sick-leave.yaml"]
        written = {file: file.read_bytes() for file in tmp_path.iterdir()}
        assert import_base(database, tmp_path, "admin", NOW) == Difference((), (), (), ("q", "a", "hard"))
        assert current_version(database) == 1
        export_base(database, tmp_path)
        assert {file: file.read_bytes() for file in tmp_path.iterdir()} == written

    def test_the_shipped_base_goes_out_and_into_another_database_without_loss(
        self, database: Database, shipped_kb: KnowledgeBase, tmp_path: Path
    ) -> None:
        found = import_base(database, CONTENT, "admin", NOW)
        assert found.added == tuple(shipped_kb.entries)
        export_base(database, tmp_path)
        assert load_entries(sorted(tmp_path.glob("*.yaml")), []) == shipped_kb.entries

    def test_a_dry_run_shows_what_the_import_then_does(self, filled: Database, tmp_path: Path) -> None:
        export_base(filled, tmp_path)
        change(filled, EDITED, C, entry("d", topic="qr"), retired=("b",))
        expected = Difference(("b",), ("a",), ("c", "d"), ())
        assert import_base(filled, tmp_path, "admin", NOW, dry_run=True) == expected
        assert current_version(filled) == 2
        assert import_base(filled, tmp_path, "admin", NOW) == expected
        assert live_entries(filled) == (3, (A, B))
        assert import_base(filled, tmp_path, "admin", NOW) == Difference((), (), (), ("a", "b"))
        assert current_version(filled) == 3

    def test_a_broken_folder_changes_nothing_and_every_problem_is_named(self, filled: Database, tmp_path: Path) -> None:
        (tmp_path / "qr.yaml").write_text("- id: A\n- id: b\n  topic: qr\n", encoding="utf-8")
        with pytest.raises(ContentError, match=r"(?s)qr.yaml:1: A: .*qr.yaml:2: b: "):
            import_base(filled, tmp_path, "admin", NOW)
        assert live_entries(filled) == (1, (A, B))

    def test_an_import_that_somebody_overtakes_overwrites_nothing(
        self, filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def overtaken(*bases: Iterable[Entry]) -> Difference:
            change(filled, C)
            return difference(*bases)

        export_base(filled, tmp_path)
        change(filled, EDITED)
        monkeypatch.setattr("assistant.exchange.difference", overtaken)
        with pytest.raises(Conflict):
            import_base(filled, tmp_path, "admin", NOW)
        assert live_entries(filled) == (3, (EDITED, B, C))

    def test_a_topic_that_has_no_entries_any_more_has_no_file(self, filled: Database, tmp_path: Path) -> None:
        change(filled, entry("q", topic="qr"))
        export_base(filled, tmp_path)
        change(filled, retired=("q",))
        export_base(filled, tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == ["sick-leave.yaml"]

    def test_content_of_other_hands_is_not_mixed_with_an_export(self, filled: Database, tmp_path: Path) -> None:
        (tmp_path / "mine.yaml").touch()
        with pytest.raises(
            FileExistsError, match=r"mine.yaml: is not a file of an export; export into an empty folder"
        ):
            export_base(filled, tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == ["mine.yaml"]

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # most of the time goes into reading YAML
    def test_five_megabytes_are_imported_in_one_version(self, database: Database, tmp_path: Path) -> None:
        many = [entry(f"entry-{number}", notes=["справка " * 200 + "конец"]) for number in range(1400)]
        data = [each.model_dump(mode="json", exclude_defaults=True) for each in many]
        file = tmp_path / "sick-leave.yaml"
        file.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")  # which is YAML as well
        assert file.stat().st_size > 5e6
        assert import_base(database, tmp_path, "admin", NOW).added == tuple(each.id for each in many)
        assert live_entries(database) == (1, tuple(many))


def test_a_base_that_nobody_has_edited_follows_the_next_edition(database: Database) -> None:
    first, second = entry("a"), entry("b")
    follow_edition(database, [first], NOW)
    follow_edition(database, [first, second], NOW)
    assert [each.id for each in live_entries(database)[1]] == ["a", "b"]


def test_what_people_have_edited_is_not_overwritten_by_an_edition(database: Database) -> None:
    follow_edition(database, [entry("a")], NOW)
    edited = entry("a", say="Позвоните в поликлинику сегодня.")
    publish(database, [edited], [], "anna", "", NOW)
    found = follow_edition(database, [entry("a"), entry("b")], NOW)
    assert (found.added, found.changed) == (("b",), ("a",))
    assert live_entries(database)[1] == (edited,)
