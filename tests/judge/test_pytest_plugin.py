"""The plugin in pytest runs of their own; that it imports nothing until it is used."""

import subprocess
import sys

import pytest
from fixtures import failed, make, save
from judging import scaled

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester):
    """A project of someone else's, with records of two entrants, three seeds each."""
    save(
        [make(f, seed) for f in ("vae", "gan") for seed in range(3)],
        pytester.path / "results" / "run",
        with_arrays=False,
    )
    pytester.makeini("[pytest]\nequibench_results = results\n")

    def run(text, *arguments):
        pytester.makepyfile(text)
        # a process of its own, as another project's pytest knows nothing of this one's configuration
        plugin = () if "equibench" in installed() else ("-p", "equibench.judge.pytest_plugin")
        return pytester.runpytest_subprocess(*plugin, *arguments)

    return run


def installed():
    from importlib.metadata import entry_points

    return {point.name for point in entry_points(group="pytest11")}


def test_numbers_of_a_record(project):
    result = project(
        """
        import pytest

        def test_means_over_seeds(equibench_record):
            assert equibench_record("vae").bits_per_dim == pytest.approx((3.41 + 3.42 + 3.43) / 3)
            assert equibench_record("vae").number("quality.also.recall") == 0.35
            assert len(equibench_record("vae").records) == 3

        def test_too_high(equibench_record):
            assert equibench_record("vae").bits_per_dim < 3.0

        def test_misspelt(equibench_record):
            equibench_record("vae").bit_per_dim

        def test_unknown(equibench_record):
            equibench_record("vea")
        """
    )
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines_random(["*assert 3.4* < 3.0*", "*did you mean 'bits_per_dim'*", "*did you mean 'vae'*"])


def test_thresholds(project):
    result = project(
        """
        import pytest

        @pytest.mark.equibench(entrant="vae", metric="bits_per_dim", below=3.5)
        def test_low_enough():
            pass

        @pytest.mark.equibench(entrant="vae", metric="images_per_sec", above=1e3, below=1e4)
        def test_fast_enough():
            pass

        @pytest.mark.equibench(entrant="vae", metric="bits_per_dim", below=3.4)
        def test_too_high():
            raise SystemExit("the body must not run")

        @pytest.mark.equibench(entrant="gan", metric="bits_per_dim", below=3.4)
        def test_a_gan_has_none():
            pass

        @pytest.mark.equibench("vae", below=1)
        def test_written_wrongly():
            pass
        """,
        "--strict-markers",
    )
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines_random(
        [
            "*bits_per_dim of vae is 3.42, which is not below 3.4*",
            "*gan has no bits_per_dim: A GAN samples without a density*",
            "*write @pytest.mark.equibench*",
        ]
    )


def test_the_option_wins_and_failures_are_told(project, pytester):
    save([failed("vae", 0, "diverged", "a loss was not a number")], pytester.path / "bad", with_arrays=False)
    text = "def test(equibench_record):\n    assert equibench_record('vae').bits_per_dim"
    project(text).assert_outcomes(passed=1)
    result = project(text, "--equibench-results", "bad")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*seed 0 (diverged: a loss was not a number)*"])
    pytester.makeini("[pytest]\n")
    result = project(text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*set equibench_results*"])


def test_it_imports_nothing_heavy():
    code = (
        "import equibench.judge.pytest_plugin, sys; "
        "sys.exit(sorted({'torch', 'numpy', 'pydantic', 'pandas', 'click'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_only_what_was_given_is_read(project, pytester):
    text = "def test(equibench_record):\n    assert equibench_record('vae').bits_per_dim == {}"
    (one,) = (pytester.path / "results" / "run").glob("vae-s1-*.json")
    (pytester.path / "results" / "tables.json").write_text("{}")
    project(text.format(3.42), "--equibench-results", str(one)).assert_outcomes(passed=1)
    project(text.format(3.42), "--equibench-results", "results").assert_outcomes(passed=1)
    result = project(text.format(3.42), "--equibench-results", "results/run/nowhere")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no records at results/run/nowhere, which is not there*"])


CHECK = """
def test_nothing_is_worse(equibench_check):
    assert equibench_check().lines
"""


@pytest.mark.parametrize(
    ("factor", "gates", "failure"),
    [
        (1.0, "", None),
        (3.0, "", "*vae, FD_5k: *worse by more than noise explains*"),
        (1.8, "[quality]\ntolerance = 0.9", None),
        (1.0, "[qualty]", "*unknown key 'qualty'; did you mean 'quality'*"),
    ],
)
def test_a_check_of_results_with_a_baseline(project, pytester, factor, gates, failure):
    before = [make("vae", seed) for seed in range(3)]
    save(before, pytester.path / "baseline", with_arrays=False)
    save([scaled(one, fd=factor) for one in before], pytester.path / "here", with_arrays=False)
    (pytester.path / "gates.toml").write_text(gates)
    options = ("--equibench-results", "here", "--equibench-baseline", "baseline", "--equibench-gates", "gates.toml")
    result = project(CHECK, *options)
    result.assert_outcomes(passed=failure is None, failed=failure is not None)
    if failure:
        result.stdout.fnmatch_lines([failure])


def test_a_check_without_a_baseline_is_a_sentence(project):
    result = project(CHECK)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*set equibench_results and equibench_baseline*"])
