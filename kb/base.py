"""The knowledge base as one immutable whole: entries, flag rules, lexicon and who we are."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from .schema import Entry, Frozen, Route, Text, Urgency


class About(Frozen):
    """kb.yaml: which base this is."""

    title: Text
    edition: date
    hotline: Text
    owner: Text


class RouteCard(Frozen):
    """Who takes the call, and what the volunteer says and asks meanwhile."""

    route: Route
    urgency: Urgency
    who: Text
    phone: Text | None = None
    say: Text
    ask: tuple[Text, ...] = ()


class FlagRule(Frozen):
    """One named rule of the flag: phrases over lemmas (see assistant/specialist.py for how they are read)."""

    name: Text
    route: Route
    urgency: Urgency
    reason: Text
    phrases: tuple[Text, ...]
    unless: tuple[Text, ...] = ()
    example: Text
    counter: Text


class Calls(Frozen):
    """Calls as they are typed that one route takes, or, without a route, that the volunteer answers."""

    route: Route | None = None
    urgency: Urgency | None = None
    calls: tuple[Text, ...]


class FlagData(Frozen):
    routes: tuple[RouteCard, ...]
    guards: Mapping[str, tuple[Text, ...]]
    rules: tuple[FlagRule, ...]
    examples: tuple[Calls, ...] = ()

    def card(self, route: Route, urgency: Urgency) -> RouteCard:
        for card in self.routes:
            if card.route is route and card.urgency is urgency:
                return card
        raise KeyError(f"kb/flag/routes.yaml has no card for {route} / {urgency}")


class Word(Frozen):
    """One line of the lexicon: how callers say it, what it stands for, and the phrase in which they do."""

    word: Text
    means: Text
    example: Text


class Phone(Frozen):
    """A phone number as it is said, and the one thing that it is for."""

    number: Text
    what: Text


class Elsewhere(Frozen):
    """Questions that the base does not answer, `near` its topics or far from them."""

    near: bool
    questions: tuple[Text, ...]


@dataclass(frozen=True)
class KnowledgeBase:
    about: About
    entries: Mapping[str, Entry]
    flag: FlagData
    lexicon: tuple[Word, ...]
    phones: tuple[Phone, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
    words: tuple[str, ...] = ()  # names and slang that are spelt right, though no dictionary has them

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the entries' content in id order; the same content has the same fingerprint on any machine."""
        digest = hashlib.sha256()
        for entry_id in sorted(self.entries):
            digest.update(self.entries[entry_id].model_dump_json().encode())
        return digest.hexdigest()

    @cached_property
    def _predecessors(self) -> Mapping[str, tuple[Entry, ...]]:
        found: dict[str, tuple[Entry, ...]] = {}
        for entry in self:
            if entry.replaced_by:
                found[entry.replaced_by] = (*found.get(entry.replaced_by, ()), entry)
        return found

    def on_day(self, entry_id: str, day: date) -> Entry | None:
        """What holds on `day` in place of this entry: itself, its successor, or the one it has not yet replaced.

        None if nothing does, or if several older entries share this successor and it is too early for it.
        """
        entry: Entry | None = self.entries[entry_id]
        if entry is not None and entry.valid_from and day < entry.valid_from:
            older = self._predecessors.get(entry_id, ())
            return self.on_day(older[0].id, day) if len(older) == 1 else None
        while entry is not None and entry.expired(day):
            entry = self.entries[entry.replaced_by] if entry.replaced_by else None
        return entry if entry is not None and entry.in_force(day) else None
