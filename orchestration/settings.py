"""Settings of the platform: the only place in ``orchestration`` that reads the environment.

Add a field here when an operator must be able to choose; do not read ``os.environ`` anywhere else.
"""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AnyHttpUrl, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestration.ingestion.pseudonym import DEVELOPMENT_PSEUDONYM_KEY, check_pseudonym_key

PROJECT_ROOT = Path(__file__).resolve().parent.parent
DBT_PROJECT_DIR = PROJECT_ROOT / "dbt_project"
# As ``ml.credit_risk.register.REGISTER_FILE``; importing that module here would load pydantic models at every start.
CREDIT_REGISTER_FILE = Path("policy") / "register.jsonl"
EVERY_MODEL = "all"
"""Stands for every use case where addresses are given by use case."""
LANDING_CONTRACT_MAPPING = Path(__file__).resolve().parent / "ingestion" / "mappings" / "landing_contract.yaml"


def _number_in_text(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _check_address(address: str) -> None:
    name, _, domain = address.rpartition("@")
    if not name or not domain or any(character.isspace() or character in '<>,;"' for character in address):
        raise ValueError(f"{address!r} is no e-mail address such as owner@example.org")


# The environment holds text only, and a literal number does not match its text.
IntervalMinutes = Annotated[Literal[15, 30, 60], BeforeValidator(_number_in_text)]


class PlatformSettings(BaseSettings):
    """What an operator may choose; every default works on one machine.

    Attributes are read from ``KILOWISE_<NAME>`` or from a ``.env`` file.
    """

    model_config = SettingsConfigDict(env_prefix="KILOWISE_", env_file=".env", extra="ignore", frozen=True)

    profile: Literal["embedded", "server", "cluster"] = Field(
        default="embedded", description="Form of the platform: one process, several workers, or with Spark beneath dbt"
    )
    home: Path = Field(default=PROJECT_ROOT / "data", description="Folder that holds all state")
    environment: Literal["development", "production"] = "development"
    pseudonym_key: SecretStr = Field(
        default=SecretStr(DEVELOPMENT_PSEUDONYM_KEY),
        validate_default=True,
        description="Key of the HMAC that makes customer keys; production refuses the development key",
    )
    time_zone: str = Field(default="Asia/Shanghai", description="IANA zone of bills, tariffs and load shapes")
    currency: str = Field(default="CNY", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of all amounts")
    jurisdiction: str = Field(default="CN", description="Whose holidays count, as in the seed holidays.csv")

    inbox: Path | None = Field(default=None, description="One folder per delivery; default <home>/inbox")
    mapping: Path = Field(default=LANDING_CONTRACT_MAPPING, description="How the inbox's files become landing tables")

    simulate: bool = Field(default=True, description="Let the simulated supplier fill the inbox")
    simulated_customers: int = Field(default=2000, ge=20, le=200_000)
    simulated_months: int = Field(default=25, ge=2, le=120)
    simulated_start_month: date = date(2024, 9, 1)
    simulated_interval_minutes: IntervalMinutes = 60
    simulated_seed: int = 7

    first_month: date = Field(default=date(2024, 9, 1), description="First monthly partition")
    review_months: int = Field(default=3, ge=1, le=36, description="Latest months that the main job scores and reviews")

    slot_minutes: IntervalMinutes = Field(default=60, description="Resolution of the load cube")
    training_customers: int = Field(
        default=20_000,
        ge=1_000,
        description="Most customers that segments and tariff forecasts are learned from; of more, a fixed sample",
    )
    as_of_lag_days: int = Field(default=3, ge=0, le=28, description="Days after a month's end when it is scored")
    default_days: int = Field(default=30, ge=1, le=180, description="Days past due that make a bill a default")
    default_horizon_months: int = Field(default=6, ge=1, le=24, description="Months ahead that credit risk looks")

    seed: int = Field(default=20240901, ge=0, description="Seed of every training")
    release_policy: Literal["automatic", "approval"] = "automatic"
    trial_requirements: dict[str, dict[str, float]] = Field(
        default={}, description="By use case, what a trial in shadow must show before a release; by default none"
    )
    retained_snapshots: int = Field(
        default=5, ge=1, le=1000, description="Feature snapshots kept per use case, to go back to and to replay"
    )
    compact_readings_from_files: int = Field(
        default=8, ge=2, le=10_000, description="Files of a month's readings from which tidy_up puts them into one"
    )
    retained_reading_months: int | None = Field(
        default=None, ge=28, le=600, description="Months whose readings are kept; by default all"
    )
    retained_run_days: int = Field(default=400, ge=7, le=3_650, description="Days that the history of a run is kept")
    retained_log_days: int = Field(default=30, ge=1, le=3_650, description="Days that logs of programs are kept")
    retained_report_months: int = Field(
        default=24, ge=1, le=240, description="Months whose drift pages are kept; verdicts are kept for ever"
    )
    retrain_on_act: bool = Field(default=False, description="Train a challenger when a drift verdict says act")
    catalogue_paths: tuple[Path, ...] = Field(default=(), description="Tariff files beside the built-in catalogue")
    credit_policy: str = Field(default="cn_local", description="Id of the credit policy that says what follows")
    credit_policy_paths: tuple[Path, ...] = Field(default=(), description="Policy files beside the built-in ones")
    contact_policy: Path | None = Field(
        default=None, description="YAML file that says when customers are left alone; by default the built-in one"
    )
    service_targets: Path | None = Field(
        default=None, description="YAML file with the targets of service quality; by default the built-in one"
    )
    dunning_daily_capacity: int = Field(
        default=5, ge=1, le=100_000, description="Customers whom the dunning desk can contact on a working day"
    )
    duckdb_memory_limit: str = Field(default="2GB", pattern=r"^\d+(\.\d+)?(MB|GB)$")
    reports_url: str = Field(default="http://127.0.0.1:3200", description="Where `make reports` serves the reports")
    alert_webhook_url: AnyHttpUrl | None = Field(
        default=None, repr=False, description="Sent each alert as JSON; the address may hold a secret"
    )
    alert_email_to: dict[str, tuple[str, ...]] = Field(
        default={}, description="Addresses by use case, or under `all`, that get each alert as an e-mail"
    )
    alert_email_from: str = Field(default="", description="Sender of these e-mails")
    alert_smtp_host: str | None = Field(default=None, description="Mail server that takes them")
    alert_smtp_port: int = Field(default=587, ge=1, le=65535)
    alert_smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    alert_smtp_user: str = Field(default="", description="User to log in as; empty to send without a login")
    alert_smtp_password_file: Path | None = Field(default=None, description="File that holds the user's password alone")
    alert_smtp_ca_file: Path | None = Field(
        default=None, description="Certificates to trust instead of the system's, for a mail server of one's own"
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is no IANA time zone such as Asia/Shanghai") from error
        return value

    @field_validator("pseudonym_key")
    @classmethod
    def _fit_for_environment(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        check_pseudonym_key(value.get_secret_value(), info.data.get("environment", "production"))
        return value

    @field_validator("trial_requirements")
    @classmethod
    def _known_limits(cls, value: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        if value:
            # Only then: these modules load pandas, and settings are read at every start.
            from ml.columns import USE_CASES
            from ml.trials import TrialRequirement

            for use_case, limits in value.items():
                if use_case not in USE_CASES:
                    raise ValueError(f"{use_case!r} is no use case; there are: {', '.join(USE_CASES)}")
                TrialRequirement.model_validate(limits)
        return value

    @field_validator("alert_email_to")
    @classmethod
    def _reachable(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if value:
            # Only then, as above.
            from ml.columns import USE_CASES

            for use_case, addresses in value.items():
                if use_case not in (EVERY_MODEL, *USE_CASES):
                    raise ValueError(f"{use_case!r} is no use case; there are: {EVERY_MODEL}, {', '.join(USE_CASES)}")
                for address in addresses:
                    _check_address(address)
        return value

    @model_validator(mode="after")
    def _mail_can_be_sent(self) -> Self:
        if not self.alert_email_to:
            return self
        if not self.alert_smtp_host:
            raise ValueError("alert_email_to names recipients; set alert_smtp_host, the mail server, too")
        if not self.alert_email_from:
            raise ValueError("alert_email_to names recipients; set alert_email_from, the sender, too")
        _check_address(self.alert_email_from)
        if bool(self.alert_smtp_user) != bool(self.alert_smtp_password_file):
            raise ValueError("alert_smtp_user and alert_smtp_password_file belong together; set both or none")
        if self.alert_smtp_user and self.alert_smtp_security == "none":
            raise ValueError("alert_smtp_security=none would send the password in the clear; set starttls or tls")
        return self

    @field_validator(
        "home",
        "inbox",
        "mapping",
        "contact_policy",
        "service_targets",
        "alert_smtp_password_file",
        "alert_smtp_ca_file",
    )
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().resolve() if value is not None else None

    @property
    def inbox_dir(self) -> Path:
        """Folder with one subfolder per delivery."""
        return self.inbox or self.home / "inbox"

    @property
    def landing_dir(self) -> Path:
        """Landing tables, identities and quarantine."""
        return self.home / "landing"

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file; only the dbt step opens it."""
        return self.home / "warehouse" / "kilowise.duckdb"

    @property
    def marts_dir(self) -> Path:
        """Versioned Parquet files of the marts."""
        return self.home / "marts"

    @property
    def after_models_marts_dir(self) -> Path:
        """Versioned Parquet files of the marts that tell of predictions."""
        return self.marts_dir / "after_models"

    @property
    def predictions_dir(self) -> Path:
        """Batch predictions and the online prediction log."""
        return self.home / "predictions"

    @property
    def credit_register_path(self) -> Path:
        """What people recorded of customers: statuses, list entries, appeals."""
        return self.home / CREDIT_REGISTER_FILE

    @property
    def campaigns_dir(self) -> Path:
        """The campaign register: who was selected for which campaign in which arm."""
        return self.home / "campaigns"

    @property
    def reports_dir(self) -> Path:
        """Drift reports, verdicts and the model owners' site."""
        return self.home / "reports"
