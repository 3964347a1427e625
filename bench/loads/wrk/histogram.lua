-- The report, and before it every latency in microseconds with how often it was there, as `HISTOGRAM value:count ...`.
local here = debug.getinfo(1, "S").source:match("^@(.*/)")
dofile(here .. "report.lua")

local report = done

function done(summary, latency, requests)
   io.write("HISTOGRAM")
   for i = 1, #latency do
      local value, count = latency(i)
      io.write(string.format(" %d:%d", value, count))
   end
   io.write("\n")
   report(summary, latency, requests)
end
