"""What the tests support, as sentences."""

from __future__ import annotations

from equibench.report.parts.part import PagePart, Whole
from equibench.summary.along import order_sentences
from equibench.summary.changes import change_sentences, differences
from equibench.summary.pairs import sentences


def findings(whole: Whole) -> PagePart:
    return PagePart(
        {
            "findings": [[*sentences(section), *order_sentences(section)] for section in whole.sections],
            "differences": differences(whole.sections),
            "changes": change_sentences(whole.sections),
        }
    )
