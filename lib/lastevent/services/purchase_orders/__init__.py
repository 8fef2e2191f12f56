"""A merchant's purchase orders: an upload becomes lines, products, pictures and stock in a shop.

order      what an order is: its lines, its sums
parsing    from a file's bytes to an order: CSV, JSON, plain text
model      the same for plain text, by a language model that is set up
records    what a store keeps: files, orders, lines, products, pictures
images     pictures from addresses that others name; thumbnails makes them small
shopify    a shop's Admin API, and bringing products and quantities there
stages     the seven stages of the workflow, each of which may be cut and run again
"""
