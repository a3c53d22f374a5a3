-- Rates, windows and caps go by the clock of whoever sends, leases by this one: how far they are apart is looked at.
SELECT db_now()
