"""A report as one HTML file: no scripts, nothing fetched, ready to print."""

import re
from html import escape

from qkcore.reports.contents import Code, Figure, Part, Report, Table, Text

# Nothing may be loaded or run, whatever a name in a store says.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
body { font: 15px/1.5 "Source Sans 3", "Segoe UI", Arial, sans-serif; color: #16191f;
       background: white; max-width: 44rem; margin: 2rem auto; padding: 0 1rem;
       overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin-bottom: 0.2rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; }
figure { margin: 1rem 0; }
figure svg { width: 100%; height: auto; }
figcaption, .about { color: #4a4f57; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0.5rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 1rem 0.2rem 0;
         border-bottom: 1px solid #dfe2e6; overflow-wrap: anywhere; min-width: 5rem; }
pre { background: #f4f5f7; padding: 0.6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print {
  body { font-size: 10pt; margin: 0; max-width: none; }
  figure, tr, pre { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""


def html_of(report: Report) -> str:
    """The whole page; every text is escaped.

    >>> html_of(Report("A < B", "", ())).count("A &lt; B")
    2
    """
    sections = "\n".join(
        f"<section>\n<h2>{escape(section.title)}</h2>\n"
        + "\n".join(_part(part) for part in section.parts)
        + "\n</section>"
        for section in report.sections
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(report.title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{escape(report.title)}</h1>
<p class="about">{escape(report.about)}</p>
{sections}
</main>
</body>
</html>
"""


def _part(part: Part) -> str:
    if isinstance(part, Text):
        text = escape(part.text)
        return f"<p><strong>{text}</strong></p>" if part.is_strong else f"<p>{text}</p>"
    if isinstance(part, Code):
        return f"<pre><code>{escape(part.text)}</code></pre>"
    if isinstance(part, Figure):
        # Inside HTML an SVG needs no name of its kind, and then the file holds no address at all.
        svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", part.svg)
        svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(part.caption)}"', 1)
        return f"<figure>{svg}<figcaption>{escape(part.caption)}</figcaption></figure>"
    return _table(part)


def _table(table: Table) -> str:
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in table.titles)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in table.rows
    )
    head = f"<thead><tr>{titles}</tr></thead>"
    return f'<div class="wide"><table>{head}\n<tbody>{rows}</tbody></table></div>'
