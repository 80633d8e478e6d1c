
// What a row opens to: everything that is known of an archive.

const DETAIL_MAP = 58;

function swatch(fs) {
  return drawn('svg', { width: 12, height: 12, 'aria-hidden': 'true' }, drawn('rect', {
    class: `f-${fs === null ? 'container' : family(fs)}`, x: 1, y: 1, width: 10, height: 10,
  }));
}

function partitionRow(partition) {
  const cell = (className, ...children) => element('td', { class: className }, ...children);
  return element('tr', {},
    cell('number', String(partition.number)),
    cell('', swatch(isContainer(partition) ? null : partition.fs), bdi(isContainer(partition) ? '' : partition.fs || '?')),
    cell('text', bdi(partition.fsLabel)),
    cell('number', human(partition.size)),
    cell('number', grouped(partition.start)),
    cell('number', grouped(partition.size)),
    cell('', partition.kind),
    cell('text type', bdi(typeWords(partition.type))),
    cell('text', bdi(partition.name)));
}

function partitionTable(image) {
  const titles = ['No', 'File system', 'Label', 'Size', 'Start', 'Bytes', 'Kind', 'Type', 'Name'];
  const numbers = ['No', 'Size', 'Start', 'Bytes'];
  const head = titles.map((title) => element('th', { scope: 'col', class: numbers.includes(title) ? 'number' : '' }, title));
  return element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `Partitions of ${image.name}` },
    element('table', { class: 'partitions' },
      element('thead', {}, element('tr', {}, ...head)),
      element('tbody', {}, ...image.partitions.map(partitionRow))),
    image.more ? element('p', { class: 'note' }, `${image.more} more partitions are not listed here.`) : null);
}

/** The table of an image in words. */
function tableWords(image) {
  if (!image.table) return image.fs ? 'none: a file system on the whole disk' : image.count === 0 ? 'none' : '';
  const words = [image.table];
  if (image.sectorSize !== 512) words.push(`with ${image.sectorSize}-byte sectors`);
  if (image.copy) words.push(`(${image.copy} copy)`);
  if (image.damaged) words.push('(damaged)');
  return words.join(' ');
}

function unreadWords(image) {
  if (image.rescued === undefined && !image.unread.length) return '';
  let lost = 0;
  for (let at = 1; at < image.unread.length; at += 2) lost += image.unread[at];
  const share = image.rescued === undefined ? '' : `${image.rescued}\u202f% rescued`;
  const areas = image.unread.length / 2;
  return [share, areas ? `${human(lost)} in ${areas} ${areas === 1 ? 'area' : 'areas'} never read` : ''].filter(Boolean).join(', ');
}

function imageDetail(image, width) {
  const disk = image.room === undefined ? '' : `, ${human(image.room)} on disk`;
  return element('div', { class: 'image' },
    element('h4', {}, bdi(image.name)),
    pairs([
      ['Size', exactly(image.size) + disk],
      ['Partitions', image.count === undefined ? 'undecided' : String(image.count)],
      ['Table', tableWords(image)],
      ['Whole disk', image.fs ? image.fs + quoted(image.fsLabel) : ''],
      ['Outcome', (OUTCOMES[image.outcome] || image.outcome) + (image.verified ? ', every checksum held' : '')],
      ['What happened', image.story, true], ['Reason', image.reason], ['Medium', unreadWords(image)], ['Message', image.message, true],
      ['In staging', image.path ? element('span', { class: 'path' }, bdi(image.path)) : '', true],
    ]),
    mapOf(image, width, DETAIL_MAP, true),
    image.partitions.length ? partitionTable(image) : null);
}

/** What the last verification said, and when. */
function verificationWords({ verification, verified }) {
  if (!verification) return '';
  const when = verified && verified.time ? ` (${instant(verified.time)})` : '';
  const message = verified && verified.message ? `: ${verified.message}` : '';
  return (VERIFICATIONS[verification] || verification) + when + message;
}

/** The sheet about an archive, so many pixels wide. */
function detailOf(archive, width) {
  const said = (className, problem) => element('li', {},
    element('b', { class: className }, className === 'warn' ? 'Warning ' : 'Error '), element('code', {}, bdi(problem.reason)), ' ', bdi(problem.message));
  const problems = archive.error ? [said('flag', archive.error)] : [];
  problems.push(...archive.warnings.map((problem) => said('warn', problem)));
  if (archive.warningsMore) problems.push(element('li', {}, `${archive.warningsMore} more warnings are not listed here.`));
  const worked = archive.begun === null ? '' : `${moment(archive.run, archive.begun)}, ${archive.verdict === 'open' ? 'no end in the log' : `for ${duration(archive.took)}`}`;
  const link = element('a', { href: linkOf(archive) }, 'this row');
  return element('div', { class: 'sheet' },
    pairs([
      ['Path', archive.path ? element('span', { class: 'path' }, bdi(archive.path)) : '', true],
      ['Compressed', exactly(archive.size)],
      ['Content', archive.content ? exactly(archive.content) : ''],
      ['Verified', verificationWords(archive), true],
      ['Surveyed', worked], ['Worker', String(archive.worker)],
      ['In', data.runs.length > 1 ? data.runs[archive.run].title : ''], ['Link', link],
    ]),
    problems.length ? element('ul', { class: 'said' }, ...problems) : null,
    ...archive.images.map((image) => imageDetail(image, width)),
    archive.images.length ? null : element('p', { class: 'note image' }, 'The log has no image of this archive.'));
}

const linkOf = (archive) => `#a-${encodeURIComponent(archive.hash)}`;
