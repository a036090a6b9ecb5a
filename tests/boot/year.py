"""A year of a LAMP server's life: what its administrator did to it, and how one sees that all of it is there.

Its packages come from a folder that apt takes for a repository (packages.py), for it reaches nobody.
"""

HERE = "/srv/repository"
OF_THE_MASTER = ("apache2", "ca-certificates", "curl", "git", "less", "openssl", "sudo")
NEW = (
    "at", "bc", "ed", "file", "fping", "libssl3", "locales", "mariadb-server", "openssl", "php8.2-fpm",
    "php8.2-mysql", "psmisc", "rsyslog", "unzip", "zip",
)  # fmt: skip
"""Installed in the year; openssl and its library are the master's, and were upgraded."""
APT = "apt-get -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold --no-install-recommends"

YEAR = f"""
set -e
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
systemctl mask --now apt-daily.timer apt-daily-upgrade.timer
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:{HERE} ./' >/etc/apt/sources.list.d/here.list
apt-get update
{APT} install {" ".join(NEW)}
{APT} purge git
sed -i 's/^# en_US.UTF-8/en_US.UTF-8/' /etc/locale.gen
locale-gen
mariadb -e "create database shop; create table shop.t (a int); insert into shop.t values (42);
    create user site@localhost identified by 'secret'; grant all on shop.* to site@localhost"
mkdir -p /srv/www
cat >/srv/www/index.php <<'END'
<?php
$row = (new mysqli('localhost', 'site', 'secret', 'shop'))->query('select a from t')->fetch_row();
echo 'row ' . $row[0] . "\\n";
END
cat >/etc/apache2/sites-available/shop.conf <<'END'
<VirtualHost *:80>
    DocumentRoot /srv/www
    <Directory /srv/www>
        Require all granted
    </Directory>
</VirtualHost>
END
a2enmod proxy_fcgi setenvif
a2enconf php8.2-fpm
a2dissite 000-default
a2ensite shop
echo 'ServerName shop.example' >>/etc/apache2/apache2.conf
echo 'MaxAuthTries 3' >>/etc/ssh/sshd_config
systemctl restart apache2
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=Own -keyout /root/own.key \
    -out /usr/local/share/ca-certificates/own.crt
update-ca-certificates
groupadd editors
useradd -m -G editors -s /bin/bash anna
useradd -r -s /usr/sbin/nologin worker
echo 'anna:secret' | chpasswd
echo 'anna ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/anna
install -d -o worker -g editors -m 2770 /srv/shared
setfacl -m u:anna:rwx /srv/shared 2>/dev/null || :
apt-mark hold bc
apt-mark auto zip
update-alternatives --set editor /bin/ed
dpkg-divert --divert /usr/bin/less.kept --rename /usr/bin/less
cp /bin/true /usr/bin/less
dpkg-statoverride --update --add root adm 0750 /usr/bin/fping
cp -a /etc/logrotate.d /etc/logrotate.new
echo '/var/log/shop.log {{ weekly }}' >/etc/logrotate.new/shop
mv /etc/logrotate.d /etc/logrotate.old && mv /etc/logrotate.new /etc/logrotate.d && rm -r /etc/logrotate.old
ln -sf /usr/share/zoneinfo/Europe/Berlin /etc/localtime
crontab -l 2>/dev/null || :
echo '17 3 * * * root /usr/local/bin/nightly' >/etc/cron.d/nightly
printf '#!/bin/sh\\nexit 0\\n' >/usr/local/bin/nightly && chmod 755 /usr/local/bin/nightly
systemctl disable at.service atd.service 2>/dev/null || :
systemctl is-active apache2 mariadb php8.2-fpm
"""

LOOK = """
export LC_ALL=C.UTF-8
say() { echo "== $1"; shift; "$@" 2>&1 || echo "ended with $?"; }
say page curl -s http://127.0.0.1/
say row mariadb -N -e 'select a from shop.t'
say locale sh -c 'locale -a | grep -i en_us'
say own openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates/own.crt
say users sh -c 'id anna; id -nG anna; id -nu worker; getent group editors'
say sudo runuser -u anna -- sudo -n id -u
say shared stat -c '%U %G %a' /srv/shared
say database stat -c '%U %G' /var/lib/mysql /var/lib/mysql/shop
say held sh -c 'apt-mark showhold | grep -v ^linux-image'
say auto sh -c 'apt-mark showauto | grep -x zip'
say editor readlink -f /etc/alternatives/editor
say diverted dpkg-divert --list /usr/bin/less
say override sh -c 'dpkg-statoverride --list /usr/bin/fping; stat -c "%U %G %a" /usr/bin/fping'
say settings sh -c 'tail -n 1 /etc/apache2/apache2.conf /etc/ssh/sshd_config; cat /etc/logrotate.d/shop'
say zone readlink -f /etc/localtime
say nightly sh -c 'cat /etc/cron.d/nightly; stat -c %a /usr/local/bin/nightly'
say git sh -c 'command -v git || echo none'
"""
"""What is to be the same, whatever master is under it."""

WHOLE = """
export LC_ALL=C.UTF-8
say() { echo "== $1"; shift; "$@" 2>&1 || echo "ended with $?"; }
say audit dpkg --audit
say check apt-get check -q=2
say failed systemctl --failed --no-legend --plain
say active systemctl is-active apache2 mariadb php8.2-fpm ssh
"""


def blocks(text: str) -> dict[str, str]:
    """By their names."""
    found = {}
    for block in f"\n{text.strip()}".split("\n== ")[1:]:
        name, _, lines = block.partition("\n")
        found[name] = lines
    return found
