"""What the page of a comparison says."""

from __future__ import annotations

import re
from dataclasses import replace

from model.scores.intervals import Interval
from tasks.comparison.page import by_level, cells, markdown, page, verdicts
from tasks.comparison.result import SHOWN, Comparison, Row, without_partial_sums
from tasks.plots.comparison import comparison_pictures
from tasks.plots.figures import png


def _row(name: str, level: str = "", *, difference: Interval | None = None, **scores: float) -> Row:
    found = {score: Interval(value, value - 0.1, value + 0.1) for score, value in scores.items()}
    differences = dict.fromkeys(found, difference) if difference else {}
    return Row(level, name, name, "mtanet", found, differences, 1_234_567, 75.0, 2345.6, {"va": 10, "expr": 20})


BASELINE = _row("plain", ccc=0.5, expression=0.4, action_units=0.6, official=1.5)
BETTER = _row("better", difference=Interval(0.2, 0.1, 0.3), ccc=0.7, expression=0.6, action_units=0.8, official=2.1)
PARTIAL = replace(_row("partial", difference=Interval(0.0, -0.1, 0.1), expression=0.4), labels={"expr": 20})
COMPARISON = Comparison("mine", "sample", 9, [0, 1, 2], [BASELINE, BETTER, PARTIAL], is_synthetic=True)


def test_a_row_shows_scores_with_intervals_the_difference_and_what_it_cost() -> None:
    assert cells(BASELINE) == [
        "plain",
        "0.500 [0.400, 0.600]",
        "0.400 [0.300, 0.500]",
        "0.600 [0.500, 0.700]",
        "1.500 [1.400, 1.600]",
        "-",
        "1,234,567",
        "75 s",
        "2,346",
        "10 va, 20 expr",
    ]
    assert cells(BETTER)[5] == "+0.200 [+0.100, +0.300]"


def test_a_system_with_fewer_tasks_is_compared_in_what_both_answer_and_is_empty_elsewhere() -> None:
    found = cells(PARTIAL)
    assert found[1] == found[3] == found[4] == "-"
    assert found[5] == "+0.000 [-0.100, +0.100] (expression)"


def test_a_system_that_answers_fewer_tasks_than_another_has_no_sum() -> None:
    partial = replace(PARTIAL, scores={**PARTIAL.scores, "official": Interval(0.4, 0.3, 0.5)})
    found = without_partial_sums([BASELINE, partial])
    assert "official" in found[0].scores
    assert set(found[1].scores) == {"expression"}
    assert without_partial_sums([partial]) == [partial]


def test_verdicts_say_better_worse_or_not_told_apart() -> None:
    worse = replace(BETTER, name="worse", differences={"ccc": Interval(-0.2, -0.3, -0.1)})
    found = list(verdicts(replace(COMPARISON, rows=[BASELINE, BETTER, PARTIAL, worse])))
    assert "better is better than plain in CCC: +0.200 [+0.100, +0.300]" in found
    assert "better is better than plain in sum: +0.200 [+0.100, +0.300]" in found
    assert "partial is no different beyond chance than plain in expression: +0.000 [-0.100, +0.100]" in found
    assert "worse is worse than plain in CCC: -0.200 [-0.300, -0.100]" in found


def test_levels_have_tables_of_their_own_and_a_picture_over_them() -> None:
    rows = [replace(row, level=level) for level in ("noise 0", "noise 0.4") for row in (BASELINE, BETTER)]
    comparison = replace(COMPARISON, rows=rows)
    text = markdown(comparison)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["noise 0", "noise 0.4"]
    assert text.count("| plain |") == 2
    assert set(comparison_pictures(by_level(comparison), SHOWN)) == {"Scores", "Scores by level"}
    assert set(comparison_pictures(by_level(COMPARISON), SHOWN)) == {"Scores"}
    assert "better is better than plain in CCC at noise 0.4" in text


def test_the_page_holds_everything_escapes_names_and_says_that_the_sample_is_synthetic() -> None:
    named = replace(COMPARISON, rows=[replace(BASELINE, name="<b>plain</b>"), BETTER])
    figures = comparison_pictures(by_level(named), SHOWN)
    found = page(named, {title: png(figure) for title, figure in figures.items()})
    assert "synthetic" in found
    assert "&lt;b&gt;plain&lt;/b&gt;" in found
    assert "<b>plain" not in found
    assert "data:image/png;base64," in found
    assert not re.search(r"(src|href)=\"(?!data:)", found)
