"""What a credit-risk model must show to be released."""

from datetime import date

from ml.gate import BaselineRequirement, ChampionRequirement, GatePolicy, MetricLimit

GATE_POLICY = GatePolicy(
    use_case="credit_risk",
    valid_from=date(2026, 11, 1),
    baselines=(
        BaselineRequirement(name="last_status", judged_by="lower"),
        # The difference to these two has a standard error of 0.02 to 0.03 with a hundred defaulting customers, so a
        # demand above zero would refuse by the toss of a coin. Where they tie, calibrated probabilities, monotone
        # effects and exact reasons decide.
        BaselineRequirement(name="late_bill_count", minimum_improvement=-0.01, judged_by="value"),
        BaselineRequirement(name="logistic_dimensions", minimum_improvement=-0.01, judged_by="value"),
    ),
    champion=ChampionRequirement(tolerance=0.0),
    limits=(
        MetricLimit(metric="roc_auc", aspect="accuracy", minimum=0.55, judged_by="lower"),
        MetricLimit(metric="expected_calibration_error", aspect="calibration", maximum=0.05, judged_by="interval"),
        MetricLimit(metric="calibration_ratio", aspect="calibration", minimum=0.67, maximum=1.5, judged_by="interval"),
        MetricLimit(metric="rating_psi", aspect="stability", maximum=0.25),
        MetricLimit(
            metric="calibration_gap",
            aspect="fairness",
            maximum=0.05,
            judged_by="interval",
            slice_column="customer_class",
            minimum_rows=100,
        ),
        MetricLimit(
            metric="calibration_gap",
            aspect="fairness",
            maximum=0.05,
            judged_by="interval",
            slice_column="district",
            minimum_rows=100,
        ),
        MetricLimit(
            metric="false_alarm_gap",
            aspect="fairness",
            maximum=0.10,
            judged_by="interval",
            slice_column="district",
            minimum_rows=100,
        ),
    ),
)
