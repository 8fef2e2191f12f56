"""Metrics: what all servers count, kept by minutes and hours in the store's records.

histogram   latencies in buckets that are the same everywhere, so that servers add up
users       how many different users there were, of servers and minutes together
bucket      what was counted in a time
minutes     buckets in the store: added by servers, read together, rolled up into hours
series      buckets as points on a chart, and their sum
prometheus  their sum as text for a scraper
embedded    a bucket as a line for CloudWatch
"""
