"""Settings of the review pages; the only reader of the environment in this package."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class MonitoringSettings(BaseSettings):
    """Where the state lies and where the pages are served; every field is ``KILOWISE_<NAME>`` in the environment."""

    model_config = SettingsConfigDict(env_prefix="KILOWISE_", env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(default=Path("data"), description="State folder of the platform.")
    service_targets: Path | None = Field(default=None, description="File of the targets of service quality.")
    reports_port: int = Field(default=3200, ge=0, le=65535, description="Port of the model owners' site.")
    workspace_port: int = Field(default=3201, ge=1, le=65535, description="Port of the Evidently workspace.")

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()
