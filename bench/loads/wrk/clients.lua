-- wrk -s clients.lua URL -- ADDRESS COUNT: each request is another client's, of so many in turn. The last number of ADDRESS is
-- theirs, wherever ADDRESS stands in the header fields: a proxy sends what many clients ask for over the same connections.
local here = debug.getinfo(1, "S").source:match("^@(.*/)")
dofile(here .. "report.lua")

local requests, at = {}, 0

function init(args)
   local address, count = args[1], tonumber(args[2])
   local pattern = address:gsub("%.", "%%.")
   local network = address:match("^(.*%.)%d+$")
   for client = 1, count do
      local fields = {}
      for name, value in pairs(wrk.headers) do
         fields[name] = value:gsub(pattern, network .. client)
      end
      table.insert(requests, wrk.format(nil, nil, fields))
   end
end

function request()
   at = at % #requests + 1
   return requests[at]
end
