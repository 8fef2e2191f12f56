"""Where streams live: four small Protocols (base), a table of URL schemes (url), and backends."""
