#!/bin/sh
# Makes the files of the compose file's secrets, at random, where there are none yet: deploy/make_secrets.sh [folder]
set -eu
folder=${1:-$(dirname "$0")/../secrets}
mkdir -p "$folder"
# Nobody else gets into the folder; in it, the containers' users may read.
chmod 700 "$folder"
umask 0133

missing() {
    [ ! -e "$folder/$1" ]
}

! missing postgres_password || openssl rand -hex 24 > "$folder/postgres_password"
! missing secret_key || openssl rand -base64 48 > "$folder/secret_key"
! missing encryption_keys || openssl rand -base64 32 > "$folder/encryption_keys"
! missing admin_password || openssl rand -base64 18 > "$folder/admin_password"
! missing metrics_token || openssl rand -hex 32 > "$folder/metrics_token"
# To be filled in by hand, as in smtp+tls://user:password@mail.example.com (.env.example).
! missing email_url || : > "$folder/email_url"
