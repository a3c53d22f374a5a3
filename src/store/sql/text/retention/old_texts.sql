-- Texts of messages that nobody could tell about, kept for whoever resolves them: nobody sends one again that has expired.
SELECT copy_id, seq FROM outbox WHERE kind = 'message' AND epoch IS NULL AND due_at >= 32503680000000 AND expires_at < $1 LIMIT $2
