"""The three use cases by name: their columns and the class that serves them.

Modules are imported when asked for, so that Dagster can load the model store without XGBoost or scikit-learn.
"""

import importlib
from functools import cache
from typing import TYPE_CHECKING

from ml.columns import Column

if TYPE_CHECKING:
    from ml.bundle import Bundle
    from serving.feature_store import FeatureStore
    from serving.released_model import ReleasedModel, ReleaseIdentity

POLICY_VERSION = "policy_version"
"""Column of the log with the policy that decided."""


def feature_columns(use_case: str) -> tuple[Column, ...]:
    """Return the features of a use case in the order of its mart."""
    columns: tuple[Column, ...] = importlib.import_module(f"ml.{use_case}.schema").FEATURES
    return columns


def prediction_columns(use_case: str) -> tuple[Column, ...]:
    """Return the outputs of a use case in the order of its bundle."""
    columns: tuple[Column, ...] = importlib.import_module(f"ml.{use_case}.schema").PREDICTIONS
    return columns


@cache
def context_columns(use_case: str) -> tuple[str, ...]:
    """Return what a release knows of a customer beside features and district, by its name in the batch predictions.

    For credit risk that is the rating in force, which follows from all months and not from the row that is scored.
    """
    if use_case != "credit_risk":
        return ()
    from ml.credit_risk.rating import HISTORY_COLUMNS

    return HISTORY_COLUMNS


def logged_context_columns(use_case: str) -> tuple[str, ...]:
    """Return what the prediction log keeps of an answer beside features and prediction; for credit risk the policy too.

    So a replay tells what followed by the policy that decided, whichever is chosen since.
    """
    return (*context_columns(use_case), POLICY_VERSION) if use_case == "credit_risk" else context_columns(use_case)


def load_released_model(identity: "ReleaseIdentity", bundle: "Bundle", features: "FeatureStore") -> "ReleasedModel":
    """Load the model of a verified bundle, ready to answer for one release."""
    serving_class: type[ReleasedModel] = importlib.import_module(f"serving.{identity.use_case}").SERVING_CLASS
    return serving_class(identity, bundle, features)
