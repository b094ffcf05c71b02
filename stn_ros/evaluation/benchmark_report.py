"""Benchmark outcomes as JSON and as a Markdown table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stn_ros.evaluation.trials import Outcome, accuracy, at_threshold


def summarise(outcomes: Mapping[str, Sequence[Outcome]]) -> dict[str, Any]:
    """Figures by contestant: accuracy by group, recall and precision at the threshold."""
    summary: dict[str, Any] = {}
    for name, answers in outcomes.items():
        present = [answer for answer in answers if answer.present]
        groups = dict.fromkeys(answer.group for answer in present)
        summary[name] = {
            "accuracy": {
                group: accuracy([answer for answer in present if answer.group == group])
                for group in groups
            },
            "at_threshold": at_threshold(answers),
        }
    return summary


def markdown(title: str, summary: Mapping[str, Any], notes: Sequence[str] = ()) -> str:
    """The figures as a Markdown page; the best share in a row is bold."""
    names = list(summary)
    lines = [f"# {title}", "", *[f"- {note}" for note in notes], ""]
    lines += [
        "Share of frames with a published answer whose corner error is below 3 px (what is not "
        "published is no answer) and its 95 % interval, median corner error, median time.",
        "",
        "| condition | frames | "
        + " | ".join(f"{name}: published and right | interval | median | ms" for name in names)
        + " |",
        "|---" * (2 + 4 * len(names)) + "|",
    ]
    for group in summary[names[0]]["accuracy"]:
        figures = [summary[name]["accuracy"][group] for name in names]
        best = max(figure["right"] for figure in figures)
        cells = []
        for figure in figures:
            share = _percent(figure["right"])
            share = f"**{share}**" if figure["right"] == best else share
            interval = f"{100 * figure['right_low']:.0f}-{100 * figure['right_high']:.0f} %"
            median, time = _pixels(figure["median_px"]), f"{figure['median_ms']:.0f}"
            cells.append(f"{share} | {interval} | {median} | {time}")
        lines.append(f"| {group} | {figures[0]['trials']} | " + " | ".join(cells) + " |")
    lines += ["", "At the threshold:", ""]
    lines += ["| | " + " | ".join(names) + " |", "|---" * (1 + len(names)) + "|"]
    rows = (
        ("answers off by > 8 px that are published", "wrong_published", "wrong_answers"),
        ("recall: answers within 3 px that are published", "right_published", "right_answers"),
        ("absent or other object rejected", "absent_rejected", "absent_trials"),
        ("1 - precision: published answers that are off by > 8 px", "published_wrong", None),
    )
    for label, key, count in rows:
        cells = []
        for name in names:
            figure = summary[name]["at_threshold"]
            of = f" of {figure[count]}" if count else ""
            cells.append(_percent(figure[key]) + of)
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write(folder: Path, name: str, page: str, figures: Mapping[str, Any]) -> None:
    """Write NAME.md and NAME.json; figures that do not exist (infinite, NaN) become null."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(page, encoding="utf-8")
    text = json.dumps(_finite(figures), indent=2, allow_nan=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:  # noqa: ANN401 (JSON)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f} %"


def _pixels(error: float) -> str:
    return f"{error:.2f} px" if math.isfinite(error) else "none"
