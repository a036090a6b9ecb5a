"""What an administrator put on a plain Debian to serve a site from a database, and how one sees that it is
all there. Its packages come from a folder that apt takes for a repository, for it reaches nobody."""

HERE = "/srv/repository"
OF_THE_MASTER = ("cron", "curl", "less", "nano")
INSTALLED = (
    "apache2", "at", "bc", "fping", "libapache2-mod-php", "mariadb-server", "memcached",
    "rsync", "tree", "vim-tiny",
)  # fmt: skip
"""In each release; the driver of its PHP comes with the release's number in its name."""
APT = (
    "apt-get -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold --no-install-recommends "
    "-o Dir::Etc::SourceList=/root/here.list -o Dir::Etc::SourceParts=/nowhere"
)

PAGE = """<?php
$row = (new mysqli('localhost', 'site', 'secret', 'shop'))->query('select a from t')->fetch_row();
echo 'row ' . $row[0] . ' of ' . PHP_MAJOR_VERSION . "\\n";
"""

LIVED = f"""
set -e
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
systemctl stop apt-daily.timer apt-daily-upgrade.timer
systemctl mask apt-daily.timer apt-daily-upgrade.timer
echo 'deb [trusted=yes] file:{HERE} ./' >/root/here.list
{APT} update
{APT} install {" ".join(INSTALLED)} "$DRIVER"
{APT} remove less
{APT} purge nano
mariadb -e "create database shop; create table shop.t (a int); insert into shop.t values (42);
    create user site@localhost identified by 'secret'; grant all on shop.* to site@localhost"
mkdir -p /srv/www
cat >/srv/www/index.php <<'END'
{PAGE}END
cat >/etc/apache2/sites-available/shop.conf <<'END'
<VirtualHost *:80>
    DocumentRoot /srv/www
    RewriteEngine on
    RewriteRule ^/shop$ /index.php
    <Directory /srv/www>
        Require all granted
    </Directory>
</VirtualHost>
END
a2enmod rewrite
a2dismod -f autoindex
a2dissite 000-default
a2ensite shop
echo 'ServerName shop.example' >>/etc/apache2/apache2.conf
echo 'MaxAuthTries 3' >>/etc/ssh/sshd_config
systemctl restart apache2
systemctl disable --now atd cron
systemctl mask --now memcached
systemctl enable rsync
useradd -m -s /bin/bash anna
echo kept >/home/anna/note && chown anna: /home/anna/note
useradd -r -s /usr/sbin/nologin worker
install -d -o worker -g anna -m 2770 /srv/shared
echo '17 3 * * * root /usr/local/bin/nightly' >/etc/cron.d/nightly
apt-mark hold bc
update-alternatives --set editor /usr/bin/vim.tiny
dpkg-statoverride --update --add root adm 0750 /usr/bin/fping
"""
"""DRIVER is that package. What apt goes by stays its master's, so the new one's is seen afterwards."""

LOOK = """
export LC_ALL=C.UTF-8
say() { echo "== $1"; shift; "$@" 2>&1 || echo "ended with $?"; }
say row mariadb -N -e 'select a from shop.t'
say users sh -c 'id -nG anna; id -nu worker; stat -c "%U %G %a" /home/anna/note /srv/shared'
say note cat /home/anna/note
say database stat -c '%U %G' /var/lib/mysql /var/lib/mysql/shop
say accounts sh -c 'getent passwd memcache mysql | cut -d: -f 1,6'
say held sh -c 'apt-mark showhold | grep -v ^linux-image'
say manual sh -c 'apt-mark showmanual | grep -xE "apache2|mariadb-server|tree|libapr.*"'
say editor readlink -f /etc/alternatives/editor
say override sh -c 'dpkg-statoverride --list /usr/bin/fping; stat -c "%U %G %a" /usr/bin/fping'
say settings sh -c 'tail -n 1 /etc/apache2/apache2.conf /etc/ssh/sshd_config; cat /etc/cron.d/nightly'
say removed sh -c 'for each in less nano exim4; do command -v $each || echo no $each; done; ls /etc/nanorc'
say sources sh -c 'grep -l file: -r /etc/apt'
say units systemctl is-enabled apache2 mariadb ssh atd cron memcached rsync apt-daily.timer
say modules sh -c 'a2query -q -m rewrite && echo rewrite
    a2query -q -m autoindex || echo no autoindex; a2query -q -s 000-default || echo no default'
"""
"""What is to be the same, whatever release is under it."""

WHOLE = """
export LC_ALL=C.UTF-8
say() { echo "== $1"; shift; "$@" 2>&1 || echo "ended with $?"; }
say audit dpkg --audit
say check apt-get check -q=2
say failed systemctl --failed --no-legend --plain
say active systemctl is-active apache2 mariadb ssh
say dangling find /etc -xtype l ! -path '/etc/sv/*'
say left sh -c "find /usr -xdev -type f ! -path '/usr/local/*' ! -name '*.pyc' ! -path '*skinnybox*' \\
        ! -path /usr/share/info/dir ! -path '/usr/lib/modules/*' | sort >/tmp/there
    cat /var/lib/dpkg/info/*.list | sed -E 's:^/(s?bin|lib[0-9x]*)/:/usr/\\1/:' | sort -u >/tmp/owned
    comm -23 /tmp/there /tmp/owned"
"""
"""`left` is what lies below /usr, and no package says that it brought it."""
