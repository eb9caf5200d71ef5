"""Pieces of HTML: the page around them, tables, numbers, and figures whose picture lies in the page itself."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Sequence
from html import escape

UNDEFINED = "–"
STYLE = """
:root { color-scheme: light }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff; margin: 0 auto; max-width: 1080px;
  padding: 1rem }
h1, h2, h3 { line-height: 1.2 } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc } td { overflow-wrap: anywhere }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #e4e4e4 }
th:first-child, th.text, td.text { text-align: left } tbody th { font-weight: normal; vertical-align: top }
.scroll { overflow-x: auto } caption { text-align: left; color: #555 }
td.bar { background: linear-gradient(90deg, #cfe3f5 var(--part), transparent 0) }
img { max-width: 100%; height: auto; display: block } figure { margin: 1rem 0 2rem; break-inside: avoid }
.warning { border-left: 4px solid #d55e00; background: #fdf3ec; padding: .5rem 1rem } .warning ul { margin: 0;
  padding-left: 1.2rem }
.side { display: flex; flex-wrap: wrap; gap: 1rem } .side figure { flex: 0 1 30rem; margin: 0 }
.swatch { display: inline-block; width: 1.1em; height: .8em; margin: 0 .3em 0 1em; border: 1px solid #888 }
"""
# Nothing is loaded from anywhere, even if a case's name should try to.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def document(title: str, body: str) -> str:
    """A whole page; ``body`` is HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def figure(png: bytes, description: str, caption: str, *, anchor: str = "") -> str:
    """A picture in the page.

    Args:
        png: the picture's file.
        description: for those who do not see it, as text.
        caption: as HTML.
        anchor: what links in the page lead to.
    """
    width, height = struct.unpack(">II", png[16:24])  # of the PNG header
    data = base64.b64encode(png).decode("ascii")
    source = f'src="data:image/png;base64,{data}" width="{width}" height="{height}" alt="{escape(description)}"'
    place = f' id="{escape(anchor)}"' if anchor else ""
    return f"<figure{place}>\n<figcaption>{caption}</figcaption>\n<img {source}>\n</figure>"


def number(value: float, digits: int = 2) -> str:
    """A number, or a dash where it is undefined."""
    return UNDEFINED if math.isnan(value) else f"{value:.{digits}f}"


def cell(content: str) -> str:
    """A cell of a number, or of text that is HTML."""
    return f"<td>{content}</td>"


def text_cell(content: str) -> str:
    """A cell of text, which is escaped."""
    return f'<td class="text">{escape(content)}</td>'


def row_header(content: str, *, rows: int = 1) -> str:
    """The first cell of one or several rows; ``content`` is HTML."""
    return f'<th class="text" scope="{"row" if rows == 1 else "rowgroup"}" rowspan="{rows}">{content}</th>'


def table(columns: Sequence[str], groups: Sequence[Sequence[Sequence[str]]], *, caption: str = "") -> str:
    """A table.

    Args:
        columns: their titles; none at all for a table without head. Those that begin with a space hold text.
        groups: rows that belong together, each a list of cells.
        caption: what it shows, or in which order.
    """
    kinds = [' class="text"' if name.startswith(" ") else "" for name in columns]
    cells = [f'<th scope="col"{k}>{escape(name.strip())}</th>' for k, name in zip(kinds, columns, strict=True)]
    top = f"<caption>{escape(caption)}</caption>\n" if caption else ""
    top += f"<thead><tr>{''.join(cells)}</tr></thead>\n" if columns else ""
    bodies = ["\n".join(f"<tr>{''.join(row)}</tr>" for row in rows) for rows in groups]
    content = "\n".join(f"<tbody>\n{body}\n</tbody>" for body in bodies)
    return f'<div class="scroll">\n<table>\n{top}{content}\n</table>\n</div>'
