CREATE OR REPLACE VIEW order_totals AS
SELECT o.id, o.customer_id, o.state, o.placed_at,
       coalesce(sum(l.quantity * l.cents), 0) AS cents,
       count(l.sku) AS lines
  FROM orders o
  LEFT JOIN order_lines l ON l.order_id = o.id
 GROUP BY o.id;
