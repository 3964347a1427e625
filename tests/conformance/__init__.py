"""Others' test suites against the server."""
