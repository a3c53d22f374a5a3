SELECT seq, link, at, verdict, why FROM click WHERE copy_id = $1 ORDER BY at, seq, link
