"""What tariff advice must show before it is given to customers."""

from datetime import date

from ml.gate import BaselineRequirement, GatePolicy

GATE_POLICY = GatePolicy(
    use_case="tariff_matching",
    valid_from=date(2026, 11, 1),
    baselines=(
        BaselineRequirement(name="stay", judged_by="lower"),
        BaselineRequirement(name="cheapest_last_year"),
        BaselineRequirement(name="class_mean_profile"),
    ),
    required_criteria=(
        "captures_more_than_every_baseline",
        "harms_fewer_than_cheapest_last_year",
        "interval_coverage",
        "bill_interval_coverage",
    ),
)
