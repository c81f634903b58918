"""What smbclient's `put "HERE" "PATH"; get "PATH" "HERE"; ` does, with impacket: HOST SHARE DOMAIN USER PASSWORD DIALECT SCRIPT."""

import shlex
import sys

from impacket.smbconnection import SMBConnection

host, share, domain, user, password, dialect, script = sys.argv[1:]
client = SMBConnection(host, host, sess_port=445, preferredDialect=int(dialect, 16))
client.login(user, password, domain)
for command in filter(None, script.split("; ")):
    word, one, other = shlex.split(command)
    if word == "put":
        with open(one, "rb") as file:
            client.putFile(share, other, file.read)
    else:
        with open(other, "wb") as file:
            client.getFile(share, one, file.write)
client.logoff()
