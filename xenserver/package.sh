#!/bin/sh
# Makes what is carried to the hosts, in FOLDER (dist): a tarball, and where rpmbuild is installed an RPM.
# The same sources give the same tarball, byte for byte.
set -eu
cd "$(dirname "$0")"
out=${1:-../dist}
version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' skinnybox)
name=skinnybox-xenserver-$version

mkdir -p "$out"
out=$(cd "$out" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mkdir "$scratch/$name"
cp skinnybox install.sh skinnybox-xenserver.spec ../LICENSE "$scratch/$name/"
chmod 0755 "$scratch/$name/skinnybox" "$scratch/$name/install.sh"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@"${SOURCE_DATE_EPOCH:-1}" --mode=go=rX,u+rw \
    -C "$scratch" -cf "$scratch/$name.tar" "$name"
gzip -9n "$scratch/$name.tar"
mv "$scratch/$name.tar.gz" "$out/"
echo "$out/$name.tar.gz"

if command -v rpmbuild >/dev/null; then
    rpmbuild --quiet -bb --define "_topdir $scratch/rpm" --define "_sourcedir $out" \
        --define "version_wanted $version" skinnybox-xenserver.spec
    find "$scratch/rpm/RPMS" -name '*.rpm' -exec mv {} "$out/" \;
    find "$out" -name "$name-*.rpm"
fi
