"""Citations, checks, tables and reports of records that are odd: made or refused."""

import hashlib
import json

from attack import OUT, attack
from damage import zipped
from fixtures import make
from odd_records import odd_results, tables_of, text_of, write_files

from equibench.cite import citation, methods, names
from equibench.errors import UserError
from equibench.judge import check, output, verify
from equibench.report import write
from equibench.summary.sort import load_cells


@attack(odd_results(), write_files, few=15, many=133)
def test_cite(folder):
    found = citation.gather([folder])
    for one in found[:2]:
        for path in list(names.numbers(one)):
            try:
                cited = citation.cite(path, one.entrant, [folder])
            except UserError:
                continue
            for form in citation.FORMATS:
                citation.write(cited, form)
            for citing in cited[:1]:
                assert verify.verify(citing.signature, [folder])[0].holds
    methods.methods(found)


@attack(odd_results(), write_files, few=15, many=166)
def test_check(folder):
    files = sorted(folder.glob("*.json"))
    for one, other in ((files, files), (files[:1], files), (files, files[:1])):
        try:
            found = check.check(one, other)
        except UserError:
            continue
        json.dumps(output.as_json(found), allow_nan=False)
        list(output.github_commands(found))


@attack(odd_results(), write_files, few=15, many=233)
def test_tables(folder):
    tables_of(load_cells([folder]))


TEXT = zipped([("interpolation.npy", b"text")])  # where numpy gives bytes, not an array
PICTURED = make("gan", arrays_sha256=hashlib.sha256(TEXT).hexdigest()).model_dump(mode="json")
NO_PICTURES = {"gan-s0-00000000.json": text_of(PICTURED), "gan-s0-00000000.npz": TEXT}


@attack(odd_results(most_records=3), write_files, few=3, many=20, found=[NO_PICTURES])
def test_reports(folder):
    write.write([folder], folder.parent / OUT)
