"""The API as another program meets it: each role, each refusal, the figures of Prometheus, and whatever schemathesis
makes of the description."""

import csv
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from conftest import account_of, app_of, client_of, entry, service_of
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from assistant.accounts import Role
from assistant.calls import CallChange
from assistant.service import Service, now
from assistant.storage import Database, StorageBusy, audit_lines, live_entries, no_answer
from assistant.web import serve
from assistant.web.app import without_gradio
from assistant.web.guard import PUBLIC, under
from assistant.web.health import measured
from quality.browser import uncollected

ENTRIES = (entry("a"), entry("b"), entry("c", topic="contacts"))
FEEDBACK = {"entry": "a", "opinion": "outdated", "word": "позвоните +7 916 123-45-67", "question": "больничный"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    service = service_of(tmp_path_factory.mktemp("api"), *ENTRIES, open=False)
    for role in Role:
        account_of(service, role)
    return service


@pytest.fixture(scope="module")
def app(service: Service) -> FastAPI:
    return app_of(service)


@pytest.fixture(scope="module")
def keys(service: Service) -> dict[Role, str]:
    """A token for every role."""
    return {role: service.tokens.add(f"for-{role.value}", role, now()) for role in Role}


@pytest.fixture(scope="module")
def programs(app: FastAPI, keys: dict[Role, str]) -> dict[Role, TestClient]:
    return {
        role: TestClient(app, base_url="https://assistant.example", headers={"Authorization": f"Bearer {key}"})
        for role, key in keys.items()
    }


@pytest.fixture
def administrator(programs: dict[Role, TestClient]) -> TestClient:
    return programs[Role.ADMINISTRATOR]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[tuple[Service, TestClient]]:
    """A base of its own, for what changes it."""
    service = service_of(tmp_path, *ENTRIES)
    yield service, client_of(service, Role.ADMINISTRATOR, without_gradio(measured(service)))
    service.log.close()


@contextmanager
def database_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def away(_: Database) -> Any:
        raise StorageBusy("away")

    with monkeypatch.context() as patch:
        for method in ("reading", "writing"):
            patch.setattr(Database, method, away)
        patch.setattr(Database, "ping", lambda _: False)
        yield


def saved(found: Any) -> Any:
    """What `found` finds as soon as the log has written it."""
    until = time.monotonic() + 10
    while not (result := found()) and time.monotonic() < until:
        time.sleep(0.01)
    return result


class TestAsking:
    def test_gives_the_answers_of_the_day(self, administrator: TestClient) -> None:
        answer = administrator.post("/api/v1/ask", json={"question": "Как продлить больничный a?"}).json()
        assert (answer["question"], answer["as_of"]) == ("Как продлить больничный a?", "2022-01-24")
        assert answer["answers"][0]["entry"] == "a"
        assert answer["answers"][0]["say"] == ENTRIES[0].say
        assert answer["flag"] is None

    def test_shows_the_flag_of_a_dangerous_call(self, administrator: TestClient) -> None:
        answer = administrator.post("/api/v1/ask", json={"question": "муж задыхается"}).json()
        assert (answer["flag"]["route"], answer["flag"]["urgency"]) == ("emergency", "now")
        assert answer["flag"]["evidence"] == "задыхается"

    def test_takes_the_day_and_the_number_of_the_call(self, administrator: TestClient) -> None:
        asked = {"question": "больничный", "as_of": "2022-03-01", "calls": 2, "literally": True}
        answer = administrator.post("/api/v1/ask", json=asked).json()
        assert answer["as_of"] == "2022-03-01"
        assert answer["flag"]["route"] == "senior"

    def test_is_noted_with_personal_data_masked(self, service: Service, administrator: TestClient) -> None:
        administrator.post("/api/v1/ask", json={"question": "пирог, мой номер +7 916 123-45-67"})
        since = now() - timedelta(hours=1)
        noted = saved(lambda: [row.text for row in no_answer(service.database, since) if "пирог" in row.text])
        assert noted == ["пирог, мой номер [телефон]"]

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ({}, "body.question: Field required"),
            ({"question": ""}, "body.question: String should have at least 1 character"),
            ({"question": "x" * 20_001}, "body.question: String should have at most 20000 characters"),
            ({"question": "x", "calls": 0}, "body.calls: Input should be greater than or equal to 1"),
            ({"question": "x", "as_of": "вчера"}, "body.as_of: Input should be a valid date"),
        ],
    )
    def test_refuses_in_words_what_it_cannot_read(
        self, administrator: TestClient, body: dict[str, Any], problem: str
    ) -> None:
        response = administrator.post("/api/v1/ask", json=body)
        assert (response.status_code, response.json()["detail"]) == (422, "Запрос не понят.")
        assert [found.startswith(problem) for found in response.json()["problems"]] == [True]

    @pytest.mark.parametrize(
        ("content", "status"), [(b'{"question": "\\ud800"}', 422), (b'{"question"', 422), (b"[" * 100_000, 400)]
    )
    def test_survives_what_is_no_text(self, administrator: TestClient, content: bytes, status: int) -> None:
        response = administrator.post("/api/v1/ask", content=content, headers={"Content-Type": "application/json"})
        assert response.status_code == status
        assert response.json()["detail"].startswith("Запрос не понят")


def test_coverage_counts_what_the_base_answers(administrator: TestClient) -> None:
    rows = [
        {"text": "Как продлить больничный a?", "expect": ["a"], "route": "none"},
        {"text": "Как продлить больничный b?", "expect": "a"},
        {"text": "муж задыхается", "route": "emergency", "urgency": "now"},
    ]
    result = administrator.post("/api/v1/coverage", json={"rows": rows}).json()
    assert result["summary"]["questions"] == 3
    assert result["summary"]["hit@1"] == {"value": 0.5, "count": 1, "of": 2}
    assert result["summary"]["flag"]["now_recall"] == {"value": 1.0, "count": 1, "of": 1}
    assert [item["answers"][:1] for item in result["items"][:2]] == [["a"], ["b"]]
    too_many = {"rows": rows[:1] * 1_001}
    assert administrator.post("/api/v1/coverage", json=too_many).status_code == 422


class TestTheBase:
    def test_is_given_whole(self, administrator: TestClient) -> None:
        base = administrator.get("/api/v1/entries").json()
        assert base["version"] == 1
        assert base["entries"] == [each.model_dump(mode="json") for each in ENTRIES]

    def test_what_is_given_can_be_taken_back_and_changes_nothing(self, fresh: tuple[Service, TestClient]) -> None:
        _, client = fresh
        given = client.get("/api/v1/entries").json()["entries"]
        report = client.post("/api/v1/entries/import?dry_run=false", json=given).json()
        assert report == {"dry_run": False, "added": [], "changed": [], "retired": [], "same": ["a", "b", "c"]}

    def test_a_dry_run_only_tells(self, fresh: tuple[Service, TestClient]) -> None:
        service, client = fresh
        report = client.post("/api/v1/entries/import", json=self.changed()).json()
        assert report == {"dry_run": True, "added": ["d"], "changed": ["b"], "retired": ["c"], "same": ["a"]}
        assert live_entries(service.database) == (1, ENTRIES)

    def test_an_import_is_a_new_version_with_a_line_in_the_audit(self, fresh: tuple[Service, TestClient]) -> None:
        service, client = fresh
        client.post("/api/v1/entries/import?dry_run=false", json=self.changed())
        version, entries = live_entries(service.database)
        assert (version, {each.id: each.say for each in entries}["b"]) == (2, "Теперь иначе.")
        line = list(audit_lines(service.database))[-1]
        assert (line.actor, line.action, line.object) == ("local", "publish", "version 2")
        service.live.refresh()
        assert client.get("/api/v1/entries").json()["version"] == 2
        changed = client.get("/api/v1/entries/b").json()
        assert changed["entry"]["say"] == "Теперь иначе."
        assert [revision["body"]["say"] for revision in changed["history"]] == [ENTRIES[1].say, "Теперь иначе."]
        retired = client.get("/api/v1/entries/c").json()
        assert retired["entry"] is None
        assert [revision["state"] for revision in retired["history"]] == ["published", "retired"]

    def test_all_problems_of_an_import_are_told_at_once(self, fresh: tuple[Service, TestClient]) -> None:
        service, client = fresh
        twice = self.changed()[:1] * 2
        response = client.post("/api/v1/entries/import?dry_run=false", json=twice)
        assert (response.status_code, response.json()["detail"]) == (422, "Эти записи нельзя взять в базу.")
        assert response.json()["problems"][0].startswith("a: duplicate id")
        broken = [{**twice[0], "say": ""}, {**twice[0], "variants": []}]
        problems = client.post("/api/v1/entries/import?dry_run=false", json=broken).json()["problems"]
        assert [problem.split(":")[0] for problem in problems] == ["body.0.say", "body.1.variants"]
        assert live_entries(service.database) == (1, ENTRIES)

    def test_five_megabytes_are_read(self, fresh: tuple[Service, TestClient]) -> None:
        _, client = fresh
        many = [entry(f"e{number}", notes=["слово" * 390] * 13).model_dump(mode="json") for number in range(100)]
        report = client.post("/api/v1/entries/import", json=many)
        assert 4_900_000 < len(report.request.content) < 6_000_000
        assert len(report.json()["added"]) == 100

    def test_an_entry_that_never_was_is_not_found(self, administrator: TestClient) -> None:
        response = administrator.get("/api/v1/entries/nothing")
        assert (response.status_code, response.json()) == (404, {"detail": "Такой записи нет и не было."})

    @staticmethod
    def changed() -> list[dict[str, Any]]:
        entries = (ENTRIES[0], entry("b", say="Теперь иначе."), entry("d"))
        return [each.model_dump(mode="json") for each in entries]


class TestFeedback:
    def test_becomes_a_task_until_somebody_closes_it(self, fresh: tuple[Service, TestClient]) -> None:
        _, client = fresh
        assert client.post("/api/v1/feedback", json=FEEDBACK).status_code == 202
        [task] = saved(lambda: client.get("/api/v1/feedback").json())
        assert (task["entry_id"], task["opinion"], task["actor"]) == ("a", "outdated", "local")
        assert task["word"] == "позвоните [телефон]"
        assert client.post(f"/api/v1/feedback/{task['id']}/close").status_code == 204
        assert client.get("/api/v1/feedback").json() == []
        again = client.post(f"/api/v1/feedback/{task['id']}/close")
        assert (again.status_code, "кто-то другой" in again.json()["detail"]) == (409, True)

    def test_of_an_unknown_kind_is_refused(self, administrator: TestClient) -> None:
        response = administrator.post("/api/v1/feedback", json={**FEEDBACK, "opinion": "boring"})
        assert response.status_code == 422


def test_the_shift_is_shown_without_anything_of_the_callers(service: Service, administrator: TestClient) -> None:
    details = {"name": "Иванова Мария", "phone": "+7 916 123-45-67"}
    call_id = str(uuid4())
    service.calls.save(call_id, account_of(service, Role.VOLUNTEER), CallChange(details=details), 0, now())
    response = administrator.get("/api/v1/calls/shift")
    assert [call["id"] for call in response.json()["running"]] == [call_id]
    assert response.json()["running"][0]["actor"] == "volunteer"
    assert "Иванова" not in response.text
    assert "916" not in response.text


def test_unanswered_questions_are_counted(fresh: tuple[Service, TestClient]) -> None:
    _, client = fresh
    for _ in range(2):
        client.post("/api/v1/ask", json={"question": "как испечь пирог"})
    lacking = saved(lambda: [row for row in client.get("/api/v1/questions/unanswered").json() if row["times"] == 2])
    assert lacking[0]["text"] == "как испечь пирог"
    assert client.get("/api/v1/questions/unanswered?days=0").status_code == 422


class TestTheAudit:
    def test_is_given_as_json_from_and_up_to_a_moment(self, fresh: tuple[Service, TestClient]) -> None:
        _, client = fresh
        [line] = client.get("/api/v1/audit").json()
        assert (line["actor"], line["action"], line["object"]) == ("edition", "publish", "version 1")
        assert client.get("/api/v1/audit", params={"until": line["at"]}).json() == []
        after = (datetime.fromisoformat(line["at"]) + timedelta(seconds=1)).isoformat()
        assert client.get("/api/v1/audit", params={"since": after}).json() == []

    def test_is_given_as_a_table_without_formulas(self, fresh: tuple[Service, TestClient]) -> None:
        service, client = fresh
        service.tokens.add("robot", Role.EDITOR, now(), by="=cmd|' /C calc'!A0")
        response = client.get("/api/v1/audit?format=csv")
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        assert "attachment" in response.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig")), delimiter=";"))
        assert [row["action"] for row in rows] == ["publish", "token.add"]
        assert rows[1]["actor"] == "'=cmd|' /C calc'!A0"

    @pytest.mark.parametrize(
        "moment", ["0001-01-01T00:00:00+03:00", "9999-12-31T23:59:59-03:00", "2022-01-24T10:00:00"]
    )
    def test_of_a_moment_that_cannot_be_is_refused(self, administrator: TestClient, moment: str) -> None:
        assert administrator.get("/api/v1/audit", params={"since": moment}).status_code == 422


V, T, E, S, A = Role
MATRIX = [
    ("POST", "/api/v1/ask", {"question": "больничный"}, {V, T, E, S, A}),
    ("POST", "/api/v1/coverage", {"rows": [{"text": "больничный"}]}, {T, E, S, A}),
    ("GET", "/api/v1/entries", None, {V, T, E, S, A}),
    ("GET", "/api/v1/entries/{entry_id}", None, {V, T, E, S, A}),
    ("POST", "/api/v1/entries/import", [ENTRIES[0].model_dump(mode="json")], {E, A}),
    ("GET", "/api/v1/calls/shift", None, {S, A}),
    ("GET", "/api/v1/questions/unanswered", None, {T, E, S, A}),
    ("POST", "/api/v1/feedback", {**FEEDBACK, "opinion": "helped"}, {V, T, E, S, A}),
    ("GET", "/api/v1/feedback", None, {T, E, S, A}),
    ("POST", "/api/v1/feedback/{feedback_id}/close", None, {E, A}),
    ("GET", "/api/v1/audit", None, {A}),
]


class TestRoles:
    @pytest.mark.parametrize(("method", "path", "body", "allowed"), MATRIX, ids=lambda value: str(value)[:40])
    def test_each_gets_what_is_its_own(
        self, programs: dict[Role, TestClient], method: str, path: str, body: Any, allowed: set[Role]
    ) -> None:
        path = path.format(entry_id="a", feedback_id=999)
        refused = {role for role in Role if programs[role].request(method, path, json=body).status_code == 403}
        assert refused == set(Role) - allowed

    def test_every_endpoint_is_in_the_table(self, app: FastAPI) -> None:
        described = app.openapi()["paths"]
        there = {(method.upper(), path) for path, methods in described.items() for method in methods}
        assert {(method, path) for method, path, _, _ in MATRIX} == {each for each in there if "/api/" in each[1]}

    def test_a_refusal_says_for_whom_it_is(self, programs: dict[Role, TestClient]) -> None:
        refusal = programs[Role.EDITOR].get("/api/v1/calls/shift").json()["detail"]
        assert refusal == "Это открыто только для ролей: старший смены, администратор."

    def test_nothing_at_all_is_reached_without_an_account(self, app: FastAPI) -> None:
        """Whatever route there is or will be."""
        nobody = TestClient(app, base_url="https://assistant.example", follow_redirects=False)
        routes = [route for route in iter_route_contexts(app.routes) if route.methods]
        assert len(routes) > 20
        for route in routes:
            path = (route.path or "").replace("{", "").replace("}", "")
            for method in route.methods or ():
                status = nobody.request(method, path).status_code
                assert under(path, PUBLIC) or status in (303, 401, 403), f"{method} {path}: {status}"


class TestWhileTheDatabaseIsAway:
    def test_answers_go_on(self, fresh: tuple[Service, TestClient], monkeypatch: pytest.MonkeyPatch) -> None:
        _, client = fresh
        with database_away(monkeypatch):
            answer = client.post("/api/v1/ask", json={"question": "Как продлить больничный a?"})
            assert answer.json()["answers"][0]["entry"] == "a"
            assert len(client.get("/api/v1/entries").json()["entries"]) == 3

    @pytest.mark.parametrize("path", ["calls/shift", "feedback", "audit", "questions/unanswered", "entries/a"])
    def test_what_needs_it_says_so(
        self, fresh: tuple[Service, TestClient], monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        _, client = fresh
        with database_away(monkeypatch):
            response = client.get(f"/api/v1/{path}")
        assert (response.status_code, "недоступна" in response.json()["detail"]) == (503, True)

    def test_ready_says_which_part_is_not(
        self, fresh: tuple[Service, TestClient], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service, client = fresh
        assert client.get("/ready").json() == {"database": True, "base": True, "log": True}
        with database_away(monkeypatch):
            service.live.refresh()
            response = client.get("/ready")
            assert (response.status_code, response.json()) == (503, {"database": False, "base": False, "log": True})
            assert client.get("/health").json() == {"status": "ok"}
        service.live.refresh()
        assert client.get("/ready").status_code == 200


def test_prometheus_counts_what_was_asked(fresh: tuple[Service, TestClient]) -> None:
    _, client = fresh
    client.post("/api/v1/ask", json={"question": "муж задыхается"})
    client.post("/api/v1/ask", json={"question": "как испечь пирог"})
    client.get("/api/v1/entries/nothing")
    lines = client.get("/metrics").text.splitlines()
    assert 'assistant_asked_total{level="none",route="emergency"} 1.0' in lines
    assert 'assistant_asked_total{level="none",route="none"} 1.0' in lines
    assert "assistant_ask_seconds_count 2.0" in lines
    assert 'assistant_responses_total{status="404"} 1.0' in lines
    assert "assistant_base_version 1.0" in lines
    assert "assistant_log_behind 0.0" in lines
    assert "assistant_log_lost 0.0" in lines


def test_docs_tell_every_endpoint_and_every_form_without_a_network(app: FastAPI, service: Service) -> None:
    page = client_of(service, Role.VOLUNTEER, app).get("/docs").text
    described = app.openapi()
    for path in described["paths"]:
        assert f"<code>{path}</code>" in page
    for form in described["components"]["schemas"]:
        assert f'<section id="{form}">' in page
    assert 'list of <a href="#RankedRecord">RankedRecord</a>' in page
    assert "Only for editor, administrator" in page
    assert "<script" not in page
    assert "//cdn" not in page


class TestServing:
    def test_trusts_no_headers_of_a_proxy_and_does_not_boast(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: dict[str, Any] = {}
        monkeypatch.setattr("assistant.web.app.uvicorn.run", lambda _, **options: told.update(options))
        serve(replace(service, settings=service.settings.model_copy(update={"host": "0.0.0.0", "port": 8080})))
        assert (told["host"], told["port"]) == ("0.0.0.0", 8080)
        assert (told["proxy_headers"], told["server_header"], told["access_log"]) == (False, False, False)


@pytest.fixture(scope="module")
def described(app: FastAPI, keys: dict[Role, str]) -> Any:
    headers = {"Authorization": f"Bearer {keys[Role.ADMINISTRATOR]}"}
    with uncollected():  # it imports half of itself only now
        loaded = schemathesis.openapi.from_asgi("/openapi.json", app, headers=headers)
    loaded.config.update(headers=headers)
    return loaded


OPERATIONS = [*(each[:2] for each in MATRIX), ("GET", "/health"), ("GET", "/ready"), ("GET", "/metrics")]
CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_response_is_as_described(described: Any, method: str, path: str, mode: str) -> None:
    """Whatever comes in, right or wrong: no 5xx, and no status, content type or form that /openapi.json does not tell
    of."""
    cases = described[path][method].as_strategy(schemathesis.GenerationMode(mode))

    @settings(max_examples=10, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def holds(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    try:
        holds()
    except Unsatisfiable:
        assert mode == "negative"  # nothing can be wrong with a request that takes nothing
