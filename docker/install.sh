#!/bin/sh
# Turn a base image into an environment, or one into a larger one; runs inside the container,
# without network.
#
#   install.sh PYTHON DEVICE      e.g. install.sh python3.11 cpu
#
# Reads beside itself: lock, wheels/ (of the lock), tools/ (uv's wheel) and, where it is there,
# drop. Writes /opt/venv and nothing else. The same input gives the same bytes, dates included.
# What is in /opt/venv already is not touched, so that it stays in the layer below.
set -eu
umask 022
python=$1 device=$2 here=$(dirname "$0") epoch=1747699200
export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp TMPDIR=/tmp

step() { echo "== $1"; }
# What an earlier run left is dated; everything else is new.
new() { find "$@" \( -newermt "@$epoch" -o ! -newermt "@$((epoch - 1))" \); }

step "installing"
"$python" -I -B -c '
import glob, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/tools/uv-*.whl")[0])
name = next(name for name in wheel.namelist() if name.endswith("/scripts/uv"))
open("/tmp/uv", "wb").write(wheel.read(name))
' "$here"
chmod +x /tmp/uv
# The cache is on the image's own file system, so that files are linked into place, not copied.
uv() { /tmp/uv --quiet --no-config --offline --cache-dir /opt/.uv "$@"; }
[ -d /opt/venv ] || uv venv --python "$python" /opt/venv
if [ -s "$here/lock" ]; then
  uv pip install --no-deps --no-index --find-links "$here/wheels" --require-hashes \
    --python /opt/venv/bin/python --requirements "$here/lock"
fi
rm -rf /opt/.uv /tmp/uv
# uv notes when a wheel's file was last changed: true of this build only.
find /opt/venv -name uv_cache.json -delete
new /opt/venv -name RECORD | while read -r record; do sed -i '/uv_cache\.json/d' "$record"; done

step "stripping"
# -B: isolated mode ignores the variable above, and a .pth file imports at every start.
site=$(/opt/venv/bin/python -I -B -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cd "$site"
# Test suites (but not tensorflow's public module `test`), headers, static archives, binaries of
# test programs, and what only a compiler would read.
find . -depth -type d -name tests -exec rm -rf {} +
rm -rf torch/test torch/include torch/share tensorflow/include tensorflow_core/include
rm -rf tensorflow/xla_aot_runtime_src clang/native
find . -type f \( -name '*.a' -o -name '*.h' -o -name '*.hpp' -o -name '*.cuh' -o -name '*.pyx' \
  -o -name '*.pxd' \) -delete
find . -path './torch/bin/*' ! -name torch_shm_manager -delete
# torch 1.13 brings CUDA on the CPU too. These parts are opened at the first use of a GPU; without
# the others it cannot be imported.
if [ "$device" = cpu ]; then
  rm -f nvidia/cudnn/lib/libcudnn_*_infer.so.* nvidia/cudnn/lib/libcudnn_*_train.so.*
  rm -f nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.* torch/lib/libtorch_cuda_linalg.so
fi

# What an environment.toml leaves out: a pattern a line.
if [ -f "$here/drop" ]; then
  while read -r pattern; do
    # shellcheck disable=SC2086 # it is a pattern
    rm -f ./$pattern
  done <"$here/drop"
fi

step "compiling"
# Byte code stays: without it TensorFlow starts 3 to 6 seconds later, every time, in a read-only
# container. A hash instead of a date in it, so that nothing depends on when this ran. It fails on
# templates and Python 2 files that some packages carry; nobody imports those. One process and no
# site (-S): what was imported or compiled before, in the same process, changes a file's byte code.
new "$site" -type f -name '*.py' | LC_ALL=C sort |
  /opt/venv/bin/python -S -m compileall -q -f -j 1 --invalidation-mode unchecked-hash -i - \
    >/dev/null 2>&1 || true

step "dating"
new /opt/venv >/tmp/new
tr '\n' '\0' </tmp/new | xargs -0 -r touch -h -d "@$epoch"
touch -d "@$epoch" /opt
rm /tmp/new
