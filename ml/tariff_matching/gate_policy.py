"""What tariff advice must show before it is given to customers."""

from datetime import date

from ml.gate import BaselineRequirement, GatePolicy

GATE_POLICY = GatePolicy(
    use_case="tariff_matching",
    valid_from=date(2026, 11, 1),
    baselines=(
        BaselineRequirement(name="stay", judged_by="lower"),
        # Where last year's cheapest offer nearly always stays the cheapest, nothing can capture more. Half a point is
        # what caution may cost: staying on small or doubtful savings, so that no more customers are made worse off.
        BaselineRequirement(name="cheapest_last_year", minimum_improvement=-0.005),
        BaselineRequirement(name="class_mean_profile"),
    ),
    required_criteria=("harms_no_more_than_cheapest_last_year", "interval_coverage"),
)
