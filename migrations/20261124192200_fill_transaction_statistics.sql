-- How often which part of a text occurs is known of an index on expressions only once it has been looked at.
ANALYZE transactions;
