"""The life of a model: what is checked again, and what is known already."""

from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.bundle import Bundle
from ml.credit_risk.config import CreditRiskConfig
from ml.errors import BundleError
from ml.evaluation import ChampionComparison, Evaluation, Metric
from ml.sufficiency import Finding, SufficiencyReport
from monitoring.verdicts import Outcome, record_verdict
from orchestration.lifecycle import (
    check_data,
    decision_dir,
    judge_challenger,
    learning_marts,
    release_challenger,
    review_month,
)
from orchestration.marts import MartsVersion
from orchestration.settings import PlatformSettings
from orchestration.use_cases import CreditRisk, Segmentation
from serving.model_store import ModelStore
from tests.unit.orchestration.test_checks import verdict
from tests.unit.serving.builders import approval, feature_table, publish, write_small_bundle


class CountedCreditRisk(CreditRisk):
    """Counts how often the data is looked at."""

    def __init__(self) -> None:
        self.checks = 0
        self.currency = "CNY"

    def config(self, settings: PlatformSettings) -> CreditRiskConfig:  # noqa: ARG002  (the interface)
        return CreditRiskConfig(currency=self.currency)

    def check(self, marts: MartsVersion, settings: PlatformSettings) -> SufficiencyReport:  # noqa: ARG002  (the interface)
        self.checks += 1
        return SufficiencyReport(
            use_case=self.name, findings=(Finding.at_least("customers", self.checks, 1, missing="Nobody."),)
        )


def marts_with(fingerprint: str) -> MartsVersion:
    return cast("MartsVersion", SimpleNamespace(fingerprint=lambda *_marts: fingerprint, customers=None))


def test_the_same_data_is_checked_once_and_changed_data_or_settings_again(tmp_path: Path) -> None:
    use_case, settings = CountedCreditRisk(), PlatformSettings(home=tmp_path, _env_file=None)

    first = check_data(use_case, marts_with("a"), settings)
    again = check_data(use_case, marts_with("a"), settings)
    assert (again, use_case.checks) == (first, 1)

    changed = check_data(use_case, marts_with("b"), settings)
    assert (changed.findings[0].found, use_case.checks) == ("2", 2)

    use_case.currency = "EUR"
    check_data(use_case, marts_with("b"), settings)
    assert use_case.checks == 3


class CountedSnapshot(CreditRisk):
    """Counts how often the features of a release are read."""

    def __init__(self) -> None:
        self.snapshots = 0

    def snapshot_features(self, *_arguments: object) -> pd.DataFrame:
        self.snapshots += 1
        return feature_table("credit_risk")


def test_features_of_a_release_are_read_only_when_it_is_new_or_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, use_case = PlatformSettings(home=tmp_path / "home", _env_file=None), CountedSnapshot()
    version = write_small_bundle(tmp_path / "bundle", "credit_risk").version
    store = ModelStore(settings.home)
    store.store_bundle(tmp_path / "bundle")
    monkeypatch.setattr(
        "orchestration.lifecycle.read_challenger",
        lambda *_names: SimpleNamespace(manifest=SimpleNamespace(version=version)),
    )
    folder = decision_dir(settings, "credit_risk", version)
    folder.mkdir(parents=True)
    (folder / "decision.json").write_text(approval("credit_risk").model_dump_json(), encoding="utf-8")

    def release(marts: str) -> str:
        found = release_challenger(
            use_case, cast("MartsVersion", SimpleNamespace(name=marts)), settings, approved_by=""
        )
        assert found is not None
        return found.name

    first = release("m1")
    assert (release("m1"), use_case.snapshots) == (first, 1)
    second = release("m2")
    assert second != first
    (store.release_dir("credit_risk", second) / "features.sqlite").write_bytes(b"torn")
    assert release("m2") not in (first, second)
    assert use_case.snapshots == 3


class UnreadableChampion(CountedCreditRisk):
    """Meets a champion whose files are whole but written in the form of other code."""

    def compare(self, *_arguments: object) -> ChampionComparison:
        raise BundleError("the load forecast of the bundle cannot be read: 'group_classes'")


def test_champion_in_the_form_of_other_code_does_not_stop_the_judgement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = SimpleNamespace(bundle_version="202608-0123456789")
    monkeypatch.setattr(ModelStore, "current_release", lambda _store, _use_case: released)
    monkeypatch.setattr(ModelStore, "bundle_dir", lambda _store, *_names: tmp_path)
    monkeypatch.setattr("ml.bundle.read_bundle_of_this_code", lambda _directory: SimpleNamespace())
    key = Metric(name="roc_auc", value=0.8, lower=0.7, upper=0.9, higher_is_better=True, rows=1000)
    sufficiency = SufficiencyReport.of("credit_risk", [])
    challenger = SimpleNamespace(
        manifest=SimpleNamespace(version="202609-abcdefabcd"),
        evaluation=Evaluation(
            use_case="credit_risk", holdout_description="Later months", key_metric=key, sufficiency=sufficiency
        ),
        render_card=lambda gate: gate.reason,
    )

    decision = judge_challenger(
        UnreadableChampion(),
        cast(Bundle, challenger),
        marts_with("a"),
        PlatformSettings(home=tmp_path, _env_file=None),
        decided_on=date(2026, 10, 5),
    )

    assert "champion" not in {criterion.aspect for criterion in decision.criteria}


class WithoutOutcomes(CreditRisk):
    """Knows nothing of what happened to customers."""

    outcome_marts = ()

    def outcomes(self, *_arguments: object) -> None: ...

    def vintages(self, *_arguments: object) -> None: ...

    def advised_bills(self, *_arguments: object) -> None: ...


def test_a_month_is_reviewed_again_only_when_an_earlier_one_was_judged_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.lifecycle.review_surroundings", lambda _marts: None)
    monkeypatch.setattr("orchestration.lifecycle.surroundings_fingerprint", lambda _marts: "")
    settings = PlatformSettings(home=tmp_path / "home", _env_file=None)
    release = publish(ModelStore(settings.home), tmp_path, "credit_risk")
    july = date(2026, 7, 1)

    def reviewed_at(outcome_of_june: Outcome | None = None) -> datetime:
        if outcome_of_june:
            june = verdict(outcome_of_june).model_copy(update={"month": date(2026, 6, 1), "release": release.name})
            record_verdict(june, settings.reports_dir)
        found = review_month(WithoutOutcomes(), marts_with("a"), settings, july, with_report=False)
        assert found is not None
        return found.reviewed_at

    first = reviewed_at()
    assert reviewed_at() == first
    after_watch = reviewed_at("watch")
    assert after_watch > first
    assert reviewed_at("watch") == after_watch
    assert reviewed_at("act") > after_watch


def test_beyond_the_setting_segments_are_learned_from_a_sample_that_others_do_not_change(tmp_path: Path) -> None:
    settings = PlatformSettings(home=tmp_path, training_customers=1000, _env_file=None)
    keys = [f"{number:032x}" for number in range(1, 2400, 2)]
    few, many = (segmentation_marts(tmp_path / name, own) for name, own in (("few", keys[:900]), ("many", keys)))
    later = segmentation_marts(tmp_path / "later", [*keys, f"{2399:032x}"])

    samples = [learning_marts(Segmentation(), marts, settings) for marts in (few, many, later)]

    assert samples[0] == few
    assert [len(sample.read(Segmentation.feature_mart)) for sample in samples] == [900, 1000, 1000]
    assert samples[1].customers == samples[2].customers
    assert learning_marts(CreditRisk(), many, settings) == many


def segmentation_marts(folder: Path, keys: list[str]) -> MartsVersion:
    folder.mkdir()
    months = pa.array([date(2026, 6, 1)] * len(keys), pa.date32())
    for mart in (Segmentation.feature_mart, "customer_tariff_features", "customer_credit_features"):
        pq.write_table(pa.table({"as_of_month": months, "customer_key": keys}), folder / f"{mart}.parquet")
    return MartsVersion("v", folder, {Segmentation.feature_mart: len(keys)}, {})
