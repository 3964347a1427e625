"""A fleet: three servers behind HAProxy, upgraded one after the other under load (`make fleet`)."""
