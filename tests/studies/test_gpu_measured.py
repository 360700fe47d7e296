"""docs/gpu.md, against the records it is made from."""

import json
import statistics
from pathlib import Path

from click.testing import CliRunner

from studies.gpu_measured import PAGE, RECORDS, main


def test_the_page_is_what_the_records_say(tmp_path):
    page = tmp_path / "gpu.md"
    CliRunner().invoke(main, ["--page", str(page)], catch_exceptions=False)
    assert page.read_text() == PAGE.read_text()


def test_a_few_of_its_numbers_by_hand():
    record = json.loads(next(Path(RECORDS).glob("vae-s0-*.json")).read_text())
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| vae |")]
    quality, training, sampling = ([cell.strip() for cell in row.split("|")[1:-1]] for row in rows)
    of_seeds = [json.loads(path.read_text())["quality"]["value"] for path in Path(RECORDS).glob("vae-s*.json")]
    assert len(of_seeds) == 3
    assert quality[1] == f"{statistics.mean(of_seeds):.1f} ± {statistics.stdev(of_seeds):.1f}"
    spent = record["spent"]
    update_ms = 1e3 * (spent["train_sec"] - spent["compile_sec"]) / spent["updates"]
    assert training[6] == f"{update_ms:.1f}"
    (graph,) = record["speed"]["other_modes"]
    assert sampling[5] == f"{1e3 * graph['latency_p50_sec']:.3f}"
    assert sampling[6] == f"{1e6 * record['speed']['latency_p50_sec'] / int(sampling[3]):.0f}"
