"""What two records of a cell must have alike, whoever made them: all but times, and what is measured by them."""

TIMES = {
    "clock", "created", "invocation", "timed", "speed", "memory", "energy", "attempts", "content_sha256",
    "matrix_products", "parts_sec", "code", "arrays_sha256",
}  # fmt: skip


def but_for_times(value):
    """A record's plain values without those."""
    if isinstance(value, dict):
        return {
            k: but_for_times(v) for k, v in value.items() if k not in TIMES and not k.endswith(("_sec", "_per_sec"))
        }
    return [but_for_times(one) for one in value] if isinstance(value, list) else value


def results(folder):
    """Of the records in a folder, by file name."""
    import json

    return {path.name: but_for_times(json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))}
