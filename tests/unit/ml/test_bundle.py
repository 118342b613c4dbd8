import hashlib
import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.bundle import (
    BundleManifest,
    DataWindow,
    canonical_json,
    content_version,
    fingerprint_frames,
    frame_bytes,
    read_bundle,
    read_bundle_of_this_code,
    schema_names,
    write_bundle,
)
from ml.errors import BundleError
from ml.evaluation import Evaluation, Metric
from ml.model_card import ModelCard
from ml.wording import Bilingual


def arguments(**changes: object) -> dict[str, object]:
    features, predictions = schema_names("credit_risk")
    metric = Metric(name="roc_auc", value=0.7, lower=0.6, upper=0.8)
    text = Bilingual(en="Credit", zh="信用")
    return {
        "use_case": "credit_risk",
        "estimator_files": {"model.json": b"{}"},
        "evaluation": Evaluation(use_case="credit_risk", holdout_description="later", key_metric=metric),
        "reference": pd.DataFrame({name: [0.5, 1.5] for name in (*features, *predictions)}),
        "model_card": ModelCard(title=text, purpose=text, key_figure=text),
        "plots": {"plot.png": b"png"},
        "config": {"depth": 3},
        "seed": 7,
        "data_window": DataWindow(first_month=date(2025, 1, 1), last_month=date(2025, 12, 1)),
        "data_fingerprint": "abc",
        "rows": {"train": 10},
        **changes,
    }


def write(directory: Path, **changes: object) -> Path:
    write_bundle(directory, **arguments(**changes))
    return directory


def test_a_bundle_comes_back_as_it_was_written(tmp_path: Path):
    frame = pd.DataFrame({"customer_key": ["a"], "is_default": [True]})
    bundle = read_bundle(write(tmp_path / "bundle", holdout=frame))
    assert bundle.manifest.version.startswith("202512-")
    assert bundle.estimator_files() == {"model.json": b"{}"}
    assert bundle.plots() == {"plot.png": b"png"}
    assert bundle.evaluation == arguments()["evaluation"]
    pd.testing.assert_frame_equal(bundle.reference(), arguments()["reference"])
    pd.testing.assert_frame_equal(bundle.holdout(), frame)
    assert read_bundle(write(tmp_path / "without")).holdout() is None


def test_the_same_contents_give_the_same_bytes_and_other_contents_another_version(tmp_path: Path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    other = read_bundle(write(tmp_path / "c", seed=8))
    assert other.manifest.version != read_bundle(first).manifest.version


def test_no_clock_and_no_path_is_written(tmp_path: Path):
    directory = write(tmp_path / "bundle")
    for path in directory.rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes()
    assert not any(key.endswith("_at") for key in json.loads((directory / "bundle.json").read_bytes()))


@pytest.mark.parametrize("name", ["estimator/model.json", "evaluation.json", "reference.parquet", "model_card.html"])
def test_an_altered_file_is_refused_by_its_name(tmp_path: Path, name: str):
    directory = write(tmp_path / "bundle")
    (directory / name).write_bytes((directory / name).read_bytes() + b" ")
    with pytest.raises(BundleError, match=f"altered: {name}"):
        read_bundle(directory)


def test_a_missing_and_an_added_file_are_refused(tmp_path: Path):
    directory = write(tmp_path / "bundle")
    (directory / "plots" / "plot.png").unlink()
    (directory / "estimator" / "extra.json").write_bytes(b"{}")
    with pytest.raises(BundleError, match=r"missing: plots/plot\.png; not in the manifest: estimator/extra\.json"):
        read_bundle(directory)


def edit(directory: Path, **changes: object) -> None:
    path = directory / "bundle.json"
    path.write_bytes(canonical_json({**json.loads(path.read_bytes()), **changes}))


def test_an_altered_manifest_is_refused_although_every_file_fits(tmp_path: Path):
    directory = write(tmp_path / "bundle")
    edit(directory, data_fingerprint="another")
    with pytest.raises(BundleError, match="does not belong to these contents"):
        read_bundle(directory)


def as_written_elsewhere(directory: Path, **changes: object) -> Path:
    """Give a bundle a manifest that says something else but is consistent, as other code would have written it."""
    edit(write(directory), **changes)
    manifest = BundleManifest.model_validate_json((directory / "bundle.json").read_bytes())
    edit(directory, version=content_version(manifest))
    return directory


def test_another_minor_of_a_library_is_refused_and_named(tmp_path: Path):
    directory = as_written_elsewhere(tmp_path / "b", library_versions={"numpy": np.__version__, "xgboost": "1.7.6"})
    with pytest.raises(BundleError, match=r"written with xgboost 1\.7\.6 \(installed: "):
        read_bundle(directory)


def test_bundle_of_other_code_counts_as_none_and_a_damaged_one_does_not(tmp_path: Path):
    features, _ = schema_names("credit_risk")
    assert read_bundle_of_this_code(as_written_elsewhere(tmp_path / "schema", features=features[1:])) is None
    assert (
        read_bundle_of_this_code(as_written_elsewhere(tmp_path / "old", library_versions={"xgboost": "1.7.6"})) is None
    )
    assert read_bundle_of_this_code(write(tmp_path / "own")) is not None
    (tmp_path / "own" / "evaluation.json").write_text("{}")
    with pytest.raises(BundleError, match="altered"):
        read_bundle_of_this_code(tmp_path / "own")


def test_another_patch_of_a_library_is_accepted(tmp_path: Path):
    patched = ".".join([*np.__version__.split(".")[:2], "999"])
    directory = as_written_elsewhere(tmp_path / "b", library_versions={"numpy": patched})
    assert read_bundle(directory).manifest.library_versions == {"numpy": patched}


def test_another_schema_is_refused_and_the_columns_are_named(tmp_path: Path):
    features, _ = schema_names("credit_risk")
    directory = as_written_elsewhere(tmp_path / "b", features=features[1:])
    with pytest.raises(BundleError, match=rf"features differ .*new \['{features[0]}'\]"):
        read_bundle(directory)


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "../model.json", "model"])
def test_unsafe_formats_and_paths_are_not_written(tmp_path: Path, name: str):
    with pytest.raises(BundleError, match="not allowed"):
        write(tmp_path / "bundle", estimator_files={name: b""})
    assert not (tmp_path / "bundle").exists()


def test_a_reference_without_a_column_is_not_written(tmp_path: Path):
    reference = arguments()["reference"].drop(columns=["credit_points"])
    with pytest.raises(BundleError, match="lacks the columns credit_points"):
        write(tmp_path / "bundle", reference=reference)


def test_a_bundle_is_written_once(tmp_path: Path):
    write(tmp_path / "bundle")
    with pytest.raises(BundleError, match="exists"):
        write(tmp_path / "bundle", seed=9)


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path):
    with pytest.raises(BundleError, match="could not be written"):
        write(tmp_path / "bundle", plots={"no-such-folder/x/plot.png": b""})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), (b"not json", "is not JSON"), (b"[]", "format version"), (b"{}", "format version")],
)
def test_what_is_not_a_manifest_is_refused(tmp_path: Path, content: bytes | None, message: str):
    if content is not None:
        (tmp_path / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=message):
        read_bundle(tmp_path)


def test_an_unknown_use_case_is_refused(tmp_path: Path):
    with pytest.raises(BundleError, match="unknown use case 'churn'"):
        write(tmp_path / "bundle", use_case="churn")


def test_the_hash_in_the_manifest_is_the_hash_of_the_file(tmp_path: Path):
    directory = write(tmp_path / "bundle")
    manifest = read_bundle(directory).manifest
    assert manifest.files["evaluation.json"] == hashlib.sha256((directory / "evaluation.json").read_bytes()).hexdigest()


def test_the_fingerprint_follows_values_and_names_and_not_the_index():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    same = fingerprint_frames({"t": frame})
    assert fingerprint_frames({"t": frame.set_index(pd.Index([5, 6]))}) == same
    assert fingerprint_frames({"t": frame.assign(a=[1, 3])}) != same
    assert fingerprint_frames({"t": frame.rename(columns={"a": "c"})}) != same
    assert fingerprint_frames({"u": frame}) != same


def test_canonical_json_refuses_what_is_not_json():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": float("nan")})


def test_frame_bytes_do_not_depend_on_the_index():
    frame = pd.DataFrame({"a": [1.0, None], "b": ["x", "y"]})
    assert frame_bytes(frame) == frame_bytes(frame.set_index(pd.Index([7, 8])))
