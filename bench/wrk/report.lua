-- Prints what a run has counted as one line of JSON after the word REPORT. The other scripts load it.
function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      'REPORT {"requests": %d, "duration_us": %d, "bytes": %d, "p50_us": %d, "p99_us": %d, "max_us": %d, ' ..
      '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
      summary.requests, summary.duration, summary.bytes,
      latency:percentile(50), latency:percentile(99), latency.max,
      e.connect, e.read, e.write, e.status, e.timeout))
end
