"""What holds for all tests."""

import os

# a page after each of the many small runs would take longer than the runs; tests of the page ask for it
os.environ.setdefault("EQUIBENCH_NO_REPORT", "1")
