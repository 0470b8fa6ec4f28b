"""Where the parts of the dashboard's charts stand."""

import pytest

from config.charts import Hour, success_rates, throughput


@pytest.mark.parametrize(
    ("largest", "labels"),
    [
        (0, ["0", "1"]),
        (1, ["0", "1"]),
        (4, ["0", "1", "2", "3", "4"]),
        (5, ["0", "2", "4", "6"]),
        (21, ["0", "10", "20", "30"]),
        (4001, ["0", "2,000", "4,000", "6,000"]),
    ],
)
def test_the_axis_has_at_most_four_round_steps(largest: int, labels: list[str]) -> None:
    chart = throughput([Hour("00:00", completed=largest)])
    assert [tick.text for tick in chart.y_ticks] == labels
    heights = [tick.at for tick in chart.y_ticks]
    assert (heights[0], heights[-1]) == (chart.bottom, 12)


def test_a_bar_is_stacked_from_the_bottom_without_gaps() -> None:
    chart = throughput([Hour("14:00", completed=6, failed=3, cancelled=1), Hour("15:00", failed=2)])
    first, second = chart.bars
    assert [part.kind for part in first.segments] == ["completed", "failed", "cancelled"]
    lows = [part.y + part.height for part in first.segments]
    assert lows == pytest.approx([chart.bottom, first.segments[0].y, first.segments[1].y], abs=0.02)
    assert [part.kind for part in second.segments] == ["failed"]
    assert second.segments[0].y + second.segments[0].height == pytest.approx(chart.bottom, abs=0.02)
    assert first.title == "14:00: 6 completed, 3 failed, 1 cancelled"
    assert first.x + chart.bar_width < second.x < chart.right - chart.bar_width


def test_rates_are_joined_where_hours_follow_one_another() -> None:
    hours = [Hour("0", completed=1), Hour("1", failed=1), Hour("2", cancelled=5), Hour("3", completed=3, failed=1)]
    chart = success_rates(hours)
    assert [point.y for point in chart.points] == [12, chart.bottom, 12 + (chart.bottom - 12) / 4]
    assert chart.lines == (f"{chart.points[0].x},12.0 {chart.points[1].x},{float(chart.bottom)}",)
    assert chart.points[2].title == "3: 75.0% of 4"
    assert [hour.success_text for hour in hours] == ["100.0%", "0.0%", "", "75.0%"]


@pytest.mark.parametrize(
    ("failed", "labels"),
    [
        (0, ["90 %", "92.5 %", "95 %", "97.5 %", "100 %"]),
        (15, ["80 %", "85 %", "90 %", "95 %", "100 %"]),
        (40, ["60 %", "70 %", "80 %", "90 %", "100 %"]),
        (41, ["0 %", "25 %", "50 %", "75 %", "100 %"]),
    ],
)
def test_the_axis_of_rates_begins_below_the_worst_hour(failed: int, labels: list[str]) -> None:
    chart = success_rates([Hour("0", completed=1), Hour("1", completed=100 - failed, failed=failed)])
    assert [tick.text for tick in chart.y_ticks] == labels
    assert chart.points[0].y == 12
    assert 12 <= chart.points[1].y <= chart.bottom


def test_the_last_hour_is_labelled_and_every_fourth_before_it() -> None:
    chart = throughput([Hour(f"{hour:02}:00") for hour in range(24)])
    assert [tick.text for tick in chart.x_ticks] == ["03:00", "07:00", "11:00", "15:00", "19:00", "23:00"]


def test_no_hours_are_an_empty_chart() -> None:
    assert (throughput([]).bars, success_rates([]).points, success_rates([]).lines) == ((), (), ())
