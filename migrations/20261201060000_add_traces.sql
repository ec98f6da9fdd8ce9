-- Which request, tick or command caused a job, as a traceparent of W3C Trace Context, and the trace of an event. Null for what a
-- release without traces has written.
ALTER TABLE jobs ADD COLUMN traceparent text;
ALTER TABLE events ADD COLUMN trace_id text;
