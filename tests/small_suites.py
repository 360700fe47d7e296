"""Suites whose entrants are trained and measured in a few seconds, on 60 images."""


def small_suite(
    name: str, entrants: str, *, updates: int, seeds: str = "[0]", samples: int = 32, more: str = ""
) -> str:
    """As TOML, with `entrants` and what `more` stands under [measure]."""
    return f"""
name = "{name}"
about = "small entrants"
dataset = "fashion-mnist-10k"
train_images = 60
test_images = 60
seeds = {seeds}
[[budget]]
params = 92_000
unit = "updates"
amount = {updates}
[measure]
samples = {samples}
reference_images = 60
memorization_images = 0
likelihood_images = 20
sampler_points = false
speed_batch_sizes = [4]
speed_limit_sec = 0.05
latency_limit_sec = 0.05
memory_batch_size = 4
{more}
{entrants}
"""


NO_MORE_LIKELIHOODS = """
bound = []
out_of_distribution = []
"""
