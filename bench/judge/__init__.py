"""Is a run worse than its baseline, and does a signature still hold?"""
