"""Plainly synthetic personal data: nobody has these names, numbers or addresses."""

from orchestration.ingestion.simulated_supplier.population import DISTRICT_NAMES_ZH

_HOUSES_PER_STREET = 40


def customer_name(number: int, customer_class: str) -> str:
    """Return a name that says that it is made up."""
    kind = {"residential": "客户", "commercial": "商户", "industrial": "工厂", "agricultural": "农户"}[customer_class]
    return f"演示{kind}{number:06d}"


def identity_number(number: int) -> str:
    """Return an identity number in a form that no real one has."""
    return f"DEMO{number:014d}"


def phone_number(number: int) -> str:
    """Return a telephone number from a range that is not assigned."""
    return f"100{number:08d}"


def address(number: int, district: int) -> str:
    """Return an address in a county that does not exist."""
    street, house = divmod(number, _HOUSES_PER_STREET)
    return f"演示县{DISTRICT_NAMES_ZH[district]}示例路{street + 1}号院{house + 1}室"
