// What the page is about, from its data element: numbers of words become words, and what was left out comes back.

const data = JSON.parse(document.getElementById('data').textContent);
const word = (number) => (number ? data.words[number - 1] : '');
const UNIT = 1 << 20;

/** A partition from the eight numbers at `at`. */
function partitionAt(numbers, at, unit) {
  return {
    number: numbers[at],
    start: numbers[at + 1] * unit,
    size: numbers[at + 2] * unit,
    type: word(numbers[at + 3]),
    name: word(numbers[at + 4]),
    kind: word(numbers[at + 5]),
    fs: word(numbers[at + 6]),
    fsLabel: word(numbers[at + 7]),
  };
}

/** An image of the archive of that hash. Its partitions are made when they are asked for. */
function imageOf(row, hash) {
  const name = row.n === undefined ? `${hash}.img` : row.n;
  let partitions = null;
  return {
    name,
    size: row.s,
    outcome: word(row.o),
    story: word(row.oo),
    count: row.c,
    reason: word(row.e),
    message: row.m || '',
    path: row.p || (row.d ? `${word(row.d)}/${hash}/${name}` : ''),
    room: row.a,
    verified: row.k === 1,
    table: word(row.l),
    sectorSize: row.z || 512,
    copy: word(row.g),
    damaged: row.x === 1,
    fs: word(row.f),
    fsLabel: word(row.fl),
    rescued: row.q,
    unread: row.y || [],
    more: row.tt || 0,
    get partitions() {
      if (!partitions) {
        partitions = [];
        const numbers = row.t || [];
        for (let at = 0; at + 7 < numbers.length; at += 8) partitions.push(partitionAt(numbers, at, row.u || UNIT));
      }
      return partitions;
    },
  };
}

/** What is in the image: each kind once, in its order. */
function fileSystems(image) {
  const found = image.fs ? [image.fs] : [];
  for (const partition of image.partitions) {
    if (partition.fs && !found.includes(partition.fs)) found.push(partition.fs);
  }
  return found;
}

const least = (numbers) => (numbers.length ? Math.min(...numbers) : null);

const archives = data.archives.map((row, index) => {
  const images = (row.i || []).map((image) => imageOf(image, row.h));
  const counts = images.map((image) => image.count).filter((count) => count !== undefined);
  return {
    index,
    hash: row.h,
    path: row.p || (row.d ? `${word(row.d)}/${row.h}.tar.zst` : ''),
    size: row.s,
    content: row.c || 0,
    run: row.r || 0,
    worker: row.w || 0,
    begun: row.b ? row.b[0] : null,
    took: row.b ? row.b[1] : null,
    verdict: word(row.v),
    /** How much it needs somebody: the less, the more. */
    need: row.a === undefined ? 3 : row.a,
    verification: word(row.f),
    verified: row.ff ? { time: row.ff[0], message: row.ff[1] } : null,
    error: row.e ? { reason: word(row.e[0]), message: row.e[1] } : null,
    warnings: (row.n || []).map(([reason, message]) => ({ reason: word(reason), message })),
    warningsMore: row.nn || 0,
    images,
    tables: [...new Set(images.map((image) => image.table).filter(Boolean))],
    fs: [...new Set(images.flatMap(fileSystems))],
    count: counts.length ? Math.max(...counts) : null,
    imageSize: images.length ? Math.max(...images.map((image) => image.size)) : null,
    rescued: least(images.map((image) => image.rescued).filter((share) => share !== undefined)),
    outcomes: [...new Set(images.map((image) => image.outcome))],
  };
});
const byHash = new Map(archives.map((archive) => [archive.hash, archive]));

/** Reasons for which something of the archive went wrong. */
function errorReasons(archive) {
  const reasons = archive.error ? [archive.error.reason] : [];
  for (const image of archive.images) {
    if (image.outcome === 'error' || image.count === undefined) reasons.push(image.reason || 'undecided');
  }
  return reasons;
}

const VERDICTS = {
  multi: 'multi',
  single: 'single',
  none: 'none',
  noimage: 'no image',
  undecided: 'undecided',
  open: 'not finished',
};
const verdictWord = ({ verdict, error }) => (error ? 'error' : VERDICTS[verdict] || verdict);
const OUTCOMES = {
  kept: 'staged',
  begun: 'started',
  failed: 'reprocessing failed',
  reprocessed: 'reprocessed',
  removed: 'removed',
  deferred: 'deferred',
  would_keep: 'would be staged',
  not_retained: 'not kept',
  gone: 'gone',
  changed: 'changed',
  unseen: 'cannot be examined',
  error: 'error',
};

/** Outcomes that somebody has to look at. */
const ALARMS = ['failed', 'gone', 'changed', 'unseen', 'deferred', 'begun'];
/** What the last verification of an archive says of it now. */
const VERIFICATIONS = {
  verified: 'every checksum holds',
  no_checksum: 'decodes to its end, without a checksum for all of it',
  failed: 'failed',
  changed: 'it has changed since it was verified',
  unseen: 'it is out of sight since it was verified',
};
const SOUNDNESS = { verified: 'verified', no_checksum: 'no checksum', failed: 'verification failed', changed: 'changed since', unseen: 'out of sight' };

/** Bytes in three digits and a decimal unit. */
function human(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit + 1 < units.length) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${units[unit]}`;
}

const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, '\u202f');
const exactly = (bytes) => `${human(bytes)} (${grouped(bytes)} bytes)`;

/** Milliseconds as people say them. */
function duration(milliseconds) {
  if (milliseconds < 1000) return `${milliseconds} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (number) => String(number).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** When, for a person: the run's begin and milliseconds since. */
const moment = (run, since) => instant(data.runs[run].began + since);

/** Milliseconds since 1970, for a person. */
function instant(milliseconds) {
  const date = new Date(milliseconds);
  if (Number.isNaN(date.getTime())) return '';
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
