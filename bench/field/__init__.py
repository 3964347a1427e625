"""The field: the peers, and what is published of a run beside them: report, pictures, README's figures."""
