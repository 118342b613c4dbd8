"""From the customers that a request names to answers: features, model, policy, log. No HTTP in here.

A request takes one reference to a released model and keeps it to the end. A customer who cannot be scored gets an
`ApiError` as outcome, which harms no other customer of a batch.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from ml.errors import KilowiseError
from serving import metrics, schemas
from serving.errors import ApiError
from serving.identity import customer_key
from serving.prediction_log import CHALLENGER, CHAMPION, FROM_RAW, FROM_REQUEST, FROM_SNAPSHOT, LoggedPrediction
from serving.raw_landing import RefusedRowError
from serving.raw_schemas import MOST_RAW_CUSTOMERS, RawCustomer
from serving.released_model import RawDataUnavailableError, ReleasedModel, ScoringInput, ScoringResult
from serving.runtime import Runtime
from serving.trial_traffic import CHALLENGER_ERRORS, ActiveTrial, ShadowTask
from serving.use_cases import POLICY_VERSION, context_columns

CREDIT_RISK = "credit_risk"


@dataclass(frozen=True, slots=True)
class RequestedCustomer:
    """One customer as a request names it."""

    customer_id: str | None
    features: dict[str, Any] | None
    raw: RawCustomer | None = None

    @property
    def features_from(self) -> str:
        """Where the features come from, in the words of the log."""
        if self.raw is not None:
            return FROM_RAW
        return FROM_SNAPSHOT if self.features is None else FROM_REQUEST


@dataclass(frozen=True, slots=True)
class Decision:
    """One customer who was scored.

    Attributes:
        decision_id: Under which the answer and the prediction log know the decision; unique.
        item: What was scored.
        result: What the model says, and what follows.
    """

    decision_id: str
    item: ScoringInput
    result: ScoringResult


Outcome = Decision | ApiError


def requested_customers(body: schemas.CustomerRequest, *, largest_batch: int) -> tuple[list[RequestedCustomer], bool]:
    """Return the customers that a body names and whether it is a batch.

    Raises:
        ApiError: The batch is larger than this server accepts.
    """
    features: schemas.StrictModel | None = getattr(body, "features", None)
    items: list[Any] | None = getattr(body, "items", None)
    if body.raw is not None:
        return [RequestedCustomer(body.raw.customer.customer_id, None, body.raw)], False
    if body.customer_id is not None:
        return [RequestedCustomer(body.customer_id, None)], False
    if features is not None:
        return [RequestedCustomer(None, features.model_dump())], False
    field, batch = ("customer_ids", body.customer_ids) if body.customer_ids is not None else ("items", items)
    if batch is None:
        raise ApiError(422, "invalid_request", "send exactly one of customer_id, customer_ids, features, raw, items")
    if len(batch) > largest_batch:
        raise ApiError(
            422, "invalid_request", f"{field} has {len(batch)} entries; send at most {largest_batch}", field=field
        )
    if field == "customer_ids":
        return [RequestedCustomer(customer_id, None) for customer_id in body.customer_ids or []], True
    raw_count = sum(item.raw is not None for item in items or [])
    if raw_count > MOST_RAW_CUSTOMERS:
        raise ApiError(
            422,
            "invalid_request",
            f"items has {raw_count} entries with raw data; send at most {MOST_RAW_CUSTOMERS}, or lines of NDJSON",
            field="items",
        )
    return [requested_item(item) for item in items or []], True


def requested_item(item: schemas.RequestItem) -> RequestedCustomer:
    """Return the customer that one item of a batch names."""
    features: schemas.StrictModel | None = getattr(item, "features", None)
    if item.raw is not None:
        return RequestedCustomer(item.customer_id or item.raw.customer.customer_id, None, item.raw)
    return RequestedCustomer(item.customer_id, None if features is None else features.model_dump())


def score_one(
    model: ReleasedModel,
    customer: RequestedCustomer,
    runtime: Runtime,
    request_id: str,
    *,
    is_pinned: bool = False,
) -> dict[str, Any]:
    """Return the answer for one customer and log it.

    Args:
        model: Answers, unless the customer is in the share of a challenger that is tried.
        customer: The customer.
        runtime: The running API.
        request_id: Of the request.
        is_pinned: Whether the caller asked for this release by name.

    Raises:
        ApiError: The customer is unknown or cannot be scored.
    """
    decided_at = datetime.now(UTC)
    active = runtime.trials.of(model)
    if active is not None and not is_pinned and active.trial.mode == "share":
        key = None if customer.customer_id is None else customer_key(customer.customer_id, runtime.pseudonym_key)
        if active.answers(key):
            return _answer_of_challenger(active, model, customer, runtime, request_id, decided_at)
        return _answer_one(model, customer, runtime, request_id, decided_at, arm=None if key is None else CHAMPION)
    return _answer_one(model, customer, runtime, request_id, decided_at)


def _answer_of_challenger(
    active: ActiveTrial,
    champion: ReleasedModel,
    customer: RequestedCustomer,
    runtime: Runtime,
    request_id: str,
    decided_at: datetime,
) -> dict[str, Any]:
    """Return the challenger's answer, or the champion's where the challenger has none."""
    try:
        return _answer_one(active.model, customer, runtime, request_id, decided_at, arm=CHALLENGER)
    except (ApiError, *CHALLENGER_ERRORS) as error:
        reason = f"{type(error).__name__}: {error.detail if isinstance(error, ApiError) else error}"
    answer = _answer_one(champion, customer, runtime, request_id, decided_at)
    # Only now: a customer whom nobody knows is no fault of the challenger.
    asked = (answer["result"]["decision_id"], ScoringInput({}))
    runtime.trials.failed(ShadowTask(active, request_id, decided_at, [asked], reason))
    return answer


def _answer_one(
    model: ReleasedModel,
    customer: RequestedCustomer,
    runtime: Runtime,
    request_id: str,
    decided_at: datetime,
    *,
    arm: str | None = None,
) -> dict[str, Any]:
    outcome = _score(model, [customer], runtime, request_id, decided_at, arm=arm)[0]
    if isinstance(outcome, ApiError):
        raise outcome
    return {**_envelope(model, runtime, request_id, decided_at), "result": _result(customer, outcome)}


def score_many(
    model: ReleasedModel, customers: Sequence[RequestedCustomer], runtime: Runtime, request_id: str
) -> dict[str, Any]:
    """Return the answer for a batch and log it; a customer that cannot be scored does not harm the others."""
    decided_at = datetime.now(UTC)
    outcomes = _score(model, customers, runtime, request_id, decided_at)
    results = [_result(customer, outcome) for customer, outcome in zip(customers, outcomes, strict=True)]
    return {**_envelope(model, runtime, request_id, decided_at), "results": results}


def without_customer_ids(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that names no customer."""
    return _with_ids(answer, [None] * len(_results(answer)))


def with_customer_ids(answer: dict[str, Any], customers: Sequence[RequestedCustomer]) -> dict[str, Any]:
    """Return an answer of `without_customer_ids` for the customers that were asked for, in their order."""
    return _with_ids(answer, [customer.customer_id for customer in customers])


def _results(answer: dict[str, Any]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = answer["results"] if "results" in answer else [answer["result"]]
    return results


def _with_ids(answer: dict[str, Any], customer_ids: Sequence[str | None]) -> dict[str, Any]:
    results = [
        {**result, "customer_id": customer_id}
        for result, customer_id in zip(_results(answer), customer_ids, strict=True)
    ]
    return {**answer, "results": results} if "results" in answer else {**answer, "result": results[0]}


def _score(
    model: ReleasedModel,
    customers: Sequence[RequestedCustomer],
    runtime: Runtime,
    request_id: str,
    decided_at: datetime,
    *,
    arm: str | None = None,
) -> list[Outcome]:
    keys = [
        None if customer.customer_id is None else customer_key(customer.customer_id, runtime.pseudonym_key)
        for customer in customers
    ]
    inputs = _inputs(model, customers, keys, decided_at)
    known_inputs = [item for item in inputs if not isinstance(item, ApiError)]
    started_at = perf_counter()
    results = iter(_predict_each(model, known_inputs))
    scoring_ms = (perf_counter() - started_at) * 1000 / max(len(known_inputs), 1)
    outcomes: list[Outcome] = []
    for item in inputs:
        if isinstance(item, ApiError):
            outcomes.append(item)
            continue
        found = next(results)
        outcomes.append(found if isinstance(found, ApiError) else Decision(secrets.token_hex(16), item, found))
    identity = model.identity
    if identity.use_case == CREDIT_RISK:
        outcomes = _with_policy(outcomes, runtime, decided_at)
    active = runtime.trials.of(model)
    if active is not None and active.trial.mode == "shadow":
        decided = [(one.decision_id, one.item) for one in outcomes if not isinstance(one, ApiError)]
        arm = runtime.trials.shadow(ShadowTask(active, request_id, decided_at, decided)) if decided else None
    rows: list[LoggedPrediction] = []
    for customer, outcome in zip(customers, outcomes, strict=True):
        if isinstance(outcome, ApiError):
            continue
        item, result = outcome.item, outcome.result
        rows.append(
            LoggedPrediction(
                request_id=request_id,
                decision_id=outcome.decision_id,
                decided_at=decided_at,
                use_case=identity.use_case,
                release=identity.release,
                model_version=identity.model_version,
                customer_key=item.customer_key,
                as_of_month=item.as_of_month,
                district=item.district,
                features=item.features,
                prediction=result.prediction,
                context=_logged_context(result, identity.use_case),
                scoring_ms=scoring_ms,
                arm=arm,
                tables=item.tables,
                features_from=customer.features_from,
                raw=runtime.raw_keeper.keep(customer.raw) if customer.raw and runtime.log else None,
            )
        )
    metrics.PREDICTIONS.labels(identity.use_case, identity.release).inc(len(rows))
    if runtime.log is not None:
        runtime.log.record(rows)
    return outcomes


def _inputs(
    model: ReleasedModel, customers: Sequence[RequestedCustomer], keys: Sequence[str | None], decided_at: datetime
) -> list[ScoringInput | ApiError]:
    """Return the features of each customer: of the snapshot, as sent, or made of raw rows."""
    by_id = [
        key
        for key, customer in zip(keys, customers, strict=True)
        if key and customer.features is None and customer.raw is None
    ]
    known = model.many_from_snapshot(by_id)
    inputs: list[ScoringInput | ApiError] = []
    for key, customer in zip(keys, customers, strict=True):
        if customer.raw is not None:
            inputs.append(_from_raw(model, customer.raw, key, decided_at))
        elif customer.features is not None:
            inputs.append(ScoringInput(customer.features, customer_key=key))
        else:
            inputs.append(known.get(key or "") or _unknown_customer(model))
    return inputs


def _from_raw(model: ReleasedModel, raw: RawCustomer, key: str | None, decided_at: datetime) -> ScoringInput | ApiError:
    try:
        return model.from_raw(raw, customer_key=key, now=decided_at)
    except RawDataUnavailableError as error:
        return ApiError(409, "raw_data_unavailable", str(error), field="raw")
    except RefusedRowError as error:
        return ApiError(422, "invalid_request", f"raw.{error}", field=f"raw.{error.field}")
    except KilowiseError as error:
        return ApiError(422, "cannot_score", str(error), field="raw")


def _logged_context(result: ScoringResult, use_case: str) -> dict[str, Any]:
    context = {name: result.details[name] for name in context_columns(use_case)}
    if use_case == CREDIT_RISK:
        context[POLICY_VERSION] = result.details["policy"].policy_version
    return context


def _with_policy(outcomes: Sequence[Outcome], runtime: Runtime, decided_at: datetime) -> list[Outcome]:
    """Add what follows by the policy to the credit scores."""
    scored = [(outcome.item, outcome.result) for outcome in outcomes if not isinstance(outcome, ApiError)]
    policies = iter(runtime.policy_desk.outcomes(scored, decided_at))
    return [
        outcome if isinstance(outcome, ApiError) else _with_detail(outcome, "policy", next(policies))
        for outcome in outcomes
    ]


def _with_detail(decision: Decision, name: str, value: Any) -> Decision:
    result = ScoringResult(decision.result.prediction, {**decision.result.details, name: value})
    return Decision(decision.decision_id, decision.item, result)


def _predict_each(model: ReleasedModel, inputs: Sequence[ScoringInput]) -> list[ScoringResult | ApiError]:
    """Score customers; when the batch fails, one at a time, so that only those at fault get an error."""
    if not inputs:
        return []
    try:
        return list(model.predict(inputs))
    except KilowiseError as error:
        if len(inputs) == 1:
            return [ApiError(422, "cannot_score", str(error))]
    return [outcome for item in inputs for outcome in _predict_each(model, [item])]


def _unknown_customer(model: ReleasedModel) -> ApiError:
    return ApiError(
        404,
        "unknown_customer",
        f"release {model.identity.release} of {model.identity.use_case} holds no customer with this id; check the id, "
        "or send the customer's features instead",
        field="customer_id",
    )


def _envelope(model: ReleasedModel, runtime: Runtime, request_id: str, decided_at: datetime) -> dict[str, Any]:
    identity = model.identity
    return {
        "request_id": request_id,
        "use_case": identity.use_case,
        "release": identity.release,
        "model_version": identity.model_version,
        "released_at": identity.released_at,
        "decided_at": decided_at,
        "currency": runtime.settings.currency,
    }


def _result(customer: RequestedCustomer, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, ApiError):
        return {
            "customer_id": customer.customer_id,
            "error": outcome.problem(),
        }
    return {
        "customer_id": customer.customer_id,
        "decision_id": outcome.decision_id,
        "features_as_of_month": outcome.item.as_of_month,
        "prediction": outcome.result.prediction,
        **outcome.result.details,
    }
