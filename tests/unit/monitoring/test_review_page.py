"""The documentation's page *Review* explains what stands on the pages of the site."""

import re
from pathlib import Path

import pytest

from monitoring.guide_page import GUIDE_SOURCE, GUIDE_SOURCE_ZH
from monitoring.site import TEMPLATE_DIRECTORY

LABEL = re.compile(r'<(?:th|dt|h2|h3)\b[^>]*>\s*\{\{ t\("([^"]+)"')
LABEL_ZH = re.compile(r'<(?:th|dt|h2|h3)\b[^>]*>\s*\{\{ t\("[^"]+", "([^"]+)"')
# Their labels are explained in other chapters by what they show, or by the documentation of the data.
ELSEWHERE = {"segments.html.j2", "service_quality.html.j2", "data_dictionary.html.j2"}
UNITS = re.compile(r"(?:, |，)(?:%|days|ms: median / 95 %|毫秒：中位数 / 95 %)$")


@pytest.fixture(scope="module")
def explained() -> str:
    text = GUIDE_SOURCE.read_text(encoding="utf-8").casefold().replace("*", "")
    return " ".join(text.split())


@pytest.mark.parametrize(
    "template", [path for path in sorted(TEMPLATE_DIRECTORY.glob("*.j2")) if path.name not in ELSEWHERE],
    ids=lambda path: path.name,
)  # fmt: skip
def test_every_label_of_a_page_stands_in_the_documentation(template: Path, explained: str) -> None:
    labels = {UNITS.sub("", label) for label in LABEL.findall(template.read_text(encoding="utf-8"))}
    assert sorted(label for label in labels if label.casefold() not in explained) == []


@pytest.mark.parametrize(
    "template", [path for path in sorted(TEMPLATE_DIRECTORY.glob("*.j2")) if path.name not in ELSEWHERE],
    ids=lambda path: path.name,
)  # fmt: skip
def test_every_chinese_label_of_a_page_stands_in_the_chinese_documentation(template: Path) -> None:
    explained = re.sub(r"[\s*]", "", GUIDE_SOURCE_ZH.read_text(encoding="utf-8"))
    labels = {UNITS.sub("", label) for label in LABEL_ZH.findall(template.read_text(encoding="utf-8"))}
    assert sorted(label for label in labels if re.sub(r"\s", "", label) not in explained) == []
