-- wrk -s pipeline.lua URL -- DEPTH: DEPTH requests in one segment, sent again when all of them are answered.
local here = debug.getinfo(1, "S").source:match("^@(.*/)")
dofile(here .. "report.lua")

local batch

function init(args)
   local one = wrk.format()
   batch = string.rep(one, tonumber(args[1]))
end

function request()
   return batch
end
