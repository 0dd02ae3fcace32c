"""Settings, all from the environment (ASSISTANT_*), all with a default that works."""

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from index import BUNDLED
from kb import KnowledgeBase

ROOT = Path(__file__).resolve().parent.parent
MOSCOW = ZoneInfo("Europe/Moscow")


class Settings(BaseSettings):
    """model: `bundled`, a folder or a sentence-transformers name. as_of: `edition`, `today` or YYYY-MM-DD.
    kb: a folder of content instead of the shipped one. data: where vectors are kept."""

    model_config = SettingsConfigDict(env_prefix="ASSISTANT_", frozen=True, extra="ignore")

    model: str = BUNDLED
    as_of: str = "edition"
    kb: Path = ROOT / "kb"
    data: Path = ROOT / "var"
    host: str = "127.0.0.1"
    port: int = 7860

    @field_validator("as_of")
    @classmethod
    def _a_day(cls, as_of: str) -> str:
        if as_of not in ("edition", "today"):
            parse_day(as_of)
        return as_of

    def day(self, kb: KnowledgeBase) -> date:
        """The day that answers are for unless a question names another."""
        if self.as_of == "edition":
            return kb.about.edition
        if self.as_of == "today":
            return datetime.now(MOSCOW).date()
        return parse_day(self.as_of)


def parse_day(text: str) -> date:
    """YYYY-MM-DD or DD.MM.YYYY. Raises ValueError that says so."""
    for form in ("%Y-%m-%d", "%d.%m.%Y"):
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    raise ValueError(f"«{text}» is not a day; write it as 2022-01-24 or 24.01.2022")
