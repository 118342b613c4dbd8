"""Settings of the API: the only place in ``serving`` that reads the environment.

Names that the platform also has (home, environment, pseudonym_key, currency) mean the same thing here, so one
``.env`` file configures both. Add a field here when an operator must be able to choose.
"""

from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ml.errors import KilowiseError
from serving.idempotency import ANSWERS_FILE
from serving.logs import LogFormat
from serving.tracing import Traces

PROJECT_ROOT = Path(__file__).resolve().parent.parent

DEVELOPMENT_PSEUDONYM_KEY = "kilowise-development-key-not-for-production"
"""Must equal the platform's development key, or ids would hash to keys that no snapshot holds; a test compares."""

SHORTEST_PSEUDONYM_KEY = 32


class ServingConfigurationError(KilowiseError):
    """The settings would start an API that is unsafe or cannot work."""


class ServingSettings(BaseSettings):
    """What an operator of the API may choose; every default works on one machine.

    Attributes are read from ``KILOWISE_<NAME>`` or from a ``.env`` file.
    """

    model_config = SettingsConfigDict(env_prefix="KILOWISE_", env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(default=PROJECT_ROOT / "data", description="Folder that holds all state")
    environment: Literal["development", "production"] = "development"
    pseudonym_key: SecretStr = Field(
        default=SecretStr(DEVELOPMENT_PSEUDONYM_KEY), description="Key of the HMAC that makes customer keys"
    )
    currency: str = Field(default="CNY", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of all amounts")

    time_zone: str = Field(default="Asia/Shanghai", description="IANA zone whose day a credit policy applies to")
    credit_policy: str = Field(default="cn_local", description="Id of the credit policy that says what follows")
    credit_policy_paths: tuple[Path, ...] = Field(default=(), description="Policy files beside the built-in ones")

    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=3100, ge=1, le=65535, description="Dagster uses 3000, the reports 3200")
    workers: int = Field(default=1, ge=1, le=64, description="Server processes")
    api_keys_file: Path | None = Field(
        default=None, description="Keys of callers; default <home>/keys/api_keys.json, and none only in development"
    )
    metrics_access: Literal["admin", "anyone"] = Field(
        default="admin", description="Who may read /metrics: a key with the scope admin, or anyone"
    )
    docs_access: Literal["anyone", "key"] = Field(
        default="anyone", description="Who may read /docs and /openapi.json, which hold no data"
    )
    unknown_client_requests_per_second: float = Field(
        default=5.0, gt=0, le=1e6, description="Rate of each client without a valid key, per process"
    )
    unknown_client_burst_count: int = Field(
        default=50, ge=1, le=1_000_000, description="Requests that such a client may send at once"
    )
    denied_calls_retention_days: int = Field(
        default=90, ge=1, le=3_650, description="Days for which denied calls are kept"
    )

    max_header_bytes: int = Field(default=16_384, ge=1_024, description="Larger headers are answered 431")
    header_timeout_seconds: float = Field(default=10.0, gt=0, description="Slower headers end the connection")
    write_timeout_seconds: float = Field(
        default=30.0, gt=0, description="A client that takes nothing of its answer for so long is cut off"
    )
    max_body_bytes: int = Field(default=4_000_000, ge=1_000, description="Larger requests are answered 413")
    max_batch_items: int = Field(default=1_000, ge=1, le=100_000, description="Customers in one request")
    max_stream_lines: int = Field(default=20_000, ge=1, description="Customers in one NDJSON request")
    max_stream_bytes: int = Field(default=64_000_000, ge=1_000, description="Larger NDJSON requests are answered 413")
    stream_timeout_seconds: float = Field(
        default=30.0, gt=0, le=50, description="NDJSON requests that take longer to arrive are answered 408"
    )
    idempotency_hours: float = Field(default=24.0, gt=0, le=168, description="How long an answer is kept under its key")
    idempotency_bytes: int = Field(
        default=200_000_000, ge=1_000_000, description="Compressed answers kept under keys; the oldest go first"
    )
    max_concurrent_requests: int = Field(
        default=64, ge=1, description="Requests in work or waiting per process; more are answered 429"
    )
    body_timeout_seconds: float = Field(default=10.0, gt=0, description="Slower bodies are answered 408")
    release_poll_seconds: float = Field(default=0.5, gt=0, le=60, description="How often CURRENT is looked at")

    feature_store: SecretStr = Field(
        default=SecretStr("sqlite"),
        description="Where features are read from: `sqlite`, the snapshot file, or the address of a Redis server",
    )

    log_predictions: bool = Field(default=True, description="Write one row per prediction to the prediction log")
    prediction_log_rows: int = Field(default=50_000, ge=1, description="Rows held in memory before rows are dropped")
    raw_kept_per_hour: int = Field(
        default=12,
        ge=0,
        le=3_600,
        description="Requests an hour whose raw rows, without ids, are logged beside the answer to be computed again",
    )
    prediction_log_flush_seconds: float = Field(default=10.0, gt=0, description="Longest time a row stays in memory")
    prediction_log_retention_days: int | None = Field(
        default=None, ge=1, description="Days of the prediction log that are kept beside today; by default all"
    )

    runtime_dir: Path | None = Field(
        default=None, description="Files of the running server, of no other one; default <home>/server/<port>"
    )
    shutdown_seconds: int = Field(default=60, ge=1, le=600, description="Time that requests in work have at a stop")
    least_free_bytes: int = Field(
        default=100_000_000, ge=0, description="With less space for the prediction log, /readyz says no"
    )
    log_format: LogFormat = Field(default="text", description="Lines for people, or JSON for a collector")
    log_requests: bool = Field(default=False, description="Write one line per answered request")
    traces: Traces = Field(default="off", description="Where OpenTelemetry spans go: off, console or otlp")

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("api_keys_file")
    @classmethod
    def _absolute_link(cls, value: Path | None) -> Path | None:
        # A mounted secret is replaced by changing a link, so the link is followed at each reading and not here.
        return None if value is None else value.expanduser().absolute()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is no IANA time zone such as Asia/Shanghai") from error
        return value

    @field_validator("feature_store")
    @classmethod
    def _file_or_redis(cls, value: SecretStr) -> SecretStr:
        store = value.get_secret_value()
        if store != "sqlite" and not store.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("KILOWISE_FEATURE_STORE is `sqlite` or an address such as redis://127.0.0.1:6379/0")
        return value

    @model_validator(mode="after")
    def _safe_outside_development(self) -> Self:
        if self.environment == "development":
            return self
        key = self.pseudonym_key.get_secret_value()
        if key == DEVELOPMENT_PSEUDONYM_KEY or len(key) < SHORTEST_PSEUDONYM_KEY:
            raise ServingConfigurationError(
                "outside development KILOWISE_PSEUDONYM_KEY must be the secret that the landing was made with, "
                f"{SHORTEST_PSEUDONYM_KEY} characters or more"
            )
        return self

    @property
    def server_dir(self) -> Path:
        """BENTOML_HOME of the server, where its processes keep their metrics; BentoML empties it at each start."""
        return (self.runtime_dir or self.home / "server" / str(self.port)).absolute()

    @property
    def idempotency_path(self) -> Path:
        """Answers kept under a caller's key, one file for all worker processes."""
        return self.home / ANSWERS_FILE

    @property
    def api_keys_path(self) -> Path:
        """The file with the keys of callers."""
        return self.api_keys_file or self.home / "keys" / "api_keys.json"

    @property
    def usage_path(self) -> Path:
        """What callers have used of their rates and quotas."""
        return self.home / "limits" / "usage.bin"

    @property
    def denied_calls_dir(self) -> Path:
        """The audit of denied calls."""
        return self.home / "audit" / "denied"

    @property
    def prediction_log_dir(self) -> Path:
        """Online answers as Parquet files."""
        return self.home / "predictions" / "log"
