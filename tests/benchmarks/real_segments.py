"""What load-shape segments are worth on public data: the figures and plots of ``docs/portrait-and-segments.md``.

Run by hand, on the homes that the commands of ``docs/public-data.md`` leave behind::

    python -m tests.benchmarks.real_segments --images docs/images

Each division is that of ``ml.segmentation.training.train`` on the published marts. What the supplier knows besides
(the heating of a Swiss household, the neighbourhood of a London one) takes no part in it and judges it afterwards.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import orjson
import pandas as pd
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ml.bundle import TrainingResult
from ml.classification import roc_auc
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, names
from ml.errors import InsufficientDataError
from ml.evaluation import FloatArray, Statistic, bootstrap, weighted_mean
from ml.segmentation.config import SegmentationConfig
from ml.segmentation.features import shape_matrix
from ml.segmentation.model import UNKNOWN_SEGMENT_ID, SegmentationModel
from ml.segmentation.schema import WEEKDAY_SHAPE, WEEKEND_SHAPE
from ml.segmentation.training import train
from orchestration.marts import current_marts
from orchestration.settings import PlatformSettings

Figure = tuple[float | None, float | None, float | None]
"""Value, lower and upper end of its interval."""

SEVEN_WEEKS = SegmentationConfig(months_between_windows_min_count=1)
"""Seven weeks have no later window three months on; the stability of the division needs none."""

FORCED_COUNTS = (2, 3, 4, 5)
OTHER_SEEDS = (0, 1, 2, 3, 4)
ELECTRIC, HEAT_PUMPS = "electric heating", ("heat pump", "heat pump and boiler")
SEED = PlatformSettings.model_fields["seed"].default
PLOT_COLOURS_COUNT = 48
PRINTED_TABLES = ("segments", "choice_of_k")
SMALL_KWH = 0.1
"""Keeps the logarithm of a household that used nothing finite."""
HASTY_DAYS = 7
"""Observed days that suffice when nothing is withheld."""
FOLDS_COUNT, SHAPE_COMPONENTS_COUNT = 5, 5
DRAWS_COUNT = 1_000


def of_count(segments_count: int, minimum_segment_share: float = 0.0) -> SegmentationConfig:
    """Return the settings of a division into so many segments, however unstable; the gate would refuse most."""
    return SEVEN_WEEKS.model_copy(
        update={
            "residential_segments_min_count": segments_count,
            "residential_segments_max_count": segments_count,
            "minimum_segment_share": minimum_segment_share,
            "minimum_segment_customers_count": 2,
            "minimum_stability": 0.0,
        }
    )


def segmentation_features(home: Path) -> pd.DataFrame:
    """Return the rows of ``customer_segmentation_features`` that a home's main job published."""
    return current_marts(home / "marts").read("customer_segmentation_features")


def customer_attributes(home: Path) -> pd.DataFrame:
    """Return what a home's customers were delivered with beside the contract, one column per attribute."""
    files = home / "landing" / "deliveries" / "*" / "customers" / "*.parquet"
    with duckdb.connect(config={"threads": 1}) as connection:
        rows = connection.execute(
            f"select customer_key, attributes from read_parquet('{files}') where attributes is not null"
        ).df()
    attributes = pd.DataFrame([orjson.loads(text) for text in rows["attributes"]])
    return pd.concat([rows[[CUSTOMER_KEY]], attributes], axis=1)


def assigned(result: TrainingResult, rows: pd.DataFrame) -> pd.Series:
    """Return the segment of each row, ``unknown`` where the model cannot say yet."""
    assert isinstance(result.model, SegmentationModel)
    return result.model.predict(rows)["segment_id"]


def latest_rows(features: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the latest as-of month."""
    return features[features[AS_OF_MONTH] == features[AS_OF_MONTH].max()]


def agreement_of_seeds(features: pd.DataFrame, result: TrainingResult, seeds: Sequence[int] = OTHER_SEEDS) -> str:
    """Return for other seeds how many segments are chosen, and the adjusted Rand index with the given division."""
    assert isinstance(result.config, SegmentationConfig)
    rows = latest_rows(features)
    first = assigned(result, rows)
    found = []
    for seed in seeds:
        segments = assigned(train(features, config=result.config, seed=seed), rows)
        shaped_count = segments[~segments.isin([UNKNOWN_SEGMENT_ID, "R0"])].nunique()
        found.append(f"{shaped_count} ({adjusted_rand_score(first, segments):.2f})")
    return ", ".join(found)


def heating_by_segment(features: pd.DataFrame, attributes: pd.DataFrame, result: TrainingResult) -> pd.DataFrame:
    """Return the number of customers by segment and stated heating."""
    rows = latest_rows(features).merge(attributes, on=CUSTOMER_KEY)
    return pd.crosstab(assigned(result, rows), rows["heating_type"].fillna("not stated"))


def heating_separation(
    features: pd.DataFrame,
    attributes: pd.DataFrame,
    config: SegmentationConfig = SEVEN_WEEKS,
    *,
    forced_counts: Sequence[int] = (),
    repeats_count: int = 10,
    seed: int = SEED,
) -> dict[str, tuple[Figure, Figure]]:
    """Measure how well electric heating is told from heat pumps, with and without segments.

    Segments and main components of the shapes are found on all customers without a look at any heating. A logistic
    regression then ranks the customers whose heating is known, each by a fit that has not seen it (repeated
    stratified folds). *Level* is the logarithm of the mean daily energy and its square.

    Args:
        features: Rows of ``customer_segmentation_features``.
        attributes: Rows of ``customer_attributes`` with ``heating_type``.
        config: Settings of the division.
        forced_counts: Numbers of segments that are tried beside the chosen one.
        repeats_count: Repeats of the folds.
        config: Settings of the division.
        forced_counts: Numbers of segments that are tried beside the chosen one.
        repeats_count: Repeats of the folds.
        seed: Seed of segments, folds and bootstrap.

    Returns:
        By inputs, the area under the ROC curve and its gain over the level alone, with bootstrap intervals over
        customers. The regressions are not fitted again for a draw.
    """
    latest = latest_rows(features).merge(attributes, on=CUSTOMER_KEY)
    latest = latest[latest[names(WEEKDAY_SHAPE + WEEKEND_SHAPE)].notna().all(axis=1)].reset_index(drop=True)
    shapes = shape_matrix(latest, SEVEN_WEEKS.shape_ceiling)
    # Seven weeks lack a season: what nobody has tells nobody apart.
    shapes = shapes[:, np.isfinite(shapes).all(axis=0)]
    known: dict[str, FloatArray] = {
        "shape (5 main components)": PCA(SHAPE_COMPONENTS_COUNT, random_state=seed).fit_transform(shapes)
    }
    chosen = assigned(train(features, config=config, seed=seed), latest)
    known["the chosen segments"] = pd.get_dummies(chosen).to_numpy(dtype=np.float64)
    for count in forced_counts:
        segments = assigned(train(features, config=of_count(count), seed=seed), latest)
        known[f"{count} segments"] = pd.get_dummies(segments).to_numpy(dtype=np.float64)

    is_labelled = latest["heating_type"].isin([ELECTRIC, *HEAT_PUMPS]).to_numpy(dtype=bool)
    rows = latest[is_labelled]
    is_electric: FloatArray = (rows["heating_type"] == ELECTRIC).to_numpy().astype(np.float64)
    energy = np.log(rows["mean_daily_kwh"].to_numpy(dtype=np.float64) + SMALL_KWH)
    level = np.column_stack([energy, energy**2])
    level_alone = roc_auc(_held_out_scores(level, is_electric, repeats_count, seed), is_electric)
    statistics = {"level": level_alone}
    for name, matrix in known.items():
        both = np.column_stack([level, matrix[is_labelled]])
        statistics[name] = roc_auc(_held_out_scores(both, is_electric, repeats_count, seed), is_electric)
    gains = {f"gain {name}": _difference(statistic, level_alone) for name, statistic in statistics.items()}
    figures = bootstrap({**statistics, **gains}, rows[CUSTOMER_KEY].to_numpy(), replicates=DRAWS_COUNT, seed=seed)
    return {name: (figures[name], figures[f"gain {name}"]) for name in statistics}


def agreement_by_weeks(
    features: pd.DataFrame, attributes: pd.DataFrame, segments_count: int = 3, seed: int = SEED
) -> pd.DataFrame:
    """Measure how often a customer with a few weeks of readings is assigned as with the whole year.

    Args:
        features: Rows of ``customer_segmentation_features`` of households that were also cut to a few weeks.
        attributes: Rows of ``customer_attributes`` with ``household``, ``weeks`` (0 for the whole year).
        segments_count: Number of segments, found on the whole years. The households of one small panel have no stable
            division; theirs shows all the same how a year compares with weeks.
        seed: Seed of the division and of the bootstrap.

    Returns:
        By number of weeks: the customers, the share that the default settings answer with "cannot say yet", the
        share assigned as with the whole year (with an interval over households) where nothing is withheld, and what
        the largest segment for everybody would reach.
    """
    config = of_count(segments_count, minimum_segment_share=0.05)
    named = features.merge(attributes, on=CUSTOMER_KEY)
    whole_years = named[named["weeks"] == 0]
    result = train(whole_years, config=config, seed=seed)
    assert isinstance(result.model, SegmentationModel)
    hasty = config.model_copy(update={"minimum_observed_days": HASTY_DAYS})
    hasty_model = result.model.model_copy(update={"config": hasty})
    latest = latest_rows(named)
    latest = latest.assign(
        segment=result.model.predict(latest)["segment_id"], hasty_segment=hasty_model.predict(latest)["segment_id"]
    )
    truth = latest[latest["weeks"] == 0].set_index("household")["segment"]
    truth = truth[truth != UNKNOWN_SEGMENT_ID]
    cuts = latest[(latest["weeks"] > 0) & latest["household"].isin(truth.index)]
    rows = []
    for weeks, customers in cuts.groupby("weeks"):
        shaped = customers[customers["hasty_segment"] != UNKNOWN_SEGMENT_ID]
        whole_year = truth[shaped["household"]].to_numpy()
        statistics = {
            "agreement": weighted_mean(shaped["hasty_segment"].to_numpy() == whole_year),
            "largest": weighted_mean(whole_year == truth.mode()[0]),
        }
        figures = bootstrap(statistics, shaped["household"].to_numpy(), replicates=DRAWS_COUNT, seed=seed)
        rows.append(
            {
                "weeks": weeks,
                "customers": len(customers),
                "cannot say yet": (customers["segment"] == UNKNOWN_SEGMENT_ID).mean(),
                "as with the whole year": _with_interval(figures["agreement"]),
                "largest segment for everybody": figures["largest"][0],
            }
        )
    return pd.DataFrame(rows)


def outside_agreement(result: TrainingResult, features: pd.DataFrame, attributes: pd.DataFrame, name: str) -> float:
    """Return the adjusted mutual information of segments and an attribute: 0 is chance, 1 is the same division."""
    rows = latest_rows(features).merge(attributes, on=CUSTOMER_KEY)
    segments = assigned(result, rows)
    is_known = (segments != UNKNOWN_SEGMENT_ID) & rows[name].notna()
    return float(adjusted_mutual_info_score(rows.loc[is_known, name], segments[is_known]))


def _held_out_scores(inputs: FloatArray, labels: FloatArray, repeats_count: int, seed: int) -> FloatArray:
    scores = np.zeros(len(labels))
    for repeat in range(repeats_count):
        folds = StratifiedKFold(FOLDS_COUNT, shuffle=True, random_state=seed + repeat)
        regression = make_pipeline(StandardScaler(), LogisticRegression())
        scores += cross_val_predict(regression, inputs, labels, cv=folds, method="predict_proba")[:, 1]
    return scores / repeats_count


def _difference(first: Statistic, second: Statistic) -> Statistic:
    return lambda weights: first(weights) - second(weights)


def _with_interval(figure: Figure) -> str:
    value, lower, upper = figure
    return f"{value:.3f} ({lower:.3f} to {upper:.3f})"


def _divided(title: str, home: Path, config: SegmentationConfig, image: Path | None) -> TrainingResult | None:
    """Train on a home's marts, print what the model card says of the division, and keep its plot."""
    print(f"\n{title}")
    features = segmentation_features(home)
    try:
        result = train(features, config=config, seed=SEED)
    except InsufficientDataError as refusal:
        print(f"  {refusal}")
        return None
    evaluation = result.evaluation
    for metric in (evaluation.key_metric, *evaluation.metrics):
        if metric is not None and metric.slice_column in (None, "group"):
            interval = "" if metric.lower is None else f" ({metric.lower:.3f} to {metric.upper:.3f})"
            value = "-" if metric.value is None else f"{metric.value:.3f}"
            print(f"  {metric.name:<28}{value}{interval}")
    for criterion in evaluation.criteria:
        print(f"  {criterion.name}: {criterion.reason}")
    for table in evaluation.tables:
        if table.name in PRINTED_TABLES:
            shown = pd.DataFrame(table.rows, columns=table.columns).drop(columns="description", errors="ignore")
            print(shown.to_markdown(index=False, floatfmt=".3f"))
    print(f"  segments (adjusted Rand index) with other seeds: {agreement_of_seeds(features, result)}")
    if image is not None:
        [shapes] = [plot for name, plot in result.plots.items() if name.startswith("shapes_")]
        with Image.open(io.BytesIO(shapes)) as plot:
            plot.convert("RGB").quantize(PLOT_COLOURS_COUNT).save(image, optimize=True)
    return result


def main() -> None:
    """Print what the page says, and draw its plots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--homes", type=Path, default=Path("data"), help="folder of the homes of the page")
    parser.add_argument("--images", type=Path, help="folder for the plots; none are drawn without it")
    arguments = parser.parse_args()
    daily, half_hourly, weeks, swiss = (
        arguments.homes / name
        for name in ("low-carbon-london-daily", "low-carbon-london", "low-carbon-london-weeks", "swiss-15min")
    )

    def image(name: str) -> Path | None:
        return arguments.images / f"segments-{name}.png" if arguments.images else None

    days = _divided("Low Carbon London, daily", daily, SegmentationConfig(), image("london-daily"))
    if days is not None:
        attributes = customer_attributes(daily)
        for name in ("acorn_grouped", "tariff_group"):
            information = outside_agreement(days, segmentation_features(daily), attributes, name)
            print(f"  adjusted mutual information with {name}: {information:.3f}")
    _divided("Low Carbon London, half-hourly", half_hourly, SegmentationConfig(), None)
    quarter_hours = _divided("Swiss households, 15 minutes", swiss, SEVEN_WEEKS, image("swiss"))
    if quarter_hours is not None:
        table = heating_by_segment(segmentation_features(swiss), customer_attributes(swiss), quarter_hours)
        print(table.to_markdown())
    print("\nSwiss heating: area under the ROC curve, electric heating against heat pump")
    heating = heating_separation(segmentation_features(swiss), customer_attributes(swiss), forced_counts=FORCED_COUNTS)
    for name, (area, gain) in heating.items():
        print(f"  {name:<28}{_with_interval(area)}   over the level alone {_with_interval(gain)}")
    print("\nNew customers: London households with a few weeks of readings")
    agreement = agreement_by_weeks(segmentation_features(weeks), customer_attributes(weeks))
    print(agreement.to_markdown(index=False, floatfmt=".2f"))


if __name__ == "__main__":
    main()
