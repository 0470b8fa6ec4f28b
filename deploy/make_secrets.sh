#!/bin/sh
# Makes the files of the compose file's secrets, at random, where there are none yet: deploy/make_secrets.sh [folder]
set -eu
folder=${1:-$(dirname "$0")/../secrets}
mkdir -p "$folder"
# Nobody else gets into the folder; in it, the containers' users may read.
chmod 700 "$folder"
umask 0133

make() {
    [ -e "$folder/$1" ] || cat > "$folder/$1"
}

openssl rand -hex 24 | make postgres_password
openssl rand -base64 48 | make secret_key
openssl rand -base64 32 | make encryption_keys
openssl rand -base64 18 | make admin_password
# To be filled in by hand, as in smtp+tls://user:password@mail.example.com (.env.example).
: | make email_url
