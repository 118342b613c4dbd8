"""Training of the credit-risk model: snapshots and outcomes in, a judged model out.

The same rows, configuration and seed give the same model, bit for bit. Nothing is tuned on the hold-out.
"""

from datetime import date

import numpy as np
import pandas as pd
import xgboost as xgb

from ml.bundle import DataWindow, TrainingResult, fingerprint_frames
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, names
from ml.credit_risk.baselines import baseline_scores
from ml.credit_risk.calibration import fit_calibrator
from ml.credit_risk.card import credit_model_card
from ml.credit_risk.config import BoosterConfig, CreditRiskConfig
from ml.credit_risk.evaluation import (
    KEY_METRIC,
    baseline_comparisons,
    overall_metrics,
    rating_table,
    reliability_table,
    slice_metrics,
)
from ml.credit_risk.features import MATRIX_NAMES, MONOTONE, Matrix, to_matrix
from ml.credit_risk.labels import LABEL, Cut, cut, label_array, labelled_rows
from ml.credit_risk.model import CreditRiskModel, ModelSettings
from ml.credit_risk.plots import effects_plot, ranking_plot, rating_plot, reliability_plot
from ml.credit_risk.schema import FEATURES, PREDICTIONS
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
    model = _fit(made, config, seed)

    holdout = made.parts["holdout"]
    labels = label_array(holdout)
    scores = model.score(to_matrix(holdout))
    probabilities = scores.probabilities
    others = baseline_scores(made.parts["train"], holdout)
    replicates = config.bootstrap_replicates
    metrics = overall_metrics(
        probabilities,
        holdout,
        replicates=replicates,
        seed=seed,
        development=model.score(to_matrix(made.parts["calibration"])).probabilities,
    )
    evaluation = Evaluation(
        use_case=USE_CASE,
        holdout_description=made.sentence(),
        key_metric=next(metric for metric in metrics if metric.name == KEY_METRIC),
        metrics=(*metrics, *slice_metrics(probabilities, holdout, replicates=replicates, seed=seed)),
        baselines=tuple(baseline_comparisons(probabilities, others, holdout, replicates=replicates, seed=seed)),
        sufficiency=sufficiency,
        tables=(
            rating_table(pd.Series(scores.ratings, dtype="object"), labels, probabilities),
            reliability_table(probabilities, labels),
        ),
        notes=_notes(made, model),
    )
    importances = _importances(scores.effects)
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
            "effects.png": effects_plot(scores.effects[shown], importances, holdout.iloc[shown]),
        },
        model_card=credit_model_card(labelled, made, config, model.settings.calibrator.method, importances),
        config=config,
        seed=seed,
        data_window=window,
        data_fingerprint=fingerprint,
        rows={part: len(rows) for part, rows in made.parts.items()},
    )


def _fit(made: Cut, config: CreditRiskConfig, seed: int) -> CreditRiskModel:
    training, calibration = made.parts["train"], made.parts["calibration"]
    matrix, labels = to_matrix(training), label_array(training)
    rounds = _choose_rounds(matrix, labels, training[CUSTOMER_KEY], config.booster, seed)
    booster = xgb.train(
        _parameters(config.booster, seed, labels), _data(matrix, labels, config.booster), num_boost_round=rounds
    )
    # What is saved and what is judged must be the same object, so the model goes through its files once.
    uncalibrated = xgb.Booster(params={"nthread": 1})
    uncalibrated.load_model(booster.save_raw("ubj"))
    margins = uncalibrated.predict(
        xgb.DMatrix(to_matrix(calibration), feature_names=list(MATRIX_NAMES), nthread=1), output_margin=True
    ).astype(np.float64)
    calibrator = fit_calibrator(
        margins,
        label_array(calibration),
        isotonic_minimum_events=config.isotonic_minimum_events,
        beta_minimum_events=config.beta_minimum_events,
    )
    settings = ModelSettings(
        matrix_names=MATRIX_NAMES,
        calibrator=calibrator,
        base_points=config.base_points,
        base_odds=config.base_odds,
        points_to_double_odds=config.points_to_double_odds,
        minimum_reason_effect=config.minimum_reason_effect,
    )
    return CreditRiskModel(uncalibrated, settings)


def _choose_rounds(matrix: Matrix, labels: FloatArray, customers: pd.Series, config: BoosterConfig, seed: int) -> int:
    """Return the number of trees by early stopping on folds of customers.

    Folds are by customer, because rows of one customer resemble each other: by row, the trees would be stopped far
    too late.
    """
    fold_names = {f"fold {fold}": 1 / config.folds for fold in range(config.folds)}
    fold_of_row = customer_parts(customers, fold_names, salt="credit_risk folds")
    best: list[int] = []
    for fold in fold_names:
        inside = fold_of_row != fold
        if len(np.unique(labels[~inside])) < 2 or len(np.unique(labels[inside])) < 2:
            continue
        booster = xgb.train(
            _parameters(config, seed, labels[inside]),
            _data(matrix[inside], labels[inside], config),
            num_boost_round=config.max_rounds,
            evals=[(_data(matrix[~inside], labels[~inside], config), "fold")],
            early_stopping_rounds=config.early_stopping_rounds,
            verbose_eval=False,
        )
        best.append(booster.best_iteration + 1)
    return max(1, round(float(np.mean(best)))) if best else config.early_stopping_rounds


def _parameters(config: BoosterConfig, seed: int, labels: FloatArray) -> dict[str, object]:
    return {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "max_depth": config.max_depth,
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
    elif made.time.calibration_shares_months:
        notes.append(
            "The history is too short for calibration months of their own: calibration uses other customers of the "
            "training months."
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
