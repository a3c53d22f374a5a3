UPDATE click SET verdict = r.verdict, why = r.why
FROM rows($1, copy_id bigint, seq integer, link smallint, at bigint, verdict text, why text) r
WHERE click.copy_id = r.copy_id AND click.seq = r.seq AND click.link = r.link AND click.at = r.at
