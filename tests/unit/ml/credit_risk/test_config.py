import pytest
from pydantic import ValidationError

from ml.credit_risk.config import CreditRiskConfig


def test_holding_out_must_leave_customers_to_train_on():
    with pytest.raises(ValidationError, match="holdout_customer_share"):
        CreditRiskConfig(holdout_customer_share=1.0)


def test_unknown_settings_are_refused():
    with pytest.raises(ValidationError):
        CreditRiskConfig.model_validate({"max_depht": 3})
