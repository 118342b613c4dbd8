"""What a segmentation must show before it is released."""

from datetime import date

from ml.gate import BaselineRequirement, GatePolicy

GATE_POLICY = GatePolicy(
    use_case="segmentation",
    valid_from=date(2026, 11, 1),
    baselines=(
        # The lower end of the interval: a division that chance could have made is not worth new names.
        BaselineRequirement(name="class_only", judged_by="lower"),
        BaselineRequirement(name="level_groups", judged_by="lower"),
    ),
    required_criteria=("stability", "segment_size", "unique_names"),
)
