-- What the shop opens with. COPY takes its rows from the file, as psql does.
COPY categories (id, name) FROM stdin;
1	Books
2	Games
3	Garden & home
\.

COPY products (sku, category_id, title, cents, state) FROM stdin;
BK-0001	1	The Clockmaker; a novel	1890	on_sale
BK-0002	1	Ratchets and Pawls	3450	on_sale
GA-0001	2	Letters, a word game	2400	on_sale
HG-0001	3	Watering can	1295	draft
\.
