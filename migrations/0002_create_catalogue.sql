CREATE TYPE product_state AS ENUM ('draft', 'on_sale', 'withdrawn');

CREATE TABLE categories (
    id   smallint PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE products (
    sku         text PRIMARY KEY CHECK (sku ~ '^[A-Z]{2}-[0-9]{4}$'),
    category_id smallint NOT NULL REFERENCES categories,
    title       text NOT NULL,
    cents       integer NOT NULL CHECK (cents >= 0),
    state       product_state NOT NULL DEFAULT 'draft'
);
