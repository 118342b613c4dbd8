import pytest
from pydantic import ValidationError

from ml.credit_risk.config import CreditRiskConfig


def test_shares_must_leave_customers_to_train_on():
    with pytest.raises(ValidationError, match="leave no customers"):
        CreditRiskConfig(holdout_customer_share=0.6, calibration_customer_share=0.4)


def test_unknown_settings_are_refused():
    with pytest.raises(ValidationError):
        CreditRiskConfig.model_validate({"max_depht": 3})
