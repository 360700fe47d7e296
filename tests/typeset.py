"""What TeX makes of a source: the words on its pages, read back from the PDF."""

import re
import shutil
import subprocess

import pytest

DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs}
\pdfcompresslevel=0 \pdfobjcompresslevel=0 \hyphenpenalty=10000 \exhyphenpenalty=10000 \emergencystretch=4em
\begin{document}
%s
\end{document}
"""
# ligatures of the T1 encoding, and signs of the font of symbols, whose places there are accents in the other
SIGNS = {
    0x1B: "ff",
    0x1C: "fi",
    0x1D: "fl",
    0x1E: "ffi",
    0x1F: "ffl",
    0x15: "--",
    0x02: "\N{MULTIPLICATION SIGN}",
    0x06: "±",
}
WORD_SPACE = -200  # thousandths of the font's size; kerns are smaller


def words(body, folder, *, bibtex=False):
    """The words of the pages that pdflatex makes of `body`, one string with single spaces; skipped without pdflatex.

    A pass with bibtex and two more follow if asked for. Fails on any error or warning of an undefined name.
    """
    if shutil.which("pdflatex") is None or (bibtex and shutil.which("bibtex") is None):
        pytest.skip("pdflatex or bibtex is not installed, so that nothing can be compiled")
    (folder / "paper.tex").write_text(DOCUMENT % body, encoding="utf-8")
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for command in [latex, ["bibtex", "paper"], latex, latex] if bibtex else [latex]:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, errors="replace")
        assert done.returncode == 0, done.stdout[-2000:]
    log = (folder / "paper.log").read_text(errors="replace")
    assert "Overfull" not in log, log[log.index("Overfull") :][:300]
    return _words_of((folder / "paper.pdf").read_bytes())


def _words_of(pdf):
    """What the page descriptions of an uncompressed PDF show, in their order."""
    found = []
    for shown in re.findall(rb"\[((?:[^\[\]\\()]|\([^()\\]*(?:\\.[^()\\]*)*\))*)\]TJ", pdf, re.DOTALL):
        for string, kern in re.findall(rb"\(((?:[^()\\]|\\.)*)\)|(-?[\d.]+)", shown, re.DOTALL):
            if kern:
                found.append(" " if float(kern) < WORD_SPACE else "")
            else:
                found.append(_characters(string))
        found.append(" ")
    return " ".join("".join(found).split())


def _characters(string):
    octal = re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), string)
    plain = re.sub(rb"\\(.)", rb"\1", octal)
    return "".join(SIGNS.get(code, chr(code)) for code in plain)
