"""What the page "Tariffs" shows of the engine is what the engine does: its code is run, its outputs are compared."""

import contextlib
import io
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ml.tariffs import load_catalogue, tariff_to_yaml
from ml.tariffs.__main__ import main

PAGE = (Path(__file__).parents[4] / "docs" / "tariffs.md").read_text(encoding="utf-8")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OUTPUTS = ("text", "yaml")


def fences() -> Iterator[tuple[str, str]]:
    """Language and content of the blocks that belong together, from the first Python to the schema."""
    start, end = PAGE.index("## Use the engine from Python"), PAGE.index("## Price simulation")
    yield from _FENCE.findall(PAGE[start:end])


def test_the_code_of_the_page_prints_what_the_page_shows() -> None:
    namespace: dict[str, Any] = {}
    shown = printed = 0

    for (language, content), (next_language, expected) in pairwise([*fences(), ("", "")]):
        if language != "python":
            continue
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(content, "docs/tariffs.md", "exec"), namespace)
        printed += bool(output.getvalue())
        if next_language in OUTPUTS:
            shown += 1
            assert output.getvalue().rstrip() == expected.rstrip()

    assert shown == printed >= 8


@pytest.mark.parametrize(
    ("working", "total"),
    [("240 x 0.5469 + 170 x 0.5969 = 232.729", "232.73"), ("600 x 35.2 + 2 x 35.2 x 70 = 26,048", "26,048.00")],
)
def test_the_worked_figures_are_those_of_the_bill(working: str, total: str) -> None:
    left, _, right = working.partition(" = ")

    assert working in PAGE
    assert sum(_product(term) for term in left.split(" + ")) == pytest.approx(float(right.replace(",", "")))
    assert re.search(rf"^(Total|Contracted demand charge) +{re.escape(total)}$", PAGE, re.MULTILINE)


def _product(term: str) -> float:
    result = 1.0
    for factor in term.split(" x "):
        result *= float(factor)
    return result


def test_the_command_line_says_what_the_page_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks, adder = tariff_to_yaml(load_catalogue().get("sd_res_tier_tou")).split("- kind: energy\n  name: Time-of-use")
    broken = blocks.replace("4800", "480") + "- kind: energy\n  name: Time-of-use" + adder.replace("tables", "tabels")
    (tmp_path / "proposal.yaml").write_text(broken, encoding="utf-8")
    [console] = [content for language, content in fences() if language == "console"]

    assert main(["check", str(tmp_path / "proposal.yaml")]) == 1

    shown = console.splitlines()
    assert shown[0] == "$ python -m ml.tariffs check proposal.yaml"
    assert sorted(shown[1:]) == sorted(capsys.readouterr().out.splitlines())
