"""Load: clients, by wrk, h2load and programs of our own, and the limit program that answers them as a floor."""
