"""The command line. Heavy libraries load only in the commands that need them."""

import gc
import json
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from index import VectorStore, encoder_name, phrases_of, stored_vectors
from kb import KnowledgeBase, load

from .cli_keep import register
from .cli_told import err, out, settings_from, told

if TYPE_CHECKING:
    from .answer import Answer, Assistant
    from .settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Answers for volunteers of the #МыВместе hotline: ranked answers and a flag for dangerous calls.",
)
register(app)

AsOf = Annotated[str, typer.Option("--as-of", help="Day to answer for: 2022-01-24, 24.01.2022, edition or today.")]


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        bar.add_task(title, total=None)
        yield bar


def _on(bar: Progress) -> Callable[[int, int], None]:
    """Moves the bar."""
    return lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total)


def _open(settings: "Settings", *, force: bool = False) -> "Assistant":
    from .build import open_assistant

    _quiet()
    with _bar("encoding phrases") as bar:
        assistant, built = open_assistant(
            settings,
            force=force,
            progress=_on(bar),
        )
    if built.encoded:
        err.print(f"{len(assistant.kb)} entries, {built.phrases} phrases, {built.encoded} encoded -> {built.path}")
    return assistant


def _quiet() -> None:
    """No chatter of the model libraries, and no look at the network for a model that is here."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)


def _day(assistant: "Assistant", settings: "Settings", as_of: str) -> date:
    return (settings.model_copy(update={"as_of": as_of}) if as_of else settings).day(assistant.kb)


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; beyond loopback once there is an account.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Open the assistant in the browser."""
    with told():
        settings = settings_from(host=host, port=port)
        _refuse_if_taken(settings)
        _quiet()
        # The model on one core, the pages on the others: its threads wait for each other by spinning, and where
        # volunteers keep all cores busy one question in twenty then takes ten times as long.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        from threadpoolctl import threadpool_limits

        from .service import open_service
        from .web import serve as serve_pages

        threadpool_limits(1)  # the same for what is loaded by now: numpy's matrix products
        with ExitStack() as stack:
            with _bar("encoding phrases") as bar:
                service = stack.enter_context(open_service(settings, progress=_on(bar)))
            gc.freeze()  # what is loaded stays: looking through it for garbage would stop everybody for half a second
            out.print(f"http://{settings.host}:{settings.port}", style="bold")
            serve_pages(service)


def _refuse_if_taken(settings: "Settings") -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise OSError(
                f"port {settings.port} on {settings.host} cannot be opened ({error.strerror}); "
                "stop the other program or choose another with: assistant serve --port 7861"
            ) from error


@app.command()
def check(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder with *.yaml entries; default: the shipped base.")
    ] = None,
    warnings: Annotated[bool, typer.Option(help="List the warnings too.")] = True,
) -> None:
    """Check the content: every problem with its place; exit code 1 if there are errors."""
    with told():
        from .checks import Material, Severity, counted, findings

        settings = settings_from(kb=folder)
        kb = load(settings.kb)
        phrases = phrases_of(kb)
        store = VectorStore(settings.data / "vectors.npz")
        vectors = stored_vectors([phrase.text for phrase in phrases], encoder_name(settings.model), store)
        found = findings(Material(kb, phrases, vectors))
        out.print(_topics_table(kb))
        listed = [finding for finding in found if warnings or finding.severity is Severity.ERROR]
        if listed:
            table = Table("", "check", "entry", "what")
            for finding in listed:
                table.add_row(finding.severity, finding.check, finding.entry, Text(finding.what))
            out.print(table)
        totals = Table("check", "errors", "warnings")
        for name, (errors, warned) in counted(found).items():
            totals.add_row(name, str(errors), str(warned))
        out.print(totals)
        if vectors is None:
            out.print("near duplicates and strays were not looked for: run assistant build first", style="yellow")
        if any(finding.severity is Severity.ERROR for finding in found):
            raise typer.Exit(1)


def _topics_table(kb: KnowledgeBase) -> Table:
    table = Table("topic", "entries", "phrases", "fewest variants", "longest say, words")
    for topic in sorted({entry.topic for entry in kb}):
        entries = [entry for entry in kb if entry.topic is topic]
        phrases = sum(len(entry.phrasings) for entry in entries)
        fewest = min(len(entry.variants) for entry in entries)
        longest = max(len(entry.say.split()) for entry in entries)
        table.add_row(topic, *map(str, (len(entries), phrases, fewest, longest)))
    return table


@app.command()
def build(force: Annotated[bool, typer.Option("--force", help="Encode every phrase anew.")] = False) -> None:
    """Build the index: encode the phrases that are new or changed."""
    with told():
        assistant = _open(settings_from(), force=force)
        out.print(f"index ready: {len(assistant.index.phrases)} phrases of {len(assistant.kb)} entries")


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The caller's question, as typed.")],
    as_of: AsOf = "",
    why: Annotated[bool, typer.Option("--why", help="Show the walk through the flag's rules.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Answer one question."""
    with told():
        question = question.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        settings = settings_from(as_of=as_of or None)
        assistant = _open(settings)
        answer = assistant.ask(question, settings.day(assistant.kb))
        if as_json:
            from .records import answer_record

            sys.stdout.write(json.dumps(answer_record(answer), ensure_ascii=False, indent=2) + "\n")
            return
        _print_answer(answer)
        if why:
            steps = Table("rule", "what happened")
            for step in assistant.why(question):
                steps.add_row(step.rule, step.outcome)
            out.print(steps)


def _print_answer(answer: "Answer") -> None:
    from .wording import LEVELS, day_words

    if answer.flag:
        card = answer.flag.card
        out.print(Text(f" {card.who} {card.phone or ''} ", style="bold white on red"), Text(answer.flag.reason))
        out.print(Text(f"«{answer.flag.quoted}» — {card.say}"))
    for line in (answer.warning, answer.sentence):
        if line:
            out.print(Text(line, style="yellow"))
    out.print(Text(f"{LEVELS[answer.level]}, на {day_words(answer.day)}", style="bold"))
    for place, ranked in enumerate(answer.answers[:5], 1):
        out.print(Text(f"{place}. {ranked.entry.question}", style="bold"), Text(ranked.entry.id, style="dim"))
        out.print(Text(f"   {ranked.entry.say}"))
        out.print(Text(f"   совпало: «{ranked.matched}», {ranked.score:.2f}", style="dim"))


@app.command()
def coverage(
    file: Annotated[Path, typer.Argument(help="Questions: YAML, CSV or XLSX.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write summary and items here.")] = None,
    as_of: AsOf = "",
) -> None:
    """Ask a file of questions and show how well the base answers them."""
    with told():
        from .coverage import read_questions, run, summary

        questions = read_questions(file)
        settings = settings_from(as_of=as_of or None)
        assistant = _open(settings)
        with _bar("asking") as bar:
            bar.update(bar.task_ids[0], total=len(questions))
            items = run(assistant, questions, settings.day(assistant.kb), lambda: bar.advance(bar.task_ids[0]))
        figures = summary(items)
        out.print(_figures_table(figures))
        if json_file:
            data = {"summary": figures, "items": [item.record() for item in items]}
            json_file.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _figures_table(figures: dict[str, Any]) -> Table:
    table = Table("figure", "value", "count", "of")

    def add(name: str, figure: Any) -> None:
        if not isinstance(figure, dict):
            table.add_row(name, str(figure), "", "")
        elif "of" in figure:
            value = "-" if figure["value"] is None else f"{figure['value']:.3f}"
            table.add_row(name, value, str(figure.get("count", "")), str(figure["of"]))
        else:
            for part, inner in figure.items():
                add(f"{name}: {part}", inner)

    for name, figure in figures.items():
        add(name, figure)
    return table
