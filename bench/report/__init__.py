"""Tables, figures and pages: a pure function of records."""
