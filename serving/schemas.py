"""Requests and answers of the API, derived from the columns of ``ml/<use_case>/schema.py``.

A feature has the same name, bounds and description here as in the mart. Unknown fields are refused, numbers must be
numbers (no text that looks like one, no NaN). Add a column to the use case's schema and it appears here.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from ml.columns import Column
from ml.credit_risk import schema as credit_risk_schema
from ml.segmentation import schema as segmentation_schema
from ml.tariff_matching import schema as tariff_matching_schema
from serving.identity import CustomerId
from serving.policy_schemas import CreditPolicyOutcome
from serving.raw_schemas import RAW_EXAMPLE, RawCustomer

LARGEST_NUMBER = 1e12
"""No feature of one customer is larger; it keeps sums and products finite."""


class StrictModel(BaseModel):
    """A request body: nothing unknown, nothing coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Answer(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(extra="forbid")


def _request_field(column: Column, example: Any) -> tuple[Any, Any]:
    annotation: Any
    bounds: dict[str, Any] = {}
    if column.kind == "numeric":
        annotation = float
        bounds = {
            "ge": -LARGEST_NUMBER if column.minimum is None else column.minimum,
            "le": LARGEST_NUMBER if column.maximum is None else column.maximum,
        }
    elif column.kind == "boolean":
        annotation = bool
    elif column.allowed:
        annotation = Literal[column.allowed]
    else:
        annotation = str
        bounds = {"min_length": 1, "max_length": 128}
    unit = f" [{column.unit}]" if column.unit else ""
    field = Field(
        default=None if column.nullable else ...,
        description=f"{column.description}{unit} / {column.description_zh}",
        examples=None if example is None else [example],
        **bounds,
    )
    return (annotation | None if column.nullable else annotation), field


def feature_model(name: str, columns: Iterable[Column], examples: Mapping[str, Any]) -> type[StrictModel]:
    """Return the request model of a feature matrix.

    Nullable columns may be left out or sent as null, which both mean "not known".

    Args:
        name: Name of the model in the API page.
        columns: The features.
        examples: Example value by column name.
    """
    fields: dict[str, Any] = {column.name: _request_field(column, examples.get(column.name)) for column in columns}
    return create_model(name, __base__=StrictModel, __doc__="Features of one customer, sent inline.", **fields)


def _prediction_model(name: str, columns: Iterable[Column]) -> type[Answer]:
    types: dict[str, Any] = {"numeric": float, "boolean": bool, "categorical": str}
    fields: dict[str, Any] = {}
    for column in columns:
        annotation = Literal[column.allowed] if column.allowed else types[column.kind]
        unit = f" [{column.unit}]" if column.unit else ""
        description = f"{column.description}{unit} / {column.description_zh}"
        fields[column.name] = (annotation | None if column.nullable else annotation, Field(description=description))
    return create_model(name, __base__=Answer, __doc__="What the model says of one customer.", **fields)


_WORKDAY_SHAPE = (
    0.55, 0.5, 0.48, 0.47, 0.5, 0.62, 0.9, 1.15, 1.05, 0.95, 0.92, 1.0,
    1.1, 1.0, 0.95, 0.95, 1.05, 1.3, 1.6, 1.75, 1.65, 1.45, 1.1, 0.76,
)  # fmt: skip
SEGMENTATION_EXAMPLE: dict[str, Any] = {
    "customer_class": "residential",
    "observed_days_count": 365,
    **{f"weekday_shape_{hour:02d}": value for hour, value in enumerate(_WORKDAY_SHAPE)},
    **{f"weekend_shape_{hour:02d}": value for hour, value in enumerate(_WORKDAY_SHAPE)},
    "annual_kwh": 2900,
    "mean_daily_kwh": 7.95,
    "peak_kw": 3.4,
    "load_factor": 0.097,
    "base_share": 0.48,
    "peak_hour": 19,
    "weekend_ratio": 1.08,
    "night_share": 0.21,
    "summer_ratio": 1.35,
    "winter_ratio": 1.1,
    "daily_kwh_cv": 0.34,
    "zero_days_count": 0,
    "kwh_change_yoy_pct": 4.2,
    "billed_amount_12m_amount": 1590,
    "late_bills_12m_count": 1,
    "contacts_12m_count": 1,
    "programmes_count": 0,
    "tenure_months": 88,
    "on_time_share_12m_pct": 91.7,
    "mean_days_late_12m_days": 0.5,
    "unpaid_balance_ratio": 0,
    "automatic_payment_share_12m": 0,
    "digital_payment_share_12m": 0.83,
    "counter_payment_share_12m": 0.17,
    "digital_contact_share_12m": 1,
    "billing_contacts_6m_count": 0,
    "mean_satisfaction_12m": 4,
    "programmes_left_12m_count": 0,
    "contract_capacity_kva": 8,
}
TARIFF_MATCHING_EXAMPLE: dict[str, Any] = {
    "customer_class": "residential",
    "voltage_level": "lt1kV",
    "supply_route": "catalogue",
    "contract_capacity_kva": 8,
    "tariff_id": "sd_res_tier",
    "observed_months_count": 12,
    "coverage_pct": 99.2,
    "annual_kwh": 2900,
    "peak_kw": 3.4,
    "summer_ratio": 1.35,
    "winter_ratio": 1.1,
    "kwh_change_yoy_pct": 4.2,
    "night_share": 0.21,
}
CREDIT_RISK_EXAMPLE: dict[str, Any] = {
    "recovery_rate_due_3m_pct": 66.7,
    "recovery_rate_due_6m_pct": 75.0,
    "recovery_rate_due_12m_pct": 83.3,
    "recovery_rate_30d_6m_pct": 92.0,
    "recovery_rate_30d_12m_pct": 96.0,
    "money_received_3m_pct": 86.7,
    "money_received_6m_pct": 93.3,
    "money_received_12m_pct": 96.7,
    "lowest_money_received_12m_pct": 60.0,
    "unpaid_balance_ratio": 0.4,
    "open_balance_ratio": 1.4,
    "on_time_share_12m_pct": 83.3,
    "late_bills_3m_count": 1,
    "late_bills_6m_count": 2,
    "late_bills_12m_count": 2,
    "months_since_late_bill_months": 0,
    "mean_days_late_3m_days": 8,
    "mean_days_late_6m_days": 7,
    "mean_days_late_12m_days": 3.5,
    "max_days_late_3m_days": 24,
    "max_days_late_6m_days": 24,
    "max_days_late_12m_days": 24,
    "oldest_debt_days": 24,
    "days_late_trend_days": 4.5,
    "partial_payments_3m_count": 0,
    "partial_payments_6m_count": 0,
    "partial_payments_12m_count": 0,
    "monthly_kwh_cv_3m": 0.16,
    "monthly_kwh_cv_6m": 0.24,
    "monthly_kwh_cv_12m": 0.28,
    "kwh_change_yoy_pct": 4.2,
    "load_factor_3m": 0.11,
    "load_factor_6m": 0.1,
    "load_factor_12m": 0.097,
    "zero_load_days_3m_count": 0,
    "zero_load_days_6m_count": 0,
    "zero_load_days_12m_count": 2,
    "capacity_utilisation_3m_pct": 38,
    "capacity_utilisation_6m_pct": 42,
    "capacity_utilisation_12m_pct": 42,
    "overdue_30d_bills_3m_count": 0,
    "overdue_30d_bills_6m_count": 0,
    "overdue_30d_bills_12m_count": 0,
    "returned_payments_3m_count": 0,
    "returned_payments_6m_count": 0,
    "returned_payments_12m_count": 0,
    "confirmed_breaches_24m_count": 0,
    "tenure_months": 88,
    "contacts_3m_count": 1,
    "contacts_6m_count": 1,
    "contacts_12m_count": 1,
    "billing_contacts_3m_count": 0,
    "billing_contacts_6m_count": 0,
    "billing_contacts_12m_count": 0,
    "mean_satisfaction_12m": 4,
    "customer_class": "residential",
    "mean_bill_12m_amount": 132.5,
    "bills_12m_count": 12,
    "contract_capacity_kva": 8,
}


class CustomerRequest(StrictModel):
    """One customer or many: exactly one of the five fields.

    Attributes:
        largest_batch: Most customers that the schema accepts; the server may accept fewer.
        item_model: One customer of ``items``, and one line of an NDJSON batch.
        examples: Bodies of each form, for the documentation.
    """

    largest_batch: ClassVar[int] = 100_000
    item_model: "ClassVar[type[RequestItem]]"
    examples: "ClassVar[list[dict[str, Any]]]"

    customer_id: CustomerId | None = Field(default=None, description="One customer by id; features from the snapshot")
    customer_ids: list[CustomerId] | None = Field(
        default=None, min_length=1, max_length=largest_batch, description="Many customers by id"
    )

    raw: RawCustomer | None = Field(
        default=None, description="Raw data of one customer, of which features are made as in training"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "send exactly one of customer_id, customer_ids, features, raw, items"
                + (f"; this request has {' and '.join(given)}" if given else "")
            )
        return self


class RequestItem(StrictModel):
    """One customer of a batch: an id, features or raw data; beside an id these count, and the id names the answer."""

    customer_id: CustomerId | None = Field(default=None, description="The supplier's own customer id")
    raw: RawCustomer | None = Field(default=None, description="Raw data of the customer")

    @model_validator(mode="after")
    def _something(self) -> Self:
        features = getattr(self, "features", None)
        if features is not None and self.raw is not None:
            raise ValueError("an item has features or raw, not both")
        if self.customer_id is None and features is None and self.raw is None:
            raise ValueError("an item needs customer_id, features or raw")
        return self


def request_model(name: str, features: type[StrictModel], examples: Mapping[str, Any]) -> type[CustomerRequest]:
    """Return the request body of a route whose model reads the given features."""
    optional_features: Any = (features | None, Field(default=None, description="Features of one customer, without id"))
    item = create_model(
        f"{name}Item",
        __base__=RequestItem,
        __doc__=RequestItem.__doc__,
        features=optional_features,
    )
    model = create_model(
        f"{name}Request",
        __base__=CustomerRequest,
        __doc__="One customer or many: exactly one of the five fields.",
        features=optional_features,
        items=(
            list[item] | None,
            Field(
                default=None,
                min_length=1,
                max_length=CustomerRequest.largest_batch,
                description="Many customers, each by id, by features or by raw data",
            ),
        ),
    )
    item.model_config["json_schema_extra"] = {
        "anyOf": [_given("customer_id"), _given("features"), _given("raw")],
        "not": {"allOf": [_given("features"), _given("raw")]},
    }
    item.model_rebuild(force=True)
    model.examples = [
        {"customer_id": "C0000001"},
        {"features": dict(examples)},
        {"customer_ids": ["C0000001", "C0000002"]},
        {"raw": RAW_EXAMPLE},
        {"items": [{"customer_id": "C0000001"}, {"features": dict(examples)}]},
    ]
    model.model_config["json_schema_extra"] = {
        "oneOf": [_given(field) for field in model.model_fields],
        "examples": [*model.examples],
    }
    model.item_model = item
    model.model_rebuild(force=True)
    return model


def _given(field: str) -> dict[str, Any]:
    return {"required": [field], "properties": {field: {"not": {"type": "null"}}}}


class Reason(Answer):
    """Why the probability is what it is; the strongest reason comes first."""

    code: str = Field(description="Column that raises the probability")
    dimension: str = Field(description="Group of the column, such as timeliness")
    text: str = Field(description="The reason in words")
    text_zh: str = Field(description="The same in Chinese / 中文说明")
    value: float | str | None = Field(description="The customer's value of the column")
    unit: str = Field(description="Unit of the value; empty for counts and ratios")
    points_lost: float = Field(description="Credit points that the column costs, against the mean customer")
    improvement: str = Field(description="What would improve it")
    improvement_zh: str = Field(description="The same in Chinese / 中文说明")


class DimensionPoints(Answer):
    """What all columns of one dimension do to the credit points."""

    dimension: str = Field(description="Group of columns, such as timeliness")
    title: str = Field(description="Its name", examples=["timeliness of payment"])
    title_zh: str = Field(description="The same in Chinese / 维度名称")
    points: float = Field(description="Credit points gained (positive) or lost, against the mean customer")


class NamedSegment(Answer):
    """A segment by its lasting identifier and its name."""

    segment_id: str = Field(description="Stays the same over releases", examples=["R2"])
    name: str = Field(description="Its name", examples=["Evening-peak households, summer cooling"])
    name_zh: str = Field(description="The same in Chinese / 客群名称", examples=["晚高峰·夏季气温敏感居民"])


class SegmentActions(Answer):
    """What to do for the members of a segment, each in one sentence."""

    offer: str = Field(description="What to offer them / 推荐")
    avoid: str = Field(description="What to avoid / 避免")


class SegmentInWords(NamedSegment):
    """What marks a segment and what to do for its members."""

    description: str = Field(description="What marks its members, in one sentence")
    description_zh: str = Field(description="The same in Chinese / 中文说明")
    actions: SegmentActions = Field(description="What to do for its members")
    actions_zh: SegmentActions = Field(description="The same in Chinese / 服务建议")


class TariffAlternative(Answer):
    """One tariff that is open to the customer, with past and expected bills; amounts are in the answer's currency."""

    tariff_id: str = Field(description="Id in the tariff catalogue", examples=["sd_res_tier_tou"])
    version: str = Field(description="Version of its prices")
    name: str = Field(description="Its name")
    name_zh: str | None = Field(description="The same in Chinese; null where there is none / 电价名称")
    options: dict[str, str | float | dict[str, float]] = Field(
        description="Options to choose with it: `billing_basis`, and `contracted_kw` [kW] for the whole year or "
        "`contracted_kw_by_month` [kW] where the tariff allows a change every month",
        examples=[{"billing_basis": "contracted_demand", "contracted_kw_by_month": {"2026-10": 320.0}}],
    )
    is_current: bool = Field(description="Whether the customer has it today")
    is_recommended: bool = Field(description="Whether it is the advice")
    past_amount: float | None = Field(
        description="Exact bill of the past twelve months; an estimate unless load_basis is readings [currency]"
    )
    expected_amount: float | None = Field(description="Expected bill of the next twelve months [currency]")
    expected_saving_amount: float | None = Field(description="Expected saving against today's offer [currency]")
    saving_lower_amount: float | None = Field(description="Lower end of the saving's 80 % interval [currency]")
    saving_upper_amount: float | None = Field(description="Upper end of the saving's 80 % interval [currency]")
    saving_probability: float | None = Field(description="Probability that it costs less than today's offer")
    components: dict[str, float] = Field(description="Past bill by component [currency]")
    price_is_verified: bool = Field(description="Whether every price is verified against an official text")
    unverified: list[str] = Field(description="What is not verified")
    why_not_code: Literal["recommended", "more_expensive", "saving_too_small", "evidence_weak", "better_offer"] = Field(
        description="Why it is not the advice, for programs"
    )
    why_not: str = Field(description="Why it is not the advice; empty for the advice")
    why_not_zh: str = Field(description="The same in Chinese / 未推荐原因")


class ExpectedBill(Answer):
    """The coming bill on today's offer."""

    expected_amount: float = Field(description="Mean [currency]")
    lower_amount: float = Field(description="Lower end of its 80 % interval [currency]")
    upper_amount: float = Field(description="Upper end of its 80 % interval [currency]")
    months_count: int = Field(description="Months that it covers")


class ComponentChange(Answer):
    """One component of the past bill, on today's and on the compared offer."""

    component: str = Field(description="Name of the component")
    component_zh: str | None = Field(description="The same in Chinese / 电费项目")
    now_amount: float = Field(description="On today's offer; zero where it has no such component [currency]")
    proposed_amount: float = Field(description="On the compared offer [currency]")


class BreakEvenLimit(Answer):
    """A limit beyond which the better of the two offers is the other one."""

    lever: Literal["cheap_hours_share", "peak_kw", "annual_kwh"] = Field(
        description="What moves: share of the energy in the cheap hours, largest demand [kW], energy of the year [kWh]"
    )
    direction: Literal["below", "above"] = Field(description="On which side of the limit the advice is bad")
    threshold: float = Field(description="The limit, in the unit of the lever")
    value_now: float = Field(description="The expected value, in the same unit")
    text: str = Field(description="In one sentence")
    text_zh: str = Field(description="The same in Chinese / 中文说明")


class ResponseScenario(Answer):
    """What the change would save if the customer reacted to prices: a scenario, never part of the advice."""

    elasticity_set: str = Field(description="Name of the assumption")
    description: str = Field(description="What it assumes")
    sources: list[str] = Field(description="Where its numbers come from")
    substitution: float = Field(description="Elasticity of substitution between the hours of a day")
    own_price: float = Field(description="Own-price elasticity of a day's energy")
    saving_without_response_amount: float = Field(description="Saving at the expected load, no reaction [currency]")
    saving_with_response_amount: float = Field(description="Saving when the load follows the prices [currency]")
    energy_change_pct: float = Field(description="Change of the year's energy [%]")


class NotPricedTariff(Answer):
    """A tariff that is left out for this customer."""

    tariff_id: str = Field(description="Id in the tariff catalogue")
    reason: str = Field(description="Which rule of eligibility is not met, or what is missing to price it")


class Problem(Answer):
    """The one shape of every error."""

    type: str = Field(description="Kind of error, for programs", examples=["unknown_customer"])
    title: str = Field(description="Kind of error, in words")
    detail: str = Field(description="What is wrong here and what to change")
    field: str | None = Field(description="Path of the offending field")
    allowed: list[str] | None = Field(description="Values that would have been accepted")
    request_id: str = Field(description="Quote it when you ask for help")


class ItemProblem(Answer):
    """Why one customer of a batch has no result."""

    type: str = Field(description="Kind of error, for programs / 错误类型", examples=["unknown_customer"])
    title: str = Field(description="Kind of error, in words / 错误名称", examples=["The customer is not known"])
    detail: str = Field(description="What is wrong here and what to change / 错误说明与处理办法")
    field: str | None = Field(default=None, description="Path of the offending field / 出错字段")
    allowed: list[str] | None = Field(default=None, description="Values that would have been accepted / 可接受的取值")


class Envelope(Answer):
    """What every answer says about itself."""

    request_id: str = Field(description="Finds the answer in the prediction log; quote it when you ask for help")
    use_case: str = Field(description="Use case that answers", examples=["credit_risk"])
    release: str = Field(description="Release that decided", examples=["0003-202608-1a2b3c4d5e"])
    model_version: str = Field(description="Bundle in that release", examples=["202608-1a2b3c4d5e"])
    released_at: datetime = Field(description="When the release was made")
    decided_at: datetime = Field(description="When this was decided")
    currency: str = Field(description="ISO 4217 code of all amounts", examples=["CNY"])


def _answer_models(name: str, prediction: type[Answer], extra: Mapping[str, Any]) -> tuple[type[Answer], type[Answer]]:
    result_fields: dict[str, Any] = {
        "customer_id": (str | None, Field(description="As sent; null for inline features without id")),
        "decision_id": (
            str | None,
            Field(default=None, description="Names this decision in the prediction log; absent when there is an error"),
        ),
        "features_as_of_month": (
            date | None,
            Field(default=None, description="Month at whose end the features were known; null for inline features"),
        ),
        "prediction": (prediction | None, Field(default=None, description="Absent when this customer has an error")),
        **extra,
        "error": (ItemProblem | None, Field(default=None, description="Only in batches, instead of a prediction")),
    }
    result = create_model(f"{name}Result", __base__=Answer, __doc__="One customer.", **result_fields)
    single = create_model(
        f"{name}Answer",
        __base__=Envelope,
        __doc__="Answer for one customer.",
        result=(result, Field(description="The customer")),
    )
    batch = create_model(
        f"{name}BatchAnswer",
        __base__=Envelope,
        __doc__="Answer for many customers, in the order of the request.",
        results=(list[result], Field(description="One per customer, in the order of the request")),
    )
    return single, batch


SegmentationFeatures = feature_model("SegmentationFeatures", segmentation_schema.FEATURES, SEGMENTATION_EXAMPLE)
TariffMatchingFeatures = feature_model(
    "TariffMatchingFeatures", tariff_matching_schema.FEATURES, TARIFF_MATCHING_EXAMPLE
)
CreditRiskFeatures = feature_model("CreditRiskFeatures", credit_risk_schema.FEATURES, CREDIT_RISK_EXAMPLE)

SegmentationRequest = request_model("Segmentation", SegmentationFeatures, SEGMENTATION_EXAMPLE)
TariffMatchingRequest = request_model("TariffMatching", TariffMatchingFeatures, TARIFF_MATCHING_EXAMPLE)
CreditRiskRequest = request_model("CreditRisk", CreditRiskFeatures, CREDIT_RISK_EXAMPLE)

SegmentationAnswer, SegmentationBatchAnswer = _answer_models(
    "Segmentation",
    _prediction_model("SegmentationPrediction", segmentation_schema.PREDICTIONS),
    {
        "segment": (
            SegmentInWords | None,
            Field(default=None, description="The segment, what marks it and what to do for its members"),
        ),
        "runner_up": (
            NamedSegment | None,
            Field(default=None, description="The second nearest segment; null where there is none"),
        ),
        "missing": (
            str | None,
            Field(default=None, description="Why no segment can be said yet, in a sentence; null where one can"),
        ),
        "missing_zh": (str | None, Field(default=None, description="The same in Chinese / 暂无法判断的原因")),
    },
)
TariffMatchingAnswer, TariffMatchingBatchAnswer = _answer_models(
    "TariffMatching",
    _prediction_model("TariffMatchingPrediction", tariff_matching_schema.PREDICTIONS),
    {
        "reason": (str | None, Field(default=None, description="Why this is the advice")),
        "reason_zh": (str | None, Field(default=None, description="The same in Chinese / 中文说明")),
        "bill": (
            ExpectedBill | None,
            Field(default=None, description="The coming bill on today's offer; null where today's offer is not known"),
        ),
        "compared_tariff_id": (
            str | None,
            Field(
                default=None,
                description="The tariff that breakdown, break_evens and response compare with today's: the recommended "
                "one, or the best alternative where the advice is to stay",
            ),
        ),
        "breakdown": (
            list[ComponentChange] | None,
            Field(default=None, description="Past bill by component, now and as compared"),
        ),
        "break_evens": (
            list[BreakEvenLimit] | None,
            Field(default=None, description="What would make the better of the two offers a bad choice"),
        ),
        "response": (
            ResponseScenario | None,
            Field(default=None, description="Scenario in which the customer reacts to prices; not part of the advice"),
        ),
        "alternatives": (
            list[TariffAlternative] | None,
            Field(default=None, description="Every tariff that was compared, the cheapest expected bill first"),
        ),
        "observed_months_count": (
            int | None,
            Field(default=None, description="Past months whose load was read; 0 when the load is estimated"),
        ),
        "load_first_month": (
            date | None,
            Field(default=None, description="First of the past months behind the advice"),
        ),
        "load_last_month": (
            date | None,
            Field(default=None, description="Last of the past months behind the advice: how fresh the load is"),
        ),
        "not_priced": (
            list[NotPricedTariff] | None,
            Field(default=None, description="Tariffs that were not compared, each with the reason"),
        ),
    },
)
CreditRiskAnswer, CreditRiskBatchAnswer = _answer_models(
    "CreditRisk",
    _prediction_model("CreditRiskPrediction", credit_risk_schema.PREDICTIONS),
    {
        "rating_in_force": (
            Literal[credit_risk_schema.RATINGS] | None,
            Field(
                default=None,
                description="Rating that counts, also for the policy: it moves when two months in a row say so, and at "
                "once where a fact caps it / 现行信用等级",
            ),
        ),
        "in_force_since_month": (
            date | None,
            Field(default=None, description="Month since when it holds; null when rating_basis is row"),
        ),
        "moved_by": (
            Literal["first", "two_months", "veto"] | None,
            Field(default=None, description="What moved it in the last month; null where nothing did"),
        ),
        "rating_basis": (
            Literal["months", "row"] | None,
            Field(
                default=None,
                description="What the rating in force follows from: the months of the customer, or, for features sent "
                "inline, the rating of that row alone",
            ),
        ),
        "reasons": (
            list[Reason] | None,
            Field(default=None, description="Strongest first; empty when nothing raises the risk"),
        ),
        "dimensions": (
            list[DimensionPoints] | None,
            Field(default=None, description="What each group of columns does to the credit points"),
        ),
        "rating_veto": (
            str | None,
            Field(default=None, description="The fact that lowered the rating, in words; null where none did"),
        ),
        "rating_veto_zh": (str | None, Field(default=None, description="The same in Chinese / 中文说明")),
        "policy": (
            CreditPolicyOutcome | None,
            Field(default=None, description="What follows by the credit policy, why, until when, how to appeal"),
        ),
    },
)
