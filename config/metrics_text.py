"""What was told as Prometheus reads it (text exposition format 0.0.4), by its own client library."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from config.metrics_facts import Told
from core import measures
from core.metrics import SUM, Counter, Fact, Histogram, ProcessGauge

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

# Of one metric, by its labels' values, by its parts.
_Parts = Mapping[tuple[str, ...], Mapping[str, float]]


def text(told: Told) -> bytes:
    """The whole answer of `/metrics`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Everything(told))
    return generate_latest(registry)


class _Everything(Collector):
    def __init__(self, told: Told) -> None:
        self._told = told

    def collect(self) -> Iterator[Family]:
        """A family for each metric of which something is known."""
        facts: dict[str, list[tuple[tuple[str, ...], float]]] = defaultdict(list)
        for name, values, value in self._told.samples:
            facts[name].append((values, value))
        counted = self._told.counted
        sums: dict[str, dict[tuple[str, ...], dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        for series, amount in (counted.sums if counted else {}).items():
            sums[series[0]][series[1:-1]][series[-1]] = amount
        for metric in measures.ALL.values():
            if isinstance(metric, Fact):
                if metric.name in facts:
                    yield _gauge(metric, facts[metric.name])
            elif counted is None:
                continue
            elif isinstance(metric, ProcessGauge):
                numbers = [told[metric.name] for told in counted.gauges.values() if metric.name in told]
                yield _gauge(metric, [((), sum(numbers) if metric.merge == "sum" else max(numbers, default=0.0))])
            elif isinstance(metric, Counter):
                yield _counter(metric, sums[metric.name])
            elif isinstance(metric, Histogram):
                yield _histogram(metric, sums[metric.name])


def _gauge(metric: Fact | ProcessGauge, values: list[tuple[tuple[str, ...], float]]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _counter(metric: Counter, counted: _Parts) -> Family:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels in _all_labels(metric, counted):
        family.add_metric(labels, counted.get(labels, {}).get("", 0.0))
    return family


def _histogram(metric: Histogram, counted: _Parts) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels in _all_labels(metric, counted):
        parts = counted.get(labels, {})
        buckets, so_far = [], 0.0
        for place, bound in enumerate((*metric.bounds, float("inf"))):
            so_far += parts.get(str(place), 0.0)
            buckets.append((f"{bound:g}".replace("inf", "+Inf"), so_far))
        family.add_metric(labels, buckets, parts.get(SUM, 0.0))
    return family


def _all_labels(metric: Counter | Histogram, counted: _Parts) -> list[tuple[str, ...]]:
    """Those known beforehand and those counted; not those that another release had."""
    fitting = [labels for labels in counted if len(labels) == len(metric.labels)]
    return list(dict.fromkeys([*metric.known(), *sorted(fitting)]))
