"""Profiles: where the time goes, by perf's samples and by what single things cost."""
