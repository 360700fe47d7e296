"""The summary in Markdown: what it says, that no name means anything in it, and where it is written."""

import re
from html.parser import HTMLParser

import pytest
from fixtures import equibench, make, save
from markdown_it import MarkdownIt

from equibench.errors import UserError
from equibench.judge import markdown
from equibench.judge.check import Check, Comparison
from equibench.stats import Stat


def fd(row, verdict, worse_by, p):
    before, after = Stat((100.0,)), Stat((100.0 * (1 + worse_by),))
    return Comparison(row, "FD_2k", verdict, "why", before, after, worse_by=worse_by, tolerance=0.03, p=p)


WORSE, BETTER, SAME = (
    fd("vae", "regression", 0.5, 0.001),
    fd("gan", "passed", -0.2, 1.0),
    fd("flow", "passed", -0.01, 0.6),
)
HOSTILE = (
    "a|b", "<script>alert(1)</script>", "`x` *y* _z_ ~~u~~", "[a](https://b.example)", "@someone", "#12", ":tada:",
    "$x^2$", "line\nbreak", "\x1b[31m", "</details>", "\\|", "&lt;", "www.b.example", "http://b.example", "# head",
    "1. list", "- item", "> quote", "\u202egnp", "GH!x", "<!-- equibench",
)  # fmt: skip


def rows(text):
    return [
        line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| entrant", "| :---"))
    ]


def cells(row):
    return [cell.strip() for cell in row.strip("|").split(" | ")]


def test_the_verdict_comes_first_then_what_failed_then_what_got_better():
    text = markdown.text(Check((BETTER, SAME, WORSE), ("its config changed",)))
    head, title, verdict, *_ = [line for line in text.splitlines() if line]
    assert head == markdown.MARK
    assert title == "## equibench check"
    assert verdict.startswith("Regression")
    before, folded = text.split("<details><summary>Notes (1)</summary>")
    failed, better = before.split("**Better than the baseline**")
    assert [cells(row)[:2] for row in rows(failed)] == [["vae", "FD&#95;2k"]]
    assert "**regression**" in failed
    assert [cells(row)[0] for row in rows(better)] == ["gan"]
    assert "&#43;50.0 %" in failed
    assert "-20.0 %" in better
    assert [cells(row)[0] for row in rows(folded)] == ["gan", "flow", "vae"]
    assert "<summary>All 3 lines</summary>" in folded
    assert "- its config changed." in folded


def test_a_check_that_passes_shows_no_table_but_the_folded_one():
    text = markdown.text(Check((SAME,), ()))
    assert len(rows(text)) == 1
    assert "Better" not in text
    assert "Notes" not in text


class Cells(HTMLParser):
    """The text of each cell of a page's tables."""

    def __init__(self):
        super().__init__()
        self.found, self.tags = [], set()

    def handle_starttag(self, tag, attrs):  # noqa: ARG002
        self.tags.add(tag)
        if tag == "td":
            self.found.append("")

    def handle_data(self, data):
        if self.found:
            self.found[-1] += data


@pytest.mark.parametrize("said", HOSTILE)
def test_no_name_or_reason_means_anything_in_markdown(said):
    line = Comparison(said, said, "regression", said)
    text = markdown.text(Check((line,), (said,)))
    assert len(rows(text)) == 2
    shown = said.replace("\n", r"\n").replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")
    for row in rows(text):
        page = Cells()
        head = f"{markdown._row(markdown.HEAD)}\n{markdown._row([':---'] * 9)}\n"
        page.feed(MarkdownIt("commonmark").enable("table").render(head + row))
        assert [page.found[i].strip() for i in (0, 1, 8)] == [shown] * 3
        assert len(page.found) == 9
        assert page.tags == {"table", "thead", "tbody", "tr", "th", "td", "strong"}
        bare = re.sub("<!-- -->", "\0", cells(row)[0])  # none that GitHub adds a meaning to is left either
        assert not re.search(r"@\w|(?<!&)#\w|:\w+:|://|www\.|\$", bare)
    whole = Cells()
    whole.feed(MarkdownIt("commonmark").enable("table").render(text))
    assert whole.tags <= {*page.tags, "h2", "p", "details", "summary", "ul", "li"}
    assert text.count("<details>") == text.count("</details>") == 2


@pytest.mark.parametrize("many", [20_000, 60_000])
def test_no_summary_is_longer_than_github_shows(many):
    lines = (*[WORSE] * (many > 50_000) * many, *[SAME] * many)
    text = markdown.text(Check(lines, ()))
    assert len(text.encode()) <= markdown.LARGEST_SUMMARY_BYTES
    assert "`--json` gives all" in text
    assert text.splitlines()[-1] in ("</details>", "The rest is too long for a summary; `--json` gives all.")


def test_a_file_of_ours_is_replaced_and_another_s_is_not(tmp_path, monkeypatch):
    monkeypatch.delenv(markdown.SUMMARY, raising=False)
    ours, other = tmp_path / "new.md", tmp_path / "README.md"
    for check in (Check((WORSE,), ()), Check((SAME,), ())):
        markdown.write(check, ours)
    assert ours.read_text() == markdown.text(Check((SAME,), ()))
    other.write_text("mine")
    for write in (markdown.refuse, lambda path: markdown.write(Check((SAME,), ()), path)):
        with pytest.raises(UserError, match="is not a summary in Markdown of equibench; give another file"):
            write(other)
    assert other.read_text() == "mine"
    with pytest.raises(UserError, match="is a folder"):
        markdown.refuse(tmp_path)


def test_the_step_s_summary_is_added_to(tmp_path, monkeypatch):
    summary = tmp_path / "summary"
    summary.write_text("what an earlier command wrote")
    monkeypatch.setenv(markdown.SUMMARY, str(summary))
    markdown.refuse(summary)
    markdown.write(Check((WORSE,), ()), summary)
    markdown.write(Check((SAME,), ()), summary, "equibench turns")
    text = summary.read_text()
    assert text.startswith(f"what an earlier command wrote\n{markdown.MARK}")
    assert text.count("\n## equibench") == 2
    summary.write_text("x" * (markdown.LARGEST_SUMMARY_BYTES - 50))
    markdown.write(Check((WORSE,), ()), summary)  # GitHub would drop all of it
    assert summary.stat().st_size <= markdown.LARGEST_SUMMARY_BYTES
    monkeypatch.setenv(markdown.SUMMARY, str(tmp_path / "no" / "summary"))
    with pytest.raises(UserError, match=r"cannot write .*summary \(No such file"):
        markdown.write(Check((SAME,), ()), tmp_path / "no" / "summary")


def test_a_dash_is_standard_output(capsys):
    markdown.refuse("-")
    with pytest.raises(UserError, match="would both be printed; give --markdown a file"):
        markdown.refuse("-", as_json=True)
    markdown.write(Check((WORSE,), ()), "-")
    assert capsys.readouterr().out == markdown.text(Check((WORSE,), ()))


def test_a_check_prints_the_summary_alone(tmp_path):
    save([make("vae", seed) for seed in range(3)], tmp_path, with_arrays=False)
    done = equibench("check", tmp_path, "--baseline", tmp_path, "--markdown", "-", "--github")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{markdown.MARK}\n\n## equibench check\n\nNo regression")
    assert "entrant ┃" not in done.stdout
    assert "::notice" in done.stderr
    (tmp_path / "README.md").write_text("mine")
    done = equibench("check", tmp_path, "--baseline", tmp_path, "--markdown", tmp_path / "README.md")
    assert (done.returncode, done.stdout) == (2, "")
    assert (tmp_path / "README.md").read_text() == "mine"
