"""Says what follows from a credit score by the policy of today and what is on record of the customer.

The register is read when its file changes, so an upheld appeal or a recorded protection counts in the next answer. A
register that is damaged while the server runs is reported in the log, and the last sound one counts on.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from ml.credit_risk.policy import PolicyOutcome, case_of, decide
from ml.credit_risk.policy_schema import CreditPolicy, load_policies, policy_on
from ml.credit_risk.register import REGISTER_FILE, Register, RegisterError
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
        self._policy_by_day: tuple[date, CreditPolicy] | None = None
        self._policy(datetime.now(self._zone).date())

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

    def outcome(
        self, customer_key: str | None, features: Mapping[str, Any], prediction: Mapping[str, Any], decided_at: datetime
    ) -> PolicyOutcome:
        """Return what follows for one scored customer."""
        day = decided_at.astimezone(self._zone).date()
        policy = self._policy(day)
        case = case_of(
            features,
            probability=prediction["default_probability"],
            rating=prediction["credit_rating"],
            policy=policy,
            as_of=day,
            standing=self._current_register().standing(customer_key, day),
        )
        return decide(policy, case, day, currency=self._currency)

    def _policy(self, day: date) -> CreditPolicy:
        known = self._policy_by_day
        if known is None or known[0] != day:
            known = self._policy_by_day = (day, policy_on(self._policies, self._policy_id, day))
        return known[1]

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
