"""The base as it is stored: numbered revisions of every entry, and a version of the whole for each publication.

A revision that has been published is never changed: an edit adds the next one, a retirement adds one that says so.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Row, Select, func, select, text
from sqlalchemy.orm import Session

from kb import Entry

from .audit import record
from .database import Database, on_server
from .errors import Conflict, StorageError
from .tables import EntryRow, RevisionRow, RevisionState, VersionRow


def current_version(database: Database) -> int:
    """Of the base; 0 if nothing has been published yet."""
    with database.reading() as session:
        return newest_version(session)


def live_entries(database: Database) -> tuple[int, tuple[Entry, ...]]:
    """The version and its entries in their order, both of one moment."""
    with database.reading() as session:
        return newest_version(session), _live(session)


def history(database: Database, entry_id: str) -> list[RevisionRow]:
    """All revisions of an entry, the first one first; none if there is no such entry."""
    with database.reading() as session:
        query = select(RevisionRow).where(RevisionRow.entry_id == entry_id).order_by(RevisionRow.number)
        return list(session.scalars(query))


def fill_if_empty(database: Database, kb_entries: Iterable[Entry], actor: str, now: datetime) -> int:
    """Publish these entries if nothing has been published yet. Returns the current version."""
    with database.writing() as session:
        _alone(session)
        return newest_version(session) or _publish(session, tuple(kb_entries), (), actor, "first filling", now)


def last_publisher(database: Database) -> str:
    """Who made the current version; nobody if there is none."""
    with database.reading() as session:
        return session.scalar(select(VersionRow.actor).order_by(VersionRow.id.desc()).limit(1)) or ""


def publish(
    database: Database,
    changes: Sequence[Entry],
    retired: Sequence[str],
    actor: str,
    note: str,
    now: datetime,
    *,
    expected: int | None = None,
) -> int:
    """Make `changes` live and take the entries `retired` out, all at once. Returns the new version of the base.

    Raises Conflict if the base is no longer at the version `expected`, StorageError if what would be live is broken:
    no entry at all, or one whose successor is not there.
    """
    with database.writing() as session:
        _alone(session)
        found = newest_version(session)
        if expected not in (None, found):
            raise Conflict(f"the base is at version {found}, no longer at {expected}; look at what has changed first")
        return _publish(session, changes, retired, actor, note, now)


def newest_version(session: Session) -> int:
    return session.scalar(select(func.max(VersionRow.id))) or 0


def _alone(session: Session) -> None:
    """One publication at a time: whoever has seen a version has seen all before it."""
    if on_server(session):
        session.execute(text("LOCK TABLE base_version IN EXCLUSIVE MODE"))


def _publish(
    session: Session, changes: Sequence[Entry], retired: Sequence[str], actor: str, note: str, now: datetime
) -> int:
    live = {entry.id: entry for entry in _live(session)}
    for entry_id in retired:
        if entry_id not in live:
            raise StorageError(f"{entry_id}: cannot be retired, it is not live")
    after = live | {entry.id: entry for entry in changes}
    for entry_id in retired:
        after.pop(entry_id, None)
    _refuse_broken(after)
    version = VersionRow(at=now, actor=actor, note=note, fingerprint=_fingerprint(after))
    session.add(version)
    session.flush()
    stamp = {"author": actor, "at": now, "comment": note, "published_in": version.id}
    made = [_revision(entry, RevisionState.PUBLISHED, stamp) for entry in changes]
    _add(session, [*made, *(_revision(live[entry_id], RevisionState.RETIRED, stamp) for entry_id in retired)])
    detail = {"note": note, "changed": [entry.id for entry in changes], "retired": list(retired)}
    record(session, actor, "publish", f"version {version.id}", detail, now=now)
    return version.id


def _revision(entry: Entry, state: RevisionState, stamp: dict[str, Any]) -> RevisionRow:
    body = entry.model_dump(mode="json", exclude_defaults=True)
    return RevisionRow(entry_id=entry.id, state=state, body=body, **stamp)


def _add(session: Session, revisions: Sequence[RevisionRow]) -> None:
    """Give each its number and make it live; a retirement takes its entry out."""
    places = _places(session, [revision.entry_id for revision in revisions])
    last = select(RevisionRow.entry_id, func.max(RevisionRow.number)).group_by(RevisionRow.entry_id)
    numbers = Counter(dict(session.execute(last).all()))
    for revision in revisions:
        numbers[revision.entry_id] += 1
        revision.number = numbers[revision.entry_id]
        places[revision.entry_id].live = revision.number if revision.state is RevisionState.PUBLISHED else None
    session.add_all(revisions)


def _places(session: Session, ids: Iterable[str]) -> dict[str, EntryRow]:
    """The places of all entries; new ones come behind all others."""
    places = {place.id: place for place in session.scalars(select(EntryRow))}
    last = max((place.position for place in places.values()), default=0)
    new = [
        EntryRow(id=entry_id, position=last + step)
        for step, entry_id in enumerate(dict.fromkeys(ids), 1)
        if entry_id not in places
    ]
    session.add_all(new)
    session.flush()  # a revision refers to its place
    return places | {place.id: place for place in new}


def _live(session: Session) -> tuple[Entry, ...]:
    return tuple(_entry(row) for row in session.execute(_LIVE))


_LIVE: Select[str, int, dict[str, Any]] = (
    select(RevisionRow.entry_id, RevisionRow.number, RevisionRow.body)
    .join(EntryRow, (EntryRow.id == RevisionRow.entry_id) & (EntryRow.live == RevisionRow.number))
    .order_by(EntryRow.position, EntryRow.id)
)


def _entry(row: Row[str, int, dict[str, Any]]) -> Entry:
    try:
        return Entry.model_validate(row.body)
    except ValidationError as error:
        raise StorageError(
            f"{row.entry_id}, revision {row.number}: does not fit this version of the assistant ({error})"
        ) from error


def _refuse_broken(entries: Mapping[str, Entry]) -> None:
    """Raises StorageError if these cannot be answered from."""
    if not entries:
        raise StorageError("a base without entries cannot be published: nothing would be left to answer from")
    for entry in entries.values():
        if entry.replaced_by and entry.replaced_by not in entries:
            raise StorageError(
                f"{entry.id}: replaced_by names {entry.replaced_by}, which would not be live; change both together"
            )


def _fingerprint(entries: Mapping[str, Entry]) -> str:
    """The same as KnowledgeBase.fingerprint, of which only the entries are here."""
    digest = hashlib.sha256()
    for entry_id in sorted(entries):
        digest.update(entries[entry_id].model_dump_json().encode())
    return digest.hexdigest()
