"""The Python layer: options, sockets, application, lifespan, and the command as a process."""
