//! The page about archives in object storage.

/// What the page is about, as `apropos` prints it.
pub const NAME: &str = "imgsieve-cloud - archives in object storage, surveyed where they are";

/// A heading, and what stands under it.
pub const SECTIONS: [(&str, &[&str]); 6] = [
    (
        "DESCRIPTION",
        &[
            "Wherever imgsieve takes an archive or a collection to be read, it takes a URL: scan, verify, inspect, extract, and \
             the collection of the site file. s3://BUCKET/PREFIX is what a folder is: the archives directly under it, or with \
             --recursive those further down, too. s3://BUCKET/KEY is an archive, if the key ends as an archive's name does. \
             The same goes for gs:// (Google Cloud Storage) and az:// (Azure, with the container as the bucket). https:// and \
             http:// are single archives on a web server that gives ranges; what a server has cannot be listed.",
            "A hash is the last component of the key without its ending, for the skip list, for --only and for the folder in \
             staging. Keys of s3://, gs:// and az:// are written as they are, paths of https:// as in any URL; URLs with a query, \
             such as signed ones, are not read. Staging and the log stay on a local or mounted file system.",
            "A key with an empty component (a//b), a component of dots alone (a/../b), a slash at an end or a control character \
             cannot be asked for, not by its URL either. A scan tells of each archive that has one, as an error of that archive, \
             surveys the others, and ends with exit code 1: copy such an object to another key. Objects of no bytes whose \
             keys end in a slash stand for folders, and are passed over.",
            "A build may be without all this (cargo's feature cloud); it says so. The packages have it.",
        ],
    ),
    (
        "CREDENTIALS",
        &[
            "They come from the environment, and are never part of a URL. For S3: AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or a web identity (AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN), \
             or the role of the container or the instance. AWS_REGION is us-east-1 unless it is set. AWS_ENDPOINT_URL names \
             another store that speaks S3, such as MinIO or Ceph. AWS_SKIP_SIGNATURE=true reads a public bucket. The files of \
             the aws command are not read: eval \"$(aws configure export-credentials --format env)\" exports what is in them.",
            "For Google: GOOGLE_APPLICATION_CREDENTIALS, or the service account of the machine. For Azure: \
             AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY, or a SAS token, or an identity.",
            "The certificate of a server is checked by the authorities that the system trusts; SSL_CERT_FILE names a file of \
             others. An empty variable counts as unset, SSL_CERT_FILE aside; a value that cannot be right is refused, with the \
             variable's name.",
            "HTTPS_PROXY names a proxy for what is asked for by https://, HTTP_PROXY for http://, ALL_PROXY for both, and NO_PROXY \
             the hosts that need none, separated by commas; each also in lower case, which counts where the other is not set. What is asked \
             of the machine itself, such as a role of the instance (169.254.169.254), goes through no proxy.",
            "What makes a request valid is sent to nobody else: a store that answers with a redirect is not followed, and the \
             message names where it leads to. Requests to a web server have no credentials in them, and its redirects are followed, \
             except from https:// to http://.",
            "Rights to list the bucket and to get objects are enough. Nothing is written to it.",
        ],
    ),
    (
        "WHAT IS ASKED FOR",
        &[
            "An object is read in blocks of 8 MiB, each a request: one at first, and up to 8 ahead once it is read on. What \
             imgsieve passes over without decoding it still has to come, for the headers of its blocks stand in it; only what \
             a seek table, or a skippable frame, spans is left out. So a survey takes about as long as downloading the archives \
             takes, needs no room for them, and asks for size / 8 MiB blocks and a few more. archive_complete in the log has \
             the requests (requests) and the bytes that came (requested_bytes).",
            "Memory: 50 MiB for each archive that is read at a time (--jobs), and 288 MiB for what is read ahead for all of \
             them together, besides what a survey of files takes. A listing has one page of 1000 keys in memory at a time, and \
             of all of them only the archives, some ten million at most. A page of more than 16 MiB, and a listing whose pages \
             lead in a circle, is refused.",
            "A machine in the region of the bucket pays for requests alone; elsewhere, each byte that leaves the region is \
             paid for.",
        ],
    ),
    (
        "WHAT MAY CHANGE",
        &[
            "An object is the same as long as its length, its ETag and its version are; where it has no ETag, or a weak one (W/), \
             also the time at which it was written (Last-Modified), to the second. Where the ETag is a strong one, every request \
             for a block but the first insists on it (If-Match). What each answer says is compared, that to the first with what \
             the listing said, and at the end the object is looked at once more. One that was replaced meanwhile is an error with \
             the reason changed. An object with neither a strong ETag nor a time is not read. archive_start logs the ETag, and \
             --resume reads an object again that has another one.",
        ],
    ),
    (
        "WHAT GOES WRONG",
        &[
            "A request that fails for the network, or with 408, 429 or 5xx, is made again for 3 minutes, with growing pauses of at most \
             15 seconds. A store that says how long to wait (Retry-After, in seconds) is left alone for that long, or until the 3 \
             minutes are over. Only a host that has never answered, and that there is no connection to, is given up after 4 tries in a \
             second. Once the 3 minutes are over, each archive of that store has one try, until it answers again.",
            "A connection is to be there after 5 seconds, and to say something every 30. Of a block, what has come is kept, and \
             the rest is asked for again if there is none after 5 minutes, or if it breaks off: a store that is too slow for that is \
             given up after some 10 minutes. A page of a listing is asked for in the same way, and a listing with 1000 pages in a row \
             that have no key is given up. A key that is not under the prefix that was asked for is an error of that archive, and \
             is not read.",
            "A bucket that is not there, credentials that are missing or refused, another region, and no network are told in one \
             line before anything is surveyed.",
        ],
    ),
    (
        "THROUGH A MOUNT",
        &["What imgsieve does not speak, rclone may, and mounts it: rclone mount --read-only --vfs-cache-mode off \
             --vfs-read-chunk-size 8M --vfs-read-chunk-streams 8 --buffer-size 0 REMOTE:PREFIX /mnt/cold, then imgsieve scan \
             /mnt/cold. The archives are files then, with the remote's time as their time and no ETag, so that one that is \
             replaced while it is read is noticed only by its length or time. Unmount with fusermount3 -u /mnt/cold."],
    ),
];

/// Command lines, and what they do.
pub const EXAMPLES: [(&str, &str); 4] = [
    ("imgsieve scan --dry-run s3://cold/img-read", "survey what is under a prefix"),
    ("imgsieve scan --staging /data/staging/tmp --resume s3://cold/img-read", "and go on where an earlier run ended"),
    (
        "AWS_ENDPOINT_URL=http://minio:9000 imgsieve inspect s3://cold/2c26b46b68ffc68ff99b453c1d304134.tar.zst",
        "one archive in another store that speaks S3",
    ),
    (
        "imgsieve extract https://example.org/cold/2c26b46b68ffc68ff99b453c1d304134.tar.zst",
        "an image, without the rest",
    ),
];
