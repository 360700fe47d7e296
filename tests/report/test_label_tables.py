"""Tables on classes: with labels and without, of several seeds, of classes with odd names, of older records."""

import fixtures
import pytest
from fixtures import make, save

from equibench.cite import citation
from equibench.record.labels import ByClass, ClassNumbers, Probe, Probes
from equibench.report import write
from equibench.report.tables.labels import by_class, classifiers, probes
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import summarise

NAMES = ("T-shirt/top", "v1.0 <b>coat</b>")


def numbers(base, told=True, missing=False):
    return [
        ClassNumbers(
            name=name, label=i, n_samples=400, n_reference=1000,
            kernel_distance=None if missing and i else base + i, stderr=0.1, real_kernel_distance=0.01,
            judged_share=0.25, real_judged_share=0.5, as_told=0.9 if told else None,
            reason="too few" if missing and i else None,
        )
        for i, name in enumerate(NAMES)
    ]  # fmt: skip


def record(seed=0, told=True, **changes):
    classes = ByClass(
        metric="KD", assigned_by="label" if told else "classifier", classes=numbers(1.0 + seed, told),
        judged=numbers(3.0 + seed, False) if told else [], dropped=[] if told else [NAMES[1]],
        classifier_accuracy=0.86, classifier_images=5000, sample_accuracy=0.5 if told else None,
        sample_accuracy_stderr=0.005 if told else None, n_test=10_000,
    )  # fmt: skip
    found = [
        Probe(name=name, dims=dims, knn_accuracy=0.8, knn_stderr=0.01, linear_accuracy=0.7, linear_stderr=0.01)
        for name, dims in (("pixels", 784), ("mean of z0", 32))
    ]
    probed = Probes(probes=found, chance_accuracy=0.1, neighbours=20, n_train=5000, n_test=2000, n_classes=10)
    return make("vae", seed, by_class=classes, probes=probed, **changes)


def test_seeds_of_which_each_drew_another_number_of_a_class_have_a_mean(tmp_path):
    """Labels are drawn for each seed; a kernel distance has no bias for any number of samples."""
    for seed, n in enumerate((390, 400, 410)):
        one = record(seed)
        first, *rest = one.by_class.classes
        classes = [first.model_copy(update={"n_samples": n}), *rest]
        save([one.model_copy(update={"by_class": one.by_class.model_copy(update={"classes": classes})})], tmp_path)
    (found,) = citation.cite(f"by_class.classes.{NAMES[0]}.kernel_distance", "vae", [tmp_path])
    assert (found.value, found.seeds) == (2.0, [0, 1, 2])


def section(tmp_path, *records):
    (found,) = summarise([FiledRecord(tmp_path / f"{i}.json", one) for i, one in enumerate(records)])
    return found


def texts(table):
    return [[entry.text for entry in line.entries] for line in table.lines]


def test_a_model_with_labels_has_two_rows_a_class(tmp_path):
    table = by_class(section(tmp_path, *(record(seed) for seed in range(3))))
    assert [line[1:3] for line in texts(table)] == [
        [name, how] for how in ("by label", "by classifier") for name in NAMES
    ]
    first = table.lines[0].entries
    assert first[3].text == "2.0 ± 1.0"
    assert first[3].source.path == f"by_class.classes.{NAMES[0]}.kernel_distance"
    assert first[5].text == "25.0"  # of a share, in %
    assert table.labels[3] == "Kernel distance ↓"


def test_a_model_without_labels_has_one_and_no_score(tmp_path):
    found = section(tmp_path, record(told=False))
    assert {line[2] for line in texts(by_class(found))} == {"by classifier"}
    assert len(by_class(found).lines) == 2
    (line,) = texts(classifiers(found))
    assert line[1] == "\N{EN DASH}"
    assert line[-1] == NAMES[1]


def test_a_class_with_too_few_images_has_a_note(tmp_path):
    found = record()
    few = found.by_class.model_copy(update={"classes": numbers(1.0, missing=True), "judged": []})
    table = by_class(section(tmp_path, found.model_copy(update={"by_class": few})))
    assert [line.entries[3].text for line in table.lines] == ["1.00", "\N{EN DASH}¹"]
    assert table.notes[0].startswith("Too few images of the class")


def test_probes_stand_beside_pixels_and_chance(tmp_path):
    table = probes(section(tmp_path, record()))
    assert [line[1:] for line in texts(table)] == [
        ["pixels", "80.0", "70.0", "784", "10.0"],
        ["mean of z0", "80.0", "70.0", "32", "10.0"],
    ]


def test_older_records_and_failures_have_none_of_it(tmp_path):
    found = section(tmp_path, *fixtures.everything(1))
    assert not any(table(found).lines for table in (by_class, classifiers, probes))


@pytest.mark.parametrize(
    "records", [[record()], [record(told=False), *(one for one in fixtures.everything(2) if one.family != "vae")]]
)
def test_the_page_and_the_markdown_have_the_tables_and_their_meanings(tmp_path, records):
    fixtures.save(records, tmp_path / "records", with_arrays=False)
    write.write([tmp_path / "records"], tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert '<h3 id="tables-classes">Classes</h3>' in page
    for words in ("Distance by class", "Classifiers trained on samples", "v1.0 &lt;b&gt;coat&lt;/b&gt;"):
        assert words in page
    assert "<b>coat</b>" not in page
    text = (tmp_path / "out" / "report.md").read_text()
    assert "mean of z0" in text
    assert (tmp_path / "out" / "tables" / "by_class.csv").read_text().startswith("section,")
