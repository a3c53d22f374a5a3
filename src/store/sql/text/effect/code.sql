SELECT copy_id, seq, link FROM code WHERE hash = $1
