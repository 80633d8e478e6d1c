
// Puts the page together.

function legend() {
  const item = (className, title) => element('li', {}, drawn('svg', { class: 'swatch', width: 22, height: 14, 'aria-hidden': 'true' },
    drawn('rect', { class: className, x: 1, y: 1, width: 20, height: 12 })), title);
  return element('ul', { class: 'key small legend', 'aria-label': 'Legend of the maps' },
    ...FAMILIES.map(([name, title]) => item(`f-${name}`, title)), item('f-unknown', 'not recognised'),
    item('f-gap', 'no partition'), item('f-container', 'extended, container'), item('f-unread', 'never read'), item('f-beyond', 'not in the image'));
}

const app = document.getElementById('app');
const list = new List();
const filter = new Filter(list);
app.append(filter.tools, legend(), list.table, filter.nothing, list.unprinted);
document.body.append(tip);
app.hidden = false;
filter.apply();

/** Opens an archive, whatever the list shows. */
function go(archive) {
  if (!list.rows.includes(archive)) filter.reset();
  list.go(archive);
  history.replaceState(null, '', linkOf(archive));
}

function follow() {
  if (!location.hash.startsWith('#a-')) return;
  let hash = '';
  try {
    hash = decodeURIComponent(location.hash.slice(3));
  } catch {
    return;
  }
  const archive = byHash.get(hash);
  if (archive) go(archive);
}

for (const figure of document.querySelectorAll('.timeline')) {
  const details = figure.closest('details');
  if (!details || details.open) wake(figure, go);
  else details.addEventListener('toggle', () => wake(figure, go), { once: true });
}
window.addEventListener('hashchange', follow);
follow();

let width = list.width;
let waiting = 0;
window.addEventListener('resize', () => {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => {
    hideTip();
    if (list.width === width || list.isPrinting) return;
    width = list.width;
    list.again();
  });
});
window.addEventListener('scroll', scrollTip, { passive: true });
window.addEventListener('beforeprint', () => list.print(true));
window.addEventListener('afterprint', () => list.print(false));
matchMedia('print').addEventListener('change', (event) => list.print(event.matches));
