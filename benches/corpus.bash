# shellcheck shell=bash disable=SC2154
# What the benchmarks that run imgsieve as a program share: disk images made of this machine's own files, and their tools.
# For `source`. The variables are those of the script: $work is its folder, $scratch is for what is only needed while an image is
# made, $files for the contents of the file system that is made next, $image is the image, and $source the folder of imgsieve.

export LC_ALL=C TZ=UTC
export PATH=$PATH:/usr/sbin:/sbin
unset TAR_OPTIONS ZSTD_CLEVEL ZSTD_NBTHREADS TIME
umask 022

die() {
    echo "$0: $*" >&2
    exit 1
}

say() { echo "$*" >&2; }

# need COMMAND...: fails unless all of them are there.
need() {
    local tool missing=()
    local -A package=(
        [fdisk]=fdisk [mcopy]=mtools [mkfs.ext4]=e2fsprogs [mkfs.ntfs]=ntfs-3g [mkfs.vfat]=dosfstools [ntfscp]=ntfs-3g
        [openssl]=openssl [perl]=perl [pzstd]=zstd [sfdisk]=fdisk [sgdisk]=gdisk [tar]=tar [/usr/bin/time]=time [zstd]=zstd
    )
    for tool; do
        command -v "$tool" > /dev/null || missing+=("${package[$tool]}")
    done
    ((${#missing[@]} == 0)) ||
        die "tools are missing; on Debian: apt-get install $(printf '%s\n' "${missing[@]}" | sort -u | paste -sd ' ')"
}

# remove_folder: removes $work. What has no file $MARKER is somebody else's.
remove_folder() {
    [[ -e $work ]] || return 0
    [[ -f $work/$MARKER ]] || die "$work was not made by this script: it is left alone"
    rm -rf -- "$work"
}

# claim_folder: makes $work, with an absolute path, and keeps other runs out of it until this one ends.
claim_folder() {
    local lock
    if [[ -e $work && ! -f $work/$MARKER && $(ls -A -- "$work") ]]; then
        die "$work holds something else: name a folder of its own"
    fi
    mkdir -p -- "$work"
    work=$(cd -- "$work" && pwd)
    exec {lock}>> "$work/$MARKER"
    flock -n "$lock" || die "another run is using $work"
}

# room GB: fails unless so much is free, or was used here already.
room() {
    local have
    have=$(($(df --output=avail -B1 "$work" | tail -1) + $(du -sB1 "$work" | cut -f 1)))
    say "$work needs up to $1 GB; $((have / 1000000000)) GB are there for it"
    ((have >= $1 * 1000000000)) || die "not enough room in $work: name a folder elsewhere"
}

readonly MIB=1048576

# list_sources: sets `sources` to the folders of this machine that may hold source code and text.
list_sources() {
    local folder
    sources=()
    command -v rustc > /dev/null && sources+=("$(rustc --print sysroot)/lib/rustlib/src" "$(rustc --print sysroot)/share/doc")
    sources+=("${CARGO_HOME:-$HOME/.cargo}/registry/src" /usr/include /usr/src /usr/share/doc /usr/share/perl /usr/lib/python3)
    for folder in /usr/lib/python3.* "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/lib/python*; do
        sources+=("$folder")
    done
}

# fill MIB SKIP FOLDER...: copies files of those folders to files/, in the order of their names, so that they take MIB in a
# file system of 4 KiB blocks. The first SKIP MiB are passed over.
fill() {
    local budget=$1 skip=$2 folder folders=()
    shift 2
    for folder; do
        [[ -d $folder ]] && folders+=("$folder")
    done
    mkdir -p "$files"
    ((${#folders[@]})) || return 0
    # What is unreadable, or changes meanwhile, is no loss.
    { find "${folders[@]}" -xdev -type f -readable -size -200M ! -name $'*\n*' -printf '%s\t%p\t%D:%i\n' 2> /dev/null || true; } |
        sort -u -t $'\t' -k 2,2 |
        awk -F '\t' -v from=$((skip * MIB)) -v to=$(((skip + budget) * MIB)) '
            # Another hard link takes no room.
            seen[$3]++ { next }
            { at += int(($1 + 4095) / 4096) * 4096 + 512 }
            at > from && at <= to { print substr($2, 2) }' > "$scratch/list"
    tar -C / -c --ignore-failed-read --warning=none -T "$scratch/list" -f - 2> /dev/null |
        tar -x --no-same-owner -C "$files" -f - || true
    chmod -R u+rwX "$files"
}

# random SEED MIB: incompressible bytes, the same each time.
random() {
    head -c $(($2 * MIB)) /dev/zero | openssl enc -aes-256-ctr -nosalt -K "$(printf '%064x' "$1")" -iv "$(printf '%032x' 0)"
}

# pictures SEED FIRST LAST: files of 4 MiB with nothing in them to compress.
pictures() {
    local number
    mkdir -p "$files/DCIM"
    for ((number = $2; number <= $3; number++)); do
        random $(($1 * 10000 + number)) 4 > "$files/DCIM/img$(printf %04d "$number").jpg"
    done
}

# access_log SEED MIB: lines of a web server.
access_log() {
    awk -v seed="$1" -v limit=$(($2 * MIB)) '
        # Park and Miller 1988; exact in double precision.
        function random(n) { seed = (seed * 16807) % 2147483647; return seed % n }
        BEGIN {
            split("/ /index.html /search /login /static/app.js /static/site.css /favicon.ico /robots.txt", paths, " ")
            split("Mozilla/5.0_(X11;_Linux_x86_64;_rv:115.0)_Gecko/20100101_Firefox/115.0" \
                " Mozilla/5.0_(Windows_NT_10.0;_Win64;_x64)_AppleWebKit/537.36_(KHTML,_like_Gecko)_Chrome/124.0_Safari/537.36" \
                " Mozilla/5.0_(compatible;_Googlebot/2.1;_+http://www.google.com/bot.html) curl/7.88.1", agents, " ")
            for (i in agents) gsub("_", " ", agents[i])
            for (i = 0; i < 4000; i++) addresses[i] = random(223) + 1 "." random(256) "." random(256) "." random(256)
            split("200 200 200 200 200 200 304 304 301 404", codes, " ")
            while (written < limit) {
                second += random(3)
                path = random(3) ? "/item/" random(200000) "?page=" random(40) : paths[random(8) + 1]
                line = sprintf("%s - - [%02d/Mar/2019:%02d:%02d:%02d +0000] \"GET %s HTTP/1.1\" %s %d \"-\" \"%s\"",
                    addresses[random(random(2) ? 4000 : 50)], 1 + int(second / 86400) % 31, int(second / 3600) % 24,
                    int(second / 60) % 60, second % 60, path, codes[random(10) + 1], random(90000), agents[random(4) + 1])
                print line
                written += length(line) + 1
            }
        }'
}

# ext4 START MIB: makes an ext4 of MIB at START MiB of the image, with what is in files/.
ext4() {
    mkdir -p "$files"
    mkfs.ext4 -q -F -i 8192 -E offset=$(($1 * MIB)) -d "$files" "$image" $(($2 * 1024))k 2> /dev/null ||
        die "mkfs.ext4 failed for $image"
    rm -rf "$files"
}

# vfat START MIB: the same with a FAT file system.
vfat() {
    mkdir -p "$files"
    # By itself, mkfs.vfat goes by the size of the whole image.
    mkfs.vfat -F $(($2 < 512 ? 16 : 32)) --offset $(($1 * 2048)) "$image" $(($2 * 1024)) > /dev/null 2>&1 ||
        die "mkfs.vfat failed for $image"
    mcopy -Q -s -D o -i "$image@@$(($1 * MIB))" "$files"/* ::/ < /dev/null > /dev/null 2>&1 ||
        die "mcopy failed for $image"
    rm -rf "$files"
}

# ntfs START MIB: the same with NTFS; all files in one folder.
ntfs() {
    local file volume=$scratch/ntfs
    mkdir -p "$files"
    truncate -s "$2M" "$volume"
    mkfs.ntfs -q -F -Q -p $(($1 * 2048)) -H 255 -S 63 "$volume" > /dev/null
    find "$files" -type f -size +15k -print0 | while IFS= read -rd '' file; do
        ntfscp -f -q "$volume" "$file" "$(basename "$file")" > /dev/null 2>&1 || break # Full.
    done
    dd if="$volume" of="$image" bs=1M seek="$1" conv=notrunc,sparse status=none
    rm -rf "$files" "$volume"
}

# table MIB < SCRIPT: begins an image of MIB with the table that a script for sfdisk describes.
table() {
    truncate -s "$1M" "$image"
    sfdisk -q "$image"
}

# rescue_map IMAGE: ddrescue's own word for a disk that was read whole.
rescue_map() {
    printf '# Mapfile. Created by GNU ddrescue\n0x0 + 1\n0x0 0x%x +\n' "$(stat -c %s "$1")"
}

# gb BYTES: in GB.
gb() { awk -v bytes="$1" 'BEGIN { printf "%.3f", bytes / 1e9 }'; }

# build_imgsieve: sets `imgsieve` to the program, built of what is checked out.
build_imgsieve() {
    say 'building imgsieve'
    cargo build --release --quiet --manifest-path "$source/Cargo.toml"
    # Wherever the target folder was set to be.
    imgsieve=$(cargo build --release --quiet --manifest-path "$source/Cargo.toml" --message-format json |
        sed -n 's/.*"executable":"\([^"]*\/imgsieve\)".*/\1/p' | tail -1)
    [[ -x $imgsieve ]] || die 'cargo did not say where imgsieve is'
}

# machine: where and with what, for above a table.
machine() {
    echo "- Machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sort -u | paste -sd ';'), $(nproc) processors," \
        "$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo) of memory; Linux $(uname -r);" \
        "$(df --output=fstype "$work" | tail -1) file system"
    echo "- Load average at the start: $(cut -d ' ' -f 1-3 /proc/loadavg); page cache: warm"
    echo "- Versions: $("$imgsieve" --version) ($(git -C "$source" describe --always --dirty 2> /dev/null || echo no commit));" \
        "zstd $(zstd --version | grep -o 'v[0-9.]*[0-9]' | head -1); $(tar --version | head -1)"
}

# For awk: middle(list, n), the median of list[1] to list[n]; sorts them, and leaves the least and the most in `low` and `high`.
# shellcheck disable=SC2016,SC2034
readonly AWK_MIDDLE='
    function middle(list, n,    i, j, t) {
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && list[j - 1] > list[j]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
        low = list[1]
        high = list[n]
        return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
    }'
