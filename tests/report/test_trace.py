"""Every number of a report goes back to the records: read from the page and from JSON, looked up in the records' files
by code that shares nothing with the report, and computed again.
"""

from __future__ import annotations

import html
import json
import math
import re
from html.parser import HTMLParser

import fixtures
import numpy as np
import pytest
import scipy.stats
from fixtures import make, save

from equibench.cite import printed
from equibench.cite.printed import signatures_in
from equibench.judge.verify import verify_all
from equibench.quantities.identity import look_up
from equibench.record import find
from equibench.report import write
from equibench.report.figures import draw

PUBLISHED = fixtures.ROOT / "results" / "published" / "quick"
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
CITABLE = ("quality.", "likelihood.bits_per_dim", "speed.", "memory.", "spent.")


class Cells(HTMLParser):
    """The attributes of every cell of every table of a page, and of what is said once of all its rows, by the table's
    name.
    """

    def __init__(self, page):
        super().__init__()
        self.table, self.found = "", []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "table":
            self.table = attrs.get("data-name", "")
        elif "data-value" in attrs:
            self.found.append((self.table, attrs))


def look(value, path):
    """What lies at a path of a record's JSON."""
    if not path or value is None:
        return value
    if isinstance(value, dict) and path in value:
        return value[path]
    if isinstance(value, dict):
        step, _, rest = path.partition(".")
        return look(value[step], rest)
    for item in value:
        name = str(next(item[field] for field in ("name", "label", "mode", "batch_size") if field in item))
        if path == name or path.startswith(name + "."):
            return look(item, path[len(name) + 1 :])
    raise KeyError(path)


def expected(how, values, against):
    mean = lambda numbers: math.fsum(numbers) / len(numbers)  # noqa: E731
    match how:
        case "value":
            assert len(values) == 1
            return values[0]
        case "mean":
            assert len(values) > 1
            return mean(values)
        case "count":
            return len(values)
        case "difference of means":
            return mean(values) - mean(against)
        case "ratio of geometric means":
            return math.exp(mean(list(map(math.log, values))) - mean(list(map(math.log, against))))
    return None


def records_in(folder):
    found = {}
    for file in folder.glob("*.json"):
        content = json.loads(file.read_text())
        found[content["key"][:8]] = content
    return found


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Records of four families, two budgets, failures and floors, and the report on them, without figures."""
    root = tmp_path_factory.mktemp("trace")
    twice = fixtures.BUDGET.model_copy(update={"amount": 4e13})
    more = [make(family, seed, budget=twice) for family in fixtures.NUMBERS for seed in range(3)]
    save([*fixtures.everything(), *more], root / "records", with_arrays=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "FIGURES", {})
        write.write([root / "records"], root / "out")
        write.write([PUBLISHED], root / "published")
    return [(root / "records", root / "out"), (PUBLISHED, root / "published")]


def test_every_number_of_the_page_is_in_the_records(places):
    for folder, out in places:
        records = records_in(folder)
        seen, tables = 0, set()
        for table, cell in Cells((out / "index.html").read_text()).found:
            if not NUMBER.fullmatch(cell["data-value"]) or len(cell["data-value"]) > 30:  # longer ones are hashes
                continue
            values = [look(records[key], cell["data-path"]) for key in cell["data-records"].split()]
            other = cell.get("data-over", cell["data-path"])
            against = [look(records[key], other) for key in cell.get("data-against", "").split()]
            assert None not in values + against
            again = expected(cell["data-how"], values, against)
            if again is not None:
                assert float(cell["data-value"]) == pytest.approx(again, rel=1e-12, abs=1e-12), cell
            assert cell["data-value"] in cell["title"]
            seen, tables = seen + 1, tables | {table}
        assert seen > 300
        assert len(tables) > 10


def test_signatures_of_a_page_are_found_whole(places):
    for folder, out in places:
        page = (out / "index.html").read_text()
        shown = [cell["data-signature"] for _, cell in Cells(page).found if "data-signature" in cell]
        found = signatures_in(page)
        assert len(found) == len(shown) > 300
        assert all(said.startswith(one.name.split(" ")[0]) for one, said in zip(found, shown, strict=True))
        some = page[: page.index("<table")] + page[page.index('<ol id="ends"') :]  # of the first screen
        assert all(one.findings[0].holds for one in verify_all(some, [folder]))


def test_spreads_and_intervals_are_in_the_records(places):
    folder, out = places[0]
    records, seen = records_in(folder), 0
    for _, cell in Cells((out / "index.html").read_text()).found:
        found = [records[key] for key in cell.get("data-records", "").split()]
        if "data-low" in cell and cell["data-how"] in ("ratio of geometric means", "difference of means"):
            turn, back = (np.log, np.exp) if cell["data-how"].startswith("ratio") else (np.array, np.array)
            paths = cell["data-path"], cell.get("data-over", cell["data-path"])
            keys = [cell[side].split() for side in ("data-records", "data-against")]
            sides = [turn([look(records[key], path) for key in some]) for some, path in zip(keys, paths, strict=True)]
            if max(np.ptp(side) for side in sides) > 1e-12:
                paired = keys[0] == keys[1]  # two ways to sample one model
                test = scipy.stats.ttest_rel(*sides) if paired else scipy.stats.ttest_ind(*sides, equal_var=False)
                interval = back(test.confidence_interval(0.95))
                assert [float(cell["data-low"]), float(cell["data-high"])] == pytest.approx(list(interval), rel=1e-6)
            seen += 1
        elif "data-low" in cell:
            parent, _, name = cell["data-path"].rpartition(".")
            interval = look(found[0], f"{parent}.{'interval' if name == 'value' else name + '_interval'}")
            assert [float(cell["data-low"]), float(cell["data-high"])] == [interval["low"], interval["high"]]
            seen += 1
        if "data-sd" in cell and cell["data-how"] == "mean":  # not of what was made of several numbers
            values = [look(each, cell["data-path"]) for each in found]
            assert float(cell["data-sd"]) == pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-9)
            seen += 1
    assert seen > 60


def test_p_values_are_welch_and_holm(places):
    folder, out = places[0]
    records, families = records_in(folder), {}
    for table in json.loads((out / "tables.json").read_text())["tables"]["pairs"]:
        for line in table["lines"]:
            source = line["from"]["p_holm"]
            sides = [[look(records[k[:8]], source["path"]) for k in source[side]] for side in ("records", "against")]
            path = source["path"]
            family = next((name for name in ("quality.also", "speed", "memory") if path.startswith(name)), None)
            family = family or ("likelihood" if path.endswith("bits_per_dim") else "distance")
            sides = sides if family == "likelihood" else [np.log(side) for side in sides]
            constant = max(np.ptp(side) for side in sides) < 1e-12  # counts, which scipy has no test for
            p = float(np.mean(sides[0]) == np.mean(sides[1]))
            p = p if constant else scipy.stats.ttest_ind(*sides, equal_var=False).pvalue
            families.setdefault((id(table), family), []).append((p, line["values"]["p_holm"]))
    assert len(families) == 10  # distance, bits/dim, recall, speed and memory in each of two budgets
    for tests in families.values():
        worst = 0.0
        for rank, (p, corrected) in enumerate(sorted(tests)):
            worst = max(worst, min(1.0, p * (len(tests) - rank)))
            assert corrected == pytest.approx(worst, rel=1e-6)


def test_numbers_carry_their_signature(places):
    for folder, out in places:
        full = {found.key[:8]: found for _, found in find.read_all([folder])}
        seen = 0
        page = (out / "index.html").read_text()
        listed = re.search(r'<ol id="ends" hidden>(.*?)</ol>', page, re.DOTALL)[1]
        ends = [html.unescape(end) for end in re.findall("<li>(.*?)</li>", listed)]
        assert len(set(ends)) == len(ends)
        for _, cell in Cells(page).found:
            if cell.get("data-how") in ("value", "mean") and cell["data-path"].startswith(CITABLE):
                parsed = printed.parse(f"{cell['data-signature']}|{ends[int(cell['data-end'])]}")
                assert parsed.path in (cell["data-path"], cell["data-path"].removesuffix(".value"))
                assert sorted(parsed.keys) == sorted(cell["data-records"].split())
                values = [look_up(full[key], parsed.path) for key in parsed.keys]
                assert parsed.value == pytest.approx(sum(values) / len(values), rel=1e-3, abs=parsed.spread or 1e-12)
                seen += 1
        assert seen > 60


def test_json_says_whence_each_number_came(places):
    folder, out = places[0]
    records = records_in(folder)
    tables = json.loads((out / "tables.json").read_text())["tables"]
    assert set(tables) == {file.stem for file in (out / "tables").glob("*.csv")} - {"cells"}
    seen = 0
    for of_sections in tables.values():
        for line in (line for table in of_sections for line in table["lines"]):
            for name, value in line["values"].items():
                if name not in line["text"] or not isinstance(value, int | float) or isinstance(value, bool):
                    continue
                source = line["from"][name]
                values = [look(records[key[:8]], source["path"]) for key in source["records"]]
                against = [look(records[key[:8]], source["path"]) for key in source.get("against", [])]
                again = expected(source["how"], values, against)
                if again is not None:
                    assert value == pytest.approx(again, rel=1e-12, abs=1e-12)
                seen += 1
    assert seen > 500
