"""docs/records.md names fields that there are."""

import re

from fixtures import ROOT

from equibench.record.json_schema import json_schema
from equibench.record.schema import Record


def test_every_field_that_the_page_names_is_there():
    schema = json_schema(Record)
    page = (ROOT / "docs" / "records.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(names) > 15
    for name in names:
        here = schema
        for step in name.replace(".*", "").split("."):
            here = here["properties"][step]
            reference = next((part["$ref"] for part in parts(here) if "$ref" in part), None)
            here = schema["$defs"][reference.rpartition("/")[2]] if reference else here


def parts(field):
    return [field, *field.get("anyOf", []), field.get("items", {})]
