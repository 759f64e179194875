-- CONCURRENTLY cannot run in a transaction; orders stay readable and writable while it builds.
CREATE INDEX CONCURRENTLY orders_customer_placed ON orders (customer_id, placed_at DESC);
