"""Numbers over commits: points with intervals, levels, and steps that are dated by commits."""
