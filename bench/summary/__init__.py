"""Records made comparable: sections, rows over seeds, tests of differences."""
