"""A suite, cell by cell: plan, train, measure, record."""
