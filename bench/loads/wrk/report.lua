-- Prints what a run has counted as one line of JSON after the word REPORT: latencies in microseconds that so many per
-- cent of the requests did not exceed, under `curve`, and errors by kind. The other scripts load it.
local points = {"50", "75", "90", "95", "99", "99.5", "99.9", "99.99"}

function done(summary, latency, requests)
   local curve = {}
   for _, point in ipairs(points) do
      table.insert(curve, string.format('"%s": %d', point, latency:percentile(tonumber(point))))
   end
   table.insert(curve, string.format('"100": %d', latency.max))
   local e = summary.errors
   io.write(string.format(
      'REPORT {"requests": %d, "duration_us": %d, "bytes": %d, "curve": {%s}, ' ..
      '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
      summary.requests, summary.duration, summary.bytes, table.concat(curve, ", "),
      e.connect, e.read, e.write, e.status, e.timeout))
end
