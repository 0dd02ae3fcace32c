"""The stored base as YAML and back: what is exported and imported again changes nothing."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kb import Entry, Topic, dump_entries, load

from .storage import Database, fill_if_empty, last_publisher, live_entries, publish

EDITION = "edition"  # who publishes what is shipped


@dataclass(frozen=True)
class Difference:
    """What an import would do to which entries, by id."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    retired: tuple[str, ...]
    same: tuple[str, ...]

    def __bool__(self) -> bool:
        """True if anything would change."""
        return bool(self.added or self.changed or self.retired)


def difference(stored: Iterable[Entry], incoming: Iterable[Entry]) -> Difference:
    """From the stored entries to the incoming ones, which are the whole base: what is not among them is retired."""
    before, after = ({entry.id: entry for entry in entries} for entries in (stored, incoming))
    kept = [entry_id for entry_id in after if entry_id in before]
    return Difference(
        added=tuple(entry_id for entry_id in after if entry_id not in before),
        changed=tuple(entry_id for entry_id in kept if after[entry_id] != before[entry_id]),
        retired=tuple(entry_id for entry_id in before if entry_id not in after),
        same=tuple(entry_id for entry_id in kept if after[entry_id] == before[entry_id]),
    )


def import_base(database: Database, folder: Path, actor: str, now: datetime, dry_run: bool = False) -> Difference:
    """Make the stored base what the folder says, in one new version; none if nothing differs or it is a dry run.
    Raises ContentError with all problems of the folder, Conflict if somebody publishes meanwhile, StorageError."""
    incoming = load(folder).entries
    version, stored = live_entries(database)
    found = difference(stored, incoming.values())
    if found and not dry_run:
        changes = [incoming[entry_id] for entry_id in (*found.added, *found.changed)]
        publish(database, changes, found.retired, actor, f"import of {folder.name}", now, expected=version)
    return found


def follow_edition(database: Database, edition: Sequence[Entry], now: datetime) -> Difference:
    """Fill an empty database with the shipped entries; one that nobody has edited follows them to the next edition.
    After the first edit they are only compared: what people have changed is never overwritten."""
    fill_if_empty(database, edition, EDITION, now)
    version, stored = live_entries(database)
    found = difference(stored, edition)
    if found and last_publisher(database) == EDITION:
        incoming = {entry.id: entry for entry in edition}
        changes = [incoming[entry_id] for entry_id in (*found.added, *found.changed)]
        publish(database, changes, found.retired, EDITION, "next edition", now, expected=version)
    return found


def export_base(database: Database, folder: Path) -> int:
    """Write the live entries into the folder, one file per topic. Returns how many. Raises FileExistsError if the
    folder holds content that an export would not replace, any other OSError if it cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {topic: folder / f"{topic}.yaml" for topic in Topic}
    strange = sorted(set(folder.glob("*.yaml")) - set(files.values()))
    if strange:
        raise FileExistsError(f"{strange[0]}: is not a file of an export; export into an empty folder")
    _, entries = live_entries(database)
    for topic, file in files.items():
        of_topic = [entry for entry in entries if entry.topic is topic]
        if of_topic:
            _replace(file, dump_entries(of_topic))
        else:
            file.unlink(missing_ok=True)
    return len(entries)


def _replace(file: Path, text: str) -> None:
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
