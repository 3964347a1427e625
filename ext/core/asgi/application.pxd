# What is the same for all requests of an ASGI application.
cdef class ASGIApplication(Interface):
    cdef object application
    cdef object loop
    cdef InlineRunner runner
    cdef ScopeBuilder scopes
    cdef set working                    # strong: exchanges whose application had suspended (asyncio holds tasks weakly)
    cdef object start_type              # its "http.response.start" and "http.response.body", which are the same
    cdef object body_type               # objects each time: compared by address first
    cdef object message_type            # likewise its "websocket.send"
    cdef unsigned loop_version          # version of the loop's class at the last look
    cdef bint nests                     # whether the application may run the loop within itself
    cdef frozenset offered              # extensions, by the names that scopes have for them
    cdef bint websocket                 # upgrades to WebSocket are accepted
    cdef bint deflate                   # permessage-deflate may be agreed upon
    cdef set warned                     # subprotocols that no client had offered, each logged once
    cdef fs_ws_shared ws_shared
    cdef raises warn_of_subprotocol(self, str name, str path) except -1
    cdef bint may_nest(self) except -1
    cdef raises look_at_loop(self) except -1
    cdef raises recycle(self, Exchange exchange) except -1
