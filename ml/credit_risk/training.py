"""Training of the credit-risk model: snapshots and outcomes in, a judged model out.

The same rows, configuration and seed give the same model, bit for bit. Nothing is tuned on the hold-out.

Two candidates are trained: a readable scorecard and boosted trees. The trees are taken when their
probabilities of held-out rows are better beyond doubt (`choose`); otherwise the one that a person can check by hand.

With enough history each is trained on all customers of the earlier months and judged on the later ones by
cross-fitting: for each fold of customers, a model of the same size is trained and calibrated on the other customers
and scores this fold's later snapshots. Defaults are rare (a hundred customers of two thousand), and this lets each of
them count once as evidence without ever being known to the model that judges it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

import numpy as np
import pandas as pd
import xgboost as xgb
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # publishes no type information

from ml.boosting import LocalTrainer, Trainer, TreeRows, choose_size, loaded, tree_parameters
from ml.bundle import DataWindow, TrainingResult, fingerprint_frames
from ml.calibration import Calibrator, fit_calibrator
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, names
from ml.credit_risk.baselines import baseline_scores
from ml.credit_risk.card import credit_model_card
from ml.credit_risk.config import BoosterConfig, Candidate, CreditRiskConfig
from ml.credit_risk.evaluation import (
    BASELINES,
    KEY_METRIC,
    Choice,
    Development,
    baseline_comparisons,
    candidate_table,
    choose,
    overall_metrics,
    rating_table,
    reliability_table,
    slice_metrics,
)
from ml.credit_risk.features import MATRIX_NAMES, MONOTONE, Matrix, telling_columns, to_matrix
from ml.credit_risk.labels import LABEL, SALT, Cut, cut, label_array, labelled_rows
from ml.credit_risk.model import CreditRiskModel, ModelSettings, ScoringRows
from ml.credit_risk.plots import effects_plot, ranking_plot, rating_plot, reliability_plot
from ml.credit_risk.proxies import proxy_table
from ml.credit_risk.rating import migration_tables
from ml.credit_risk.schema import FEATURES, PREDICTIONS
from ml.credit_risk.scorecard import ratings
from ml.credit_risk.scorecard_training import (
    ChosenRegressions,
    WoeRegression,
    bin_columns,
    choose_regressions,
    fit_regression,
    fit_scaling,
)
from ml.credit_risk.sufficiency import USE_CASE, check_sufficiency
from ml.credit_risk.usefulness import (
    decision_value_table,
    feature_stability_table,
    gains_table,
    top_tenth_metrics,
)
from ml.credit_risk.woe_scorecard import WoeScorecard, columns_of_frame
from ml.evaluation import Evaluation, FloatArray
from ml.splits import customer_parts, hash_shares, month_start

CONTEXT = ("district",)
EFFECT_ROWS = 2000
_Part = TypeVar("_Part")


def train(
    features: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    config: CreditRiskConfig | None = None,
    seed: int = 7,
    data_fingerprint: str | None = None,
    unusual_input: pd.DataFrame | None = None,
    trainer: Trainer | None = None,
) -> TrainingResult:
    """Train, calibrate and judge a model.

    Args:
        features: Rows of ``marts.customer_credit_features``.
        outcomes: Rows of ``marts.customer_credit_outcomes``.
        config: Settings of the training.
        seed: Seed of everything random.
        data_fingerprint: Identity of the training data; computed from the frames when absent.
        unusual_input: Rows of ``marts.credit_unusual_input``, for the report.
        trainer: Where the trees are grown; in this process when absent.

    Raises:
        InsufficientDataError: If the data cannot support a model; the message says what is missing.
    """
    config = config or CreditRiskConfig()
    sufficiency = check_sufficiency(features, outcomes, config, unusual_input=unusual_input)
    sufficiency.require()
    fingerprint = data_fingerprint or fingerprint_frames({"features": features, "outcomes": outcomes})
    labelled = labelled_rows(features, outcomes)
    made = cut(labelled.rows, config)
    # Small matrices: threads of the linear algebra only wait for each other, which doubles the time.
    with threadpool_limits(limits=1):
        fit = _fit_across_folds if made.time else _fit_apart
        fitted = fit(made, config, seed, trainer or LocalTrainer())

    holdout = made.parts["holdout"]
    labels = label_array(holdout)
    replicates = config.bootstrap_replicates
    choice = choose(fitted.probabilities, holdout, replicates=replicates, seed=seed)
    model, probabilities = fitted.models[choice.taken], fitted.probabilities[choice.taken]
    others: dict[str, FloatArray] = {
        name: scores for name, scores in fitted.probabilities.items() if name != choice.taken
    }
    others |= fitted.baseline_scores
    now = model.score(ScoringRows.of_frame(holdout))
    importances = _importances(now.effects)
    training = made.parts["train"]
    development = Development(training, model.score(ScoringRows.of_frame(training)).probabilities, now.probabilities)
    metrics = overall_metrics(
        probabilities,
        holdout,
        replicates=replicates,
        seed=seed,
        development=development.probabilities,
        current=development.current,
    )
    evaluation = Evaluation(
        use_case=USE_CASE,
        holdout_description=made.sentence(),
        key_metric=next(metric for metric in metrics if metric.name == KEY_METRIC),
        metrics=(
            *metrics,
            *top_tenth_metrics(probabilities, holdout, replicates=replicates, seed=seed),
            *slice_metrics(probabilities, holdout, replicates=replicates, seed=seed, development=development),
        ),
        baselines=tuple(baseline_comparisons(probabilities, others, holdout, replicates=replicates, seed=seed)),
        sufficiency=sufficiency,
        tables=(
            candidate_table(fitted.probabilities, choice, holdout, replicates=replicates, seed=seed),
            rating_table(pd.Series(ratings(probabilities), dtype="object"), labels, probabilities),
            reliability_table(probabilities, labels),
            decision_value_table(
                probabilities, holdout, config.action, currency=config.currency, replicates=replicates, seed=seed
            ),
            gains_table(probabilities, labels),
            feature_stability_table(training, holdout),
            proxy_table(training, importances, seed=seed),
            model.scorecard.table(),
            *migration_tables(model.rating_history(features)),
        ),
        notes=_notes(made, model, choice),
    )
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
        model_card=credit_model_card(labelled, made, config, model, importances),
        config=config,
        seed=seed,
        data_window=window,
        data_fingerprint=fingerprint,
        rows={part: len(rows) for part, rows in made.parts.items()},
    )


@dataclass(frozen=True, slots=True)
class _Fitted:
    """The candidates and what is needed to judge them.

    Attributes:
        models: The model to release, by candidate.
        probabilities: Of the hold-out rows, by candidates that knew nothing of the row's customer.
        baseline_scores: Of the hold-out rows, by baselines that knew nothing of the row's customer.
    """

    models: dict[Candidate, CreditRiskModel]
    probabilities: dict[Candidate, FloatArray]
    baseline_scores: dict[str, FloatArray]


def _fit_across_folds(made: Cut, config: CreditRiskConfig, seed: int, trainer: Trainer) -> _Fitted:
    """Train on all customers of the earlier months; calibrate and judge by folds of customers."""
    training, holdout = made.parts["train"], made.parts["holdout"]
    training_fold, holdout_fold = _folds(training[CUSTOMER_KEY], config), _folds(holdout[CUSTOMER_KEY], config)
    baselines = {name: np.empty(len(holdout)) for name in BASELINES}
    for fold in np.unique(holdout_fold):
        inside, own = training_fold != fold, holdout_fold == fold
        for name, scores in baseline_scores(training[inside], holdout[own]).items():
            baselines[name][own] = scores
    card, card_probabilities = _scorecard_across_folds(made, training_fold, holdout_fold, config)
    models: dict[Candidate, CreditRiskModel] = {"scorecard": _scorecard_model(card, config)}
    probabilities: dict[Candidate, FloatArray] = {"scorecard": card_probabilities}
    if "boosted_trees" in config.candidates:
        booster, calibrator, tree_probabilities = _trees_across_folds(
            made, training_fold, holdout_fold, config, seed, trainer
        )
        models["boosted_trees"] = _tree_model(booster, calibrator, card, config)
        probabilities["boosted_trees"] = tree_probabilities
    return _Fitted(_wanted(models, config), _wanted(probabilities, config), baselines)


def _scorecard_across_folds(
    made: Cut, training_fold: np.ndarray, holdout_fold: np.ndarray, config: CreditRiskConfig
) -> tuple[WoeScorecard, FloatArray]:
    training, holdout = made.parts["train"], made.parts["holdout"]
    labels = label_array(training)
    chosen, folds = _card_out_of_fold(training, labels, training_fold, config)
    margins = chosen.margins
    probabilities = np.empty(len(holdout))
    for fold, regression in zip(folds, chosen.regressions, strict=True):
        own, others = holdout_fold == fold, training_fold != fold
        if not own.any():
            continue
        card = regression.scorecard(
            fit_scaling(margins[others], labels[others]), columns_of_frame(training[others]), labels[others], config
        )
        probabilities[own] = card.probabilities(card.points(columns_of_frame(holdout[own])))
    final = _regression(training, labels, chosen, config)
    scaling = fit_scaling(margins, labels)
    return final.scorecard(scaling, columns_of_frame(training), labels, config), probabilities


def _card_out_of_fold(
    rows: pd.DataFrame, labels: FloatArray, fold_of_row: np.ndarray, config: CreditRiskConfig
) -> tuple[ChosenRegressions, list[str]]:
    """Return the best regressions out of fold, and the names of the folds that they do not know."""
    folds, places = np.unique(fold_of_row, return_inverse=True)
    of_fold = [places == place for place in range(len(folds))]
    chosen = choose_regressions(
        [bin_columns(rows[~own], labels[~own], config.scorecard) for own in of_fold],
        [columns_of_frame(rows[own]) for own in of_fold],
        labels,
        places,
        config.scorecard,
    )
    return chosen, folds.tolist()


def _regression(
    rows: pd.DataFrame, labels: FloatArray, chosen: ChosenRegressions, config: CreditRiskConfig
) -> WoeRegression:
    binned = bin_columns(rows, labels, config.scorecard).telling(chosen.information)
    return fit_regression(binned, labels, chosen.penalty)


def _trees_across_folds(
    made: Cut,
    training_fold: np.ndarray,
    holdout_fold: np.ndarray,
    config: CreditRiskConfig,
    seed: int,
    trainer: Trainer,
) -> tuple[xgb.Booster, Calibrator, FloatArray]:
    training, holdout = made.parts["train"], made.parts["holdout"]
    matrix, labels, later = to_matrix(training), label_array(training), to_matrix(holdout)
    chosen = _rows_to_choose_size(training[CUSTOMER_KEY], trainer)
    depth, rounds = _choose_size(matrix[chosen], labels[chosen], training_fold[chosen], config.booster, seed)
    margins, later_margins = np.empty(len(training)), np.empty(len(holdout))
    for fold in np.unique(training_fold):
        own, own_later = training_fold == fold, holdout_fold == fold
        booster = _grow(matrix[~own], labels[~own], config.booster, (depth, rounds), seed, trainer)
        margins[own], later_margins[own_later] = _margins(booster, matrix[own]), _margins(booster, later[own_later])
    probabilities = np.empty(len(holdout))
    for fold in np.unique(holdout_fold):
        others = training_fold != fold
        calibrator = _calibrate(margins[others], labels[others], config)
        probabilities[holdout_fold == fold] = calibrator.probabilities(later_margins[holdout_fold == fold])
    booster = _grow(matrix, labels, config.booster, (depth, rounds), seed, trainer)
    return booster, _calibrate(margins, labels, config), probabilities


def _fit_apart(made: Cut, config: CreditRiskConfig, seed: int, trainer: Trainer) -> _Fitted:
    """Train on some customers, calibrated by folds of them, and judge the others in the same months."""
    training, holdout = made.parts["train"], made.parts["holdout"]
    labels, fold_of_row = label_array(training), _folds(training[CUSTOMER_KEY], config)
    chosen, _ = _card_out_of_fold(training, labels, fold_of_row, config)
    regression = _regression(training, labels, chosen, config)
    scaling = fit_scaling(chosen.margins, labels)
    card = regression.scorecard(scaling, columns_of_frame(training), labels, config)
    models: dict[Candidate, CreditRiskModel] = {"scorecard": _scorecard_model(card, config)}
    if "boosted_trees" in config.candidates:
        matrix = to_matrix(training)
        few = _rows_to_choose_size(training[CUSTOMER_KEY], trainer)
        depth, rounds = _choose_size(matrix[few], labels[few], fold_of_row[few], config.booster, seed)
        margins = np.empty(len(training))
        for fold in np.unique(fold_of_row):
            own = fold_of_row == fold
            apart = _grow(matrix[~own], labels[~own], config.booster, (depth, rounds), seed, trainer)
            margins[own] = _margins(apart, matrix[own])
        booster = _grow(matrix, labels, config.booster, (depth, rounds), seed, trainer)
        models["boosted_trees"] = _tree_model(booster, _calibrate(margins, labels, config), card, config)
    models = _wanted(models, config)
    rows = ScoringRows.of_frame(holdout)
    return _Fitted(
        models=models,
        probabilities={name: model.score(rows).probabilities for name, model in models.items()},
        baseline_scores=baseline_scores(training, holdout),
    )


def _wanted(by_candidate: Mapping[Candidate, _Part], config: CreditRiskConfig) -> dict[Candidate, _Part]:
    """Return what belongs to the candidates of the settings; the scorecard is made in any case, as a companion."""
    return {name: part for name, part in by_candidate.items() if name in config.candidates}


def _folds(customers: pd.Series, config: CreditRiskConfig) -> np.ndarray:
    shares = {f"fold {fold}": 1 / config.folds for fold in range(config.folds)}
    return customer_parts(customers, shares, salt=f"{SALT} folds")


def _rows_to_choose_size(customers: pd.Series, trainer: Trainer) -> np.ndarray:
    """Return which rows decide on the size of the trees: all, or those of a sample of customers."""
    limit = trainer.rows_to_choose_size
    if limit is None or len(customers) <= limit:
        return np.ones(len(customers), dtype=bool)
    return hash_shares(customers, f"{SALT} size") < limit / len(customers)


def _choose_size(
    matrix: Matrix, labels: FloatArray, fold_of_row: np.ndarray, config: BoosterConfig, seed: int
) -> tuple[int, int]:
    data = _tree_rows(matrix, labels).data(config.threads)
    return choose_size(data, fold_of_row, config, seed, further=_own_parameters(config))


def _grow(
    matrix: Matrix, labels: FloatArray, config: BoosterConfig, size: tuple[int, int], seed: int, trainer: Trainer
) -> xgb.Booster:
    depth, rounds = size
    parameters = tree_parameters(config, depth, labels, seed, further=_own_parameters(config))
    return loaded(trainer.grow(_tree_rows(matrix, labels), parameters, rounds))


def _own_parameters(config: BoosterConfig) -> dict[str, object]:
    return {
        "monotone_constraints": "(" + ",".join(str(sign) for sign in MONOTONE) + ")",
        "nthread": config.threads,
    }


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


def _tree_model(
    booster: xgb.Booster, calibrator: Calibrator, card: WoeScorecard, config: CreditRiskConfig
) -> CreditRiskModel:
    return CreditRiskModel(_settings("boosted_trees", calibrator, config), card, booster)


def _scorecard_model(card: WoeScorecard, config: CreditRiskConfig) -> CreditRiskModel:
    return CreditRiskModel(_settings("scorecard", None, config), card)


def _settings(answers_by: Candidate, calibrator: Calibrator | None, config: CreditRiskConfig) -> ModelSettings:
    return ModelSettings(
        answers_by=answers_by,
        matrix_names=MATRIX_NAMES,
        calibrator=calibrator,
        base_points=config.base_points,
        base_odds=config.base_odds,
        points_to_double_odds=config.points_to_double_odds,
        minimum_reason_effect=config.minimum_reason_effect,
    )


def _tree_rows(matrix: Matrix, labels: FloatArray) -> TreeRows:
    return TreeRows(matrix, labels, MATRIX_NAMES, telling_columns(matrix))


def _importances(effects: np.ndarray) -> list[tuple[str, float]]:
    """Return each input's share of the mean absolute effect, largest first; ties keep schema order."""
    sizes = np.abs(effects).mean(axis=0, dtype=np.float64)
    total = sizes.sum() or 1.0
    order = np.argsort(-sizes, kind="stable")
    feature_names = names(FEATURES)
    return [(feature_names[position], float(sizes[position] / total)) for position in order]


def _notes(made: Cut, model: CreditRiskModel, choice: Choice) -> tuple[str, ...]:
    calibrator = model.settings.calibrator
    calibration = (
        f"Calibration: the points are scaled on {model.scorecard.rows:,} snapshots with {model.scorecard.defaults:,} "
        "defaults, each by a model that did not know the customer."
        if calibrator is None and made.time
        else "Calibration: the points are scaled on the calibration rows."
        if calibrator is None
        else f"Calibration: {calibrator.method}, on {calibrator.rows:,} snapshots with {calibrator.events:,} defaults."
    )
    notes = [
        choice.sentence,
        calibration,
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
