"""The database: opened in any form, shared by many, its faults told in our words; and the audit that only grows."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from conftest import FORMS, fill
from sqlalchemy import func, select, text, update

from assistant.settings import MOSCOW
from assistant.storage import (
    AuditRow,
    Database,
    RevisionState,
    Role,
    StorageBusy,
    StorageError,
    audit_lines,
    history,
    live_entries,
    record,
)
from assistant.storage.database import MIGRATIONS, migrations
from assistant.storage.tables import AccountRow, CallRow, Table

NOW = datetime(2022, 1, 24, 9, 30, tzinfo=UTC)
EVERY_FORM = sorted(file.stem for file in FORMS.glob("*.sql"))
TABLES = Table.metadata.sorted_tables

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["assistant.storage"])


def migrate(url: str, line: Barrier) -> None:
    """What each of several processes does as soon as all of them stand at the line."""
    database = Database(url)
    line.wait()
    database.migrate()


def note(database: Database, actor: str = "ivanova", action: str = "look", now: datetime = NOW) -> None:
    with database.writing() as session:
        record(session, actor, action, "call 1", now=now)


def noted(database: Database) -> list[str]:
    return [line.actor for line in audit_lines(database)]


def account(name: str) -> AccountRow:
    return AccountRow(name=name, role=Role.VOLUNTEER, made_at=NOW)


class TestMigrations:
    @pytest.mark.parametrize("form", EVERY_FORM)
    def test_a_database_of_every_form_is_opened_with_its_rows(self, blank_url: str, form: str) -> None:
        database = Database(blank_url)
        with database.engine.begin() as connection:
            command.upgrade(migrations(connection), form)
        fill(database, form)
        database.migrate()
        version, (live,) = live_entries(database)
        assert (version, live.say) == (2, "Позвоните врачу до последнего дня больничного.")
        assert [revision.state for revision in history(database, "qr-lost")] == [RevisionState.DRAFT]
        assert noted(database) == ["system", "petrov"]
        with database.reading() as session:
            assert session.get_one(AccountRow, 2).role is Role.SENIOR
            call = session.scalars(select(CallRow)).one()
        assert call.call_back_at == datetime(2022, 1, 24, 13, 0, tzinfo=MOSCOW)
        database.close()

    def test_every_migration_has_a_form_with_rows_in_every_table(self, database: Database) -> None:
        revisions = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]
        assert sorted(revisions) == EVERY_FORM
        fill(database, EVERY_FORM[-1])
        with database.reading() as session:
            counts = {table.name: session.scalar(select(func.count()).select_from(table)) for table in TABLES}
        assert [name for name, count in counts.items() if count == 0] == []

    def test_the_tables_are_what_the_migrations_make(self, database: Database) -> None:
        with database.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []

    def test_several_processes_migrate_at_once(self, blank_url: str) -> None:
        line = PROCESSES.Barrier(4)
        processes = [PROCESSES.Process(target=migrate, args=(blank_url, line)) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * 4
        database = Database(blank_url)
        note(database)
        with database.reading() as session:
            assert session.scalars(text("SELECT version_num FROM alembic_version")).all() == [EVERY_FORM[-1]]
        database.close()

    def test_a_database_of_a_later_version_is_refused(self, database: Database) -> None:
        with database.writing() as session:
            session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        try:
            with pytest.raises(StorageError, match=r"of another version .*'9999'.*; install the newest version"):
                database.migrate()
        finally:
            with database.writing() as session:
                session.execute(text(f"UPDATE alembic_version SET version_num = '{EVERY_FORM[-1]}'"))

    @pytest.mark.parametrize("url", ["", "kb.db", "oracle://x", "mysql://x", "sqlite://host/x"])
    def test_a_url_that_cannot_be_used_is_refused_with_one_that_can(self, url: str) -> None:
        with pytest.raises(StorageError, match="write sqlite:///FILE or postgresql"):
            Database(url)

    def test_a_server_that_is_not_there_is_named_without_its_password(self) -> None:
        database = Database("postgresql+psycopg://ivanova:secret@127.0.0.1:1/none")
        assert database.ping() is False
        with pytest.raises(StorageError, match=r"(?s)ivanova:\*\*\*@127.0.0.1:1/none: .* check ASSISTANT_DATABASE_URL"):
            database.migrate()
        with pytest.raises(StorageBusy), database.reading() as session:
            session.scalar(select(1))

    def test_a_file_that_is_no_database_is_left_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("не база" * 1000, encoding="utf-8")
        with pytest.raises(StorageError, match=r"notes.txt: the database cannot be opened \(file is not a database\)"):
            Database(f"sqlite:///{tmp_path / 'notes.txt'}").migrate()
        assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "не база" * 1000

    def test_a_folder_that_is_not_there_is_made_and_one_that_cannot_be_is_named(self, tmp_path: Path) -> None:
        database = Database(f"sqlite:///{tmp_path / 'deep' / 'down' / 'assistant.db'}")
        database.migrate()
        assert database.ping()
        database.close()
        (tmp_path / "file").touch()
        with pytest.raises(StorageError, match="cannot be opened"):
            Database(f"sqlite:///{tmp_path / 'file' / 'assistant.db'}").migrate()


class TestSharing:
    def test_fifty_save_at_once_and_nothing_is_lost(self, database: Database) -> None:
        names = [f"volunteer-{number}" for number in range(50)]
        with ThreadPoolExecutor(50) as threads:
            for _ in range(4):
                list(threads.map(lambda name: note(database, name), names))
        assert sorted(noted(database)) == sorted(names * 4)

    def test_a_writer_gives_up_on_another_but_a_reader_needs_nobody(self, database: Database) -> None:
        hasty = Database(database.url.render_as_string(hide_password=False), busy_s=0.05)
        with database.writing() as session:
            session.add(account("ivanova"))
        with database.writing() as holder:
            holder.execute(update(AccountRow).values(epoch=1))
            with pytest.raises(StorageBusy), hasty.writing() as session:
                session.execute(update(AccountRow).values(epoch=2))
            with hasty.reading() as session:
                assert session.scalars(select(AccountRow.epoch)).all() == [0]
        with hasty.writing() as session:
            assert session.scalars(select(AccountRow.epoch)).all() == [1]
        hasty.close()

    def test_a_look_sees_one_moment_though_others_write(self, database: Database) -> None:
        note(database, "first")
        with database.reading() as session:
            before = session.scalars(select(AuditRow.actor)).all()
            note(database, "second")
            assert session.scalars(select(AuditRow.actor)).all() == before == ["first"]
        assert noted(database) == ["first", "second"]

    def test_an_error_in_the_middle_leaves_nothing_behind(self, database: Database) -> None:
        def fail_halfway() -> None:
            with database.writing() as session:
                session.add(account("ivanova"))
                record(session, "admin", "add account", now=NOW)
                session.flush()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail_halfway()
        with database.reading() as session:
            assert session.scalars(select(AccountRow)).all() == []
        assert noted(database) == []

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_full_disk_is_something_to_try_again_after(self, database: Database) -> None:
        def note_at_length() -> None:
            with database.writing() as session:
                session.execute(text("PRAGMA max_page_count = 1"))  # which SQLite takes for: not a page more
                record(session, "ivanova", "look", "call 1", {"long": "х" * 100_000}, now=NOW)

        note(database)
        with pytest.raises(StorageBusy, match="disk is full"):
            note_at_length()
        assert noted(database) == ["ivanova"]

    def test_a_row_cannot_refer_to_what_is_not_there(self, database: Database) -> None:
        call = CallRow(id="1", account_id=7, shift_day=NOW.date(), started_at=NOW, changed_at=NOW)
        with pytest.raises(StorageError, match=r"(?i)foreign key"), database.writing() as session:
            session.add(call)

    def test_what_the_database_refuses_is_told_without_the_values(self, database: Database) -> None:
        def add() -> None:
            with database.writing() as session:
                session.add(account("ivanova"))

        add()
        with pytest.raises(StorageError, match="the database refused: ") as refused:
            add()
        assert not isinstance(refused.value, StorageBusy)  # to try again would be no use
        assert "ivanova" not in str(refused.value)


class TestText:
    """What people type comes back as it was, unless no database could hold it."""

    @pytest.mark.parametrize(
        "name", ["'; DROP TABLE audit; --", "<script>", "%s %(x)s :x", "Ёлка 🙏🏽 \u202e", "\\ \r\n"]
    )
    def test_it_comes_back_as_it_was(self, database: Database, name: str) -> None:
        note(database, name)
        assert noted(database) == [name]

    @pytest.mark.parametrize(
        ("typed", "kept"), [("\0больничный\0", "\ufffdбольничный\ufffd"), ("\ud800х", "?х"), ("я" * 300, "я" * 64)]
    )
    def test_what_does_not_fit_is_made_to(self, database: Database, typed: str, kept: str) -> None:
        note(database, typed)
        assert noted(database) == [kept]
        with database.reading() as session:  # and is found again by what was typed
            assert session.scalar(select(AuditRow.actor).where(AuditRow.actor == typed)) == kept


class TestMoments:
    def test_they_come_back_in_utc_from_whatever_zone(self, database: Database) -> None:
        note(database, now=datetime(2022, 1, 24, 12, 30, tzinfo=MOSCOW))
        (line,) = audit_lines(database)
        assert (line.at, line.at.tzinfo) == (NOW, UTC)

    def test_one_without_a_zone_is_refused(self, database: Database) -> None:
        with pytest.raises(Exception, match="2022-01-24 09:30:00 has no time zone"):
            note(database, now=NOW.replace(tzinfo=None))


class TestAudit:
    @pytest.mark.parametrize(
        "tampering", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "DELETE FROM audit WHERE id = 1"]
    )
    def test_a_line_cannot_be_changed_or_deleted(self, database: Database, tampering: str) -> None:
        note(database)
        with pytest.raises(StorageError, match="audit is append-only"), database.writing() as session:
            session.execute(text(tampering))
        assert noted(database) == ["ivanova"]

    def test_a_line_says_who_did_what_to_what_and_when(self, database: Database) -> None:
        with database.writing() as session:
            record(session, "petrov", "look", "call 7", {"fields": ["phone"]}, now=NOW)
        (line,) = audit_lines(database)
        assert (line.actor, line.action, line.object, line.detail) == (
            "petrov",
            "look",
            "call 7",
            {"fields": ["phone"]},
        )
        assert line.at == NOW

    @pytest.mark.parametrize(
        ("since", "until", "hours"),
        [(None, None, [0, 1, 2]), (1, None, [1, 2]), (None, 1, [0]), (1, 2, [1]), (3, None, [])],
    )
    def test_a_span_includes_its_beginning_and_not_its_end(
        self, database: Database, since: int | None, until: int | None, hours: list[int]
    ) -> None:
        for hour in range(3):
            note(database, str(hour), now=NOW + timedelta(hours=hour))
        span = [None if hour is None else NOW + timedelta(hours=hour) for hour in (since, until)]
        assert [int(line.actor) for line in audit_lines(database, *span)] == hours

    def test_a_clock_that_goes_back_changes_no_order(self, database: Database) -> None:
        note(database, "first", now=NOW)
        note(database, "second", now=NOW - timedelta(hours=1))
        assert noted(database) == ["first", "second"]
