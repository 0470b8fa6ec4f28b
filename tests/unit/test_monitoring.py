"""The dashboard, the alert rules and their page name metrics that there are, and say something of each."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from core import measures
from core.metrics import Counter, Fact, Histogram, Metric, ProcessGauge

ROOT = Path(__file__).parents[2]
DASHBOARD, RULES = ROOT / "deploy/grafana/apg.json", ROOT / "deploy/prometheus/alerts.yml"
PAGE = (ROOT / "docs/operations/monitoring.md").read_text()
KINDS = {Counter: "counter", Histogram: "histogram", ProcessGauge: "gauge, of processes", Fact: "gauge"}
_SELECTED = re.compile(r"(apg_\w+)(?:\{([^}]*)\})?")
_LABELS = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPED = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not here: apt-get install prometheus, or make test-packages"
)


def series_of(metric: Metric) -> list[str]:
    parts = ("_bucket", "_count", "_sum") if isinstance(metric, Histogram) else ("",)
    return [metric.name + part for part in parts]


SERIES = {name: metric for metric in measures.ALL.values() for name in series_of(metric)}


def queries() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of the dashboard and of the rules."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']}", target["expr"]
    for rule in rules():
        yield f"alert {rule['alert']}", rule["expr"]


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_every_query_names_metrics_and_labels_that_there_are() -> None:
    seen = set()
    for where, query in queries():
        labels = {"le"}
        found = _SELECTED.findall(query)
        assert found, where
        for name, selector in found:
            assert name in SERIES, (where, name)
            assert set(_LABELS.findall(selector)) <= {*SERIES[name].labels, "le"}, (where, name)
            labels |= set(SERIES[name].labels)
            seen.add(name)
        for grouped in _GROUPED.findall(query):
            assert {label.strip() for label in grouped.split(",")} <= labels, where
    shown = {SERIES[name].name for name in seen}
    assert set(measures.ALL) - shown == set(), "a metric that nobody looks at"


def test_a_query_of_what_is_not_there_is_found() -> None:
    assert "apg_executions_total" not in SERIES
    assert "apg_execution_seconds" not in SERIES
    assert "apg_execution_seconds_bucket" in SERIES


def test_panels_have_ids_and_places_of_their_own() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_the_page_has_every_metric_as_it_is_and_no_other() -> None:
    written = re.findall(r"^\| `(apg_\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    assert written == [
        (metric.name, KINDS[type(metric)], ", ".join(f"`{label}`" for label in metric.labels), metric.help)
        for metric in measures.ALL.values()
    ]


def test_every_alert_says_what_to_do_and_has_a_section_on_the_page() -> None:
    headings = re.findall(r"^### (APG\w+)$", PAGE, re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]
    for rule in rules():
        notes = rule["annotations"]
        assert set(notes) == {"summary", "action", "runbook"}, rule["alert"]
        assert notes["runbook"] == f"docs/operations/monitoring.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert notes["action"].strip() in PAGE, rule["alert"]


def test_names_are_as_prometheus_wants_them() -> None:
    for metric in measures.ALL.values():
        assert metric.name.endswith("_total") == isinstance(metric, Counter), metric.name
        assert not isinstance(metric, Histogram) or metric.name.endswith("_seconds"), metric.name
        assert not {"workflow", "user", "execution_id", "id", "url", "path", "owner"} & set(metric.labels)


@needs_promtool
def test_prometheus_accepts_the_rules_and_they_fire_when_they_should() -> None:
    for verb, file in (("check", RULES), ("test", RULES.with_name("alerts_test.yml"))):
        done = subprocess.run(
            ["promtool", verb, "rules", file], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    tested = RULES.with_name("alerts_test.yml").read_text()
    assert [rule["alert"] for rule in rules() if f'alertname="{rule["alert"]}"' not in tested] == []


@needs_promtool
def test_prometheus_can_read_every_query_of_the_dashboard(tmp_path: Path) -> None:
    records = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, (_, query) in enumerate(queries())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_prometheus_finds_no_fault_with_what_is_answered() -> None:
    from config import metrics_text
    from config.metrics_facts import Told
    from core.metrics_sending import Counted

    facts = [
        metric.sample(1, *("x" for _ in metric.labels)) for metric in measures.ALL.values() if isinstance(metric, Fact)
    ]
    sums = {
        (metric.name, *('a"b\\c' for _ in metric.labels), part): 1.0
        for metric in measures.ALL.values()
        for part in (("",) if isinstance(metric, Counter) else ("3", "sum"))
        if isinstance(metric, Counter | Histogram)
    }
    gauges = {metric.name: 1.0 for metric in measures.ALL.values() if isinstance(metric, ProcessGauge)}
    text = metrics_text.text(Told(tuple(facts), Counted(sums, {"web": gauges})))
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert done.returncode in {0, 3}, done.stderr.decode()
    assert [line for line in done.stderr.decode().splitlines() if "apg_" in line] == []
