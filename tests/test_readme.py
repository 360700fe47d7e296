"""The README's table is the committed report's, and what it links to is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_table_is_the_report_s():
    readme = (ROOT / "README.md").read_text()
    table = readme.split("<!-- headline -->")[1].split("<!-- /headline -->")[0].strip()
    assert table.startswith("|")
    assert table in (ROOT / "reports" / "published" / "quick" / "report.md").read_text()


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert not [link for link in links if "://" not in link and not (ROOT / link).exists()]
