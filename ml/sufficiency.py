"""Whether the data can support a model, said in words before anything is trained.

A use case collects findings (one per thing it cannot do without) into a report. A report that is not sufficient is
an ordinary outcome that a person reads, not a crash.
"""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from ml.errors import InsufficientDataError


class Finding(BaseModel):
    """One requirement and what was found.

    Attributes:
        check: Name of the requirement, such as ``mature_snapshots``.
        found: What the data holds, ready to print.
        required: What is asked for, ready to print.
        passed: Whether the requirement is met.
        message: A sentence that says what is missing and what to deliver, or what is there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    check: str
    found: str
    required: str
    passed: bool
    message: str

    @classmethod
    def at_least(cls, check: str, found: float, required: float, *, missing: str, met: str = "") -> "Finding":
        """Return the finding of a lower limit.

        Args:
            check: Name of the requirement.
            found: Number that the data holds.
            required: Smallest number that suffices.
            missing: Sentence used when there is too little.
            met: Sentence used when there is enough; a plain one by default.
        """
        passed = found >= required
        found_text, required_text = _number_text(found), f"at least {_number_text(required)}"
        if passed:
            message = met or f"{check.replace('_', ' ').capitalize()}: {found_text} ({required_text} needed)."
        else:
            message = missing
        return cls(check=check, found=found_text, required=required_text, passed=passed, message=message)


class SufficiencyReport(BaseModel):
    """All requirements of one use case and what was found.

    Attributes:
        use_case: One of ``ml.columns.USE_CASES``.
        findings: One entry per requirement. A report without findings is not sufficient: nothing was checked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_case: str
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, use_case: str, findings: Iterable[Finding]) -> "SufficiencyReport":
        """Return the report of these findings."""
        return cls(use_case=use_case, findings=tuple(findings))

    @property
    def is_sufficient(self) -> bool:
        """Whether every requirement is met."""
        return bool(self.findings) and all(finding.passed for finding in self.findings)

    @property
    def missing(self) -> tuple[Finding, ...]:
        """The requirements that are not met."""
        return tuple(finding for finding in self.findings if not finding.passed)

    def sentence(self) -> str:
        """Say in words what is missing, or that the data suffices."""
        if not self.findings:
            return f"Nothing was checked for {self.use_case}, so it counts as not enough data."
        if self.is_sufficient:
            return f"The data suffices for {self.use_case} ({len(self.findings)} requirements met)."
        return f"Not enough data for {self.use_case}: " + " ".join(finding.message for finding in self.missing)

    def require(self) -> None:
        """Raise `InsufficientDataError` with the report's sentence unless the data suffices."""
        if not self.is_sufficient:
            raise InsufficientDataError(self.sentence())


def _number_text(number: float) -> str:
    """Return a count whole and anything else with six digits: 2,910,700 and 0.123457."""
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.6g}"
