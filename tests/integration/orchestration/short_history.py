"""A supplier that knows little: three months of readings, no payment, and personal data wherever files have room."""

from pathlib import Path

from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.deliveries import write_deliveries

CUSTOMERS = 40
MONTHS = 3

# Values that occur nowhere by chance. The name is searched for in the encodings in which it could be stored.
CUSTOMER_ID = "KUNDE-7Q4X9Z-1"
NAME = "欧阳翠玉兰"
ID_NUMBER = "37010119000101777X"
PHONE = "13755501234567"
ADDRESS = "槐荫区幸福里九十九号"
TEXT = "my daughter Ottilie Quabbernack is ill"
PERSONAL_VALUES = (CUSTOMER_ID, NAME, ID_NUMBER, PHONE, ADDRESS, TEXT, "Quabbernack")

_FILES = {
    "customers.csv": (
        "customer_id,customer_class,name,id_number,phone,address,district,registered_date\n"
        f"{CUSTOMER_ID},residential,{NAME},{ID_NUMBER},{PHONE},{ADDRESS},chengguan,2024-09-01\n"
        # Refused rows carry personal data into the quarantine and the messages must not repeat them.
        f"{CUSTOMER_ID}-B,{NAME},{NAME},{ID_NUMBER},{PHONE},{ADDRESS},chengguan,2024-09-01\n"
        f"{CUSTOMER_ID}-C,residential,{NAME},{ID_NUMBER},{PHONE},{ADDRESS},chengguan,{PHONE}\n"
    ),
    "meters.csv": (
        "meter_id,customer_id,interval_minutes,installed_date\n"
        f"PLANTED-M1,{CUSTOMER_ID},60,2024-09-01\n"
        f"PLANTED-M2,{CUSTOMER_ID}-UNKNOWN,60,2024-09-01\n"
    ),
    "bills.csv": (
        "bill_id,customer_id,period_start,period_end,kwh,amount,issued_date,due_date\n"
        f"PLANTED-B1,{CUSTOMER_ID},2024-09-01,2024-10-01,120,61.20,2024-10-09,2024-10-29\n"
        f"PLANTED-B2,{CUSTOMER_ID},2024-09-01,2024-10-01,120,{PHONE}x,2024-10-09,2024-10-29\n"
        f"PLANTED-B3,{CUSTOMER_ID}-UNKNOWN,2024-09-01,2024-10-01,120,61.20,2024-10-09,2024-10-29\n"
    ),
    "service_contacts.csv": (
        "contact_id,customer_id,opened_at,closed_at,channel,topic,text,satisfaction\n"
        f"PLANTED-S1,{CUSTOMER_ID},2024-10-01T01:28:00Z,,phone,billing,{TEXT},4\n"
        f"PLANTED-S2,{CUSTOMER_ID},{TEXT},,phone,billing,{TEXT},4\n"
    ),
    "tariff_enrolments.csv": f"customer_id,valid_from,tariff_id\n{CUSTOMER_ID},{NAME},sd_residential\n",
    "programme_enrolments.csv": f"customer_id,programme,joined_date\n{CUSTOMER_ID},app,2024-09-10\n",
    "inspections.csv": (
        f"inspection_id,customer_id,inspected_date,outcome\nPLANTED-I1,{CUSTOMER_ID},2024-10-02,normal\n"
        f"PLANTED-I2,{CUSTOMER_ID},2024-10-02,{TEXT}\n"
    ),
}  # fmt: skip


def fill_inbox(inbox: Path) -> None:
    """Write what the supplier delivers."""
    write_deliveries(SupplierConfig(customers=CUSTOMERS, months=MONTHS, seed=7), inbox)
    for payments in inbox.glob("*/payments.csv"):
        payments.unlink()
    planted = inbox / "2024-12-03"
    planted.mkdir()
    for name, content in _FILES.items():
        (planted / name).write_text(content, encoding="utf-8")
    (planted / "delivery.yaml").write_text("delivered_at: 2024-12-03T01:00:00Z\n")
