CREATE TABLE products (
    id integer PRIMARY KEY,
    name text NOT NULL,
    cents integer NOT NULL CHECK (cents > 0)
);

CREATE TABLE orders (
    id serial PRIMARY KEY,
    product integer NOT NULL REFERENCES products,
    placed_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO products VALUES
    (1, 'baton', 1900),
    (2, 'music stand', 3450),
    (3, 'metronome', 2799);
