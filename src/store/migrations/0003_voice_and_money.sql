-- What other funnels must know of a funnel: the name it writes in, the policy it follows, and how that policy ranks it (0: first).
-- Known from its next publication on; an empty brand may be any.
ALTER TABLE funnel ADD COLUMN brand TEXT NOT NULL DEFAULT '';
ALTER TABLE funnel ADD COLUMN policy TEXT NOT NULL DEFAULT '';
ALTER TABLE funnel ADD COLUMN priority INTEGER NOT NULL DEFAULT 2147483647;

-- What was spent in a day (2026-03-02) or month (2026-03) of the policy's calendar, in ten-thousandths of the currency. Counted in the
-- transaction that writes the intent, given back by the mark that says it did not leave.
CREATE TABLE budget (
  policy TEXT NOT NULL,
  currency TEXT NOT NULL,
  period TEXT NOT NULL,
  spent BIGINT NOT NULL,
  PRIMARY KEY (policy, currency, period)
)
--pg WITH (fillfactor = 50)
--sqlite WITHOUT ROWID
;

-- charged: policy, currency and day that cost was counted for, with a space between them.
ALTER TABLE effect ADD COLUMN cost BIGINT;
ALTER TABLE effect ADD COLUMN charged TEXT;

-- Speed to lead, as people count it: beside each line of history that tells of a reaction, its seconds of working time; NULL: nobody had
-- reacted, and somebody above was told.
CREATE TABLE reaction (
  copy_id BIGINT NOT NULL,
  ver BIGINT NOT NULL,
  n INTEGER NOT NULL,
  at BIGINT NOT NULL,
  seconds BIGINT,
  PRIMARY KEY (copy_id, ver, n)
)
--sqlite WITHOUT ROWID
;
