"""Products and their stock in a Shopify shop.

api        one call of the Admin GraphQL API: time limits, throttling, what answers mean
shop       what is asked of it: find, create, look at stock, set stock
stock      quantities that arrive once, whatever happens to the answers
"""
