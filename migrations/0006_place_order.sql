-- Places an order at today's prices; $$ keeps the body in one piece.
CREATE FUNCTION place_order(customer bigint, skus text[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    new_order bigint;
BEGIN
    INSERT INTO orders (customer_id) VALUES (customer) RETURNING id INTO new_order;
    INSERT INTO order_lines (order_id, sku, quantity, cents)
    SELECT new_order, p.sku, count(*), p.cents
      FROM unnest(skus) AS wanted (sku)
      JOIN products p USING (sku)
     WHERE p.state = 'on_sale'
     GROUP BY p.sku, p.cents;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'none of % is on sale', skus;
    END IF;
    RETURN new_order;
END
$$;
