"""/docs: the API as its OpenAPI description tells it. FastAPI's own page loads scripts from the network; this one reads
without."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from markupsafe import Markup, escape

from assistant import api

from .pages import page

REF = "#/components/schemas/"
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Item:
    """A parameter of an operation or a field of a form. `kind`: its type, with the names of other forms in it."""

    name: str
    kind: str
    required: bool
    default: str
    place: str = ""


@dataclass(frozen=True)
class Operation:
    """`takes`, `gives`: the types of the bodies, empty if there is none. `refusals`: meaning by status, of those
    that it does not share with all others."""

    method: str
    path: str
    text: str
    parameters: tuple[Item, ...]
    takes: str
    gives: str
    refusals: Mapping[str, str]


@dataclass(frozen=True)
class Form:
    """A JSON object with its fields, or a word of a closed list (then `kind` says which)."""

    name: str
    text: str
    kind: str
    fields: tuple[Item, ...]


def add_docs(app: FastAPI) -> None:
    """The page /docs of everything that the app describes when it is asked for."""

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> Response:
        described = app.openapi()
        return page(
            request,
            "docs.html",
            here=str(request.base_url),
            refusals=refusals(api.REFUSED),
            operations=list(operations(described)),
            forms=list(forms(described)),
            prose=prose,
            linked=partial(linked, names=described["components"]["schemas"]),
        )


def operations(described: Schema) -> Iterator[Operation]:
    usual = refusals(api.REFUSED)
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"]
            yield Operation(
                method=method.upper(),
                path=path,
                text=operation.get("description", ""),
                parameters=tuple(_parameter(each) for each in operation.get("parameters", ())),
                takes=_body(operation.get("requestBody", {})),
                gives=next((_body(answer) for status, answer in answers.items() if status < "300"), ""),
                refusals={each: what for each, what in refusals(answers).items() if what != usual.get(each)},
            )


def refusals(responses: Mapping[Any, Schema]) -> dict[str, str]:
    """Meaning by status."""
    return {str(status): answer["description"] for status, answer in responses.items() if str(status) >= "300"}


def forms(described: Schema) -> Iterator[Form]:
    for name, schema in described["components"]["schemas"].items():
        required = schema.get("required", ())
        fields = tuple(_item(field, each, field in required) for field, each in schema.get("properties", {}).items())
        yield Form(name, schema.get("description", ""), "" if fields else kind_of(schema), fields)


def kind_of(schema: Schema) -> str:
    """string, list of Entry, date-time or null, "sure" or "check" or "none" """
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(REF)
    if "enum" in schema:
        return " or ".join(f'"{word}"' for word in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(kind_of(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "anything")


def prose(text: str) -> Markup:
    """A docstring with its `names` set as such."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))


def linked(kind: str, names: Collection[str]) -> Markup:
    """The type with the names of forms in it as links to them."""
    link = Markup('<a href="#{0}">{0}</a>')
    return Markup(" ").join(link.format(word) if word in names else word for word in kind.split(" "))


def _parameter(parameter: Schema) -> Item:
    return _item(parameter["name"], parameter["schema"], parameter.get("required", False), parameter["in"])


def _item(name: str, schema: Schema, required: bool, place: str = "") -> Item:
    default = schema.get("default")
    return Item(name, kind_of(schema), required, "" if default in (None, "", []) else str(default).lower(), place)


def _body(described: Schema) -> str:
    """Of every kind of content that it may have."""
    contents = described.get("content", {})
    return ", or ".join(
        kind_of(content.get("schema", {})) if kind == "application/json" else kind.partition(";")[0]
        for kind, content in contents.items()
    )
