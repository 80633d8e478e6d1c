
// Elements. Text goes in as text: nothing here makes markup of a string.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}

const element = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const drawn = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);
/** Text of a stranger's, kept from reordering what stands beside it. */
const bdi = (text) => element('bdi', {}, text);

/** A list of what is called what; pairs without a text are left out. Those with a third value need the whole width. */
function pairs(list) {
  const node = element('dl', { class: 'pairs' });
  for (const [name, value, isWide] of list) {
    if (value === '' || value === null || value === undefined) continue;
    const attributes = isWide ? { class: 'wide' } : {};
    node.append(element('dt', attributes, name), element('dd', attributes, typeof value === 'string' ? bdi(value) : value));
  }
  return node;
}

const tip = element('div', { class: 'tip', id: 'tip', role: 'tooltip', hidden: '' });

/** What the tip stands beside. */
let beside = null;

/** Shows what `told` lists beside an element. */
function showTip(told, node) {
  tip.replaceChildren(element('b', {}, bdi(told.title)), pairs(told.pairs));
  tip.hidden = false;
  beside = node;
  placeTip();
}

function placeTip() {
  const box = beside.getBoundingClientRect();
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(Math.max(box.left + box.width / 2 - width / 2, 8), document.documentElement.clientWidth - width - 8);
  const above = box.top - height - 8;
  tip.style.left = `${Math.max(left, 8)}px`;
  tip.style.top = `${above > 4 ? above : box.bottom + 8}px`;
}

/** The tip of what has the focus goes with it: what gets the focus is scrolled into view. */
function scrollTip() {
  const focused = document.activeElement;
  if (!tip.hidden && focused.matches(':focus-visible') && focused.contains(beside)) placeTip();
  else hideTip();
}

function hideTip() {
  tip.hidden = true;
}
