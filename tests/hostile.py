"""Texts that a program might read as more than text."""

HOSTILE = (
    r"\input{/etc/passwd} ^^5cinput /etc/passwd",
    r"$\alpha_{ $ x } \ # % & _ ^ ~ {",
    "[b]* -- --- `` '' ?` \"a",
    "=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1+1", "\r=1+1", "\uff1d1+1",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)\" style=\"x:y", "' x='", "</style><style>*{}", "]]> <!-- -- --> <![CDATA[ & &lt;",
    "::error title=x::broken\n::error::broken", "a%0A::error::x",
    "| a | b |\n|---|\n**bold** [x](javascript:alert(1)) ![x](http://example.invalid) <b>",
    "\x1b[31mred\x1b]0;title\x07 \x9b31m \x00 \x7f", "‮reversed⁦", "\ufffe\uffff", "line\nbreak\r\nand\u2028more",
    "é ü ñ ß Ø Č ж 中 😀 \N{COMBINING ACUTE ACCENT}",
    "_hidden from legends", "{{ 7 * 7 }} {% raw %}", "- item", "1. item", "\\newcommand{\\x}{y}",
)  # fmt: skip
