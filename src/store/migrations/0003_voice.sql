-- What other funnels must know of a funnel: the name it writes in, the policy it follows, and how that policy ranks it (0: first).
-- Known from its next publication on; an empty brand may be any.
ALTER TABLE funnel ADD COLUMN brand TEXT NOT NULL DEFAULT '';
ALTER TABLE funnel ADD COLUMN policy TEXT NOT NULL DEFAULT '';
ALTER TABLE funnel ADD COLUMN priority INTEGER NOT NULL DEFAULT 2147483647;
