import json
import re
import shutil
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ml.evaluation import Criterion
from ml.gate import GateDecision
from ml.sufficiency import Finding, SufficiencyReport
from ml.trials import ArmFigures, DecisionChange, TrialSummary
from monitoring.acknowledgements import record_acknowledgement
from monitoring.drills import Detection, DrillReport, DrillResult, FalseAlarms, write_drill_report
from monitoring.guide_page import GUIDE_PAGE
from monitoring.model_history import DECISIONS_NAME, SUFFICIENCY_NAME, TRIALS_NAME
from monitoring.outcomes import (
    Estimated,
    EstimateEntry,
    EstimateRecord,
    Outcomes,
    PerformanceEstimate,
    RealisedPerformance,
    SegmentStability,
    TariffCohort,
    VintagePoint,
    VintageResult,
)
from monitoring.review import review_month
from monitoring.sections import ColumnImportance, ConceptDrift, GroupResidual, ImportanceShift, ReviewSlice
from monitoring.site import TEMPLATE_DIRECTORY, build_site
from monitoring.slices import review_slice
from monitoring.verdicts import (
    OUTCOME_WORDS,
    Comparison,
    Consequence,
    HistoryShift,
    MonthWeather,
    PerformanceResult,
    Verdict,
)
from orchestration.lifecycle import decision_dir
from orchestration.settings import PlatformSettings
from orchestration.trials import report_path
from serving.trials import Trial
from tests.unit.monitoring.factories import MONTH, RELEASE, Platform, prediction_frame, reference_frame, write_release
from tests.unit.monitoring.languages import EnglishOnly, english_only

JULY = date(2026, 7, 1)


class Page(HTMLParser):
    """Collects what a page links to, loads, and says."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and "href" in values:
            self.links.append(values["href"] or "")
        for name in ("src", "href"):
            if tag in ("link", "script", "img", "iframe") and values.get(name):
                self.loaded.append(values[name] or "")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def reviewed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models: one with two months and two releases, one released and never reviewed, one never released."""
    tmp_path = tmp_path_factory.mktemp("reviewed")
    credit = Platform(tmp_path, "credit_risk")
    credit.write_reference(reference_frame("credit_risk"))
    write_release(credit)
    write_release(credit, "0002-202609-def", is_current=False)
    for month in (JULY, MONTH):
        frame = prediction_frame("credit_risk", month, 800, seed=1)
        if month == MONTH:
            frame["default_probability"] = np.minimum(frame["default_probability"] * 2, 0.99)
        credit.write_batch(frame, month)
        verdict = review_month("credit_risk", month, with_report=False, **credit.folders)
        assert verdict.outcome == ("act" if month == MONTH else "stable")
    write_release(Platform(tmp_path, "segmentation"))
    return tmp_path


@pytest.fixture
def home(reviewed_home: Path, tmp_path: Path) -> Path:
    """A copy of the home with reviews that a test may change."""
    return Path(shutil.copytree(reviewed_home, tmp_path / "home"))


def read_pages(site: Path) -> dict[str, Page]:
    return {str(path.relative_to(site)): Page(path) for path in site.rglob("*.html")}


def pages(home: Path) -> dict[str, Page]:
    return read_pages(build_site(home).parent)


@pytest.fixture(scope="module")
def site(reviewed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a built site, with a refused challenger and a trial beside the reviews."""
    home = Path(shutil.copytree(reviewed_home, tmp_path_factory.mktemp("built") / "home"))
    write_decision(home, "202608-newer", date(2026, 9, 3))
    write_trial(home)
    return build_site(home).parent


@pytest.fixture(scope="module")
def built(site: Path) -> dict[str, Page]:
    """Its pages."""
    return read_pages(site)


def test_the_first_page_puts_the_model_in_need_first_in_words_and_not_by_colour_alone(built) -> None:
    text = built["index.html"].text
    assert "1 of 3 models needs attention" in text
    assert text.index("Credit risk") < text.index("Customer segmentation")
    assert "The predictions have moved" in text
    assert "预测结果发生偏移" in text
    assert "0.84" in text
    assert "Last month's status alone" in text
    for english, chinese in OUTCOME_WORDS.values():
        assert english in text
        assert chinese in text


def test_every_link_leads_to_a_file_and_nothing_is_loaded_from_elsewhere(built, site) -> None:
    for name, page in built.items():
        folder = (site / name).parent
        for link in (*page.links, *page.loaded):
            assert "://" not in link, name
            target, _, anchor = link.partition("#")
            leads_to = folder / target if target else folder / Path(name).name
            assert leads_to.exists(), f"{name}: {link}"
            assert not anchor or f'id="{anchor}"' in leads_to.read_text(encoding="utf-8"), f"{name}: {link}"


def test_pages_are_small(site) -> None:
    assert max(path.stat().st_size for path in site.rglob("*.*")) < 200_000


def test_a_model_page_tells_its_history_release_figures_and_policy(built) -> None:
    text = built["credit_risk/index.html"].text
    for expected in ("2026-07", "2026-08", "0001-202608-abc", "0002-202609-def", "policy: automatic", "+0.08"):
        assert expected in text
    assert "Every decision follows from the probability" in built["credit_risk/policy.html"].text
    assert "policy.html" in built["credit_risk/index.html"].links


def test_a_release_record_says_what_is_served_how_it_was_judged_and_when(home) -> None:
    write_decision(home, "202608-0123456789", date(2026, 9, 4), approved=True)
    page = pages(home)["credit_risk/release_0001-202608-abc.html"]
    for expected in ("served", "2026-09-05 08:12 UTC", "202608-0123456789", "0.840", "Calibration gap by district"):
        assert expected in page.text
    assert "decision_202608-0123456789.html" in page.links


def test_a_rollback_says_since_when_by_whom_and_why(home) -> None:
    entries = [
        {"at": "2026-09-05T02:10:12+00:00", "action": "publish", "from": None, "to": "0001", "by": "gate"},
        {"at": "2026-09-07T08:31:34+00:00", "action": "rollback", "from": "0002-202609-def", "to": "0001-202608-abc",
         "by": "Li Na", "reason": "too many refusals in the north"},
    ]  # fmt: skip
    history = home / "releases" / "credit_risk" / "history.jsonl"

    history.write_text("".join(json.dumps(entry) + "\n" for entry in entries[:1]))
    assert "Put back by" not in pages(home)["credit_risk/index.html"].text

    history.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    site = pages(home)
    text = " ".join(site["credit_risk/index.html"].text.split())
    assert "2026-09-07 08:31 UTC, instead of替换 0002-202609-def" in text
    assert "Li Na: too many refusals in the north" in text
    assert "since自 2026-09-07" in " ".join(site["index.html"].text.split())


def test_a_verdict_page_shows_findings_columns_and_distributions(built) -> None:
    page = built["credit_risk/2026-08_0001-202608-abc.html"]
    for expected in ("What was found", "default_probability", "reference", "this month", "Customers compared"):
        assert expected in page.text


def test_a_model_without_review_or_release_says_so(built) -> None:
    assert "No month has been reviewed yet" in built["segmentation/index.html"].text
    assert "No release is served" in built["tariff_matching/index.html"].text


def test_an_empty_home_gives_a_page_that_says_so(tmp_path) -> None:
    assert "No month has been reviewed yet" in pages(tmp_path)["index.html"].text


def test_building_again_replaces_pages_and_leaves_no_temporary_file(home) -> None:
    first = pages(home)
    assert pages(home).keys() == first.keys()
    assert not list((home / "reports").rglob("*.tmp"))


def test_a_report_on_demand_has_a_page_to_which_its_model_leads(home) -> None:
    platform = Platform(home, "credit_risk")
    part = ReviewSlice(first_month=JULY, last_month=MONTH, district="east")
    review_slice("credit_risk", part, with_report=False, **platform.folders)
    torn = home / "reports" / "credit_risk" / "on_demand" / "torn"
    torn.mkdir()
    (torn / "verdict.json").write_text("{")

    site = pages(home)

    [link] = [link for link in site["credit_risk/index.html"].links if link.startswith("on_demand_")]
    assert "2026-07 to 2026-08, district east" in site["credit_risk/index.html"].text
    assert "2026-07 to 2026-08, district east" in site[f"credit_risk/{link}"].text


def write_trial(home: Path) -> None:
    summary = TrialSummary(
        trial_id="t1",
        use_case="credit_risk",
        mode="shadow",
        share=1.0,
        champion_version="202608-old",
        challenger_version="202609-new",
        started_at=datetime(2026, 10, 1, 8, tzinfo=UTC),
        champion=ArmFigures(decisions_count=1200, customers_count=300, median_ms=1.2, p95_ms=2.8),
        compared_count=1190,
        agreement=0.953,
        agreement_lower=0.94,
        agreement_upper=0.965,
        changes=(DecisionChange(before="AA", after="AAA", count=31),),
    )
    folder = home / "reports" / "credit_risk" / TRIALS_NAME
    folder.mkdir(parents=True)
    (folder / "t1.json").write_text(summary.model_dump_json(), encoding="utf-8")


def test_a_trial_on_live_traffic_has_a_page_with_what_the_two_models_did(built) -> None:
    assert "trial_t1.html" in built["credit_risk/index.html"].links
    text = built["credit_risk/trial_t1.html"].text
    for expected in ("202608-old", "202609-new", "95.30 %", "94.00 – 96.50 %", "1.20 / 2.80", "AAA"):
        assert expected in text


def test_trials_are_read_where_they_are_reported(home) -> None:
    settings = PlatformSettings(home=home, _env_file=None)
    started = Trial(
        trial_id="t1",
        use_case="credit_risk",
        mode="shadow",
        share=1.0,
        release="0002",
        bundle_version="202609-new",
        champion_version="202608-old",
        started_at=datetime(2026, 10, 1, 8, tzinfo=UTC),
        started_by="Li Na",
    )
    assert report_path(settings, started) == home / "reports" / "credit_risk" / TRIALS_NAME / "t1.json"


def test_a_page_whose_verdict_is_gone_goes_too(home) -> None:
    stale = build_site(home).parent / "credit_risk" / "2020-01_0000.html"
    stale.write_text("old", encoding="utf-8")
    pages(home)
    assert not stale.exists()


class Outline(HTMLParser):
    """Collects what a screen reader goes by."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.landmarks: list[str] = []
        self.unnamed: list[str] = []
        self.ids: list[str] = []
        self.tables_without_head = 0
        self._table_has_head = True
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag in ("header", "main", "footer"):
            self.landmarks.append(tag)
        if "id" in values:
            self.ids.append(values["id"] or "")
        drawn = tag == "svg" and values.get("aria-hidden") != "true"
        if (drawn or tag == "nav") and not values.get("aria-label"):
            self.unnamed.append(tag)
        if tag == "table":
            self._table_has_head = False
        self._table_has_head |= tag == "th"

    def handle_endtag(self, tag: str) -> None:
        if tag == "table" and not self._table_has_head:
            self.tables_without_head += 1


def test_a_screen_reader_finds_landmarks_headings_and_names_on_every_page(site) -> None:
    for path in site.rglob("*.html"):
        if path.name.startswith("model_card"):
            continue
        found = Outline(path)
        assert found.headings.count(1) == 1, path.name
        steps = zip(found.headings, found.headings[1:], strict=False)
        assert all(deeper <= level + 1 for level, deeper in steps), path.name
        assert [name for name in found.landmarks if name == "main"] == ["main"], path.name
        assert found.unnamed == [], path.name
        assert found.tables_without_head == 0, path.name
        assert len(found.ids) == len(set(found.ids)), path.name


def test_every_text_of_a_page_stands_in_both_languages(site) -> None:
    for path in site.rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        assert html.count('<span lang="en">') == html.count('<span lang="zh">'), path.name


def fill_every_section(home: Path) -> None:
    """Give the verdict of August everything that a verdict can hold, and its model outcomes by month."""
    stated = Estimated(value=0.05, lower=0.04, upper=0.06)
    estimate = PerformanceEstimate(
        rows=800, coverage_pct=90, default_rate=stated, auc=stated, brier=stated, independent_windows=1
    )
    came = RealisedPerformance(rows=800, events=56, default_rate=0.07, auc=0.05, brier=0.04, shift=0.1, slope=1)
    entry = EstimateEntry(month=JULY, release=RELEASE, estimate=estimate, realised=came)
    point = VintagePoint(
        month=JULY, months_since=2, customers=800, past_due_30d_customers=32, past_due_60d_customers=16,
        past_due_90d_customers=8, due_amount=100.0, past_due_30d_amount=3.0, past_due_60d_amount=2.0,
        past_due_90d_amount=1.0,
    )  # fmt: skip
    cohort = TariffCohort(
        month=JULY, release=RELEASE, months_since=2, customers_advised=90, customers_judged=80, customers_followed=5,
        customers_saving=60, customers_inside=64, expected_saving_amount=900.0, realised_saving_amount=600.0,
        stayed_amount=9000.0, coverage_pct=80,
    )  # fmt: skip
    stability = SegmentStability(
        month=MONTH, release=RELEASE, is_same_release=False, customers=800, customers_stayed=760, customers_new=3,
        customers_lost=2, adjusted_rand_index=0.91, segments=(),
    )  # fmt: skip
    known = PerformanceResult(
        months=(JULY,), rows=800, events=56, auc=0.8, auc_lower=0.77, auc_upper=0.83, brier=0.04,
        calibration_error=0.01, mean_predicted=0.05, mean_observed=0.07, auc_at_release=0.84,
    )  # fmt: skip
    group = GroupResidual(
        dimension="district", group="east", rows=400, events=30, predicted=0.05, observed=0.075, gap=0.025,
        gap_lower=0.01, gap_upper=0.04, gap_at_release=0.001, level="drifted",
    )  # fmt: skip
    path = home / "reports" / "credit_risk" / "2026-08" / RELEASE / "verdict.json"
    verdict = Verdict.model_validate_json(path.read_bytes())
    moved = next(score for score in verdict.columns if score.role == "feature" and score.status == "judged")
    told = moved.model_copy(
        update={
            "consequence": Consequence(
                decisions_changed_pct=6.5, money_kind="expected_loss", money_reference_amount=12.0,
                money_shifted_amount=15.0,
            ),
            "decided_by": "weather_adjusted",
            "comparisons": (
                Comparison(basis="whole_reference", score=0.41, level="strong", rows_reference=800),
                Comparison(basis="same_season", why_en="no such months", why_zh="无同季节"),
                Comparison(basis="weather_adjusted", score=0.03, level="quiet", rows_reference=800),
            ),
            "expected_en": "As expected for 31.2 °C.",
            "expected_zh": "与 31.2 °C 相符。",
        }
    )  # fmt: skip
    filled = verdict.model_copy(
        update={
            "columns": tuple(told if score is moved else score for score in verdict.columns),
            "leading_columns": (moved.column,),
            "finding_outcome": "stable",
            "held_since": JULY,
            "weather": MonthWeather(
                mean_temperature_c=31.2, normal_temperature_c=28.0, heating_degree_days=0, cooling_degree_days=285,
                districts_count=2, anomaly_3m_c=2.0,
            ),
            "history": HistoryShift(
                full_months=12, short_reference_pct=2, short_current_pct=9, rows_reference=700, rows_set_aside=8
            ),
            "performance": known,
            "estimate": estimate,
            "estimate_record": EstimateRecord.of((entry,)),
            "vintage": VintageResult(point=point, usual_pct=2, upper_pct=3, vintages=6),
            "tariff_outcomes": (cohort,),
            "segment_stability": stability,
            "concept": ConceptDrift(column="default_probability", months=(JULY,), rows=800, groups=(group,)),
            "importance": ImportanceShift(
                method="explanations",
                columns=(
                    ColumnImportance(
                        column=moved.column, share_reference=0.2, share_current=0.4, rank_reference=3, rank_current=1
                    ),
                ),
                moved_share=0.2,
                chance_level=0.1,
                rank_correlation=0.9,
                rows_reference=800,
                rows_current=800,
            ),
        }
    )  # fmt: skip
    path.write_text(filled.model_dump_json(), encoding="utf-8")
    outcomes = Outcomes(
        use_case="credit_risk",
        updated_at=datetime(2026, 9, 5, tzinfo=UTC),
        estimates=(entry,),
        vintages=(point,),
        tariff_cohorts=(cohort,),
        segment_months=(stability,),
    )
    (home / "reports" / "credit_risk" / "outcomes.json").write_text(outcomes.model_dump_json(), encoding="utf-8")


def test_every_section_that_a_verdict_and_its_outcomes_can_have_is_shown(home) -> None:
    fill_every_section(home)
    site = pages(home)
    text = " ".join(site[f"credit_risk/2026-08_{RELEASE}.html"].text.split())
    for expected in (
        "6.5 % of the customers",
        "+25.0 % 12.00 → 15.00 per customer",
        "held since延续自 2026-07",
        "31.2 °C",
        "normal常年 28.0 °C (+3.2)",
        "9.0 %",
        "0.800",
        "0 / 1",
        "usual通常 2.0 %; by chance at most偶然上限 3.0 %",
        "+2.5 (+1.0 – +4.0)",
        "no such months",
        "As expected for 31.2 °C.",
        "1 (3)",
        "67 %",
    ):
        assert expected in text, expected
    model = " ".join(site["credit_risk/index.html"].text.split())
    for expected in ("✗ outside区间外", "4.0", "5.0 %", "another release than the month before"):
        assert expected in model, expected


def test_a_report_begins_with_its_first_finding_and_the_columns_that_matter_and_folds_the_notes(home) -> None:
    fill_every_section(home)
    month = (build_site(home).parent / "credit_risk" / f"2026-08_{RELEASE}.html").read_text(encoding="utf-8")
    sections = [month.index(words) for words in ("Do first", "The columns that matter most", "What was found")]
    assert sections == sorted(sections)
    told, _, notes = month[sections[-1] :].partition("<details>")
    assert 'class="act"' in told
    assert 'class="info"' not in told
    assert 'class="info"' in notes.partition("</details>")[0]
    assert "notes: good to know" in notes


def test_everything_on_the_pages_can_be_read_in_chinese(home) -> None:
    fill_every_section(home)
    write_decision(home, "202608-newer", date(2026, 9, 3))
    write_trial(home)
    write_drills(home)
    assert english_only(build_site(home).parent) == {}


def write_drills(home: Path) -> None:
    """Give the home a report of two drills: one caught late, one explained as it should be."""
    late = DrillResult(
        scenario="recession", seed=7, result="late", detections=(),
        counted=Detection(detector="verdict: credit_risk", days=190, severity="act"),
    )  # fmt: skip
    explained = DrillResult(scenario="heat_wave", seed=7, result="explained", detections=())
    quiet = FalseAlarms(
        model_months=24, not_judged_months=0, watch_months=2, act_months=1, column_months=1_200,
        drifted_column_months=6, named_column_months=1, drifted_months_by_column={}, loud_months_by_finding={},
    )  # fmt: skip
    report = DrillReport(
        measured_at=datetime(2026, 11, 22, tzinfo=UTC), customers=400, seeds=(7,), results=(late, explained),
        false_alarms={"credit_risk": quiet},
    )  # fmt: skip
    write_drill_report(report, home / "reports")


def test_drills_stand_on_a_page_with_what_should_have_been(home) -> None:
    write_drills(home)
    built = pages(home)
    text = " ".join(built["drills.html"].text.split())
    assert "drills.html" in built["index.html"].links
    for expected in ("1 of 2 ended as they should", "caught late", "verdict of credit risk", "190 (185)", "6 (0.50 %)"):
        assert expected in text, expected
    (home / "reports" / "drills.json").write_text("{}")
    assert "drills.html" not in pages(home)


def test_what_is_silenced_is_said_with_who_and_why_on_every_page_of_the_model(home) -> None:
    record_acknowledgement(
        home / "reports",
        kind="silence",
        use_case="credit_risk",
        code="column_drift",
        column="late_bills_3m_count",
        by="Li Na",
        reason="A payment holiday until spring.",
        until=datetime.now(UTC).date(),
    )
    site = pages(home)
    for name in ("index.html", "credit_risk/index.html", "credit_risk/2026-08_0001-202608-abc.html"):
        text = " ".join(site[name].text.split())
        assert "Li Na: A payment holiday until spring." in text, name
        assert "A column has moved so that it matters" in text, name


def relative_luminance(colour: str) -> float:
    """Return it as WCAG 2.2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_level_aa(scheme) -> None:
    style = (TEMPLATE_DIRECTORY / "style.css").read_text(encoding="utf-8")
    light, _, rest = style.partition("@media (prefers-color-scheme: dark)")
    block = light if scheme == "light" else rest.partition("* { box-sizing")[0]
    colours = {name: relative_luminance(value) for name, value in re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)}
    pairs = [(text, ground) for text in ("ink", "quiet", "link", "stable", "watch", "act", "now")
             for ground in ("sheet", "ground")]  # fmt: skip
    pairs += [(name, f"{name}-ground") for name in ("stable", "watch", "act", "unknown")]
    pairs += [("quiet", "unknown-ground"), ("sheet", "link")]
    for text, ground in pairs:
        darker, lighter = sorted((colours[text], colours[ground]))
        assert (lighter + 0.05) / (darker + 0.05) >= (3 if text == "now" else 4.5), (text, ground)


def test_a_use_case_without_a_model_says_what_its_data_lacks(home) -> None:
    report = SufficiencyReport(
        use_case="tariff_matching",
        findings=(Finding.at_least("history", 3, 12, missing="There are 3 months of bills; 12 are needed."),),
    )
    folder = home / "reports" / "tariff_matching"
    folder.mkdir(parents=True)
    (folder / SUFFICIENCY_NAME).write_text(json.dumps({"key": "k", "report": report.model_dump(mode="json")}))
    site = pages(home)
    assert "There are 3 months of bills; 12 are needed." in site["index.html"].text
    assert "There are 3 months of bills; 12 are needed." in site["tariff_matching/index.html"].text


def test_a_supplied_name_is_shown_as_text_and_not_as_markup(tmp_path) -> None:
    write_release(Platform(tmp_path, "credit_risk"))
    record = tmp_path / "releases" / "credit_risk" / "0001-202608-abc" / "release.json"
    record.write_text(record.read_text().replace("policy: automatic", "<script>alert(1)</script>"))
    build_site(tmp_path)
    page = (tmp_path / "reports" / "site" / "credit_risk" / "index.html").read_text()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_verdict_whose_folder_was_removed_leaves_the_others(home) -> None:
    (home / "reports" / "credit_risk" / "2026-07" / "0001-202608-abc" / "verdict.json").unlink()
    assert "credit_risk/2026-07_0001-202608-abc.html" not in pages(home)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("incident_log.json", "the incidents of all models"),
        ("acknowledgements.jsonl", "what people acknowledged and silenced"),
        ("credit_risk/retrainings.jsonl", "the retrainings of this model"),
        ("credit_risk/outcomes.json", "what became of this model's predictions"),
    ],
)
@pytest.mark.parametrize("content", [b'{"torn": ', b"\xff\xfe\x00\n"], ids=["torn", "binary"])
def test_a_damaged_record_is_said_in_its_place_and_the_rest_is_built(home, name, missing, content) -> None:
    (home / "reports" / name).write_bytes(content + b"\n")
    built = pages(home)
    sentence = f"The file reports/{name} is damaged: {missing} cannot be shown."
    assert sentence in built["credit_risk/index.html"].text
    assert sentence in built["index.html"].text
    assert "credit_risk/2026-08_0001-202608-abc.html" in built


def write_decision(home: Path, version: str, day: date, *, approved: bool = False) -> Path:
    folder = home / "reports" / "credit_risk" / "decisions" / version
    folder.mkdir(parents=True)
    decision = GateDecision(
        use_case="credit_risk",
        approved=approved,
        decided_on=day,
        policy_valid_from=date(2026, 1, 1),
        criteria=(
            Criterion(name="key_metric", passed=True, observed="0.6664 (0.5479 to 0.7587)"),
            Criterion(name="calibration_gap by district", passed=approved, reason="The gap is <0.09>."),
            Criterion(name="better than last_status", passed=True if approved else None, reason="It is missing."),
            Criterion(name="rating_psi", passed=False, reason="Overridden.", overridden_by="Li Wei"),
        ),
        reason="Refused.",
    )
    (folder / "decision.json").write_text(decision.model_dump_json(), encoding="utf-8")
    (folder / "model_card.html").write_text("<!doctype html><title>card</title>", encoding="utf-8")
    return folder


def test_refused_challengers_are_listed_with_what_they_did_not_meet_and_their_card(home) -> None:
    write_decision(home, "202607-older", date(2026, 8, 3))
    write_decision(home, "202608-newer", date(2026, 9, 3))
    write_decision(home, "202606-good", date(2026, 9, 4), approved=True)

    page = pages(home)["credit_risk/index.html"]

    assert page.text.index("202608-newer") < page.text.index("202607-older")
    assert [decision.split("_")[1] for decision in page.links if decision.startswith("decision_")][-2:] == [
        "202608-newer.html",
        "202607-older.html",
    ]
    assert "Overridden." not in page.text
    decision = pages(home)["credit_risk/decision_202608-newer.html"]
    assert "overridden" in decision.text
    for expected in (
        "2026-09-03",
        "0.6664 (0.5479 to 0.7587)",
        "Calibration gap by district",
        "校准差距（按供电区域）",
        "The gap is <0.09>.",
        "Better than today's overdue balance alone",
        "(could not be judged)",
    ):
        assert expected in page.text
    assert "../../credit_risk/decisions/202608-newer/model_card.html" in page.links
    assert "202608-newer" in pages(home)["index.html"].text


def test_a_decision_that_cannot_be_read_leaves_the_others(home) -> None:
    (write_decision(home, "202607-older", date(2026, 8, 3)) / "decision.json").write_text("{}")
    write_decision(home, "202608-newer", date(2026, 9, 3))
    text = pages(home)["credit_risk/index.html"].text
    assert "202608-newer" in text
    assert "202607-older" not in text


def test_decisions_are_read_where_the_life_cycle_of_a_model_keeps_them(tmp_path) -> None:
    expected = tmp_path / "reports" / "credit_risk" / DECISIONS_NAME / "202608-newer"
    assert decision_dir(PlatformSettings(home=tmp_path), "credit_risk", "202608-newer") == expected


def test_figures_and_columns_are_named_in_words_on_every_page(site) -> None:
    for path in site.rglob("*.html"):
        if path.name == GUIDE_PAGE:
            # The documentation names tables and settings for those who look them up.
            continue
        html = re.sub(r"<(style|script|code)\b.*?</\1>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        words = re.sub(r"<[^>]*>|\([a-z0-9_]+\)|（[a-z0-9_]+）", "", html)
        assert not re.findall(r"\b[a-z0-9]+_[a-z0-9_]+\b", words), path.name


def test_every_square_of_a_time_line_stands_above_its_own_month(site) -> None:
    html = (site / "index.html").read_text(encoding="utf-8")
    line = html[html.index('class="timeline"') : html.index("</ol>")]
    labels = [re.sub(r"<[^>]*>", "", item.split('class="month-label"')[1].partition(">")[2]) for item in
              line.split("<li>")[1:]]  # fmt: skip
    assert [label.strip() for label in labels] == ["072026", "08"]


@pytest.mark.parametrize(
    ("body", "is_found"),
    [
        ('<p><span lang="en">Look at it</span><span lang="zh">请查看</span></p>', False),
        ('<p><span lang="en">Look at it</span></p>', True),
        ('<p><span lang="en">Look at it</span><b>12</b></p>', True),
        ("<p>Look at it</p>", True),
        ('<p><span lang="zh">Look at it soon</span></p>', True),
        ('<p title="Look at it"></p>', True),
        ('<p title="Look at it 请查看">2.0 kWh</p>', False),
        ('<p><span class="said" lang="">Waiting for the bank</span> <code>tenure_months</code></p>', False),
    ],
)
def test_english_without_chinese_is_found_wherever_it_stands(body, is_found, tmp_path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<html lang='en'><body>{body}</body></html>", encoding="utf-8")
    assert bool(EnglishOnly(page).found) is is_found
