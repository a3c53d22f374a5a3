SELECT namespace, name FROM funnel ORDER BY namespace, name
