"""Settings of tariff matching, recorded with every trained bundle."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ml.tariff_matching.price_response import load_elasticity_sets


class TariffMatchingConfig(BaseModel):
    """When to advise a change of tariff, and how next year's load is foretold and judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimum_saving_share: float = Field(
        0.005, ge=0, le=1, description="Expected saving, as a share of today's bill, below which the advice is to stay."
    )
    minimum_saving_amount: float = Field(
        0.0, ge=0, description="The same as an amount of a year in the tariff's currency."
    )
    minimum_probability: float = Field(
        0.7, ge=0.5, le=1, description="Probability that the change saves below which the advice is to stay."
    )
    response_set: str = Field(
        "low",
        description="Elasticities of the scenario in which the customer reacts to prices, a name of elasticities.yaml; "
        "the advice itself assumes no reaction. `zero` leaves the scenario out.",
    )
    interval_level: float = Field(0.8, gt=0, lt=1, description="Probability that the interval of the saving covers.")
    history_months: int = Field(12, ge=6, le=24, description="Months before the decision that are used.")
    horizon_months: int = Field(12, ge=6, le=12, description="Months after the decision that are foretold.")
    backtest_months_min_count: int = Field(
        6, ge=3, le=12, description="Fewest months before and after the decision of a back-test."
    )
    minimum_customers_count: int = Field(
        30, ge=10, le=10_000, description="Customers with complete loads below which nothing is learned."
    )
    minimum_coverage_pct: float = Field(
        50.0, gt=0, le=100, description="Share of a month's intervals below which the month counts as not read."
    )
    complete_coverage_pct: float = Field(
        90.0, gt=0, le=100, description="Share of a month's intervals from which its bill is good enough to judge by."
    )
    neighbours_count: int = Field(
        50, ge=10, le=500, description="Similar customers whose surprises make a customer's scenarios; two each."
    )
    masked_customers_max_count: int = Field(
        150,
        ge=20,
        le=100_000,
        description="Customers of each class of whom it is pretended that no intervals were read, to calibrate and "
        "judge estimates from similar customers.",
    )
    origin_folds_count: int = Field(2, ge=2, le=20, description="Groups of customers for cross-fitting there.")
    donors_max_count: int = Field(3_000, ge=50, le=100_000, description="Customers whose surprises a model keeps.")
    trees_trust: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the trees' correction that is used: with one pair of years, part of what they see is "
        "that pair's own.",
    )
    trees_count: int = Field(30, ge=1, le=2_000, description="Boosted trees of the load forecast.")
    trees_customers_max_count: int = Field(
        400, ge=30, le=100_000, description="Customers of each class from whom one set of trees is fitted."
    )
    folds_count: int = Field(5, ge=2, le=20, description="Groups of customers for cross-fitting.")
    contracted_levels: tuple[float, ...] = Field(
        (0.6, 0.8, 0.9, 1.0, 1.1),
        description="Contracted demands tried, as shares of the year's largest demand that is free of excess charge.",
    )
    monthly_contract_jurisdictions: tuple[str, ...] = Field(
        ("CN",),
        description="Jurisdictions, by the start of their code, where contracted demand may be changed every month "
        "(China: with five working days' notice), so that a demand for each month is proposed.",
    )
    origin_step_months: int = Field(3, ge=1, le=12, description="Months between the decisions of the back-test.")
    origin_neighbours_count: int = Field(
        15, ge=5, le=500, description="Similar customers at the decisions of the back-test beside the main one."
    )
    coverage_tolerance: float = Field(
        0.03, ge=0, lt=0.5, description="How far the back-test's coverage may lie from the promised one beyond doubt."
    )
    holdout_customers_max_count: int = Field(
        400, ge=30, le=10_000, description="Customers on whom a challenger and a champion are compared."
    )
    harm_tolerance_share: float = Field(
        0.001,
        ge=0,
        le=0.1,
        description="Extra cost, as a share of the bill, up to which nobody counts as made worse off.",
    )
    bootstrap_runs_count: int = Field(400, ge=50, le=10_000, description="Bootstrap draws behind each interval.")
    chunk_customers_count: int = Field(300, ge=1, le=100_000, description="Customers priced at once.")

    @field_validator("response_set")
    @classmethod
    def _is_known_set(cls, name: str) -> str:
        known = dict.fromkeys(entry.name for entry in load_elasticity_sets())
        if name not in known:
            raise ValueError(f"there is no elasticity set `{name}`; there are {', '.join(known)}")
        return name
