"""Drawings, formulas and sprites of the families, as SVG, MathML and PNG that stand in the page itself."""
