"""The commands as a person runs them, in a process of their own."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from conftest import entry
from typer.models import CommandInfo, TyperInfo

from assistant.cli import app
from kb import dump_entries

BIN = Path(sys.executable).parent / "assistant"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN, *arguments], capture_output=True, text=True, env={**os.environ, **environment}, timeout=200, check=False
    )


def test_every_command_has_help() -> None:
    commands = [*app.registered_commands, *(c for group in app.registered_groups for c in _of(group))]
    assert len(commands) > 15
    assert all(command.callback and command.callback.__doc__ for command in commands)
    assert "Usage" in run("--help").stdout


def _of(group: TyperInfo) -> list[CommandInfo]:
    assert group.typer_instance
    return group.typer_instance.registered_commands


def test_accounts_base_backup_and_audit_by_command(tmp_path: Path) -> None:
    at = {"ASSISTANT_DATABASE_URL": f"sqlite:///{tmp_path}/a.db"}
    added = run("user", "add", "anna", "--role", "editor", **at)
    assert added.returncode == 0, added.stderr
    name, password = added.stdout.strip().split(": ")
    assert (name, len(password) >= 10) == ("anna", True)
    assert "not a role" in run("user", "add", "oleg", "--role", "boss", **at).stderr
    assert "editor" in run("user", "list", **at).stdout
    assert "317 entries" in run("kb", "export", str(tmp_path / "base"), **at).stdout
    assert "317 unchanged; nothing published" in run("kb", "import", str(tmp_path / "base"), "--publish", **at).stdout
    assert run("backup", str(tmp_path / "b.gz"), **at).returncode == 0
    assert run("user", "disable", "anna", **at).returncode == 0
    assert "disabled" in run("user", "list", **at).stdout
    assert run("restore", str(tmp_path / "b.gz"), **at).returncode == 0
    assert "disabled" not in run("user", "list", **at).stdout
    audit = run("audit", **at).stdout
    assert "account.add" in audit
    assert password not in audit


def test_help_and_check_do_not_load_torch() -> None:
    script = (
        "import sys; from assistant.cli import app\n"
        "try: app(['check'])\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules or 'sentence_transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0


def test_ask_prints_the_promised_json() -> None:
    done = run("ask", "сколько действует qr-код после прививки, дед задыхается", "--as-of", "24.01.2022", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert list(answer) == ["question", "as_of", "level", "flag", "answers"]
    assert answer["as_of"] == "2022-01-24"
    assert list(answer["flag"]) == ["route", "urgency", "reason", "evidence", "also"]
    assert (answer["flag"]["route"], answer["flag"]["urgency"]) == ("emergency", "now")
    assert answer["flag"]["evidence"] == "задыхается"
    assert list(answer["answers"][0]) == ["entry", "question", "matched", "score", "say"]


def test_coverage_writes_the_promised_json(tmp_path: Path) -> None:
    questions = tmp_path / "q.yaml"
    questions.write_text(
        "- {id: 1, text: как продлить больничный, expect: [sick-leave-extend], route: none}\n"
        "- {text: билет в Сочи, expect: []}\n",
        encoding="utf-8",
    )
    done = run("coverage", str(questions), "--json", str(tmp_path / "out.json"))
    assert done.returncode == 0, done.stderr
    assert "hit@1" in done.stdout
    data = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert data["summary"]["hit@1"]["of"] == 1
    assert [list(item) for item in data["items"]] == [["id", "text", "level", "flag", "answers", "seconds"]] * 2
    assert data["items"][0]["id"] == "1"
    assert 0 < len(data["items"][0]["answers"]) <= 10


class TestFaultsAreOneSentenceAndExitCodeOne:
    def one_sentence(self, done: subprocess.CompletedProcess[str], *words: str) -> None:
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        for word in words:
            assert word in done.stderr

    def test_broken_content(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("- id: [\n", encoding="utf-8")
        self.one_sentence(run("check", str(tmp_path)), "a.yaml:2", "broken YAML")

    def test_no_such_folder(self, tmp_path: Path) -> None:
        self.one_sentence(run("check", str(tmp_path / "none")), "no such folder")

    def test_a_port_in_use(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            self.one_sentence(run("serve", "--port", port), f"port {port}", "--port 7861")

    def test_an_address_that_others_can_reach_while_nobody_has_an_account(self, tmp_path: Path) -> None:
        done = run("serve", "--host", "0.0.0.0", ASSISTANT_DATABASE_URL=f"sqlite:///{tmp_path}/a.db")
        self.one_sentence(done, "nobody has an account", "assistant user add")

    def test_an_index_of_another_model(self, tmp_path: Path) -> None:
        import numpy as np

        header = json.dumps({"format": 1, "model": "other", "dimension": 2, "fingerprint": ""})
        np.savez(tmp_path / "vectors.npz", header=header, keys=np.array(["k"]), vectors=np.ones((1, 2)))
        self.one_sentence(run("ask", "как", ASSISTANT_DATA=str(tmp_path)), "made with model other", "assistant build")

    def test_a_model_that_is_not_there(self, tmp_path: Path) -> None:
        done = run("ask", "как", ASSISTANT_MODEL=str(tmp_path / "none"))
        self.one_sentence(done, "cannot be loaded", "ASSISTANT_MODEL")

    def test_a_day_that_is_none(self) -> None:
        self.one_sentence(run("ask", "как", "--as-of", "32.01.2022"), "is not a day")

    def test_a_full_disk(self, tmp_path: Path) -> None:
        content = tmp_path / "content"
        content.mkdir()
        (content / "a.yaml").write_text(dump_entries([entry()]), encoding="utf-8")
        done = run("build", ASSISTANT_KB=str(content), ASSISTANT_DATA="/dev/full")
        self.one_sentence(done, "cannot be written")


def test_check_lists_every_problem_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(dump_entries([entry("a")]).replace("  say:", "  sya:"), encoding="utf-8")
    done = run("check", str(tmp_path))
    assert done.returncode == 1
    assert "a.yaml:10: a: sya: unknown key" in done.stderr
    assert "a.yaml:1: a: say: missing" in done.stderr


def test_a_question_of_broken_bytes_is_answered() -> None:
    done = subprocess.run([BIN, "ask", b"\xd0\xd1\xff ?", "--json"], capture_output=True, timeout=200, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["answers"] is not None
