"""The question log: masked, complete, and never in the way of an answer, whatever the database does."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import DAY, entry, tiny_assistant
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from assistant.answer import Answer
from assistant.log import BATCH, QuestionLog
from assistant.privacy import public_numbers
from assistant.storage import (
    Asked,
    Conflict,
    Database,
    Lacking,
    Opinion,
    Remark,
    StorageBusy,
    StorageError,
    Used,
    audit_lines,
    close_feedback,
    no_answer,
    open_feedback,
    save_notes,
)
from assistant.storage.tables import FeedbackRow, QuestionRow
from index import Level

NOW = datetime(2022, 1, 24, 8, 30, tzinfo=UTC)
PATIENCE_S = 30  # of a test for another thread; only a broken one gets so far


def asked(text: str = "как продлить больничный", key: str = "key-1", **changes: object) -> Asked:
    note = Asked(key, NOW, "call-1", text, Level.SURE, "", "", ("sick-leave-extend",), 3)
    return Asked(**{**vars(note), **changes})


def remark(opinion: Opinion = Opinion.OUTDATED, **changes: object) -> Remark:
    note = Remark(NOW, "ivanova", "sick-leave-extend", opinion, "номер приказа другой", "как продлить")
    return Remark(**{**vars(note), **changes})


def answer(question: str, level: Level = Level.NONE) -> Answer:
    return Answer(question, DAY, level, None)


def questions(database: Database) -> list[QuestionRow]:
    with database.reading() as session:
        return list(session.scalars(select(QuestionRow).order_by(QuestionRow.id)))


def texts(database: Database) -> list[str]:
    return [row.text for row in questions(database)]


def remarks(database: Database) -> list[FeedbackRow]:
    with database.reading() as session:
        return list(session.scalars(select(FeedbackRow).order_by(FeedbackRow.id)))


def wait_until(is_so: Callable[[], bool]) -> None:
    ticking = threading.Event()
    for _ in range(PATIENCE_S * 100):
        if is_so():
            return
        ticking.wait(0.01)
    pytest.fail("waited in vain")


class Unsteady:
    """A database that can be away, or silent."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.fault: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        assert self.answers.wait(PATIENCE_S)
        if self.fault:
            raise self.fault
        with self.database.writing() as session:
            yield session


@pytest.fixture
def unsteady(database: Database) -> Unsteady:
    return Unsteady(database)


@contextmanager
def log_of(database: Database | Unsteady, **settings: object) -> Iterator[QuestionLog]:
    log = QuestionLog(database, **{"pause_s": 0.01, **settings})
    try:
        yield log
    finally:
        log.close()


# --- What is stored --------------------------------------------------------------------------------------------------


def test_a_question_is_stored_as_it_was_asked(database: Database) -> None:
    save_notes(database, [asked(route="doctor", urgency="now", entries=("a", "b"))])
    (row,) = questions(database)
    assert (row.key, row.at, row.call_id, row.text) == ("key-1", NOW, "call-1", "как продлить больничный")
    assert (row.level, row.route, row.urgency, row.entries) == ("sure", "doctor", "now", ["a", "b"])
    assert (row.used, row.base_version) == ("", 3)


def test_a_question_that_grows_under_one_key_is_one_question(database: Database) -> None:
    save_notes(database, [asked("как прод"), asked("как продлить", key="key-2")])
    save_notes(
        database, [asked("как продлить больничный"), Used("key-1", "sick-leave-extend"), asked("как продлить бл")]
    )
    assert [(row.key, row.text, row.used) for row in questions(database)] == [
        ("key-1", "как продлить бл", "sick-leave-extend"),
        ("key-2", "как продлить", ""),
    ]


def test_notes_are_stored_all_or_none(database: Database) -> None:
    with pytest.raises(Exception, match="time zone"):
        save_notes(database, [asked(), asked(key="key-2", at=datetime(2022, 1, 24))])
    assert questions(database) == []


def test_questions_without_an_answer_are_counted_the_most_frequent_first(database: Database) -> None:
    def none(question: str, minutes: int) -> Asked:
        return asked(question, key=f"{question} {minutes}", level=Level.NONE, at=NOW + timedelta(minutes=minutes))

    older, sure = none("где справка", -60), asked("больничный", key="sure")
    save_notes(database, [older, sure, none("про собак", 3), none("где справка", 1), none("где справка", 2)])
    assert no_answer(database, NOW) == [
        Lacking("где справка", 2, NOW + timedelta(minutes=2)),
        Lacking("про собак", 1, NOW + timedelta(minutes=3)),
    ]
    assert no_answer(database, NOW + timedelta(hours=1)) == []


@pytest.mark.parametrize("opinion", Opinion)
def test_whatever_did_not_help_is_open_for_editors(database: Database, opinion: Opinion) -> None:
    save_notes(database, [remark(opinion)])
    assert [row.opinion for row in open_feedback(database)] == ([] if opinion is Opinion.HELPED else [opinion])
    assert [row.word for row in remarks(database)] == ["номер приказа другой"]


def test_feedback_is_closed_once_and_in_the_audit(database: Database) -> None:
    save_notes(database, [remark(), remark(Opinion.UNCLEAR)])
    first, second = open_feedback(database)
    close_feedback(database, first.id, "redaktor", NOW)
    assert [row.id for row in open_feedback(database)] == [second.id]
    closed = remarks(database)[0]
    assert (closed.open, closed.closed_by, closed.closed_at) == (False, "redaktor", NOW)
    for gone in (first.id, 4711):
        with pytest.raises(Conflict, match=f"feedback {gone} is not open"):
            close_feedback(database, gone, "other", NOW)
    lines = [(line.actor, line.action, line.object) for line in audit_lines(database)]
    assert lines == [("redaktor", "feedback.close", str(first.id))]


@pytest.mark.parametrize(
    "nasty", ["'; DROP TABLE question; --", "<script>alert(1)</script>", "=1+1", "\0 и \ud800", "😀"]
)
def test_any_text_can_be_stored(database: Database, nasty: str) -> None:
    save_notes(database, [asked(nasty), remark(word=nasty, question=nasty)])
    kept = nasty.replace("\0", "\ufffd").replace("\ud800", "?")
    assert texts(database) == [kept]
    assert [(row.word, row.question) for row in remarks(database)] == [(kept, kept)]


# --- What the log makes of an answer ---------------------------------------------------------------------------------


def test_an_answer_is_noted_with_its_flag_and_entries(database: Database) -> None:
    assistant = tiny_assistant(entry())
    with log_of(database) as log:
        flagged = log.put(assistant.ask("задыхаюсь, как продлить больничный", DAY), "call-1", 7, NOW)
        plain = log.put(assistant.ask("как продлить больничный", DAY), None, None, NOW)
    first, second = questions(database)
    assert (first.key, first.call_id, first.route, first.urgency) == (flagged, "call-1", "emergency", "now")
    assert (first.entries, first.base_version) == (["sick-leave-extend"], 7)
    assert (second.key, second.call_id, second.route, second.base_version) == (plain, None, "", None)


def test_personal_data_never_reach_the_database(database: Database) -> None:
    said = "меня зовут Анна Петровна, телефон 8 916 123 45 67, на 122 не отвечают"
    kept = "меня зовут [имя], телефон [телефон], на 122 не отвечают"
    with log_of(database, public=public_numbers(["122"])) as log:
        log.put(answer(said), None, None, NOW)
        log.put_remark(Opinion.WRONG, "qr-lost", "ivanova", NOW, word=said, question=said)
    assert texts(database) == [kept]
    assert [(row.word, row.question) for row in remarks(database)] == [(kept, kept)]


def test_a_question_put_again_and_used_before_it_is_written(unsteady: Unsteady) -> None:
    unsteady.answers.clear()
    with log_of(unsteady) as log:
        key = log.put(answer("как прод"), "call-1", 1, NOW)
        assert log.put(answer("как продлить"), "call-1", 1, NOW, key) == key
        log.put_used(key, "sick-leave-extend")
        unsteady.answers.set()
    assert [(row.text, row.used) for row in questions(unsteady.database)] == [("как продлить", "sick-leave-extend")]


def test_an_endless_question_is_cut(database: Database) -> None:
    with log_of(database) as log:
        log.put(answer("больничный " * 1000), None, None, NOW)
    assert [len(text) for text in texts(database)] == [2000]


# --- Faults ----------------------------------------------------------------------------------------------------------


def test_putting_does_not_wait_for_the_database(unsteady: Unsteady) -> None:
    unsteady.answers.clear()
    with log_of(unsteady) as log:
        for number in range(3 * BATCH):
            log.put(answer(f"вопрос {number}"), None, None, NOW)
        assert questions(unsteady.database) == []
        unsteady.answers.set()
    assert texts(unsteady.database) == [f"вопрос {number}" for number in range(3 * BATCH)]


@pytest.mark.parametrize("fault", [StorageBusy("locked"), StorageError("read-only")])
def test_while_the_database_is_away_notes_wait_in_order(
    unsteady: Unsteady, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with log_of(unsteady) as log:
        log.put(answer("раньше"), None, None, NOW)
        wait_until(lambda: len(questions(unsteady.database)) == 1)
        assert not log.behind
        unsteady.fault = fault
        for number in range(20):
            log.put(answer(f"вопрос {number}"), None, None, NOW)
        wait_until(lambda: log.behind)
        unsteady.fault = None
        wait_until(lambda: not log.behind)
    assert texts(unsteady.database) == ["раньше", *(f"вопрос {number}" for number in range(20))]
    assert log.lost == 0
    assert [record.getMessage() for record in caplog.records] == [
        f"questions are not being saved: {fault}",
        "questions are being saved again",
    ]


def test_a_locked_file_is_waited_for(tmp_path: Path, migrated_sqlite: Path) -> None:
    file = tmp_path / "locked.db"
    file.write_bytes(migrated_sqlite.read_bytes())
    other, database = Database(f"sqlite:///{file}"), Database(f"sqlite:///{file}", busy_s=0.05)
    with log_of(database) as log:
        with other.writing() as session:
            session.execute(text("SELECT 1"))  # takes the lock
            log.put(answer("как продлить"), None, None, NOW)
            wait_until(lambda: log.behind)
        wait_until(lambda: not log.behind)
        assert texts(database) == ["как продлить"]
    other.close()
    database.close()


def test_the_oldest_notes_give_way_and_are_counted(unsteady: Unsteady) -> None:
    unsteady.fault = StorageBusy("away")
    with log_of(unsteady, room=10) as log:
        for number in range(25):
            log.put(answer(f"вопрос {number}"), None, None, NOW)
        wait_until(lambda: log.behind)
        unsteady.fault = None
    kept = texts(unsteady.database)
    assert kept == [f"вопрос {number}" for number in range(25 - len(kept), 25)]
    assert 10 <= len(kept) == 25 - log.lost < 25


def test_a_silent_database_does_not_fill_the_memory(unsteady: Unsteady) -> None:
    unsteady.answers.clear()
    with log_of(unsteady, room=10) as log:
        for number in range(25):
            log.put(answer(f"вопрос {number}"), None, None, NOW)
        assert log.lost >= 5  # ten wait, ten at most are in hand
        unsteady.answers.set()
    assert len(texts(unsteady.database)) == 25 - log.lost


def test_closing_gives_up_on_a_database_that_is_away(unsteady: Unsteady, caplog: pytest.LogCaptureFixture) -> None:
    unsteady.fault = StorageBusy("away")
    with log_of(unsteady) as log:
        for number in range(3):
            log.put(answer(f"вопрос {number}"), None, None, NOW)
    assert log.lost == 3
    assert caplog.records[-1].getMessage() == "3 notes of the question log are lost: the database is away"


def test_a_note_that_cannot_be_written_does_not_stop_the_others(unsteady: Unsteady) -> None:
    unsteady.answers.clear()
    with log_of(unsteady) as log:
        for number in range(50):
            log.put(answer(f"вопрос {number}"), None, None, NOW if number != 31 else datetime(2022, 1, 24))
        unsteady.answers.set()
    assert texts(unsteady.database) == [f"вопрос {number}" for number in range(50) if number != 31]
    assert log.lost == 1
    assert not log.behind


def test_fifty_volunteers_at_once_lose_nothing(database: Database) -> None:
    def volunteer(number: int) -> None:
        for question in range(10):
            log.put_used(log.put(answer(f"{number} спросил {question}"), f"call-{number}", 1, NOW), "qr-lost")

    with log_of(database) as log:
        volunteers = [threading.Thread(target=volunteer, args=(number,)) for number in range(50)]
        for thread in volunteers:
            thread.start()
        for thread in volunteers:
            thread.join()
    rows = questions(database)
    assert sorted(row.text for row in rows) == sorted(f"{n} спросил {q}" for n in range(50) for q in range(10))
    assert {row.used for row in rows} == {"qr-lost"}


def test_closing_twice_is_harmless(database: Database) -> None:
    with log_of(database) as log:
        log.put(answer("как продлить"), None, None, NOW)
        log.close()
    assert texts(database) == ["как продлить"]
