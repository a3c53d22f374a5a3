-- What no contact of an address says any more is unknown again. What the client withdrew through us stays.
DELETE FROM consent WHERE own = 0 AND brand = '' AND address IN (SELECT r.hash FROM rows($1, hash text) r)
