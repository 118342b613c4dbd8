"""Settings of the profiles ``server`` and ``cluster``: where Dagster's database and the queue of steps are.

Read only when the profile asks. Connection strings hold passwords: they come from a file or from the environment, and
never into a log or the configuration of a run.
"""

from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestration.forms.errors import FormError
from orchestration.settings import PROJECT_ROOT, PlatformSettings

PREFIX = "KILOWISE_SERVER_"
QUEUES = ("default", "training", "warehouse")
"""Queues of steps: what opens the warehouse, what trains, and everything else."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SAFE_SSL_MODES = ("verify-ca", "verify-full")
_MOST_PASSWORD_FILE_BYTES = 4096


class ServerSettings(BaseSettings):
    """What an operator may choose of the server form.

    Attributes are read from ``KILOWISE_SERVER_<NAME>`` or from a ``.env`` file. Each connection string may stand in a
    file instead, named by ``..._FILE``; without either, the one that ``make server-up`` wrote is taken.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(description="State folder of the platform, shared by all machines")
    is_production: bool = False

    postgres_url: SecretStr | None = Field(default=None, description="Database of Dagster, as its login role")
    postgres_url_file: Path | None = None
    postgres_owner_url: SecretStr | None = Field(default=None, description="The same as its owner, for migrations")
    postgres_owner_url_file: Path | None = None
    redis_url: SecretStr | None = Field(default=None, description="Queue of steps")
    redis_url_file: Path | None = None

    instance_file: Path = Field(
        default=PROJECT_ROOT / "deploy" / "server" / "dagster.yaml", description="Settings of the Dagster instance"
    )
    webserver_url: str = Field(default="http://127.0.0.1:3000", description="Where Dagster's web server answers")
    webserver_host: str = Field(default="127.0.0.1", description="Address that the web server binds")
    code_server_host: str = Field(default="127.0.0.1", description="Where the code server answers")
    code_server_listen: str = Field(default="127.0.0.1", description="Address that the code server binds")
    code_server_port: int = Field(default=4000, ge=1, le=65535)
    local_postgres_port: int = Field(default=5440, ge=1, le=65535, description="Port that `make server-up` takes")
    local_redis_port: int = Field(default=6390, ge=1, le=65535, description="Port that `make server-up` takes")

    runs_at_once: int = Field(default=4, ge=1, le=1000, description="Runs that the queue lets work at a time")
    steps_at_once: int = Field(default=2, ge=1, le=256, description="Steps that one worker does at a time")
    local_workers: int = Field(default=2, ge=1, le=64, description="Workers that `make server-up` starts")
    lease_seconds: int = Field(
        default=120, ge=4, le=3600, description="Silence of a worker after which its step is given to another"
    )
    step_attempts: int = Field(default=2, ge=1, le=10, description="Workers that may die over one step")
    clock_tolerance_seconds: float = Field(default=5.0, gt=0, le=600, description="How far two clocks may differ")

    @field_validator("postgres_url", "postgres_owner_url", "redis_url", mode="before")
    @classmethod
    def _none_if_empty(cls, value: object) -> object:
        return None if value == "" else value

    @classmethod
    def of(cls, settings: PlatformSettings) -> Self:
        """Return the settings beside those of the platform.

        Raises:
            FormError: If a value cannot be used; the message names the setting and never its value.
        """
        try:
            return cls(home=settings.home, is_production=settings.environment == "production")
        except ValidationError as error:
            problems = (
                f"{PREFIX}{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}" for problem in error.errors()
            )
            raise FormError("; ".join(problems) + ".") from None

    @property
    def folder(self) -> Path:
        """State of the form: the instance's files, and what ``make server-up`` made."""
        return self.home / "server" / "form"

    @property
    def secrets_dir(self) -> Path:
        """Connection strings that ``make server-up`` wrote."""
        return self.folder / "secrets"

    @property
    def dagster_home(self) -> Path:
        """Folder of the Dagster instance, with the logs of steps; shared by all machines."""
        return self.folder / "dagster"

    def postgres(self) -> SecretStr:
        """Return the connection string of Dagster's database.

        Raises:
            FormError: If there is none, or it has not the form of one.
        """
        return self._postgres("postgres_url", self.postgres_url, self.postgres_url_file)

    def postgres_owner(self) -> SecretStr:
        """Return the connection string of the owner of the schema.

        Raises:
            FormError: If there is none, or it has not the form of one.
        """
        return self._postgres("postgres_owner_url", self.postgres_owner_url, self.postgres_owner_url_file)

    def redis(self) -> SecretStr:
        """Return the connection string of the queue.

        Raises:
            FormError: If there is none, or it has not the form of one.
        """
        name = f"{PREFIX}REDIS_URL"
        url = self._secret("redis_url", self.redis_url, self.redis_url_file)
        parts = _parts(name, url)
        number = parts.path.removeprefix("/")
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or (number and not number.isdecimal()):
            raise FormError(f"{name} must look like redis://:PASSWORD@HOST:6379/0 (rediss:// with TLS).")
        if self.is_production and parts.hostname not in _LOOPBACK and parts.scheme != "rediss":
            raise FormError(f"{name} leaves this machine without TLS: write rediss:// instead of redis://.")
        if self.is_production and not parts.password:
            raise FormError(f"{name} has no password: whoever reaches Redis could run code in the workers.")
        return url

    def _postgres(self, field: str, given: SecretStr | None, file: Path | None) -> SecretStr:
        name = f"{PREFIX}{field.upper()}"
        url = self._secret(field, given, file)
        parts = _parts(name, url)
        if parts.scheme not in ("postgresql", "postgresql+psycopg2") or not parts.hostname or parts.path in ("", "/"):
            raise FormError(f"{name} must look like postgresql://ROLE:PASSWORD@HOST:5432/DATABASE.")
        is_safe = any(f"sslmode={mode}" in parts.query for mode in _SAFE_SSL_MODES)
        if self.is_production and parts.hostname not in _LOOPBACK and not is_safe:
            raise FormError(
                f"{name} leaves this machine without a verified certificate: add ?sslmode=verify-full to it."
            )
        return url

    def _secret(self, field: str, given: SecretStr | None, file: Path | None) -> SecretStr:
        if given is not None:
            return given
        name = f"{PREFIX}{field.upper()}"
        path = file or self.secrets_dir / field
        try:
            with path.open(encoding="utf-8") as secret:
                text = secret.read(_MOST_PASSWORD_FILE_BYTES).strip()
        except FileNotFoundError:
            if file is not None:
                raise FormError(f"{name}_FILE names {path}, which does not exist.") from None
            raise FormError(
                f"{name} is not set: set it or {name}_FILE, or start the servers on this machine by `make server-up`."
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it holds no text"
            raise FormError(f"{path}, named by {name}_FILE, cannot be read: {reason}.") from None
        if not text:
            raise FormError(f"{path} is empty; it must hold what {name} would.")
        return SecretStr(text)


def _parts(name: str, url: SecretStr) -> SplitResult:
    try:
        parts = urlsplit(url.get_secret_value())
        _ = parts.port  # raises for a port that is none
    except ValueError:
        raise FormError(
            f"{name} is no address: its host or port cannot be read. Characters of a password that mean something "
            "in an address are written as %40 (@), %2F (/), %23 (#)."
        ) from None
    return parts
