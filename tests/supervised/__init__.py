"""What a supervisor promises, with real processes: tests/supervised."""
