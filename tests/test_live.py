"""The assistant in use follows the published base, and goes on answering whatever happens to the database."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from conftest import DAY, AxisEncoder, entry, tiny_assistant
from sqlalchemy import text

from assistant.answer import Assistant
from assistant.live import Live, with_entries
from assistant.storage import Database, backup, fill_if_empty, publish, restore
from kb import Entry

NOW = datetime(2022, 1, 24, 9, 30, tzinfo=UTC)
CODE, DOCTOR = "qr-код истёк", "вызвать врача домой"
OTHER = entry("other", question="Где сделать прививку?", variants=[f"прививка {number}" for number in range(5)])


def about(words: str, say: str = "Скажите так.") -> Entry:
    """The entry under test, asked for in these words."""
    return entry("edited", question=words, variants=[f"{words} {number}" for number in range(5)], say=say)


def change(database: Database, *changes: Entry) -> int:
    return publish(database, changes, (), "redaktor", "", NOW)


def best(assistant: Assistant, question: str) -> str:
    """What is said to the question, or nothing if no stored phrase has its words."""
    answers = assistant.ask(question, DAY).answers
    return answers[0].entry.say if answers and answers[0].matched == question else ""


@pytest.fixture
def live(database: Database) -> Live:
    """On version 1: the entry under test, about a code, and another."""
    entries = about(CODE), OTHER
    version = fill_if_empty(database, entries, "system", NOW)
    return Live(tiny_assistant(*entries), version, database)


class TestFollowing:
    def test_an_edited_entry_is_found_by_its_new_words_and_not_by_its_old_ones(
        self, live: Live, database: Database
    ) -> None:
        assert (best(live.assistant, CODE), best(live.assistant, DOCTOR)) == ("Скажите так.", "")
        change(database, about(DOCTOR, say="Звоните 122."))
        assert live.refresh() is True
        assert (best(live.assistant, CODE), best(live.assistant, DOCTOR)) == ("", "Звоните 122.")

    def test_a_question_in_flight_is_answered_from_the_base_it_began_with(self, live: Live, database: Database) -> None:
        in_flight = live.current
        change(database, about(DOCTOR))
        assert live.refresh()
        assert (in_flight.version, best(in_flight.assistant, CODE)) == (1, "Скажите так.")
        assert live.current.version == 2

    def test_nothing_is_built_while_nothing_is_published(self, live: Live) -> None:
        before = live.current
        assert live.refresh() is False
        assert live.current is before

    def test_what_another_process_publishes_is_followed(self, live: Live, database: Database) -> None:
        another = Database(database.url.render_as_string(hide_password=False))
        change(another, about(DOCTOR))
        another.close()
        assert live.refresh() is True
        assert best(live.assistant, DOCTOR)

    def test_what_a_backup_brings_back_is_followed(self, live: Live, database: Database, tmp_path: Path) -> None:
        backup(database, tmp_path / "backup", NOW)
        change(database, about(DOCTOR))
        assert live.refresh()
        restore(database, tmp_path / "backup", "admin", NOW)
        assert live.refresh() is True
        assert (best(live.assistant, CODE), best(live.assistant, DOCTOR)) == ("Скажите так.", "")

    def test_an_empty_database_leaves_the_shipped_base_in_use(self, database: Database) -> None:
        live = Live(tiny_assistant(OTHER), 0, database)
        assert live.refresh() is False
        assert live.assistant.kb.entries == {"other": OTHER}

    def test_a_thread_beside_everything_else_follows_by_itself(self, database: Database) -> None:
        building = threading.Event()

        def rebuild(assistant: Assistant, entries: Sequence[Entry]) -> Assistant:
            building.set()
            return with_entries(assistant, entries)

        version = fill_if_empty(database, [about(CODE)], "system", NOW)
        live = Live(tiny_assistant(about(CODE)), version, database, rebuild)
        with live.follow(interval_s=0.001):
            change(database, about(DOCTOR))
            assert building.wait(60)
        assert "live" not in [thread.name for thread in threading.enumerate()]
        assert best(live.assistant, DOCTOR)


class TestRebuilding:
    def test_only_new_phrases_are_encoded_and_answers_are_those_of_a_whole_build(self) -> None:
        encoder = AxisEncoder()
        before = tiny_assistant(about(CODE), OTHER, encoder=encoder)
        encoder.encoded.clear()
        edited = about(CODE, say="Код врача.").model_copy(update={"notes": ("новое",)})
        after, whole = with_entries(before, [edited, OTHER]), tiny_assistant(edited, OTHER)
        assert encoder.encoded == ["Код врача."]
        for question in (CODE, "прививка", "врач"):
            assert after.ask(question, DAY) == whole.ask(question, DAY)
        assert before.kb.entries["edited"] == about(CODE)

    def test_the_order_of_entries_and_what_is_gone_make_no_difference(self) -> None:
        third = entry("third", question="Где врач?", variants=[f"врач {number}" for number in range(5)])
        before = tiny_assistant(about(CODE), OTHER, third)
        after, whole = with_entries(before, [third, about(CODE)]), tiny_assistant(third, about(CODE))
        assert after.ask("врач", DAY) == whole.ask("врач", DAY)
        np.testing.assert_array_equal(after.index.vectors(), whole.index.vectors())


class TestFaults:
    def test_without_the_database_answers_go_on_and_it_is_said_once(
        self, live: Live, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        change(database, about(DOCTOR))
        rename(database, "base_version", "away")
        try:
            assert [live.refresh() for _ in range(3)] == [False] * 3
            assert live.saved is False
            assert best(live.assistant, CODE)
            (line,) = said(caplog)
            assert line.endswith("; answers still come from version 1")
        finally:
            rename(database, "away", "base_version")
        assert live.refresh() is True
        assert live.saved is True
        assert said(caplog)[1:] == ["the database is back"]
        assert best(live.assistant, DOCTOR)

    def test_a_version_that_cannot_be_used_is_said_once_and_the_next_one_is_used(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        def rebuild(assistant: Assistant, entries: Sequence[Entry]) -> Assistant:
            if entries[0].say == "Плохо.":
                raise ValueError("no vectors")
            return with_entries(assistant, entries)

        version = fill_if_empty(database, [about(CODE)], "system", NOW)
        live = Live(tiny_assistant(about(CODE)), version, database, rebuild)
        change(database, about(CODE, say="Плохо."))
        assert [live.refresh() for _ in range(3)] == [False] * 3
        assert said(caplog) == ["version 2 cannot be used; answers still come from version 1"]
        assert (live.saved, best(live.assistant, CODE)) == (True, "Скажите так.")
        change(database, about(CODE, say="Хорошо."))
        assert live.refresh() is True
        assert best(live.assistant, CODE) == "Хорошо."


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "assistant.live"]


def rename(database: Database, table: str, name: str) -> None:
    with database.writing() as session:
        session.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))
