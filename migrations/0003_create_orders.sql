CREATE TYPE order_state AS ENUM ('open', 'paid', 'shipped', 'cancelled');

CREATE TABLE orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    state       order_state NOT NULL DEFAULT 'open',
    placed_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE order_lines (
    order_id bigint NOT NULL REFERENCES orders ON DELETE CASCADE,
    sku      text NOT NULL REFERENCES products,
    quantity integer NOT NULL CHECK (quantity > 0),
    cents    integer NOT NULL CHECK (cents >= 0), -- of one piece, on the day of the order
    PRIMARY KEY (order_id, sku)
);
