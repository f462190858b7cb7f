#!/bin/sh
# Make a base image from Debian packages, for machines that reach no registry.
#
#   bootstrap.sh OUT.tar VERSION              Debian's own Python (3.11 on bookworm)
#   bootstrap.sh OUT.tar VERSION INTERPRETER  any other CPython, copied from this machine
#
# The same packages give the same tar, byte for byte; /etc/base.packages in it tells which they
# were. Needs root and mmdebstrap.
set -eu
out=$1 version=$2 interpreter=${3:-}
suite=bookworm
export SOURCE_DATE_EPOCH=1747699200
export PYTHONHASHSEED=0 # what the copied interpreter compiles depends on it

# Debian packages that own the shared libraries which the files given are linked with.
packages_of() {
  for file in "$@"; do ldd "$file"; done | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
    while read -r library; do
      case $library in "$prefix"/*) continue ;; esac
      real=$(readlink -f "$library")
      # dpkg knows a file by the path it was packaged under: with or without /usr.
      dpkg -S "$real" 2>/dev/null || dpkg -S "${real#/usr}" 2>/dev/null || dpkg -S "$library" ||
        { echo "bootstrap.sh: no Debian package owns $library" >&2; exit 1; }
    done | cut -d: -f1 | sort -u | paste -sd,
}

# Without usr-is-merged, usrmerge would come in, and Perl with it (49 MB).
packages=usr-is-merged,libstdc++6,libgomp1,ca-certificates
if [ -z "$interpreter" ]; then
  packages=$packages,python$version
  install_python=true
else
  prefix=$("$interpreter" -I -S -c 'import sys; print(sys.base_prefix)')
  set -- "$prefix/bin/python$version"
  for extension in "$prefix/lib/python$version"/lib-dynload/*.so; do
    case $extension in *_tkinter* | *_test*) continue ;; esac
    set -- "$@" "$extension"
  done
  packages=$packages,$(packages_of "$@")
  export prefix version
  # The libraries' RUNPATH names the old prefix, so ldconfig must know the new one. The old
  # site-packages stay behind: they are this machine's.
  install_python='
    home="$1/opt/python" library="python$version"
    mkdir -p "$home/bin" "$home/lib"
    cp "$prefix/bin/$library" "$home/bin/"
    for shared in "$prefix"/lib/libpython*.so*; do
      [ ! -e "$shared" ] || cp -P "$shared" "$home/lib/"
    done
    tar -C "$prefix/lib" -c --exclude=__pycache__ --exclude="$library/site-packages" \
      --exclude="$library/test" --exclude="$library/config-*" --exclude="$library/idlelib" \
      --exclude="$library/tkinter" --exclude="*_tkinter*" --exclude="$library/lib2to3/tests" \
      --exclude="$library/ensurepip/_bundled" --exclude="$library/turtledemo" "$library" |
      tar -C "$home/lib" -x --no-same-owner
    mkdir -p "$home/lib/$library/site-packages"
    echo /opt/python/lib >"$1/etc/ld.so.conf.d/python.conf"
    ln -s "/opt/python/bin/$library" "$1/usr/local/bin/$library"
    chroot "$1" ldconfig
    chroot "$1" "$library" -S -m compileall -q --invalidation-mode unchecked-hash \
      "/opt/python/lib/$library" >/dev/null || true # lib2to3 holds Python 2 on purpose'
fi

exec mmdebstrap --quiet --variant=minbase --include="$packages" \
  --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
  --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --customize-hook="$install_python" \
  --customize-hook='dpkg-query --admindir="$1/var/lib/dpkg" -W >"$1/etc/base.packages"' \
  "$suite" "$out"
