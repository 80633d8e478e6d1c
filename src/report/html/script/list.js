
// The list of archives. Rows are made in chunks when they come near the window, and go when they are far from it.

const CHUNK = 40;
const STRIP = 26;
const STRIPS = 3;
/** Chunks that are printed: more than anyone reads on paper. */
const PRINTED = 40;
/** Pixels across a sheet of paper. */
const PAPER = 700;

const ORDER = ['undecided', 'open', 'multi', 'single', 'none', 'noimage'];
const listed = (values) => values.join(', ');
const listCell = (values) => (values.length ? bdi(listed(values)) : '');
const badge = ({ verdict, error }) => element('span', { class: `badge is-${verdict}` },
  drawn('svg', { width: 16, height: 12, 'aria-hidden': 'true' }, drawn('use', { href: `#i-${verdict}` })), verdictWord({ verdict, error }));

const COLUMNS = [
  { key: 'hash', title: 'Archive', value: (archive) => archive.hash, cell: null },
  { key: 'verdict', title: 'Verdict', value: (archive) => ORDER.indexOf(archive.verdict), cell: badge },
  { key: 'count', title: 'Parts', number: true, value: (archive) => archive.count, cell: (archive) => (archive.count === null ? '' : String(archive.count)) },
  { key: 'table', title: 'Table', value: (archive) => listed(archive.tables), cell: (archive) => listCell(archive.tables) },
  { key: 'fs', title: 'File systems', value: (archive) => listed(archive.fs), cell: (archive) => listCell(archive.fs) },
  { key: 'imageSize', title: 'Image', number: true, value: (archive) => archive.imageSize, cell: (archive) => (archive.imageSize === null ? '' : human(archive.imageSize)) },
  ...(archives.some((archive) => archive.rescued !== null)
    ? [{ key: 'rescued', title: 'Rescued', number: true, value: (archive) => archive.rescued, cell: (archive) => (archive.rescued === null ? '' : `${archive.rescued}\u202f%`) }] : []),
  { key: 'size', title: 'Archive size', number: true, value: (archive) => archive.size, cell: (archive) => human(archive.size) },
  { key: 'took', title: 'Time', number: true, value: (archive) => archive.took, cell: (archive) => (archive.took === null ? '' : duration(archive.took)) },
  { key: 'outcome', title: 'Outcome', value: (archive) => outcomeWords(archive), cell: outcomeCell },
];
/** An order without a column. */
const BEGUN = { key: 'begun', title: 'start time', value: (archive) => archive.index };
const columnOf = (key) => [...COLUMNS, BEGUN].find((column) => column.key === key);

function outcomeWords(archive) {
  return listed(archive.outcomes.map((outcome) => OUTCOMES[outcome] || outcome));
}

function outcomeCell(archive) {
  const words = (outcomes) => listed(outcomes.map((outcome) => OUTCOMES[outcome] || outcome));
  const alarms = archive.outcomes.filter((outcome) => ALARMS.includes(outcome));
  const node = element('span', {}, bdi(words(archive.outcomes.filter((outcome) => !ALARMS.includes(outcome)))));
  if (alarms.length) node.append(' ', element('b', { class: 'flag' }, '\u25c6 ', bdi(words(alarms))));
  const reasons = [...new Set(errorReasons(archive))];
  if (reasons.length) node.append(' ', element('span', { class: 'flag' }, '\u25c6 ', bdi(listed(reasons))));
  if (archive.warnings.length) node.append(' ', element('span', { class: 'warn', title: 'warnings' }, `\u25b3 ${archive.warnings.length + archive.warningsMore}`));
  if (archive.verification) {
    const isSound = archive.verification === 'verified';
    const mark = archive.verification === 'failed' ? '\u25c6 ' : isSound ? '\u2713 ' : '';
    node.append(' ', element('span', { class: archive.verification === 'failed' ? 'flag' : 'sound' }, mark, bdi(SOUNDNESS[archive.verification] || archive.verification)));
  }
  return node;
}

class List {
  constructor() {
    this.rows = archives;
    this.opened = new Set();
    this.sorted = { key: null, descending: false };
    this.chunks = [];
    this.heights = { true: 92, false: 42 };
    this.withMaps = true;
    this.isPrinting = false;
    this.unprinted = element('p', { class: 'note' });
    this.headers = COLUMNS.map((column) => this.header(column));
    this.table = element('table', { class: 'list', role: 'table', 'aria-label': 'Archives' },
      element('thead', { role: 'rowgroup' }, element('tr', { role: 'row' }, ...this.headers)));
    this.watcher = new IntersectionObserver((entries) => entries.forEach((entry) => this.seen(entry)), { rootMargin: '900px 0px' });
    this.table.addEventListener('click', (event) => this.clicked(event));
    tellBlocks(this.table);
  }

  header(column) {
    const button = element('button', { type: 'button' }, column.title);
    button.addEventListener('click', () => this.sortBy(column.key));
    return element('th', { scope: 'col', role: 'columnheader', class: `c-${column.key}${column.number ? ' number' : ''}`, 'data-key': column.key }, button);
  }

  /** Sorts by a column; by the same once more, the other way. Numbers begin with the largest. */
  sortBy(key, descending) {
    const column = columnOf(key);
    const isSame = this.sorted.key === key;
    this.sorted = { key, descending: descending === undefined ? (isSame ? !this.sorted.descending : Boolean(column && column.number)) : descending };
    for (const header of this.headers) {
      if (header.dataset.key === key) header.setAttribute('aria-sort', this.sorted.descending ? 'descending' : 'ascending');
      else header.removeAttribute('aria-sort');
    }
    this.show(this.rows);
    if (this.onsort) this.onsort(this.sorted);
  }

  /** Shows these archives, in the order that is chosen. */
  show(rows) {
    const column = columnOf(this.sorted.key);
    const sign = this.sorted.descending ? -1 : 1;
    const missing = (value) => value === null || value === undefined || value === '';
    const compare = (one, other) => {
      if (!column) return one.need - other.need || one.index - other.index;
      const [left, right] = [column.value(one), column.value(other)];
      if (missing(left) || missing(right)) return missing(left) - missing(right) || one.index - other.index;
      return (left < right ? -sign : left > right ? sign : 0) || one.index - other.index;
    };
    this.rows = [...rows].sort(compare);
    this.watcher.disconnect();
    for (const chunk of this.chunks) chunk.body.remove();
    this.chunks = [];
    for (let at = 0; at < this.rows.length; at += CHUNK) {
      const chunk = { rows: this.rows.slice(at, at + CHUNK), first: at, isFull: false, body: element('tbody', { role: 'rowgroup' }) };
      chunk.body.chunk = chunk;
      this.chunks.push(chunk);
      this.empty(chunk);
      this.table.append(chunk.body);
    }
    this.table.setAttribute('aria-rowcount', String(this.rows.length + 1));
    if (this.chunks.length) this.fill(this.chunks[0]);
    for (const chunk of this.chunks) this.watcher.observe(chunk.body);
  }

  seen(entry) {
    const chunk = entry.target.chunk;
    if (entry.isIntersecting) this.fill(chunk);
    else if (!chunk.body.contains(document.activeElement) && !this.isPrinting) this.empty(chunk);
  }

  empty(chunk) {
    const height = chunk.height || chunk.rows.length * this.heights[this.withMaps];
    const cell = element('td', { colspan: String(COLUMNS.length) });
    cell.style.height = `${height}px`;
    chunk.body.replaceChildren(element('tr', { 'aria-hidden': 'true' }, cell));
    chunk.isFull = false;
  }

  fill(chunk) {
    if (chunk.isFull) return;
    const nodes = [];
    chunk.rows.forEach((archive, at) => nodes.push(...this.rowsOf(archive, chunk.first + at)));
    chunk.body.replaceChildren(...nodes);
    chunk.isFull = true;
    chunk.height = chunk.body.getBoundingClientRect().height || chunk.height;
    if (!chunk.rows.some((archive) => this.opened.has(archive.index))) this.heights[this.withMaps] = chunk.height / chunk.rows.length;
  }

  get width() {
    return this.isPrinting ? PAPER : Math.max(this.table.parentElement.clientWidth, 200);
  }

  rowsOf(archive, place) {
    const isOpen = this.opened.has(archive.index);
    const link = element('a', {
      class: 'hash', href: linkOf(archive), 'aria-expanded': String(isOpen), ...(isOpen ? { 'aria-controls': `d-${archive.index}` } : {}),
    }, bdi(archive.hash));
    const cells = COLUMNS.map((column) => element('td', { role: 'cell', class: column.number ? 'number' : '', 'data-of': PREFIX[column.key] },
      column.cell ? column.cell(archive) : link));
    const entry = element('tr', { role: 'row', class: isOpen ? 'entry open' : 'entry', 'aria-rowindex': String(place + 2) }, ...cells);
    entry.archive = archive;
    const rows = [entry];
    const strips = isOpen ? [] : archive.images.slice(0, STRIPS).map((image) => mapOf(image, this.width, STRIP, false));
    const more = isOpen ? 0 : archive.images.length - strips.length;
    const maps = element('td', { role: 'cell', colspan: String(COLUMNS.length) }, ...strips, more > 0 ? element('p', { class: 'note more' }, `and ${more} more images`) : null);
    if (isOpen) {
      const inner = this.width - (this.width < 640 ? 32 : 48);
      rows.push(element('tr', { role: 'row', class: 'detail', id: `d-${archive.index}` },
        element('td', { role: 'cell', colspan: String(COLUMNS.length) }, detailOf(archive, inner))));
    } else {
      rows.push(element('tr', { role: 'row', class: strips.length ? 'maps' : 'maps empty' }, maps));
    }
    return rows;
  }

  clicked(event) {
    const entry = event.target.closest('.entry');
    const isOther = event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0;
    if (!entry || isOther || String(document.getSelection())) return;
    event.preventDefault();
    this.toggle(entry.archive);
  }

  toggle(archive) {
    if (this.opened.has(archive.index)) this.opened.delete(archive.index);
    else this.opened.add(archive.index);
    history.replaceState(null, '', this.opened.has(archive.index) ? linkOf(archive) : '#archives');
    hideTip();
    this.redraw(archive, true);
  }

  /** Draws the chunk of an archive anew. */
  redraw(archive, hasFocus) {
    const chunk = this.chunks.find((other) => other.rows.includes(archive));
    if (!chunk) return null;
    chunk.isFull = false;
    this.fill(chunk);
    const entry = [...chunk.body.querySelectorAll('.entry')].find((node) => node.archive === archive);
    if (hasFocus) entry.querySelector('.hash').focus({ preventScroll: true });
    return entry;
  }

  /** Opens an archive and brings it into view; whether it is in the list. */
  go(archive) {
    this.opened.add(archive.index);
    const entry = this.redraw(archive, true);
    if (entry) entry.scrollIntoView({ block: 'start' });
    return entry !== null;
  }

  setMaps(withMaps) {
    this.withMaps = withMaps;
    this.table.classList.toggle('bare', !withMaps);
    this.again();
  }

  /** Draws all anew, for the width or the height of rows is another. */
  again() {
    for (const chunk of this.chunks) {
      chunk.height = 0;
      if (chunk.isFull) {
        chunk.isFull = false;
        this.fill(chunk);
      } else {
        this.empty(chunk);
      }
    }
  }

  /** Makes the rows that go on the paper, or lets them go again. */
  print(isPrinting) {
    if (this.isPrinting === isPrinting) return;
    this.isPrinting = isPrinting;
    this.again();
    this.chunks.forEach((chunk, at) => {
      chunk.body.hidden = isPrinting && at >= PRINTED;
      if (isPrinting && at < PRINTED) this.fill(chunk);
    });
    const left = this.rows.length - PRINTED * CHUNK;
    this.unprinted.textContent = isPrinting && left > 0 ? `${grouped(left)} more archives are not printed; filters choose which ones.` : '';
  }
}

/** What stands before a cell where there are no headers. */
const PREFIX = { count: 'partitions', imageSize: 'image', rescued: 'rescued', size: 'archive', took: 'time' };
