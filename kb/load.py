"""YAML <-> KnowledgeBase. All problems of a folder are reported at once, each with its file and line."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from .base import About, Calls, Elsewhere, FlagData, FlagRule, KnowledgeBase, Phone, RouteCard, Word
from .schema import Entry, normalise

HERE = Path(__file__).parent
CONTENT = HERE / "content"
DEEPEST = 50  # levels of lists in lists

Model = TypeVar("Model", bound=BaseModel)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with the content."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


class ContentError(Exception):
    """The content cannot be used; `problems` names everything found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class _Located:
    """A record of a YAML list with the place it came from."""

    file: Path
    data: Any
    node: yaml.Node

    def line(self, path: Iterable[int | str] = ()) -> int:
        """Line (from 1) of the deepest node that `path`, a pydantic error location, leads to."""
        node = self.node
        for step in path:
            child = _child(node, step)
            if child is None:
                break
            node = child
        return int(node.start_mark.line) + 1


def _child(node: yaml.Node, step: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((key for key, value in node.value if key.value == step and not value.value), None) or next(
            (value for key, value in node.value if key.value == step), None
        )
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        child: yaml.Node = node.value[step]
        return child
    return None


def read_yaml(path: Path) -> Any:
    """The data of a YAML file. Raises ContentError that says where it is broken."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Any, yaml.Node | None]:
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_deep(path, text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return (None if node is None else loader.construct_document(node)), node
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        raise ContentError([Problem(str(path), 1, f"not UTF-8 text ({error.reason}); save it as UTF-8")]) from error
    except OSError as error:
        raise ContentError([Problem(str(path), 1, f"cannot be read: {error.strerror}")]) from error
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error)
        raise ContentError([Problem(str(path), mark.line + 1 if mark else 1, f"broken YAML: {what}")]) from error


def _refuse_deep(path: Path, text: str) -> None:
    """The loader builds what is nested by recursion in C, which has no limit of its own: too deep, and the process is
    gone."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise ContentError([Problem(str(path), line, f"nested deeper than {DEEPEST} levels; this is no content")])


def _records(path: Path, problems: list[Problem]) -> list[_Located]:
    try:
        data, node = _read(path)
    except ContentError as error:
        problems.extend(error.problems)
        return []
    if data is None:
        return []
    if not isinstance(node, yaml.SequenceNode):
        problems.append(Problem(str(path), 1, "expected a list of records, each beginning with '- '"))
        return []
    return [_Located(path, item, child) for item, child in zip(data, node.value, strict=True)]


def _build(model: type[Model], record: _Located, problems: list[Problem]) -> Model | None:
    try:
        return model.model_validate(record.data)
    except ValidationError as error:
        name = record.data.get("id") or record.data.get("name") or "?" if isinstance(record.data, dict) else "?"
        for found in error.errors():
            where = ".".join(str(step) for step in found["loc"])
            what = _EXPLAINED.get(found["type"], found["msg"].removeprefix("Value error, "))
            problems.append(
                Problem(str(record.file), record.line(found["loc"]), f"{name}: {where + ': ' if where else ''}{what}")
            )
        return None


_EXPLAINED = {
    "extra_forbidden": "unknown key; correct its spelling or remove it",
    "missing": "missing; add it",
    "string_type": "must be text; put it in quotes",
}


def load_entries(paths: Iterable[Path], problems: list[Problem]) -> dict[str, Entry]:
    """Entries of these files by id; what is wrong with them is appended to `problems`."""
    entries: dict[str, Entry] = {}
    located: dict[str, _Located] = {}
    phrases: dict[str, str] = {}
    for record in (record for path in paths for record in _records(path, problems)):
        entry = _build(Entry, record, problems)
        if entry is None:
            continue
        if entry.id in entries:
            first = located[entry.id]
            what = f"{entry.id}: duplicate id, first used in {first.file.name}:{first.line()}"
            problems.append(Problem(str(record.file), record.line(), what))
            continue
        entries[entry.id], located[entry.id] = entry, record
        _note_phrases(entry, record, phrases, problems)
    for entry in entries.values():
        if entry.replaced_by and entry.replaced_by not in entries:
            place = located[entry.id]
            what = f"{entry.id}: replaced_by names {entry.replaced_by}, which does not exist"
            problems.append(Problem(str(place.file), place.line(["replaced_by"]), what))
    _note_cycles(entries, located, problems)
    return entries


def _note_phrases(entry: Entry, record: _Located, phrases: dict[str, str], problems: list[Problem]) -> None:
    places: list[tuple[list[int | str], str]] = [(["question"], entry.question)]
    places += [(["variants", number], variant) for number, variant in enumerate(entry.variants)]
    for path, phrase in places:
        form = normalise(phrase)
        owner = phrases.setdefault(form, entry.id)
        if not form:
            what = f"{entry.id}: «{phrase}» has no words"
        elif owner != entry.id:
            what = f"{entry.id}: «{phrase}» is already a question of {owner}; a phrase can lead to one answer only"
        else:
            continue
        problems.append(Problem(str(record.file), record.line(path), what))


def _note_cycles(entries: Mapping[str, Entry], located: Mapping[str, _Located], problems: list[Problem]) -> None:
    for start in entries.values():
        seen, entry = {start.id}, start
        while entry.replaced_by and entry.replaced_by in entries:
            entry = entries[entry.replaced_by]
            if entry.id == start.id:
                place = located[start.id]
                what = f"{start.id}: replaced_by leads back to the entry itself"
                problems.append(Problem(str(place.file), place.line(["replaced_by"]), what))
            if entry.id in seen:
                break
            seen.add(entry.id)


def load(folder: Path = HERE) -> KnowledgeBase:
    """The whole base: `folder`/kb.yaml, content/, flag/ and lexicon.yaml. Raises ContentError with all problems.

    A folder of content alone (no kb.yaml in it) is read with the shipped edition, flag and lexicon around it.
    """
    if not folder.is_dir():
        raise ContentError([Problem(str(folder), 1, "no such folder; name a folder with *.yaml entries")])
    whole = (folder / "kb.yaml").exists()
    frame, content = (folder, folder / "content") if whole else (HERE, folder)
    problems: list[Problem] = []
    entries = load_entries(sorted(content.glob("*.yaml")), problems)
    if not entries and not problems:
        problems.append(Problem(str(content), 1, "no entries found; expected *.yaml files with at least one entry"))
    about = _load_about(frame / "kb.yaml", problems)
    flag = _load_flag(frame / "flag", problems)
    lexicon = _list_of(Word, frame / "lexicon.yaml", problems)
    phones = _list_of(Phone, frame / "phones.yaml", problems)
    elsewhere = _list_of(Elsewhere, frame / "elsewhere.yaml", problems)
    words = tuple(str(record.data) for record in _records(frame / "words.yaml", problems))
    if problems or about is None or flag is None:
        raise ContentError(problems)
    return KnowledgeBase(about, entries, flag, lexicon, phones, elsewhere, words)


def _list_of(model: type[Model], path: Path, problems: list[Problem]) -> tuple[Model, ...]:
    built = (_build(model, record, problems) for record in _records(path, problems))
    return tuple(record for record in built if record is not None)


def _load_about(path: Path, problems: list[Problem]) -> About | None:
    try:
        data, node = _read(path)
    except ContentError as error:
        problems.extend(error.problems)
        return None
    return None if node is None else _build(About, _Located(path, data, node), problems)


def _load_flag(folder: Path, problems: list[Problem]) -> FlagData | None:
    routes = _list_of(RouteCard, folder / "routes.yaml", problems)
    rules = tuple(
        chain.from_iterable(_list_of(FlagRule, path, problems) for path in sorted(folder.glob("rules-*.yaml")))
    )
    try:
        guards = TypeAdapter(dict[str, tuple[str, ...]]).validate_python(read_yaml(folder / "guards.yaml"))
    except (ContentError, ValidationError) as error:
        problems.append(Problem(str(folder / "guards.yaml"), 1, str(error)))
        return None
    examples = _list_of(Calls, folder / "examples.yaml", problems)
    return FlagData(routes=routes, guards=guards, rules=rules, examples=examples)


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless)


def dump_entries(entries: Iterable[Entry]) -> str:
    """YAML text of the entries, without loss: loading it gives equal entries, and dumping those the same text."""
    return dump_yaml([_plain_data(entry) for entry in entries])


def dump_yaml(data: Any) -> str:
    """YAML text of plain data, Cyrillic as it is and one line a value."""
    return yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10_000)


def _plain_data(entry: Entry) -> dict[str, Any]:
    data = entry.model_dump(exclude_defaults=True)
    return {key: _plain_value(value) for key, value in data.items()}


def _plain_value(value: Any) -> Any:
    match value:
        case tuple() | list():
            return [_plain_value(item) for item in value]
        case dict():
            return {key: _plain_value(item) for key, item in value.items()}
        case date():
            return value
        case str():
            return str(value)
    return value
