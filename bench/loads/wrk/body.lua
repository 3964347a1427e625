-- wrk -s body.lua URL -- FILE: POST what is in FILE. Without a request function wrk builds the request once.
local here = debug.getinfo(1, "S").source:match("^@(.*/)")
dofile(here .. "report.lua")

function init(args)
   local file = assert(io.open(args[1], "rb"))
   wrk.method = "POST"
   wrk.body = file:read("*a")
   file:close()
   wrk.headers["Content-Length"] = tostring(#wrk.body)
end
