"""Settings of the cluster form: where Spark is and how dbt logs in to it. Read only where the profile asks for it."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestration.forms.errors import FormError

_PREFIX = "KILOWISE_CLUSTER_"
_PORTS_OF_LOCAL_CLUSTER = 10


class ClusterSettings(BaseSettings):
    """Where the cluster is; the defaults are those of `make cluster-up`.

    Attributes are read from ``KILOWISE_CLUSTER_<NAME>`` or from a ``.env`` file.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    host: str = Field(default="127.0.0.1", min_length=1, description="Where Spark's Thrift server listens")
    port: int = Field(default=10000, ge=1024, le=65535 - _PORTS_OF_LOCAL_CLUSTER)
    user: str = Field(default="kilowise", min_length=1)
    auth: Literal["NONE", "NOSASL", "LDAP", "CUSTOM", "KERBEROS"] = Field(
        default="NONE", description="How the Thrift server knows its users; LDAP and CUSTOM need a password"
    )
    password: SecretStr | None = Field(default=None, description="Better in a file: see password_file")
    password_file: Path | None = Field(default=None, description="File that holds the user's password alone")
    kerberos_service_name: str = Field(default="hive")
    use_ssl: bool = Field(default=False, description="Whether the Thrift server speaks TLS")
    master: str = Field(default="", description="Spark master for training; by default that of `make cluster-up`")
    worker_memory: str = Field(
        default="1g", pattern=r"^\d+[mg]$", description="Memory of each of the two workers of `make cluster-up`"
    )
    secret_file: Path | None = Field(
        default=None, description="File with Spark's own secret (spark.authenticate.secret), where the cluster has one"
    )
    training_rows: int = Field(
        default=2_000_000,
        ge=1,
        description="Rows above which trees are grown on the cluster instead of in this process",
    )
    connect_seconds: float = Field(default=10.0, gt=0, le=300, description="How long to wait for the Thrift server")

    @field_validator("password_file", "secret_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().resolve() if value is not None else None

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError(f"{_PREFIX}PASSWORD and {_PREFIX}PASSWORD_FILE are both set; keep the file")
        has_password = self.password is not None or self.password_file is not None
        if self.auth in ("LDAP", "CUSTOM") and not has_password:
            raise ValueError(f"{_PREFIX}AUTH={self.auth} needs a password; name its file in {_PREFIX}PASSWORD_FILE")
        if has_password and self.auth not in ("LDAP", "CUSTOM"):
            raise ValueError(f"{_PREFIX}AUTH={self.auth} knows no passwords; set it to LDAP or CUSTOM")
        return self

    @property
    def address(self) -> str:
        """Host and port of the Thrift server, as one writes them."""
        return f"{self.host}:{self.port}"

    @property
    def master_url(self) -> str:
        """Address of Spark's master."""
        return self.master or f"spark://{self.host}:{self.port + 1}"

    def password_text(self) -> str | None:
        """Return the password, read anew from its file, or ``None`` where the server knows none.

        Raises:
            FormError: The file cannot be read or is empty.
        """
        if self.password_file is None:
            return self.password.get_secret_value() if self.password is not None else None
        return _secret_of(self.password_file, "PASSWORD_FILE")

    def spark_secret(self, home: Path) -> str | None:
        """Return Spark's own secret for sessions of ours; the cluster of `make cluster-up` leaves its in the home.

        Raises:
            FormError: The file cannot be read or is empty.
        """
        if self.secret_file is not None:
            return _secret_of(self.secret_file, "SECRET_FILE")
        local = local_secret_path(home)
        return _secret_of(local, "SECRET_FILE") if local.exists() else None


def local_cluster_dir(home: Path) -> Path:
    """Return the folder of the cluster that `make cluster-up` starts."""
    return home / "cluster"


def local_secret_path(home: Path) -> Path:
    """Return the file of the secret of that cluster."""
    return local_cluster_dir(home) / "conf" / "secret"


def _secret_of(path: Path, setting: str) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise FormError(
            f"{_PREFIX}{setting}={path} cannot be read: {error.strerror}. Write the secret into it, readable for "
            "the user that runs Kilowise alone."
        ) from error
    if not text:
        raise FormError(f"{_PREFIX}{setting}={path} is empty. Write the secret into it.")
    return text


def cluster_settings() -> ClusterSettings:
    """Return the settings of the environment.

    Raises:
        FormError: One of them is wrong; the message names it.
    """
    try:
        return ClusterSettings()
    except ValidationError as error:
        problems = [
            f"{_PREFIX}{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}"
            if problem["loc"]
            else problem["msg"].removeprefix("Value error, ")
            for problem in error.errors(include_input=False)
        ]
        raise FormError("; ".join(problems) + ". docs/scale.md explains each setting.") from None
