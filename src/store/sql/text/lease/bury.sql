UPDATE lease SET until = 0 WHERE key = 'engine'
