
// What of the list is shown.

/** Everything of an archive that can be searched for, in small letters. */
function textOf(archive) {
  if (archive.text === undefined) {
    const texts = [archive.hash, archive.path, archive.verdict, ...archive.tables, ...archive.fs];
    const said = archive.error ? [archive.error, ...archive.warnings] : archive.warnings;
    for (const problem of said) texts.push(problem.reason, problem.message);
    for (const image of archive.images) {
      texts.push(image.name, image.message, image.reason, image.fsLabel, image.path);
      for (const partition of image.partitions) texts.push(partition.name, partition.fsLabel, partition.type, typeName(partition.type));
    }
    archive.text = texts.filter(Boolean).join('\n').toLowerCase();
  }
  return archive.text;
}

/** Values that a filter offers; a hostile collection can have any number. */
const OFFERED = 200;

/** Values with how often each occurs, the most frequent first. */
function counted(valuesOf) {
  const counts = new Map();
  for (const archive of archives) for (const value of new Set(valuesOf(archive))) counts.set(value, (counts.get(value) || 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]).slice(0, OFFERED);
}

const FILTERS = [
  { key: 'verdict', title: 'Verdict', any: 'any', values: (archive) => [archive.verdict], word: (value) => (value === 'undecided' ? 'error or undecided' : VERDICTS[value]) },
  { key: 'table', title: 'Table', any: 'any', values: (archive) => archive.tables },
  { key: 'fs', title: 'File system', any: 'any', values: (archive) => archive.fs },
  { key: 'outcome', title: 'Outcome', any: 'any', values: (archive) => archive.outcomes, word: (value) => OUTCOMES[value] || value },
  {
    key: 'problem', title: 'Errors', any: 'any',
    values: (archive) => {
      const reasons = [...new Set(errorReasons(archive))];
      const warnings = [...new Set(archive.warnings.map((problem) => problem.reason))];
      return [...(reasons.length ? ['with an error'] : []), ...(warnings.length ? ['with a warning'] : []), ...reasons, ...warnings.filter((reason) => !reasons.includes(reason))];
    },
  },
  ...(archives.some((archive) => archive.verification)
    ? [{ key: 'verification', title: 'Verified', any: 'any', values: (archive) => [archive.verification || 'never'], word: (value) => SOUNDNESS[value] || value }] : []),
];

class Filter {
  constructor(list) {
    this.list = list;
    this.input = element('input', { type: 'search', id: 'find', placeholder: 'hash, name, label, message', autocomplete: 'off', spellcheck: 'false' });
    this.selects = FILTERS.map((filter) => this.select(filter));
    this.shown = element('p', { class: 'shown', role: 'status' });
    this.nothing = element('p', { class: 'nothing', hidden: '' }, 'No archive matches.');
    const maps = element('input', { type: 'checkbox', id: 'maps', checked: '' });
    maps.addEventListener('change', () => list.setMaps(maps.checked));
    const reset = element('button', { type: 'button', class: 'reset' }, 'Show all');
    reset.addEventListener('click', () => this.reset());
    this.input.addEventListener('input', () => this.apply());
    this.tools = element('form', { class: 'tools', role: 'search', 'aria-label': 'Archives to show' },
      element('label', { class: 'wide' }, 'Find', this.input),
      ...this.selects.map((select, at) => element('label', {}, FILTERS[at].title, select)),
      element('label', { class: 'phone' }, 'Sort by', this.sorter()),
      element('label', { class: 'check' }, maps, 'Maps'), reset, this.shown);
    this.tools.addEventListener('submit', (event) => event.preventDefault());
  }

  select(filter) {
    const options = counted(filter.values).map(([value, count]) => element('option', { value }, `${filter.word ? filter.word(value) : value} (${count})`));
    const select = element('select', { id: `by-${filter.key}` }, element('option', { value: '' }, filter.any), ...options);
    select.addEventListener('change', () => this.apply());
    return select;
  }

  sorter() {
    const options = [...COLUMNS, BEGUN].map((column) => element('option', { value: column.key }, column.title));
    const select = element('select', { id: 'sort' }, element('option', { value: '' }, 'what needs attention'), ...options);
    select.addEventListener('change', () => this.list.sortBy(select.value));
    this.list.onsort = (sorted) => (select.value = sorted.key || '');
    return select;
  }

  reset() {
    this.input.value = '';
    for (const select of this.selects) select.value = '';
    this.list.sortBy(null, false);
    this.apply();
  }

  apply() {
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = FILTERS.map((filter, at) => [filter, this.selects[at].value]).filter(([, value]) => value !== '');
    const rows = archives.filter((archive) => chosen.every(([filter, value]) => filter.values(archive).includes(value))
      && words.every((part) => textOf(archive).includes(part)));
    this.shown.replaceChildren('Showing ', element('b', {}, grouped(rows.length)), ` of ${grouped(archives.length)} archives`);
    this.nothing.hidden = rows.length > 0;
    this.list.show(rows);
  }
}
