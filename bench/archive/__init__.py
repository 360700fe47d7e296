"""Results packed for a paper: records, report, suite, environment, requirements and a checklist in one file."""
