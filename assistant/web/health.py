"""Is it well? For people, for what restarts and balances processes, and for Prometheus."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from assistant.answer import Answer
from assistant.service import Service

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """What one process counts, in a registry of its own."""

    def __init__(self, service: Service) -> None:
        self.registry = CollectorRegistry()
        self._asked = Counter(
            "assistant_asked", "Questions answered; route: of the flag", ["level", "route"], registry=self.registry
        )
        self._seconds = Histogram("assistant_ask_seconds", "Time of an answer", buckets=SECONDS, registry=self.registry)
        self._responses = Counter("assistant_responses", "Responses sent", ["status"], registry=self.registry)
        gauges = {
            "assistant_base_version": ("Version of the base in use", lambda: service.live.current.version),
            "assistant_log_behind": ("1 while questions are not being saved", lambda: service.log.behind),
            "assistant_log_lost": ("Notes of the question log that were never saved", lambda: service.log.lost),
        }
        for name, (what, value) in gauges.items():
            Gauge(name, what, registry=self.registry).set_function(value)

    def answered(self, answer: Answer) -> None:
        route = answer.flag.route.value if answer.flag else "none"
        self._asked.labels(answer.level.value, route).inc()

    def responded(self, status: int) -> None:
        self._responses.labels(str(status)).inc()

    @contextmanager
    def timing(self) -> Iterator[None]:
        with self._seconds.time():
            yield

    def text(self) -> bytes:
        """In the format of Prometheus."""
        return bytes(generate_latest(self.registry))


@dataclass(frozen=True)
class Measured(Service):
    """The same service, which counts what it is asked."""

    metrics: Metrics

    def ask(self, question: str, day: date | None = None, *, calls: int = 1, literally: bool = False) -> Answer:
        with self.metrics.timing():
            answer = super().ask(question, day, calls=calls, literally=literally)
        self.metrics.answered(answer)
        return answer


def measured(service: Service) -> Measured:
    """With figures of its own that begin at nothing."""
    return Measured(**vars(service), metrics=Metrics(service))


def routes(service: Measured) -> APIRouter:
    router = APIRouter(tags=["operation"])

    @router.get("/health")
    def health() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @router.get("/ready", responses={503: {"description": "Something is not being saved; answers still come"}})
    def ready(response: Response) -> dict[str, bool]:
        """Which parts work: `database` answers, `base` follows what editors publish, `log` saves questions."""
        parts = {"database": service.database.ping(), "base": service.live.saved, "log": not service.log.behind}
        response.status_code = 200 if all(parts.values()) else 503
        return parts

    @router.get("/metrics", response_class=Response, responses={200: {"content": {CONTENT_TYPE_LATEST: {}}}})
    def metrics() -> Any:
        """For Prometheus, from this machine or with any token."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router
