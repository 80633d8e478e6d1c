
// The drawings of runs: what a bar is of, by pointer and by keyboard.

function tellArchive(archive) {
  return {
    title: archive.hash,
    pairs: [
      ['Verdict', verdictWord(archive)], ['Error', archive.error ? archive.error.reason : ''],
      ['Started', moment(archive.run, archive.begun)], ['Time', duration(archive.took)], ['Compressed', human(archive.size)],
      ['Found', listed([...archive.tables, ...archive.fs])],
    ],
  };
}

/** Gives a run's drawing the archives of each of its lanes. */
function wake(figure, go) {
  const run = Number(figure.dataset.run);
  const svg = figure.querySelector('.lanes');
  const workers = [...figure.querySelectorAll('.names span')].map((node) => Number(node.textContent));
  const lanes = workers.map(() => []);
  for (const archive of archives) {
    const lane = archive.run === run && archive.begun !== null ? lanes[workers.indexOf(archive.worker)] : undefined;
    if (lane) lane.push(archive);
  }
  for (const lane of lanes) lane.sort((one, other) => one.begun - other.begun);
  const { length } = data.runs[run];
  const tall = svg.getBoundingClientRect().height / Math.max(lanes.length, 1) || 22;
  const here = drawn('rect', { class: 'here', height: tall - 6, hidden: '' });
  svg.append(here);
  let chosen = null;

  const choose = (at) => {
    chosen = at;
    const archive = lanes[at.lane][at.index];
    const box = svg.getBoundingClientRect();
    const left = (archive.begun / length) * box.width;
    const width = Math.max((archive.took / length) * box.width, 3);
    for (const [name, value] of Object.entries({ x: left, y: at.lane * tall + 3, width })) here.setAttribute(name, value);
    here.removeAttribute('hidden');
    const told = tellArchive(archive);
    svg.setAttribute('aria-label', `${told.title}: ${told.pairs.filter(([, value]) => value).map((pair) => pair.join(' ')).join(', ')}`);
    showTip(told, here);
  };
  const leave = () => {
    here.setAttribute('hidden', '');
    hideTip();
  };
  /** The archive of a lane that is nearest to a time. */
  const nearest = (lane, time) => {
    let best = 0;
    lanes[lane].forEach((archive, index) => {
      const gap = (other) => Math.max(other.begun - time, time - other.begun - other.took, 0);
      if (gap(archive) < gap(lanes[lane][best])) best = index;
    });
    return { lane, index: best };
  };
  const pointed = (event) => {
    const box = svg.getBoundingClientRect();
    const lane = Math.min(Math.max(Math.floor((event.clientY - box.top) / tall), 0), lanes.length - 1);
    const at = nearest(lane, ((event.clientX - box.left) / box.width) * length);
    const archive = lanes[lane][at.index];
    const near = (Math.max(archive.begun - ((event.clientX - box.left) / box.width) * length, ((event.clientX - box.left) / box.width) * length - archive.begun - archive.took) / length) * box.width;
    return near < 6 ? at : null;
  };
  svg.addEventListener('pointermove', (event) => {
    const at = pointed(event);
    if (at) choose(at);
    else leave();
  });
  svg.addEventListener('pointerleave', leave);
  svg.addEventListener('click', (event) => {
    const at = pointed(event);
    if (at) go(lanes[at.lane][at.index]);
  });
  svg.setAttribute('tabindex', '0');
  svg.setAttribute('aria-roledescription', 'timeline, arrows go from archive to archive, Enter opens');
  svg.addEventListener('focus', () => svg.matches(':focus-visible') && lanes.length && choose(chosen || { lane: 0, index: 0 }));
  svg.addEventListener('blur', leave);
  svg.addEventListener('keydown', (event) => {
    if (!chosen) return;
    const { lane, index } = chosen;
    const middle = lanes[lane][index].begun + lanes[lane][index].took / 2;
    const to = {
      ArrowRight: { lane, index: index + 1 }, ArrowLeft: { lane, index: index - 1 }, Home: { lane, index: 0 },
      End: { lane, index: lanes[lane].length - 1 },
      ArrowUp: lane > 0 ? nearest(lane - 1, middle) : chosen,
      ArrowDown: lane + 1 < lanes.length ? nearest(lane + 1, middle) : chosen,
    }[event.key];
    if (event.key === 'Enter') go(lanes[lane][index]);
    else if (event.key === 'Escape') leave();
    else if (to && lanes[to.lane][to.index]) choose(to);
    else return;
    event.preventDefault();
  });
}
