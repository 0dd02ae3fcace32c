"""Settings, all from the environment (ASSISTANT_*), all with a default that works."""

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from index import BUNDLED
from kb import KnowledgeBase

ROOT = Path(__file__).resolve().parent.parent
MOSCOW = ZoneInfo("Europe/Moscow")


class Settings(BaseSettings):
    """model: `bundled`, a folder or a sentence-transformers name. as_of: `edition`, `today` or YYYY-MM-DD.
    kb: a folder of content instead of the shipped one. data: where vectors, the key and SQLite's file are kept.
    database_url: another database. secret_key: instead of the key file. keep_days: a call card is kept at most.
    oidc_*: sign-in by OpenID Connect, off without an issuer."""

    model_config = SettingsConfigDict(env_prefix="ASSISTANT_", frozen=True, extra="ignore")

    model: str = BUNDLED
    as_of: str = "edition"
    kb: Path = ROOT / "kb"
    data: Path = ROOT / "var"
    host: str = "127.0.0.1"
    port: int = 7860
    database_url: str = ""
    secret_key: SecretStr = SecretStr("")
    keep_days: int = Field(default=30, ge=1, le=365)
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr = SecretStr("")

    @field_validator("as_of")
    @classmethod
    def _a_day(cls, as_of: str) -> str:
        if as_of not in ("edition", "today"):
            parse_day(as_of)
        return as_of

    @property
    def database(self) -> str:
        """Its URL."""
        return self.database_url or f"sqlite:///{self.data / 'assistant.db'}"

    @property
    def loopback(self) -> bool:
        """True if the pages can be reached from this machine alone."""
        return self.host in ("127.0.0.1", "localhost", "::1")

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
