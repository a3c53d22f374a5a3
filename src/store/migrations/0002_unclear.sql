-- Messages whose outcome nobody can tell. resend: their channel sends again by itself, so the text is kept from the intent on.
-- resends: how often that was done, or a person asked for it, so that the ledger announces every one of them.
ALTER TABLE outbox ADD COLUMN resend SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE effect ADD COLUMN resends SMALLINT NOT NULL DEFAULT 0;

-- The number of message hand-overs ever written down. A witness outside the database knows how far it must have come.
INSERT INTO counter (name, value) VALUES ('intent', 0);
