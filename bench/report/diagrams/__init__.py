"""Drawings and formulas of the families, as SVG and MathML that stand in the page itself."""
