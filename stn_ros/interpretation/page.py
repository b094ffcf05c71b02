"""A page that stands alone: HTML with its pictures inside, no scripts, nothing from the network."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# A browser refuses what is not in the file, whatever the text holds.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2530; background: #f4f5f7; margin: 0; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 40px 60px; background: #fff; }
h1 { font-size: 28px; line-height: 1.2; margin: 12px 0 4px; }
h2 { font-size: 21px; margin: 44px 0 8px; padding-top: 14px; border-top: 1px solid #d9dde3; }
figure { margin: 18px 0 26px; }
img { max-width: 100%; height: auto; display: block; }
figcaption { color: #44505e; margin-top: 6px; max-width: 860px; }
.findings { border-left: 5px solid #c8500a; background: #fdf3ea; padding: 10px 18px; }
.sound { border-left-color: #22824a; background: #edf7f0; }
.findings ul { margin: 6px 0; padding-left: 20px; }
table { border-collapse: collapse; margin: 14px 0; font-size: 14px; }
th, td { padding: 4px 14px 4px 0; text-align: right; border-bottom: 1px solid #e3e6ea; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; vertical-align: bottom; }
dl { display: grid; grid-template-columns: max-content auto; gap: 2px 18px; font-size: 14px;
     color: #44505e; }
dt { font-weight: 600; } dd { margin: 0; }
code { background: #eef0f3; padding: 1px 4px; }
"""


@dataclass(frozen=True)
class Figure:
    """A picture. `png`: the file. `caption`: one sentence on what to look for."""

    png: bytes
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; the first column is a name, the others figures."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of the page. `text`: paragraphs; `code` in backquotes."""

    title: str
    text: Sequence[str]
    content: Sequence[Figure | Table] = ()


def render(
    title: str,
    summary: str,
    wrong: Sequence[str],
    looked_for: str,
    facts: Sequence[tuple[str, str]],
    sections: Sequence[Section],
) -> str:
    """The page as HTML.

    Args:
        summary: what was looked at, a sentence or two. wrong: what is wrong, a sentence each; if
            none, the page says so, and what was looked for. facts: names and values, such as seeds
            and machine.
    """
    parts = [f"<h1>{_text(title)}</h1>", f"<p>{_text(summary)}</p>"]
    parts += [_wrong(wrong, looked_for), "<dl>"]
    parts += [f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts]
    parts.append("</dl>")
    for section in sections:
        parts.append(f"<h2>{_text(section.title)}</h2>")
        parts += [f"<p>{_text(paragraph)}</p>" for paragraph in section.text]
        parts += [
            _figure(each) if isinstance(each, Figure) else _table(each) for each in section.content
        ]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def write(path: Path, page: str) -> None:
    """Write the page, its folder too.

    Raises:
        ValueError: the path is a folder.
    """
    if path.is_dir():
        raise ValueError(f"{path}: is a folder: name a file, such as {path / 'explained.html'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _wrong(wrong: Sequence[str], looked_for: str) -> str:
    if not wrong:
        return (
            '<div class="findings sound"><b>Nothing wrong was found.</b> Looked for: '
            f"{_text(looked_for)}.</div>"
        )
    items = "".join(f"<li>{_text(each)}</li>" for each in wrong)
    return f'<div class="findings"><b>What is wrong</b><ul>{items}</ul></div>'


def _figure(figure: Figure) -> str:
    data = base64.b64encode(figure.png).decode()
    caption = _text(figure.caption)
    alt = html.escape(figure.caption)
    return (
        f'<figure><img alt="{alt}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{_text(each)}</th>" for each in table.head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return (
        f"<figure><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"<figcaption>{_text(table.caption)}</figcaption></figure>"
    )


def _text(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
