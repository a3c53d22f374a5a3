-- A sender who repeats an event after so long a time is heard twice.
DELETE FROM seen WHERE (source, id) IN (SELECT s.source, s.id FROM seen s WHERE s.at < $1 LIMIT $2)
