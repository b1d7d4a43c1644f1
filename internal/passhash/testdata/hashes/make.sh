#!/bin/bash
# Makes the vectors anew, on Debian 12 with python3-werkzeug, python3-django,
# python3-argon2, python3-bcrypt, php-cli, ruby-bcrypt and apache2-utils. Debian
# 12's Werkzeug and Django know no scrypt: $1 is a directory with those of Debian
# 13, taken from their packages by dpkg -x (python3-werkzeug, python3-django,
# python3-asgiref).
set -euo pipefail
cd "$(dirname "$0")"
newer=$1/usr/lib/python3/dist-packages
export PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8
python=/usr/bin/python3

{ "$python" hashes.py werkzeug; PYTHONPATH=$newer "$python" hashes.py werkzeug; } >werkzeug.jsonl
{ "$python" hashes.py django; PYTHONPATH=$newer "$python" hashes.py django; } >django.jsonl
"$python" hashes.py others >others.jsonl
php hashes.php >php.jsonl
ruby hashes.rb >>others.jsonl
# htpasswd takes at most 255 bytes, which all are.
"$python" -c 'import json; [print(json.dumps(p)) for p in json.load(open("passwords.json"))]' | while IFS= read -r password; do
	plain=$("$python" -c 'import json, sys; sys.stdout.write(json.loads(sys.argv[1]))' "$password"; printf .)
	hash=$(printf '%s' "${plain%.}" | htpasswd -niBC 4 user)
	printf '{"by": "htpasswd", "password": %s, "hash": "%s"}\n' "$password" "${hash#user:}"
done | sed '/^$/d' >>others.jsonl
wc -l ./*.jsonl
