-- wrk -s upload.lua URL -- BYTES: POST a body of BYTES bytes. Without a request function wrk builds the request once.
local here = debug.getinfo(1, "S").source:match("^@(.*/)")
dofile(here .. "report.lua")

function init(args)
   wrk.method = "POST"
   wrk.body = string.rep("x", tonumber(args[1]))
   wrk.headers["Content-Length"] = tostring(#wrk.body)
end
