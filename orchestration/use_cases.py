"""What differs between the three use cases, behind one interface that the life cycle works with.

No Dagster in here, and no modelling: each class only says which marts a use case reads and which functions of ``ml``
it calls.
"""

import json
from abc import ABC, abstractmethod
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from orchestration.files import replace_text
from orchestration.marts import MartsVersion
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from pydantic import BaseModel

    from ml.bundle import Bundle, TrainingResult
    from ml.credit_risk.config import CreditRiskConfig
    from ml.evaluation import ChampionComparison
    from ml.gate import GatePolicy
    from ml.segmentation.config import SegmentationConfig
    from ml.segmentation.model import SegmentationModel
    from ml.sufficiency import SufficiencyReport
    from ml.tariff_matching.weather import DistrictWeather
    from ml.tariffs.catalogue import Catalogue
    from serving.feature_store import CustomerTables


class UseCase(ABC):
    """A use case as the life cycle sees it.

    Attributes:
        name: One of ``ml.columns.USE_CASES``.
        prediction: Name of its predictions in the asset graph.
        feature_mart: Mart with one feature row per customer and as-of month.
        training_marts: Marts that training reads.
        scoring_marts: Marts that scoring reads.
        outcome_marts: Marts that tell what really happened.
        raw_tables: Marts that its model reads per customer beside the features, and that raw rows of one customer make.
        customers_per_part: Most customers that are scored at once, by which the memory of scoring grows.
        learns_from_sample: Whether some ten thousand customers teach it as much as all.
    """

    name: ClassVar[str]
    prediction: ClassVar[str]
    feature_mart: ClassVar[str]
    training_marts: ClassVar[tuple[str, ...]]
    scoring_marts: ClassVar[tuple[str, ...]]
    outcome_marts: ClassVar[tuple[str, ...]] = ()
    raw_tables: ClassVar[tuple[str, ...]] = ()
    customers_per_part: ClassVar[int] = 20_000
    learns_from_sample: ClassVar[bool] = False

    @abstractmethod
    def config(self, settings: PlatformSettings) -> "BaseModel":
        """Return the training settings."""

    @abstractmethod
    def check(self, marts: MartsVersion, settings: PlatformSettings) -> "SufficiencyReport":
        """Say in words whether the data is sufficient."""

    @abstractmethod
    def train(self, marts: MartsVersion, settings: PlatformSettings, fingerprint: str) -> "TrainingResult":
        """Train a model on the marts."""

    @abstractmethod
    def compare(
        self, challenger: "Bundle", champion: "Bundle", marts: MartsVersion, settings: PlatformSettings
    ) -> "ChampionComparison":
        """Compare two bundles on the same later rows."""

    @abstractmethod
    def gate_policy(self) -> "GatePolicy":
        """Return what a release demands."""

    @abstractmethod
    def predict(
        self, bundle: "Bundle", features: "pd.DataFrame", marts: MartsVersion, settings: PlatformSettings
    ) -> "pd.DataFrame":
        """Return one row of predictions per row of features."""

    def input_fingerprint(self, settings: PlatformSettings) -> str:
        """Return a hash of what training reads beside the marts."""
        return ""

    def before_release(self, bundle: "Bundle", settings: PlatformSettings) -> None:
        """Keep what must outlive the bundle; called before it is released."""
        return

    def snapshot_features(self, bundle: "Bundle", marts: MartsVersion) -> "pd.DataFrame":
        """Return the feature rows that a release of the bundle takes along, with the context that it serves."""
        return marts.read(self.feature_mart)

    def snapshot_tables(self, marts: MartsVersion, settings: PlatformSettings) -> "CustomerTables | None":
        """Return further tables per customer that a release takes along."""
        return None

    def outcomes(self, marts: MartsVersion) -> "pd.DataFrame | None":
        """Return what really happened, where labels exist."""
        return None

    def vintages(self, marts: MartsVersion) -> "pd.DataFrame | None":
        """Return arrears by month of scoring, where there are any."""
        return None

    def advised_bills(
        self, bundle_dir: Path, marts: MartsVersion, settings: PlatformSettings, month: date, release: str
    ) -> "pd.DataFrame | None":
        """Return the bills since earlier advice of a release, as known at the end of a month, where it advises."""
        return None

    def score(self, bundle_dir: Path, marts: MartsVersion, month: date, settings: PlatformSettings) -> "pd.DataFrame":
        """Return key, features and predictions of all customers of one as-of month."""
        from ml.bundle import read_bundle

        features = marts.read(self.feature_mart, filters=[("as_of_month", "==", month)])
        if features.empty:
            return features
        predictions = self.predict(read_bundle(bundle_dir), features, marts, settings)
        named_twice = [column for column in predictions.columns if column in features.columns]
        predictions = predictions.drop(columns=[column for column in named_twice if column != "customer_key"])
        return features.merge(predictions, on="customer_key", how="left", validate="one_to_one")


class Segmentation(UseCase):
    """Who are our customers: load shape, value and behaviour."""

    name = "segmentation"
    prediction = "customer_segments"
    feature_mart = "customer_segmentation_features"
    training_marts = (feature_mart, "customer_segmentation_outcomes", "customer_tariff_features")
    scoring_marts = (feature_mart,)
    learns_from_sample = True

    def config(self, settings: PlatformSettings) -> "SegmentationConfig":
        from ml.segmentation.config import SegmentationConfig

        return SegmentationConfig(currency=settings.currency)

    def check(self, marts: MartsVersion, settings: PlatformSettings) -> "SufficiencyReport":
        from ml.segmentation.sufficiency import check_sufficiency

        return check_sufficiency(marts.read(self.feature_mart))

    def train(self, marts: MartsVersion, settings: PlatformSettings, fingerprint: str) -> "TrainingResult":
        from ml.segmentation.training import train

        features, outcomes = (marts.read(mart) for mart in self.training_marts[:2])
        previous = _released_segmentation(settings)
        return train(
            features,
            outcomes,
            config=self.config(settings),
            seed=settings.seed,
            data_fingerprint=fingerprint,
            previous_model=previous,
            previous_segments=_told_segments(settings) if previous is None else None,
            used_numbers=_used_segment_numbers(settings),
            tariffs=marts.read("customer_tariff_features", columns=["customer_key", "as_of_month", "tariff_id"]),
        )

    def compare(
        self, challenger: "Bundle", champion: "Bundle", marts: MartsVersion, settings: PlatformSettings
    ) -> "ChampionComparison":
        from ml.segmentation.evaluation import compare_with_champion
        from ml.segmentation.model import SegmentationModel

        return compare_with_champion(
            SegmentationModel.from_files(challenger.estimator_files()),
            SegmentationModel.from_files(champion.estimator_files()),
            _holdout(challenger),
            champion_version=champion.manifest.version,
            seed=settings.seed,
        )

    def gate_policy(self) -> "GatePolicy":
        from ml.segmentation.gate_policy import GATE_POLICY

        return GATE_POLICY

    def predict(
        self, bundle: "Bundle", features: "pd.DataFrame", marts: MartsVersion, settings: PlatformSettings
    ) -> "pd.DataFrame":
        from ml.segmentation.model import SegmentationModel

        return SegmentationModel.from_files(bundle.estimator_files()).predict(features)

    def before_release(self, bundle: "Bundle", settings: PlatformSettings) -> None:
        """Keep the numbers of the segments: after a rollback or an erasure no model at hand would know them."""
        from ml.segmentation.model import SegmentationModel

        numbers = SegmentationModel.from_files(bundle.estimator_files()).last_numbers
        used = _used_segment_numbers(settings)
        highest = {group: max(numbers.get(group, 0), used.get(group, 0)) for group in sorted({*numbers, *used})}
        if highest != used:
            replace_text(_segment_numbers_path(settings), json.dumps(highest, indent=2) + "\n")

    def score(self, bundle_dir: Path, marts: MartsVersion, month: date, settings: PlatformSettings) -> "pd.DataFrame":
        """Add the life-cycle stage in force, which follows from the months up to this one."""
        import pandas as pd

        from ml.bundle import read_bundle
        from ml.segmentation.model import SegmentationModel

        scored = super().score(bundle_dir, marts, month, settings)
        if scored.empty:
            return scored
        features = marts.read(self.feature_mart, filters=[("as_of_month", "<=", month)])
        model = SegmentationModel.from_files(read_bundle(bundle_dir).estimator_files())
        history = model.life_cycle_history(features).rename(columns={"life_cycle_stage": "life_cycle_stage_in_force"})
        # A mart holds its months as timestamps, and no timestamp equals a date.
        is_month = pd.to_datetime(history["as_of_month"]) == pd.Timestamp(month)
        now = history.loc[is_month, ["customer_key", "life_cycle_stage_in_force"]]
        return scored.merge(now, on="customer_key", how="left", validate="one_to_one")


class TariffMatching(UseCase):
    """Which tariff is best for this customer, by how much, and how sure are we."""

    name = "tariff_matching"
    prediction = "tariff_recommendations"
    feature_mart = "customer_tariff_features"
    scoring_marts = (feature_mart, "customer_load_cube", "tariff_catalogue", "customer_interval_load")
    raw_tables = ("customer_load_cube",)
    # Half a megabyte of scenarios and bills per customer.
    customers_per_part = 2_500
    learns_from_sample = True
    training_marts = (*scoring_marts, "customer_monthly_load")

    def config(self, settings: PlatformSettings) -> "BaseModel":
        from ml.tariff_matching.config import TariffMatchingConfig

        return TariffMatchingConfig()

    def input_fingerprint(self, settings: PlatformSettings) -> str:
        return "".join(tariff.to_json() for tariff in _catalogue_files(settings).tariffs)

    def check(self, marts: MartsVersion, settings: PlatformSettings) -> "SufficiencyReport":
        from ml.tariff_matching.sufficiency import check_sufficiency

        return check_sufficiency(
            marts.read(self.feature_mart),
            marts.read_table("customer_load_cube"),
            catalogue := present_catalogue(marts, settings),
            interval_amounts=_interval_amounts(marts, catalogue, settings),
        )

    def train(self, marts: MartsVersion, settings: PlatformSettings, fingerprint: str) -> "TrainingResult":
        from ml.tariff_matching.training import train

        catalogue = present_catalogue(marts, settings)
        return train(
            marts.read(self.feature_mart),
            marts.read_table("customer_load_cube"),
            catalogue,
            seed=settings.seed,
            data_fingerprint=fingerprint,
            interval_amounts=_interval_amounts(marts, catalogue, settings),
            weather=_district_weather(marts),
        )

    def compare(
        self, challenger: "Bundle", champion: "Bundle", marts: MartsVersion, settings: PlatformSettings
    ) -> "ChampionComparison":
        from ml.tariff_matching.evaluation import compare_with_champion
        from ml.tariff_matching.model import TariffMatchingModel

        return compare_with_champion(
            TariffMatchingModel.from_files(challenger.estimator_files()),
            TariffMatchingModel.from_files(champion.estimator_files()),
            _holdout(challenger),
            champion_version=champion.manifest.version,
            seed=settings.seed,
        )

    def gate_policy(self) -> "GatePolicy":
        from ml.tariff_matching.gate_policy import GATE_POLICY

        return GATE_POLICY

    def predict(
        self, bundle: "Bundle", features: "pd.DataFrame", marts: MartsVersion, settings: PlatformSettings
    ) -> "pd.DataFrame":
        from ml.tariff_matching.model import TariffMatchingModel
        from ml.tariffs.catalogue import Catalogue

        model = TariffMatchingModel.from_files(bundle.estimator_files())
        return model.predict(
            features,
            marts.read_table("customer_load_cube"),
            interval_amounts=_interval_amounts(marts, Catalogue.of(list(model.tariffs)), settings),
        )

    def snapshot_tables(self, marts: MartsVersion, settings: PlatformSettings) -> "CustomerTables":
        import pyarrow as pa

        tables: dict[str, pd.DataFrame | pa.Table | Iterable[pa.Table]] = {
            "customer_load_cube": marts.parts_by_customer("customer_load_cube")
        }
        amounts = _interval_amounts(marts, present_catalogue(marts, settings), settings)
        if amounts is not None:
            tables["customer_interval_amounts"] = pa.Table.from_pandas(amounts, preserve_index=False)
        return tables

    def advised_bills(
        self, bundle_dir: Path, marts: MartsVersion, settings: PlatformSettings, month: date, release: str
    ) -> "pd.DataFrame | None":
        from monitoring.policy import load_policy
        from orchestration.advised_bills import advised_bills

        return advised_bills(
            marts,
            lambda: present_catalogue(marts, settings).tariffs,
            settings.predictions_dir / "batch" / self.name,
            bundle_dir,
            month=month,
            release=release,
            policy=load_policy(self.name, datetime.now(UTC).date()),
        )


class CreditRisk(UseCase):
    """Who will not pay, as a calibrated probability with reasons."""

    name = "credit_risk"
    prediction = "credit_scores"
    feature_mart = "customer_credit_features"
    outcome_marts = ("customer_credit_outcomes", "credit_vintages")
    training_marts = (feature_mart, "customer_credit_outcomes", "credit_unusual_input")
    scoring_marts = (feature_mart,)

    def config(self, settings: PlatformSettings) -> "CreditRiskConfig":
        from ml.credit_risk.config import CreditRiskConfig

        return CreditRiskConfig(currency=settings.currency)

    def check(self, marts: MartsVersion, settings: PlatformSettings) -> "SufficiencyReport":
        from ml.credit_risk.sufficiency import check_sufficiency

        features, outcomes, unusual_input = (marts.read(mart) for mart in self.training_marts)
        return check_sufficiency(features, outcomes, unusual_input=unusual_input)

    def train(self, marts: MartsVersion, settings: PlatformSettings, fingerprint: str) -> "TrainingResult":
        from ml.credit_risk.training import train
        from orchestration.forms.engines import trainer

        features, outcomes, unusual_input = (marts.read(mart) for mart in self.training_marts)
        return train(
            features,
            outcomes,
            config=self.config(settings),
            seed=settings.seed,
            data_fingerprint=fingerprint,
            unusual_input=unusual_input,
            trainer=trainer(settings),
        )

    def compare(
        self, challenger: "Bundle", champion: "Bundle", marts: MartsVersion, settings: PlatformSettings
    ) -> "ChampionComparison":
        from ml.credit_risk.evaluation import compare_with_champion
        from ml.credit_risk.model import CreditRiskModel

        return compare_with_champion(
            CreditRiskModel.from_files(challenger.estimator_files()),
            CreditRiskModel.from_files(champion.estimator_files()),
            _holdout(challenger),
            champion_version=champion.manifest.version,
            seed=settings.seed,
        )

    def gate_policy(self) -> "GatePolicy":
        from ml.credit_risk.gate_policy import GATE_POLICY

        return GATE_POLICY

    def predict(
        self, bundle: "Bundle", features: "pd.DataFrame", marts: MartsVersion, settings: PlatformSettings
    ) -> "pd.DataFrame":
        from ml.credit_risk.model import CreditRiskModel

        return CreditRiskModel.from_files(bundle.estimator_files()).predict(features)

    def score(self, bundle_dir: Path, marts: MartsVersion, month: date, settings: PlatformSettings) -> "pd.DataFrame":
        """Add the rating in force, which follows from the months up to this one."""
        from ml.bundle import read_bundle
        from ml.credit_risk.rating import HISTORY_COLUMNS

        scored = super().score(bundle_dir, marts, month, settings)
        if scored.empty:
            return scored
        features = marts.read(self.feature_mart, filters=[("as_of_month", "<=", month)])
        history = with_ratings_in_force(read_bundle(bundle_dir), features)
        now = history.loc[history["as_of_month"] == month, ["customer_key", *HISTORY_COLUMNS]]
        return scored.merge(now, on="customer_key", how="left", validate="one_to_one")

    def snapshot_features(self, bundle: "Bundle", marts: MartsVersion) -> "pd.DataFrame":
        """Add the rating in force, so that the API answers the one that stands in the batch of the same month."""
        return with_ratings_in_force(bundle, marts.read(self.feature_mart))

    def outcomes(self, marts: MartsVersion) -> "pd.DataFrame":
        return marts.read("customer_credit_outcomes")

    def vintages(self, marts: MartsVersion) -> "pd.DataFrame":
        return marts.read("credit_vintages")


def with_ratings_in_force(bundle: "Bundle", features: "pd.DataFrame") -> "pd.DataFrame":
    """Return feature rows of all months with the rating in force as the model of a bundle gives it."""
    from ml.credit_risk.model import CreditRiskModel
    from ml.credit_risk.rating import HISTORY_COLUMNS
    from ml.splits import month_start

    history = CreditRiskModel.from_files(bundle.estimator_files()).rating_history(features)
    keys = ["customer_key", "as_of_month"]
    # The history counts in days that are the first of a month, the mart may bring them as timestamps.
    months = features["as_of_month"].map(month_start)
    return features.assign(as_of_month=months).merge(history[[*keys, *HISTORY_COLUMNS]], on=keys, validate="one_to_one")


USE_CASES: tuple[UseCase, ...] = (Segmentation(), TariffMatching(), CreditRisk())


def _holdout(bundle: "Bundle") -> "pd.DataFrame":
    from ml.errors import BundleError

    holdout = bundle.holdout()
    if holdout is None:
        raise BundleError(f"{bundle.manifest.use_case}:{bundle.manifest.version} holds no rows to compare on")
    return holdout


def _catalogue_files(settings: PlatformSettings) -> "Catalogue":
    from ml.tariffs.catalogue import Catalogue, load_catalogue

    catalogue = load_catalogue(settings.catalogue_paths)
    return Catalogue.of([tariff for tariff in catalogue.tariffs if tariff.currency == settings.currency])


def present_catalogue(marts: MartsVersion, settings: PlatformSettings) -> "Catalogue":
    """Return the tariffs of files and landing that are in the currency of the platform; the landing's win."""
    from ml.tariffs.catalogue import Catalogue
    from ml.tariffs.schema import load_tariff

    landed = [load_tariff(text) for text in marts.read("tariff_catalogue", columns=["tariff_json"])["tariff_json"]]
    landed_ids = {tariff.tariff_id for tariff in landed}
    files = [tariff for tariff in _catalogue_files(settings).tariffs if tariff.tariff_id not in landed_ids]
    return Catalogue.of([*files, *(tariff for tariff in landed if tariff.currency == settings.currency)])


def _interval_amounts(marts: MartsVersion, catalogue: "Catalogue", settings: PlatformSettings) -> "pd.DataFrame | None":
    """Return the monthly bills of the tariffs that only intervals can price, or ``None`` when there are none.

    A tariff that readings cannot price either has no bills here; the advice says that it was left out.
    """
    if not any(tariff.requires_intervals for tariff in catalogue.tariffs):
        return None
    import polars as pl

    from ml.tariff_matching.interval_bills import interval_bills
    from ml.tariffs.calendar import DayCalendar
    from orchestration.ingestion.holidays import known_holidays

    return interval_bills(
        catalogue.tariffs,
        marts.read("customer_tariff_features"),
        # As Arrow: a million decimals as objects of pandas would take longer than pricing them.
        pl.DataFrame(marts.read_table("customer_interval_load")),
        time_zone=settings.time_zone,
        days=DayCalendar(*known_holidays(settings.jurisdiction)),
    )


def _district_weather(marts: MartsVersion) -> "DistrictWeather":
    """Return the air temperatures of every month, by district and as the mean over the customers that have any."""
    from ml.columns import CUSTOMER_KEY
    from ml.tariff_matching.weather import TEMPERATURE_COLUMNS, DistrictWeather

    months = marts.read("customer_monthly_load", columns=[CUSTOMER_KEY, "month", "mean_temperature_c"])
    rows = marts.read("customer_tariff_features", columns=[CUSTOMER_KEY, "as_of_month", "district"])
    latest = rows.sort_values("as_of_month").drop_duplicates(CUSTOMER_KEY, keep="last")
    by_customer = months.merge(latest[[CUSTOMER_KEY, "district"]], on=CUSTOMER_KEY, how="left")
    return DistrictWeather.of(by_customer[list(TEMPERATURE_COLUMNS)])


def _released_bundle(use_case: str, settings: PlatformSettings) -> "Bundle | None":
    from ml.bundle import read_bundle_of_this_code
    from serving.model_store import ModelStore

    store = ModelStore(settings.home)
    release = store.current_release(use_case)
    return read_bundle_of_this_code(store.bundle_dir(use_case, release.bundle_version)) if release else None


def _released_segmentation(settings: PlatformSettings) -> "SegmentationModel | None":
    """Return the released segmentation, or ``None`` when there is none that this version can read."""
    from ml.errors import BundleError
    from ml.segmentation.model import SegmentationModel

    released = _released_bundle(Segmentation.name, settings)
    if released is None:
        return None
    try:
        return SegmentationModel.from_files(released.estimator_files())
    except BundleError:
        # Its hashes prove it unchanged, so other code wrote it, as before an upgrade.
        return None


def _told_segments(settings: PlatformSettings) -> "pd.DataFrame | None":
    """Return the customers with the segment of the latest batch; ``None`` before the first."""
    import pandas as pd

    from ml.columns import CUSTOMER_KEY
    from ml.segmentation.predecessor import TOLD_COLUMNS

    files = sorted((settings.predictions_dir / "batch" / Segmentation.name).glob("as_of_month=*/predictions.parquet"))
    return pd.read_parquet(files[-1], columns=[CUSTOMER_KEY, *TOLD_COLUMNS], partitioning=None) if files else None


def _segment_numbers_path(settings: PlatformSettings) -> Path:
    return settings.home / "releases" / Segmentation.name / "segment_numbers.json"


def _used_segment_numbers(settings: PlatformSettings) -> dict[str, int]:
    """Return the highest number of a segment that any release ever used, by group."""
    path = _segment_numbers_path(settings)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
