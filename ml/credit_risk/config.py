"""Settings of credit-risk training, recorded with every bundle."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Candidate = Literal["scorecard", "boosted_trees"]


class BoosterConfig(BaseModel):
    """Settings of the gradient-boosted trees.

    Shallow trees, few columns per tree and a strong penalty: snapshots of one customer repeat each other, so the
    independent evidence is much smaller than the number of rows. Depth and number of trees are chosen by folds of
    customers, because a supplier with a hundred defaults needs an additive model and one with thousands does not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    depths: tuple[Annotated[int, Field(ge=1, le=8)], ...] = Field(
        default=(1, 2, 3), min_length=1, description="Depths of a tree to choose from; 1 is an additive model"
    )
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    min_child_weight: float = Field(default=10.0, ge=0)
    subsample: float = Field(default=0.7, gt=0, le=1)
    colsample_bytree: float = Field(default=0.6, gt=0, le=1)
    reg_lambda: float = Field(default=5.0, ge=0)
    max_rounds: int = Field(default=500, ge=1, le=5000)
    early_stopping_rounds: int = Field(default=30, ge=1)
    # One thread: on a busy machine two threads wait for each other, and took 12 s for what one does in 0.4 s.
    threads: int = Field(default=1, ge=1, le=64, description="Fixed, because sums depend on how rows are divided")


class ScorecardConfig(BaseModel):
    """Settings of the readable scorecard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimum_bin_share: float = Field(default=0.01, gt=0, le=0.5, description="Smallest share of the rows in a bin")
    prior_rows: float = Field(
        default=50.0, gt=0, description="Rows at the overall default rate that every bin is mixed with"
    )
    minimum_informations: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(0.02, 0.05, 0.1),
        min_length=1,
        description="Information values from which a column may stand on the card, to choose from: snapshots of one "
        "customer repeat each other, so with few defaulting customers chance alone reaches 0.1",
    )
    penalties: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(0.001, 0.01, 0.1), min_length=1, description="Ridge penalties per row to choose from"
    )


class ActionConfig(BaseModel):
    """What an early action (a call, an offer of instalments) costs and brings: assumptions of the supplier."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cost_amount: float = Field(default=10.0, ge=0, description="Cost of one action, in the platform's currency")
    success_share: float = Field(
        default=0.3, gt=0, le=1, description="Share of one mean bill that an action saves when a default was coming"
    )


class CreditRiskConfig(BaseModel):
    """Settings of credit-risk training: cuts, candidates, calibration, points, demands on the data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: tuple[Candidate, ...] = Field(
        default=("scorecard", "boosted_trees"),
        min_length=1,
        description="Models to train; with both, the trees are taken when they predict better beyond doubt",
    )
    booster: BoosterConfig = BoosterConfig()
    scorecard: ScorecardConfig = ScorecardConfig()
    action: ActionConfig = ActionConfig()

    folds: int = Field(
        default=4,
        ge=2,
        le=10,
        description="Folds of customers: for the size of the model, for calibration, and to judge each customer by a "
        "model that was trained on others",
    )
    holdout_months: int = Field(default=4, ge=1, description="Latest months held out")
    holdout_customer_share: float = Field(
        default=0.3, gt=0, lt=1, description="Customers held out when the history is too short to hold out months"
    )
    minimum_train_months: int = Field(default=3, ge=1)
    warm_up_months: int = Field(
        default=3,
        ge=0,
        description="First as-of months left out when enough others remain: so little past is visible in them that "
        "debts look new and old debtors are not yet excluded",
    )

    isotonic_minimum_events: int = Field(
        default=1000, ge=10, description="Rows of the rarer class from which calibration is isotonic"
    )
    beta_minimum_events: int = Field(
        default=50, ge=5, description="Rows of the rarer class from which calibration is beta; below it only shifts"
    )

    base_points: float = 600.0
    base_odds: float = Field(default=50.0, gt=0, description="Good to bad odds at the base points")
    points_to_double_odds: float = Field(default=20.0, gt=0)
    minimum_reason_effect: float = Field(default=0.02, ge=0, description="Log-odds below which nothing is a reason")

    minimum_customers: int = Field(default=200, ge=1)
    minimum_labelled_rows: int = Field(default=500, ge=1)
    minimum_class_rows: int = Field(default=60, ge=1, description="Snapshots needed of each outcome")
    minimum_class_customers: int = Field(default=30, ge=1, description="Customers needed with each outcome")
    minimum_part_class_rows: int = Field(default=10, ge=2, description="Rows of each outcome in every part of the cut")

    currency: str = Field(
        default="CNY", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of all amounts, as the model card prints it"
    )
    bootstrap_replicates: int = Field(default=200, ge=20)
    reference_rows: int = Field(default=20_000, ge=100)
