"""A backup holds every row of one moment, and brings them back into either kind of database while others go on."""

import errno
import gzip
import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import FORMS, entry, fill
from sqlalchemy import insert, select, text

from assistant.storage import (
    Database,
    Role,
    StorageError,
    audit_lines,
    backup,
    current_version,
    fill_if_empty,
    live_entries,
    publish,
    record,
    restore,
)
from assistant.storage.tables import AccountRow, CallRow, Table

NOW = datetime(2022, 1, 24, 9, 30, tzinfo=UTC)
LATER = datetime(2022, 1, 25, 9, 30, tzinfo=UTC)
NEWEST = max(file.stem for file in FORMS.glob("*.sql"))
Rows = dict[str, list[tuple[Any, ...]]]


def rows(database: Database) -> Rows:
    """All that is stored, by table."""
    with database.reading() as session:
        queries = {table.name: select(table).order_by(*table.primary_key) for table in Table.metadata.sorted_tables}
        return {name: [tuple(row) for row in session.execute(query)] for name, query in queries.items()}


def filled(database: Database) -> Database:
    """With rows in every table, among them a sealed card."""
    fill(database, NEWEST)
    with database.writing() as session:
        session.scalars(select(CallRow)).one().card = bytes(range(256))
    return database


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backup.gz"


class TestRestoring:
    def test_every_row_comes_back_into_either_kind_of_database(
        self, database: Database, blank_url: str, file: Path
    ) -> None:
        before = rows(filled(database))
        assert backup(database, file, NOW) == sum(map(len, before.values()))
        target = Database(blank_url)
        assert restore(target, file, "admin", LATER) == sum(map(len, before.values()))
        after = rows(target)
        assert after.pop("audit")[:-1] == before.pop("audit")
        assert after.pop("base_version")[:-1] == before.pop("base_version")
        assert after == before
        assert live_entries(target)[1] == live_entries(database)[1]
        target.close()

    def test_what_was_changed_since_is_taken_back_under_the_eyes_of_everybody(
        self, database: Database, file: Path
    ) -> None:
        fill_if_empty(database, [entry("a")], "system", NOW)
        backup(database, file, NOW)
        publish(database, [entry("b")], ["a"], "redaktor", "", NOW)
        beside = Database(database.url.render_as_string(hide_password=False))
        assert current_version(beside) == 2
        restore(database, file, "admin", LATER)
        assert live_entries(beside) == (3, (entry("a"),))
        beside.close()

    def test_it_is_in_the_audit_and_nobody_can_take_it_out(self, database: Database, file: Path) -> None:
        backup(filled(database), file, NOW)
        restore(database, file, "admin", LATER)
        *_, line = audit_lines(database)
        assert (line.actor, line.action, line.at) == ("admin", "restore", LATER)
        assert line.detail["backup"] == NOW.isoformat()
        for tampering in ("DELETE FROM audit", "UPDATE audit SET actor = ''"):
            with pytest.raises(StorageError, match="append-only"), database.writing() as session:
                session.execute(text(tampering))

    def test_new_rows_are_numbered_behind_the_restored_ones(
        self, database: Database, blank_url: str, file: Path
    ) -> None:
        backup(filled(database), file, NOW)
        target = Database(blank_url)
        restore(target, file, "admin", LATER)
        for table in Table.metadata.sorted_tables:
            if table.autoincrement_column is not None:
                add_one_more(target, table.name)
        target.close()

    def test_a_backup_without_a_base_can_be_restored_too(self, database: Database, file: Path) -> None:
        backup(database, file, NOW)
        fill_if_empty(database, [entry("a")], "system", NOW)
        restore(database, file, "admin", LATER)
        assert live_entries(database) == (0, ())
        assert fill_if_empty(database, [entry("b")], "system", LATER) > 0


def add_one_more(database: Database, name: str) -> None:
    """The last row once more, under the number that the database gives it."""
    table = Table.metadata.tables[name]
    with database.writing() as session:
        last = session.execute(select(table).order_by(table.c.id.desc()).limit(1)).mappings().one()
        unique = {"name": "another", "digest": "another"}
        values = {key: unique.get(key, value) for key, value in last.items() if key != "id"}
        given = session.execute(insert(table).values(values)).inserted_primary_key
        assert given is not None
        assert given[0] == last["id"] + 1


class TestTaking:
    def test_what_is_not_committed_is_not_in_it_and_nobody_waits(self, database: Database, file: Path) -> None:
        with database.writing() as session:
            session.add(AccountRow(name="half", role=Role.VOLUNTEER, made_at=NOW))
            session.flush()
            assert backup(database, file, NOW) == 0
        assert backup(database, file, NOW) == 1

    def test_only_its_owner_may_read_it(self, database: Database, file: Path) -> None:
        backup(database, file, NOW)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_a_full_disk_leaves_the_older_backup(
        self, database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        backup(database, file, NOW)
        older = file.read_bytes()
        filled(database)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"backup.gz: the backup cannot be written \(No space left on device\)"):
            backup(database, file, NOW)
        assert file.read_bytes() == older
        assert list(file.parent.iterdir()) == [file]

    def test_a_folder_that_is_not_there_is_named(self, database: Database, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match=r"none/backup.gz: .* \(No such file or directory\)"):
            backup(database, tmp_path / "none" / "backup.gz", NOW)


def header(**changes: Any) -> Callable[[list[str]], list[str]]:
    return lambda lines: [json.dumps(json.loads(lines[0]) | changes) + "\n", *lines[1:]]


DAMAGED_LINES: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "of something else": (header(what="vectors"), "not a backup that this version reads"),
    "of another format": (header(format=2), r"not a backup that this version reads \(it reads format 1"),
    "of another revision": (header(revision="0000"), "backup of revision 0000, this version works with"),
    "without a header": (lambda lines: ["[]\n", *lines[1:]], "damaged backup"),
    "without a line": (lambda _: [], "damaged backup"),
    "with a table too many": (lambda lines: [*lines, '["nothing", {}]\n'], "damaged backup"),
    "with a column too many": (lambda lines: [*lines, '["token", {"nothing": 1}]\n'], "damaged backup"),
    "with half a line": (lambda lines: [*lines, lines[-1][:20]], "damaged backup"),
    "with a row twice": (lambda lines: [*lines, lines[-1]], "the database refused"),
}
DAMAGED_BYTES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "damaged backup"),
    "of another kind": (lambda _: b"SQLite format 3", "the backup cannot be read"),
    "cut short": (lambda whole: whole[: len(whole) // 2], "damaged backup"),
    "overwritten": (lambda whole: whole[:-8] + bytes(8), "the backup cannot be read"),
}


class TestRefusing:
    @pytest.mark.parametrize(("damage", "said"), DAMAGED_LINES.values(), ids=DAMAGED_LINES)
    def test_what_does_not_fit_changes_nothing(
        self, database: Database, file: Path, damage: Callable[[list[str]], list[str]], said: str
    ) -> None:
        backup(filled(database), file, NOW)
        with gzip.open(file, "rt", encoding="utf-8") as source:
            lines = damage(list(source))
        with gzip.open(file, "wt", encoding="utf-8") as out:
            out.writelines(lines)
        self.refused(database, file, said)

    @pytest.mark.parametrize(("damage", "said"), DAMAGED_BYTES.values(), ids=DAMAGED_BYTES)
    def test_neither_does_a_file_that_is_cut_or_overwritten(
        self, database: Database, file: Path, damage: Callable[[bytes], bytes], said: str
    ) -> None:
        backup(filled(database), file, NOW)
        file.write_bytes(damage(file.read_bytes()))
        self.refused(database, file, said)

    def test_nor_one_that_is_not_there(self, database: Database, file: Path) -> None:
        self.refused(filled(database), file, "backup.gz: the backup cannot be read")

    def refused(self, database: Database, file: Path, said: str) -> None:
        before = rows(database)
        with pytest.raises(StorageError, match=said):
            restore(database, file, "admin", LATER)
        assert rows(database) == before
        with pytest.raises(StorageError, match="append-only"), database.writing() as session:
            session.execute(text("DELETE FROM audit"))
        with database.writing() as session:
            record(session, "ivanova", "look", now=LATER)
