"""Says what follows from a credit score by the policy of today and what is on record of the customer.

The register is read when its file changes, so an upheld appeal or a recorded protection counts in the next answer. A
register that is damaged while the server runs is reported in the log, and the last sound one counts on. So does the
policy when the clock jumps to a day before every policy.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

from ml.credit_risk.policy import PolicyDay, PolicyOutcome, case_of
from ml.credit_risk.policy_schema import PolicyError, load_policies, policy_on
from ml.credit_risk.register import REGISTER_FILE, Register, RegisterError
from serving.released_model import ScoringInput, ScoringResult
from serving.settings import ServingSettings

logger = logging.getLogger(__name__)


class PolicyDesk:
    """The policy as the API applies it, for any number of threads.

    Args:
        home: The state folder, with the credit register.
        policy_id: The policy.
        paths: Policy files beside the built-in ones.
        currency: ISO 4217 code of all amounts.
        time_zone: IANA zone whose day counts.

    Raises:
        PolicyError: The policy does not exist or cannot be read: then the API does not start.
        RegisterError: The register is damaged: then the API does not start.
    """

    def __init__(self, home: Path, policy_id: str, *, paths: Sequence[Path], currency: str, time_zone: str) -> None:
        self._policies = load_policies(paths)
        self._policy_id = policy_id
        self._currency = currency
        self._zone = ZoneInfo(time_zone)
        self._path = home / REGISTER_FILE
        self._lock = threading.Lock()
        self._state = self._file_state()
        self._register = Register.read(self._path)
        self._today: PolicyDay | None = None
        self._day_without_policy: date | None = None
        self._policy_day(datetime.now(self._zone).date())

    @classmethod
    def of(cls, settings: ServingSettings) -> Self:
        """Return the desk that the operator chose."""
        return cls(
            settings.home,
            settings.credit_policy,
            paths=settings.credit_policy_paths,
            currency=settings.currency,
            time_zone=settings.time_zone,
        )

    def outcomes(
        self, scored: Iterable[tuple[ScoringInput, ScoringResult]], decided_at: datetime
    ) -> list[PolicyOutcome]:
        """Return what follows for customers who were scored at one instant."""
        desk = self._policy_day(decided_at.astimezone(self._zone).date())
        register = self._current_register()
        return [
            desk.outcome(
                case_of(
                    item.features,
                    probability=result.prediction["default_probability"],
                    rating=result.details["rating_in_force"],
                    policy=desk.policy,
                    as_of=desk.as_of,
                    standing=register.standing(item.customer_key, desk.as_of),
                )
            )
            for item, result in scored
        ]

    def _policy_day(self, day: date) -> PolicyDay:
        known = self._today
        if known is not None and day in (known.as_of, self._day_without_policy):
            return known
        try:
            policy = policy_on(self._policies, self._policy_id, day)
        except PolicyError as error:
            if known is None:
                raise
            logger.error("%s The clock may be wrong; the policy of %s counts on", error, known.as_of)
            self._day_without_policy = day
            return known
        known = self._today = PolicyDay(policy, day, currency=self._currency)
        return known

    def _current_register(self) -> Register:
        state = self._file_state()
        if state == self._state:
            return self._register
        with self._lock:
            if state != self._state:
                try:
                    self._register = Register.read(self._path)
                except (RegisterError, OSError) as error:
                    logger.error("the credit register cannot be read, the one before counts on: %s", error)
                self._state = state
        return self._register

    def _file_state(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
