"""What we know: the entries, the flag's rules and the lexicon."""

from .base import About, Calls, Elsewhere, FlagData, FlagRule, KnowledgeBase, Phone, RouteCard, Word
from .load import CONTENT, ContentError, Problem, dump_entries, dump_yaml, load, load_entries, read_yaml
from .schema import Branch, Condition, Entry, Route, Topic, Urgency, normalise

__all__ = [
    "CONTENT",
    "About",
    "Branch",
    "Calls",
    "Condition",
    "ContentError",
    "Elsewhere",
    "Entry",
    "FlagData",
    "FlagRule",
    "KnowledgeBase",
    "Phone",
    "Problem",
    "Route",
    "RouteCard",
    "Topic",
    "Urgency",
    "Word",
    "dump_entries",
    "dump_yaml",
    "load",
    "load_entries",
    "normalise",
    "read_yaml",
]
