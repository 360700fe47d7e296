"""What each part of the pages shows: sections of the report in, what the templates fill in out."""
