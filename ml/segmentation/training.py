"""Training of the segmentation: find, judge on a later window, find again on the latest, name, and describe."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ml.bundle import DataWindow, TrainingResult, fingerprint_frames
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, names
from ml.evaluation import Evaluation, EvaluationTable, Metric
from ml.segmentation import evaluation as judging
from ml.segmentation import plots
from ml.segmentation.card import MODEL_CARD, advice_tables
from ml.segmentation.clustering import Solution, choose_segments, distances_to_centres
from ml.segmentation.confidence import confidence_table
from ml.segmentation.config import SegmentationConfig
from ml.segmentation.features import (
    DAILY_GROUPS,
    GROUP_NAMES,
    GROUPS,
    FloatArray,
    as_of_months,
    distinct_rows,
    group_of,
    has_usable_shape,
    prepare_features,
    rows_as_of,
    shape_matrix,
    space_of,
)
from ml.segmentation.life_cycle import moves_table, transition_table
from ml.segmentation.model import (
    UNUSED_NUMBER,
    Segment,
    SegmentationModel,
    shapeless_segments,
)
from ml.segmentation.naming import PROFILE_COLUMNS, label_segments
from ml.segmentation.predecessor import Predecessor, last_used_numbers
from ml.segmentation.profiles import profile_table, tariff_table
from ml.segmentation.propensity_training import summary_table, train_propensities
from ml.segmentation.schema import FEATURES
from ml.segmentation.succession import inherited_ids, succession_metrics, succession_table, trace
from ml.segmentation.sufficiency import check_sufficiency, judged_months, months_between, segmented_groups
from ml.segmentation.value_tiers import tier_table, value_thresholds
from ml.splits import hash_shares, month_start
from ml.sufficiency import SufficiencyReport

USE_CASE = "segmentation"
BILLS_PER_CLASS_MIN_COUNT = 10
WINDOW_MONTHS = 12
BUSINESS_COLUMNS = ["billed_amount_per_kwh", "peak_contribution"]
"""What segments should differ in to be of use: see ``clustering.business_spread``."""


def train(
    features: pd.DataFrame,
    outcomes: pd.DataFrame | None = None,
    *,
    config: SegmentationConfig | None = None,
    seed: int = 7,
    data_fingerprint: str | None = None,
    previous_model: SegmentationModel | None = None,
    previous_segments: pd.DataFrame | None = None,
    used_numbers: Mapping[str, int] | None = None,
    tariffs: pd.DataFrame | None = None,
) -> TrainingResult:
    """Train a segmentation.

    Args:
        features: Rows of ``customer_segmentation_features`` for all as-of months.
        outcomes: Rows of ``customer_segmentation_outcomes``, from which leaving and joining a programme are learned;
            without them the segments have no such probabilities.
        config: Settings.
        seed: Seed of every random choice; same data and seed give the same bundle.
        data_fingerprint: Hash of the training data; computed from the rows when absent.
        previous_model: The released model, whose identifiers and names continue where the segments do.
        previous_segments: The customers with the segment that an earlier release gave them (customer_key, segment_id,
            segment_name, segment_name_zh), from which identifiers continue where there is no model to ask: after an
            upgrade that changed the load shape, or an erasure. Not looked at beside a model.
        used_numbers: Highest number by group that any release ever used; no new segment gets one up to it.
        tariffs: Rows of ``customer_tariff_features`` (customer_key, as_of_month, tariff_id), from which the card tells
            the tariffs of each segment; without them it says that it does not know.

    Raises:
        InsufficientDataError: The data does not suffice; the message says what is missing.
        SchemaMismatchError: A column is missing or wrong, or a customer has two different rows for one month.
    """
    config = config or SegmentationConfig()
    sufficiency = check_sufficiency(features, config)
    sufficiency.require()
    prepared = prepare_features(distinct_rows(features)).sort_values([CUSTOMER_KEY, AS_OF_MONTH], kind="stable")
    months = judged_months(prepared, config)
    # A sufficient table has two windows; this tells the type checker.
    assert months is not None  # noqa: S101
    earlier, later = (rows_as_of(prepared, month) for month in months)

    predecessor = Predecessor.of(later, previous_model, previous_segments)
    solutions = _solutions(later, config, seed, predecessor)
    judged_solutions = _as_many_segments(solutions, earlier, config, seed)
    judged_centres = {group: solution.centres for group, solution in judged_solutions.items()}
    holdout = judging.holdout_frame(earlier, later, config)
    judged = judging.judge(holdout, judged_centres, config)
    key_metric, metrics, baselines = judging.judged_metrics(judged, config, seed)

    model = _named_model(later, solutions, judged_centres, config, predecessor, used_numbers or {})
    propensities = train_propensities(prepared, outcomes, config.propensity, seed)
    model = model.model_copy(update={"propensities": tuple(one.model for one in propensities if one.model)})
    predictions = model.predict(later)
    released = model.segments
    metrics += [metric for propensity in propensities for metric in propensity.metrics]
    metrics += [*judging.solution_metrics(solutions), *_coverage_metrics(predictions)]
    stages = model.life_cycle_history(prepared)
    further_tables: list[EvaluationTable] = [
        *advice_tables(released),
        profile_table(later, predictions["segment_id"].tolist(), config.currency),
        tariff_table(later, predictions["segment_id"].tolist(), tariffs),
        *_confidence_tables(prepared, model, predictions),
        tier_table(predictions),
        transition_table(stages),
        moves_table(stages),
        summary_table(propensities),
    ]
    succession = None
    if predecessor:
        is_told = predecessor.segment_ids.notna().to_numpy()
        before, now = predecessor.segment_ids[is_told].tolist(), predictions["segment_id"][is_told].tolist()
        succession = trace(before, now, predecessor.names, model.shaped_names())
        model = model.model_copy(update={"succession": succession})
        metrics += succession_metrics(succession, len(later))
        further_tables.append(succession_table(succession, predecessor.names, model.shaped_names()))
    metrics.append(
        Metric(
            name="refit_rand_index",
            value=_refit_agreement(judged.rows[CUSTOMER_KEY], judged.later_segments, predictions),
            rows=len(judged.rows),
            note="adjusted Rand index of the later window's shapes assigned by the earlier and by the final centres",
        )
    )
    evaluation = Evaluation(
        use_case=USE_CASE,
        holdout_description=_holdout_description(months, judged_centres, len(judged.rows)),
        key_metric=key_metric,
        metrics=tuple(metrics),
        baselines=tuple(baselines),
        criteria=tuple(judging.criteria(solutions, released, config)),
        sufficiency=sufficiency,
        tables=(*judging.tables(solutions, [segment for segment in released if segment.centre]), *further_tables),
        notes=(
            *_notes(later, solutions, config, sufficiency),
            *(f"{sentence.en} {sentence.zh}" for sentence in (succession.sentences if succession else ())),
            *(f"{one.target.title.en}: {one.reason} {one.holdout_description}".rstrip() for one in propensities),
        ),
    )
    return TrainingResult(
        use_case=USE_CASE,
        model=model,
        evaluation=evaluation,
        reference=_reference(prepared, model, config),
        holdout=holdout,
        plots=_plots(later, predictions, released, solutions, config),
        model_card=MODEL_CARD.model_copy(update={"currency": config.currency}),
        config=config,
        seed=seed,
        data_window=DataWindow(
            first_month=month_start(as_of_months(prepared)[0]), last_month=month_start(as_of_months(prepared)[-1])
        ),
        data_fingerprint=data_fingerprint or _fingerprint(prepared, outcomes, tariffs),
        rows={"found_on": len(earlier), "judged_on": len(judged.rows), "released_on": len(later)},
    )


def _solutions(
    rows: pd.DataFrame, config: SegmentationConfig, seed: int, predecessor: Predecessor | None
) -> dict[str, Solution]:
    solutions = {}
    for group in segmented_groups(rows, config):
        served_count = len(predecessor.ids_of(group)) if predecessor else None
        solutions[group] = _solution(rows, group, config.segments_range(group), config, seed, served_count)
    return solutions


def _as_many_segments(
    solutions: Mapping[str, Solution], rows: pd.DataFrame, config: SegmentationConfig, seed: int
) -> dict[str, Solution]:
    """Find as many segments on other rows as are released, so that what is judged is what is released."""
    return {
        group: _solution(rows, group, [solutions[group].chosen.segments_count], config, seed)
        for group in segmented_groups(rows, config)
        if group in solutions
    }


def _solution(
    rows: pd.DataFrame,
    group: str,
    segments_counts: Sequence[int],
    config: SegmentationConfig,
    seed: int,
    served_count: int | None = None,
) -> Solution:
    space = space_of(group)
    members = rows[has_usable_shape(rows, config) & (group_of(rows, config) == group)]
    return choose_segments(
        shape_matrix(members, config.shape_ceiling, space),
        segments_counts,
        config,
        seed,
        weights=space.weights,
        business=members[BUSINESS_COLUMNS].to_numpy(dtype=np.float64),
        served_count=served_count,
    )


def _named_model(
    rows: pd.DataFrame,
    solutions: Mapping[str, Solution],
    judged_centres: Mapping[str, FloatArray],
    config: SegmentationConfig,
    predecessor: Predecessor | None,
    used_numbers: Mapping[str, int],
) -> SegmentationModel:
    is_usable = has_usable_shape(rows, config)
    usable_rows = rows[is_usable]
    groups = group_of(usable_rows, config)
    segments: list[Segment] = []
    last_numbers = last_used_numbers(predecessor, used_numbers)
    for group, solution in solutions.items():
        members = usable_rows[groups == group]
        centres = np.round(solution.centres, 6)
        space = space_of(group)
        shapes = shape_matrix(members, config.shape_ceiling, space)
        nearest = distances_to_centres(shapes, centres, space.weights).argmin(axis=1)
        profiles = [_profile(members[nearest == row]) for row in range(len(centres))]
        inherited: dict[int, str] = {}
        if predecessor:
            previous_ids = predecessor.segment_ids[is_usable][groups == group]
            is_told = previous_ids.isin(predecessor.ids_of(group)).to_numpy()
            inherited = inherited_ids(previous_ids[is_told].tolist(), nearest[is_told].tolist(), len(centres))
        segment_ids = []
        for row in range(len(centres)):
            if row not in inherited:
                last_numbers[group] = last_numbers.get(group, UNUSED_NUMBER) + 1
            segment_ids.append(inherited.get(row, f"{group}{last_numbers.get(group)}"))
        labels = label_segments(group, centres, profiles, segment_ids, predecessor.name_tags if predecessor else None)
        segments += [
            Segment.from_label(
                segment_ids[row],
                group,
                label,
                centre=tuple(centres[row].tolist()),
                customers_count=int((nearest == row).sum()),
                share=round(float((nearest == row).mean()), 6),
                profile={name: None if np.isnan(value) else round(value, 6) for name, value in profiles[row].items()},
            )
            for row, label in enumerate(labels)
        ]
    segments.sort(
        key=lambda segment: (GROUPS.index(segment.group), int(segment.segment_id.removeprefix(segment.group)))
    )
    return SegmentationModel(
        config=config,
        segments=(*segments, *shapeless_segments()),
        value_thresholds=value_thresholds(
            rows,
            low_quantile=config.value_low_quantile,
            high_quantile=config.value_high_quantile,
            minimum_customers=BILLS_PER_CLASS_MIN_COUNT,
            config=config.behaviour,
        ),
        last_numbers=last_numbers,
        judged_centres={group: tuple(map(tuple, centres.tolist())) for group, centres in judged_centres.items()},
    )


def _confidence_tables(
    prepared: pd.DataFrame, model: SegmentationModel, predictions: pd.DataFrame
) -> list[EvaluationTable]:
    """Return what the confidence foretells, from the latest two months, unless they are not neighbours."""
    before, latest = as_of_months(prepared)[-2:]
    if months_between(before, latest) != 1:
        return []
    months_text = f"{before:%Y-%m} and {latest:%Y-%m}"
    return [confidence_table(model.predict(rows_as_of(prepared, before)), predictions, months_text)]


def _profile(members: pd.DataFrame) -> dict[str, float]:
    medians = members[list(PROFILE_COLUMNS)].median()
    return {name: float(medians[name]) for name in PROFILE_COLUMNS}


def _fingerprint(prepared: pd.DataFrame, outcomes: pd.DataFrame | None, tariffs: pd.DataFrame | None) -> str:
    frames = {
        "customer_segmentation_features": prepared,
        "customer_segmentation_outcomes": outcomes,
        "customer_tariff_features": tariffs,
    }
    return fingerprint_frames({name: frame for name, frame in frames.items() if frame is not None})


def _coverage_metrics(predictions: pd.DataFrame) -> list[Metric]:
    unknown = (predictions["segment_id"] == "unknown").mean()
    confident = predictions["segment_confidence"].dropna()
    return [
        Metric(
            name="unknown_share",
            value=float(unknown),
            higher_is_better=False,
            rows=len(predictions),
            note="customers with too few readings or no load shape",
        ),
        Metric(
            name="median_confidence",
            value=float(confident.median()) if len(confident) else None,
            rows=len(confident),
        ),
    ]


def _refit_agreement(
    customer_keys: pd.Series, segments_by_earlier_centres: np.ndarray, predictions: pd.DataFrame
) -> float:
    final = predictions.set_index(CUSTOMER_KEY)["segment_id"].reindex(customer_keys)
    return judging.agreement(segments_by_earlier_centres.tolist(), final.tolist())


def _holdout_description(
    months: tuple[pd.Timestamp, pd.Timestamp], centres: Mapping[str, FloatArray], customers_count: int
) -> str:
    distance = months_between(*months)
    shared = max(0, WINDOW_MONTHS - distance)
    groups = " and ".join(GROUP_NAMES[group] for group in centres)
    overlap = (
        f"The two trailing windows may share {shared} month(s) of readings, which makes the figure optimistic."
        if shared
        else "The two trailing windows share no readings."
    )
    return (
        f"As many segments as are released, found on the window ending {month_start(months[0]):%Y-%m}, judged on the "
        f"shapes of the window ending {month_start(months[1]):%Y-%m} ({customers_count:,} {groups} customers). "
        f"{overlap}"
    )


def _notes(
    rows: pd.DataFrame, solutions: Mapping[str, Solution], config: SegmentationConfig, sufficiency: SufficiencyReport
) -> tuple[str, ...]:
    notes = [finding.message for finding in sufficiency.findings]
    present = group_of(rows, config)
    for group, name in GROUP_NAMES.items():
        if group in solutions:
            solution = solutions[group]
            method = judging.METHOD_NAMES[solution.chosen.method]
            if solution.chosen.segments_count == 1:
                notes.append(f"{name}: no division into segments is stable, so these customers form one segment.")
            notes.append(
                f"{name}: {solution.chosen.segments_count} segment(s) by {method} from {solution.customers_count:,} "
                f"customers; {solution.outliers_count} unusual shapes were left out while the centres were found and "
                f"are assigned to the nearest, as are {solution.incomplete_count} that lack a season or a kind of day."
            )
        elif (present == group).any():
            notes.append(
                f"{name}: fewer than {config.minimum_customers_per_group_count} usable load shapes, so these customers "
                "are answered 'unknown'."
            )
    return tuple(notes)


def _reference(prepared: pd.DataFrame, model: SegmentationModel, config: SegmentationConfig) -> pd.DataFrame:
    """Return features and predictions of whole customer histories, for as many customers as the limit holds."""
    rows = prepared
    if len(rows) > config.reference_rows_max_count:
        share = config.reference_rows_max_count / len(rows)
        rows = rows[hash_shares(rows[CUSTOMER_KEY], "segmentation reference") < share]
    rows = rows.reset_index(drop=True)
    context = [name for name in (CUSTOMER_KEY, AS_OF_MONTH, "district") if name in rows.columns]
    predictions = model.predict(rows).drop(columns=CUSTOMER_KEY)
    return pd.concat([rows[[*context, *names(FEATURES)]], predictions], axis=1)


def _plots(
    rows: pd.DataFrame,
    predictions: pd.DataFrame,
    segments: tuple[Segment, ...],
    solutions: Mapping[str, Solution],
    config: SegmentationConfig,
) -> dict[str, bytes]:
    shaped = [segment for segment in segments if segment.centre]
    drawn = {"segment_sizes.png": plots.segment_sizes(shaped)}
    drawn["choice_of_k.png"] = plots.choice_of_k(solutions, config.minimum_stability)
    usable = has_usable_shape(rows, config)
    for group in solutions:
        own = [segment for segment in shaped if segment.group == group]
        draw = plots.daily_patterns if group in DAILY_GROUPS else plots.segment_shapes
        file_name = f"shapes_{GROUP_NAMES[group].replace(' ', '_')}.png"
        drawn[file_name] = draw(own, rows[usable], predictions["segment_id"][usable])
    return drawn
