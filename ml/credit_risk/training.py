"""Training of the credit-risk model: snapshots and outcomes in, a judged model out.

The same rows, configuration and seed give the same model, bit for bit. Nothing is tuned on the hold-out.

With enough history the model is trained on all customers of the earlier months and judged on the later ones by
cross-fitting: for each fold of customers, a model of the same size is trained and calibrated on the other customers
and scores this fold's later snapshots. Defaults are rare (a hundred customers of two thousand), and this lets each of
them count once as evidence without ever being known to the model that judges it.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import xgboost as xgb

from ml.bundle import DataWindow, TrainingResult, fingerprint_frames
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, names
from ml.credit_risk.baselines import baseline_scores
from ml.credit_risk.calibration import Calibrator, fit_calibrator
from ml.credit_risk.card import credit_model_card
from ml.credit_risk.config import BoosterConfig, CreditRiskConfig
from ml.credit_risk.evaluation import (
    BASELINES,
    KEY_METRIC,
    baseline_comparisons,
    overall_metrics,
    rating_table,
    reliability_table,
    slice_metrics,
)
from ml.credit_risk.features import MATRIX_NAMES, MONOTONE, Matrix, to_matrix
from ml.credit_risk.labels import LABEL, SALT, Cut, cut, label_array, labelled_rows
from ml.credit_risk.model import CreditRiskModel, ModelSettings
from ml.credit_risk.plots import effects_plot, ranking_plot, rating_plot, reliability_plot
from ml.credit_risk.schema import FEATURES, PREDICTIONS
from ml.credit_risk.scorecard import ratings
from ml.credit_risk.sufficiency import USE_CASE, check_sufficiency
from ml.evaluation import Evaluation, FloatArray
from ml.splits import customer_parts, month_start

CONTEXT = ("district",)
EFFECT_ROWS = 2000


def train(
    features: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    config: CreditRiskConfig | None = None,
    seed: int = 7,
    data_fingerprint: str | None = None,
) -> TrainingResult:
    """Train, calibrate and judge a model.

    Args:
        features: Rows of ``marts.customer_credit_features``.
        outcomes: Rows of ``marts.customer_credit_outcomes``.
        config: Settings of the training.
        seed: Seed of everything random.
        data_fingerprint: Identity of the training data; computed from the frames when absent.

    Raises:
        InsufficientDataError: If the data cannot support a model; the message says what is missing.
    """
    config = config or CreditRiskConfig()
    sufficiency = check_sufficiency(features, outcomes, config)
    sufficiency.require()
    fingerprint = data_fingerprint or fingerprint_frames({"features": features, "outcomes": outcomes})
    labelled = labelled_rows(features, outcomes)
    made = cut(labelled.rows, config)
    fitted = _fit_across_folds(made, config, seed) if made.time else _fit_apart(made, config, seed)
    model, probabilities, others = fitted.model, fitted.probabilities, fitted.baseline_scores

    holdout = made.parts["holdout"]
    labels = label_array(holdout)
    now = model.score(to_matrix(holdout))
    replicates = config.bootstrap_replicates
    metrics = overall_metrics(
        probabilities,
        holdout,
        replicates=replicates,
        seed=seed,
        development=model.score(to_matrix(made.parts.get("calibration", made.parts["train"]))).probabilities,
        current=now.probabilities,
    )
    evaluation = Evaluation(
        use_case=USE_CASE,
        holdout_description=made.sentence(),
        key_metric=next(metric for metric in metrics if metric.name == KEY_METRIC),
        metrics=(*metrics, *slice_metrics(probabilities, holdout, replicates=replicates, seed=seed)),
        baselines=tuple(baseline_comparisons(probabilities, others, holdout, replicates=replicates, seed=seed)),
        sufficiency=sufficiency,
        tables=(
            rating_table(pd.Series(ratings(probabilities), dtype="object"), labels, probabilities),
            reliability_table(probabilities, labels),
        ),
        notes=_notes(made, model),
    )
    importances = _importances(now.effects)
    shown = _sample(len(holdout), EFFECT_ROWS, seed)
    window = DataWindow(first_month=labelled.months[0], last_month=labelled.months[-1])
    return TrainingResult(
        use_case=USE_CASE,
        model=model,
        evaluation=evaluation,
        reference=_reference(model, features, labelled.rows, window, config, seed),
        holdout=_kept(holdout),
        plots={
            "ranking.png": ranking_plot(probabilities, others, labels),
            "reliability.png": reliability_plot(evaluation, probabilities),
            "ratings.png": rating_plot(evaluation),
            "effects.png": effects_plot(now.effects[shown], importances, holdout.iloc[shown]),
        },
        model_card=credit_model_card(labelled, made, config, model.settings.calibrator, importances),
        config=config,
        seed=seed,
        data_window=window,
        data_fingerprint=fingerprint,
        rows={part: len(rows) for part, rows in made.parts.items()},
    )


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A model and what is needed to judge it.

    Attributes:
        model: The model to release.
        probabilities: Of the hold-out rows, by a model that knew nothing of the row's customer.
        baseline_scores: Of the hold-out rows, by baselines that knew nothing of the row's customer.
    """

    model: CreditRiskModel
    probabilities: FloatArray
    baseline_scores: dict[str, FloatArray]


def _fit_across_folds(made: Cut, config: CreditRiskConfig, seed: int) -> _Fitted:
    """Train on all customers of the earlier months; calibrate and judge by folds of customers."""
    training, holdout = made.parts["train"], made.parts["holdout"]
    matrix, labels, later = to_matrix(training), label_array(training), to_matrix(holdout)
    training_fold, holdout_fold = _folds(training[CUSTOMER_KEY], config), _folds(holdout[CUSTOMER_KEY], config)
    depth, rounds = _choose_size(matrix, labels, training_fold, config.booster, seed)
    margins, later_margins = np.empty(len(training)), np.empty(len(holdout))
    baselines = {name: np.empty(len(holdout)) for name in BASELINES}
    for fold in np.unique(training_fold):
        inside, own, own_later = training_fold != fold, training_fold == fold, holdout_fold == fold
        booster = _grow(matrix[inside], labels[inside], config.booster, depth, rounds, seed)
        margins[own], later_margins[own_later] = _margins(booster, matrix[own]), _margins(booster, later[own_later])
        if own_later.any():
            for name, scores in baseline_scores(training[inside], holdout[own_later]).items():
                baselines[name][own_later] = scores
    probabilities = np.empty(len(holdout))
    for fold in np.unique(holdout_fold):
        others = training_fold != fold
        calibrator = _calibrate(margins[others], labels[others], config)
        probabilities[holdout_fold == fold] = calibrator.probabilities(later_margins[holdout_fold == fold])
    booster = _grow(matrix, labels, config.booster, depth, rounds, seed)
    return _Fitted(
        model=_model(booster, _calibrate(margins, labels, config), config),
        probabilities=probabilities,
        baseline_scores=baselines,
    )


def _fit_apart(made: Cut, config: CreditRiskConfig, seed: int) -> _Fitted:
    """Train, calibrate and judge on different customers of the same months."""
    training, calibration, holdout = (made.parts[part] for part in ("train", "calibration", "holdout"))
    matrix, labels = to_matrix(training), label_array(training)
    depth, rounds = _choose_size(matrix, labels, _folds(training[CUSTOMER_KEY], config), config.booster, seed)
    booster = _grow(matrix, labels, config.booster, depth, rounds, seed)
    calibrator = _calibrate(_margins(booster, to_matrix(calibration)), label_array(calibration), config)
    model = _model(booster, calibrator, config)
    return _Fitted(
        model=model,
        probabilities=model.score(to_matrix(holdout)).probabilities,
        baseline_scores=baseline_scores(training, holdout),
    )


def _folds(customers: pd.Series, config: CreditRiskConfig) -> np.ndarray:
    shares = {f"fold {fold}": 1 / config.folds for fold in range(config.folds)}
    return customer_parts(customers, shares, salt=f"{SALT} folds")


def _grow(matrix: Matrix, labels: FloatArray, config: BoosterConfig, depth: int, rounds: int, seed: int) -> xgb.Booster:
    parameters = _parameters(config, depth, seed, labels)
    trained = xgb.train(parameters, _data(matrix, labels, config), num_boost_round=rounds)
    # What is saved, judged and served must be the same object, so the trees go through their file once.
    booster = xgb.Booster(params={"nthread": 1})
    booster.load_model(trained.save_raw("ubj"))
    return booster


def _margins(booster: xgb.Booster, matrix: Matrix) -> FloatArray:
    if not len(matrix):
        return np.empty(0)
    data = xgb.DMatrix(matrix, feature_names=list(MATRIX_NAMES), nthread=1)
    return np.asarray(booster.predict(data, output_margin=True), dtype=np.float64)


def _calibrate(margins: FloatArray, labels: FloatArray, config: CreditRiskConfig) -> Calibrator:
    return fit_calibrator(
        margins,
        labels,
        isotonic_minimum_events=config.isotonic_minimum_events,
        beta_minimum_events=config.beta_minimum_events,
    )


def _model(booster: xgb.Booster, calibrator: Calibrator, config: CreditRiskConfig) -> CreditRiskModel:
    settings = ModelSettings(
        matrix_names=MATRIX_NAMES,
        calibrator=calibrator,
        base_points=config.base_points,
        base_odds=config.base_odds,
        points_to_double_odds=config.points_to_double_odds,
        minimum_reason_effect=config.minimum_reason_effect,
    )
    return CreditRiskModel(booster, settings)


def _choose_size(
    matrix: Matrix, labels: FloatArray, fold_of_row: np.ndarray, config: BoosterConfig, seed: int
) -> tuple[int, int]:
    """Return depth and number of trees with the smallest mean loss over folds of customers.

    Folds are by customer, because rows of one customer resemble each other: by row, the trees would grow far too
    many. Early stopping looks at the mean of the folds, because a single fold of few defaults stops by chance.
    """
    folds = [
        (np.flatnonzero(fold_of_row != fold), np.flatnonzero(fold_of_row == fold)) for fold in np.unique(fold_of_row)
    ]
    data = _data(matrix, labels, config)
    best: list[tuple[float, int, int]] = []
    for depth in config.depths:
        losses = xgb.cv(
            _parameters(config, depth, seed, labels),
            data,
            num_boost_round=config.max_rounds,
            folds=folds,
            early_stopping_rounds=config.early_stopping_rounds,
            as_pandas=False,
            seed=seed,
        )["test-logloss-mean"]
        rounds = int(np.argmin(losses)) + 1
        best.append((losses[rounds - 1], depth, rounds))
    _, depth, rounds = min(best)
    return depth, rounds


def _parameters(config: BoosterConfig, depth: int, seed: int, labels: FloatArray) -> dict[str, object]:
    return {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "max_depth": depth,
        "learning_rate": config.learning_rate,
        "min_child_weight": config.min_child_weight,
        "subsample": config.subsample,
        "colsample_bytree": config.colsample_bytree,
        "reg_lambda": config.reg_lambda,
        "monotone_constraints": "(" + ",".join(str(sign) for sign in MONOTONE) + ")",
        "base_score": float(np.clip(labels.mean(), 1e-4, 1 - 1e-4)),
        "nthread": config.threads,
        "seed": seed,
        "verbosity": 1,
    }


def _data(matrix: Matrix, labels: FloatArray, config: BoosterConfig) -> xgb.DMatrix:
    return xgb.DMatrix(matrix, label=labels, feature_names=list(MATRIX_NAMES), nthread=config.threads)


def _importances(effects: np.ndarray) -> list[tuple[str, float]]:
    """Return each input's share of the mean absolute effect, largest first; ties keep schema order."""
    sizes = np.abs(effects).mean(axis=0, dtype=np.float64)
    total = sizes.sum() or 1.0
    order = np.argsort(-sizes, kind="stable")
    feature_names = names(FEATURES)
    return [(feature_names[position], float(sizes[position] / total)) for position in order]


def _notes(made: Cut, model: CreditRiskModel) -> tuple[str, ...]:
    calibrator = model.settings.calibrator
    notes = [
        f"Calibration: {calibrator.method}, on {calibrator.rows:,} snapshots with {calibrator.events:,} defaults.",
        "Intervals are 95 % bootstrap intervals over customers, since snapshots of one customer repeat each other.",
    ]
    if made.time is None:
        notes.insert(0, f"Judged on unseen customers, not on a later time. {made.why_not_time}")
    else:
        notes.append(
            "Figures are of models of the same size that were trained and calibrated without the customer whom they "
            "judge; the released model is trained on all customers of the same months."
        )
    return tuple(notes)


def _reference(
    model: CreditRiskModel,
    features: pd.DataFrame,
    labelled: pd.DataFrame,
    window: DataWindow,
    config: CreditRiskConfig,
    seed: int,
) -> pd.DataFrame:
    """Return a seeded sample of the data window, whether its outcome is known or not, with predictions."""
    months: list[date] = [month_start(month) for month in features[AS_OF_MONTH]]
    inside = np.array([window.first_month <= month <= window.last_month for month in months], dtype=bool)
    rows = features.assign(**{AS_OF_MONTH: months}).loc[inside]
    rows = rows.sort_values([CUSTOMER_KEY, AS_OF_MONTH], kind="stable", ignore_index=True)
    rows = rows.iloc[_sample(len(rows), config.reference_rows, seed)].reset_index(drop=True)
    kept = [CUSTOMER_KEY, AS_OF_MONTH, *[name for name in CONTEXT if name in rows.columns], *names(FEATURES)]
    predictions = model.predict(rows)[names(PREDICTIONS)]
    known = rows[[CUSTOMER_KEY, AS_OF_MONTH]].merge(
        labelled[[CUSTOMER_KEY, AS_OF_MONTH, LABEL]], on=[CUSTOMER_KEY, AS_OF_MONTH], how="left"
    )
    return pd.concat([rows[kept], predictions, known[[LABEL]].astype("boolean")], axis=1)


def _kept(holdout: pd.DataFrame) -> pd.DataFrame:
    context = [name for name in CONTEXT if name in holdout.columns]
    return holdout[[CUSTOMER_KEY, AS_OF_MONTH, *context, *names(FEATURES), LABEL]]


def _sample(rows: int, wanted: int, seed: int) -> np.ndarray:
    """Return the sorted positions of a seeded sample."""
    if rows <= wanted:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, wanted, replace=False))
