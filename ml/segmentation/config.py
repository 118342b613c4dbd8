"""Settings of customer segmentation, recorded with every trained bundle."""

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class BehaviourConfig(BaseModel):
    """Limits of the tiers of value, loyalty, payment and channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin_known_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of customers with a margin from which value is margin and not amount billed.",
    )
    growth_limit_pct: float = Field(50.0, ge=0, le=100, description="Largest growth or fall that value counts with.")
    loyal_tenure_months: int = Field(
        60, ge=2, description="Months of supply that count twice for loyalty; half of it once."
    )
    unhappy_contacts_count: int = Field(
        2, ge=1, description="Contacts about bills in half a year that count against it."
    )
    unhappy_satisfaction: float = Field(
        3.0, ge=1, le=5, description="Mean satisfaction below which it counts against it."
    )
    falling_pct: float = Field(30.0, gt=0, le=100, description="Fall of energy that counts against loyalty.")
    contract_ending_days: int = Field(90, ge=0, description="Days before a contract's end that count against loyalty.")
    arrears_bills: float = Field(1.0, gt=0, description="Overdue amount, in mean bills, from which one is in arrears.")
    often_late_pct: float = Field(75.0, gt=0, le=100, description="Bills paid in time below which one is often late.")


class PropensityConfig(BaseModel):
    """Settings of the probabilities of leaving and of joining a programme, and what they demand of the data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimum_event_customers: int = Field(50, ge=10, description="Customers needed with each of both outcomes.")
    minimum_part_events: int = Field(10, ge=2, description="Events needed in every part of the rows.")
    holdout_months: int = Field(3, ge=1, description="Latest months held out.")
    minimum_train_months: int = Field(3, ge=1)
    holdout_customer_share: float = Field(
        0.25, gt=0, lt=1, description="Customers held out when the history is too short to hold out months."
    )
    folds: int = Field(4, ge=2, le=10, description="Folds of customers for the size of the trees and the calibration.")
    rows_max_count: int = Field(40_000, ge=1_000, description="Rows to learn from; more customers are sampled.")
    depths: tuple[int, ...] = Field((2, 6), min_length=1, description="Depths of a tree to choose from.")
    learning_rate: float = Field(0.05, gt=0, le=1)
    min_child_weight: float = Field(2.0, ge=0)
    subsample: float = Field(0.7, gt=0, le=1)
    colsample_bytree: float = Field(0.6, gt=0, le=1)
    reg_lambda: float = Field(5.0, ge=0)
    max_rounds: int = Field(400, ge=1, le=2000)
    early_stopping_rounds: int = Field(30, ge=1)
    logistic_strength: float = Field(0.1, gt=0, description="Inverse of the ridge penalty of the logistic regression.")
    category_minimum_share: float = Field(0.01, gt=0, le=0.5, description="Share of rows from which a category counts.")
    calibration_ratio_limit: float = Field(
        1.25, gt=1, description="Observed over foretold, or its inverse, beyond which nothing is released."
    )
    isotonic_minimum_events: int = Field(1000, ge=10)
    beta_minimum_events: int = Field(50, ge=5)
    minimum_gain: float = Field(
        0.01,
        ge=0,
        lt=0.5,
        description="Gain in AUC over the time as a customer that the lower end of its interval must exceed: luck of "
        "the draws would otherwise decide what is released.",
    )
    deciding_replicates: int = Field(1_000, ge=20, description="Bootstrap draws behind the figures that decide.")
    bootstrap_replicates: int = Field(200, ge=20, description="Bootstrap draws behind the other figures.")


class SegmentationConfig(BaseModel):
    """What a training run of the segmentation may do and what it must reach.

    Residential and business customers are segmented apart, because a shop's Sunday and a household's Sunday differ
    more than any two households do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    residential_segments_min_count: int = Field(2, ge=2, le=20, description="Fewest residential segments tried.")
    residential_segments_max_count: int = Field(7, ge=2, le=20, description="Most residential segments tried.")
    business_segments_min_count: int = Field(2, ge=2, le=20, description="Fewest business segments tried.")
    business_segments_max_count: int = Field(7, ge=2, le=20, description="Most business segments tried.")
    minimum_customers_per_group_count: int = Field(
        30, ge=10, le=10_000, description="Customers with a usable load shape below which a group is not segmented."
    )
    minimum_observed_days: int = Field(
        28, ge=7, le=366, description="Days with readings below which a customer's segment is 'unknown'."
    )
    minimum_shape_weight: float = Field(
        0.6, gt=0, le=1, description="Weighted share of the shape that must be present to assign a segment."
    )
    minimum_segment_share: float = Field(
        0.02, ge=0, le=0.2, description="Share of its group below which a segment is too small to be treated apart."
    )
    minimum_segment_customers_count: int = Field(
        10, ge=2, le=1_000, description="Customers below which a segment is too small to be treated apart in any group."
    )
    shape_ceiling: float = Field(
        6.0, gt=1, le=24, description="Shape ratios above it count as this much, so that one spike does not decide."
    )
    outlier_deviations: float = Field(
        25.0,
        gt=0,
        description="Robust deviations of the neighbour distance beyond which a shape does not shape centres: a sparse "
        "group that is large enough for a segment, such as homes with solar panels, must stay within.",
    )
    stability_runs_count: int = Field(50, ge=10, le=1_000, description="Half-samples drawn to judge a solution.")
    minimum_stability: float = Field(
        0.8, ge=0, le=1, description="Mean adjusted Rand index of the half-samples below which nothing is released."
    )
    score_lead_to_change: float = Field(
        0.1, ge=0, le=1, description="Lead in score for which the number of served segments of a group is given up."
    )
    choice_runs_count: int = Field(
        15, ge=5, le=1_000, description="Half-samples spent on each number of segments before one is chosen."
    )
    hierarchy_customers_max_count: int = Field(
        1_500, ge=100, le=10_000, description="Customers per group from which Ward's hierarchy is built."
    )
    kmeans_starts_count: int = Field(4, ge=1, le=100, description="Starts of one k-means fit; the best is kept.")
    mixture_starts_count: int = Field(1, ge=1, le=100, description="Starts of one Gaussian mixture; the best is kept.")
    sampled_customers_max_count: int = Field(
        3_000, ge=100, le=100_000, description="Customers per group used for the choice of k; the final fit uses all."
    )
    value_high_quantile: float = Field(0.8, gt=0, lt=1, description="Amount billed from which the value is high.")
    value_low_quantile: float = Field(0.4, gt=0, lt=1, description="Amount billed below which the value is low.")
    new_customer_months: int = Field(12, ge=1, le=60, description="Months of supply below which a customer is new.")
    growth_pct: float = Field(15.0, gt=0, description="Change of energy from which a customer grows or shrinks.")
    leaving_pct: float = Field(50.0, gt=0, le=100, description="Fall of energy from which a customer may be leaving.")
    leaving_zero_days: int = Field(60, ge=1, le=366, description="Days without energy from which one may be leaving.")
    months_between_windows_min_count: int = Field(
        3,
        ge=1,
        le=24,
        description="Months between the window that segments are found on and the one they are judged on.",
    )
    reference_rows_max_count: int = Field(20_000, ge=100, description="Rows of the reference sample for monitoring.")
    currency: str = Field(
        "CNY", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of all amounts, as the model card prints it."
    )
    bootstrap_runs_count: int = Field(400, ge=50, le=10_000, description="Bootstrap draws behind each interval.")

    behaviour: BehaviourConfig = BehaviourConfig()
    propensity: PropensityConfig = PropensityConfig()

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> Self:
        if self.residential_segments_min_count > self.residential_segments_max_count:
            raise ValueError("residential_segments_min_count must not exceed residential_segments_max_count")
        if self.business_segments_min_count > self.business_segments_max_count:
            raise ValueError("business_segments_min_count must not exceed business_segments_max_count")
        if self.value_low_quantile >= self.value_high_quantile:
            raise ValueError("value_low_quantile must be below value_high_quantile")
        return self

    def smallest_segment(self, customers_count: int) -> int:
        """Return how many customers a segment needs in a group of so many."""
        return max(self.minimum_segment_customers_count, math.ceil(self.minimum_segment_share * customers_count))

    def segments_range(self, group: str) -> range:
        """Return the numbers of segments that are tried for a group: residential ones begin with ``R``."""
        if group.startswith("R"):
            return range(self.residential_segments_min_count, self.residential_segments_max_count + 1)
        return range(self.business_segments_min_count, self.business_segments_max_count + 1)
