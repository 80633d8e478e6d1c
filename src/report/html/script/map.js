
// Maps of partitions, to scale, as GParted draws them.

const LEAST = 8;
const DEEPEST = 3;
/** A gap that is narrower is not drawn. */
const SEEN = 1.5;
/** How much further than the image a table may reach in a drawing. */
const BEYOND = 1.35;

const FAMILIES = [
  ['linux', 'Linux', /^(ext[234]|ext4dev|jbd|xfs|btrfs|f2fs|jfs|reiserfs|reiser4|nilfs2|bcachefs)$/],
  ['fat', 'FAT, exFAT', /^(vfat|fat\d*|msdos|exfat)$/],
  ['ntfs', 'NTFS, ReFS, HPFS', /^(ntfs|refs|hpfs)$/i],
  ['apple', 'Apple', /^(hfs|hfsplus|apfs)$/],
  ['unix', 'Unix', /^(ufs\d*|minix|sysv|xenix|zfs\w*)$/],
  ['volume', 'RAID, volumes, encryption', /member|^(lvm|luks|crypto|bitlocker|bcache|vdo|vmfs|dm_|drbd)/i],
  ['swap', 'Swap', /^(swap|swsuspend)/],
  ['optical', 'Read-only', /^(iso9660|udf|squashfs|cramfs|romfs|erofs)/],
];

function family(fs) {
  const known = FAMILIES.find(([, , pattern]) => pattern.test(fs));
  return known ? known[0] : 'unknown';
}

const TYPES = {
  'C12A7328-F81F-11D2-BA4B-00A0C93EC93B': 'EFI system',
  '21686148-6449-6E6F-744E-656564454649': 'BIOS boot',
  'E3C9E316-0B5C-4DB8-817D-F92DF00215AE': 'Microsoft reserved',
  'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7': 'Microsoft basic data',
  'DE94BBA4-06D1-4D40-A16A-BFD50179D6AC': 'Windows recovery',
  '0FC63DAF-8483-4772-8E79-3D69D8477DE4': 'Linux file system',
  '0657FD6D-A4AB-43C4-84E5-0933C84B4F4F': 'Linux swap',
  'E6D6D379-F507-44C2-A23C-238F2A3DF928': 'Linux LVM',
  'A19D880F-05FC-4D3B-A006-743F0F84911E': 'Linux RAID',
  '48465300-0000-11AA-AA11-00306543ECAC': 'Apple HFS+',
  '7C3457EF-0000-11AA-AA11-00306543ECAC': 'Apple APFS',
  '0x05': 'extended', '0x0F': 'extended (LBA)', '0x06': 'FAT16', '0x07': 'NTFS, exFAT or HPFS', '0x0B': 'FAT32',
  '0x0C': 'FAT32 (LBA)', '0x0E': 'FAT16 (LBA)', '0x82': 'Linux swap', '0x83': 'Linux', '0x8E': 'Linux LVM',
  '0xA5': 'FreeBSD', '0xA6': 'OpenBSD', '0xA9': 'NetBSD', '0xAF': 'Apple HFS+', '0xEE': 'protective', '0xEF': 'EFI system',
  '0xFD': 'Linux RAID',
};
const typeName = (type) => TYPES[type] || TYPES[type.replace(/^0x(..)$/, (all, hex) => `0x${hex.toUpperCase()}`)];
const typeWords = (type) => (typeName(type) ? `${type}, ${typeName(type)}` : type);

const isContainer = (partition) => partition.kind === 'extended' || partition.kind === 'container';
const endOf = (area) => area.start + area.size;
const holds = (outer, inner) => outer.start <= inner.start && endOf(inner) <= endOf(outer);
const meet = (one, other) => one.start < endOf(other) && other.start < endOf(one);

/** The partitions that are drawn. An entry for the table or for the whole disk is not, where it would cover others. */
function drawable(image) {
  if (!image.partitions.length && image.fs) {
    return [{ start: 0, size: image.size, kind: 'whole', fs: image.fs, fsLabel: image.fsLabel, type: '', name: '' }];
  }
  const counted = image.partitions.filter((partition) => partition.kind !== 'meta');
  return image.partitions.filter(
    (partition) => partition.size > 0 && (partition.kind !== 'meta' || !counted.some((other) => meet(partition, other))),
  );
}

/** Gives every partition its depth inside others, and a lane among those that overlap. */
function arrange(partitions) {
  const blocks = partitions.map((partition) => ({ partition, depth: 0, lane: 0, lanes: 1 }));
  const containers = blocks.filter((block) => isContainer(block.partition));
  for (const block of blocks) {
    const around = containers.filter((other) => other !== block && holds(other.partition, block.partition)
      && (!isContainer(block.partition) || !holds(block.partition, other.partition)));
    block.depth = Math.min(around.length, DEEPEST);
  }
  const leaves = blocks.filter((block) => !isContainer(block.partition));
  leaves.sort((one, other) => one.partition.start - other.partition.start);
  let group = [];
  let reach = -1;
  const close = () => {
    const lanes = Math.max(0, ...group.map((block) => block.lane)) + 1;
    for (const block of group) block.lanes = lanes;
  };
  for (const block of leaves) {
    if (block.partition.start >= reach) {
      close();
      group = [];
    }
    const taken = new Set(group.filter((other) => meet(other.partition, block.partition)).map((other) => other.lane));
    while (taken.has(block.lane)) block.lane += 1;
    group.push(block);
    reach = Math.max(reach, endOf(block.partition));
  }
  close();
  return blocks;
}

/**
 * A scale from bytes to pixels that never falls: to scale, but for partitions that would be too narrow to be seen, which
 * the others make room for.
 */
function scaleOf(partitions, total, width) {
  const clip = (at) => Math.min(Math.max(at, 0), total);
  const cuts = new Set([0, total]);
  for (const partition of partitions) cuts.add(clip(partition.start)).add(clip(endOf(partition)));
  const places = [...cuts].sort((one, other) => one - other);
  const least = new Array(places.length - 1).fill(0);
  const leaves = partitions.filter((partition) => !isContainer(partition));
  const narrow = Math.min(LEAST, (width * 0.7) / Math.max(leaves.length, 1));
  for (const leaf of leaves) {
    const first = places.indexOf(clip(leaf.start));
    const last = places.indexOf(clip(endOf(leaf)));
    for (let at = first; at < last; at += 1) least[at] = Math.max(least[at], narrow / (last - first));
  }
  const sizes = least.map((none, at) => places[at + 1] - places[at]);
  const isFixed = least.map(() => false);
  let widths = [];
  for (let round = 0; round < 12; round += 1) {
    let free = width;
    let rest = 0;
    sizes.forEach((size, at) => (isFixed[at] ? (free -= least[at]) : (rest += size)));
    widths = sizes.map((size, at) => (isFixed[at] ? least[at] : rest > 0 ? (size / rest) * free : 0));
    const short = widths.findIndex((wide, at) => !isFixed[at] && wide < least[at]);
    if (short < 0) break;
    widths.forEach((wide, at) => (isFixed[at] = isFixed[at] || wide < least[at]));
  }
  const lefts = [0];
  for (const wide of widths) lefts.push(lefts[lefts.length - 1] + wide);
  return (byte) => {
    const at = clip(byte);
    let low = 0;
    let high = places.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (places[middle] <= at) low = middle;
      else high = middle;
    }
    const share = (at - places[low]) / (places[high] - places[low] || 1);
    return lefts[low] + share * (lefts[high] - lefts[low]);
  };
}

/** Where no partition is. */
function gapsOf(partitions, size) {
  const leaves = partitions.filter((partition) => !isContainer(partition));
  leaves.sort((one, other) => one.start - other.start);
  const bounds = partitions.filter(isContainer).flatMap((partition) => [partition.start, endOf(partition)]);
  bounds.sort((one, other) => one - other);
  // A gap ends where a container begins or ends.
  const between = (from, to) => {
    const cuts = [from, ...bounds.filter((bound) => from < bound && bound < to), to];
    return cuts.slice(1).map((cut, at) => ({ start: cuts[at], size: cut - cuts[at] }));
  };
  const gaps = [];
  let reach = 0;
  for (const leaf of leaves) {
    if (leaf.start > reach) gaps.push(...between(reach, Math.min(leaf.start, size)));
    reach = Math.max(reach, endOf(leaf));
  }
  if (reach < size) gaps.push(...between(reach, size));
  return gaps.filter((gap) => gap.size > 0);
}

const quoted = (text) => (text ? ` \u201c${text}\u201d` : '');

/** What is shown of a partition beside its block. */
function tellPartition(partition) {
  const what = partition.kind === 'whole' ? 'Whole disk' : `Partition ${partition.number}`;
  const title = `${what}: ${isContainer(partition) ? partition.kind : partition.fs || 'unknown'}${quoted(partition.fsLabel)}`;
  return {
    title,
    pairs: [
      ['Start', exactly(partition.start)], ['Size', exactly(partition.size)], ['Type', typeWords(partition.type)],
      ['Name', partition.name], ['Kind', partition.kind === 'whole' ? 'no partition table' : partition.kind],
      ['File system', partition.fs], ['Label', partition.fsLabel],
    ],
  };
}

const tellArea = (title, area) => ({ title, pairs: [['Start', exactly(area.start)], ['Size', exactly(area.size)]] });

/** The longest of some texts that fits into a width, or none. */
const fitting = (texts, width) => texts.find((text) => text && text.length * 6.3 + 10 <= width) || '';

/** What stands in a block: a line, or two where there is height for them. */
function labels(partition, width, height) {
  const number = partition.number ? String(partition.number) : '';
  const size = human(partition.size);
  const what = partition.fs || '?';
  const named = `${number} ${what}${quoted(partition.fsLabel || partition.name)}`.trim();
  const short = `${number} ${what}`.trim();
  if (height >= 36) return [fitting([named, short, number || what], width), fitting([size], width)].filter(Boolean);
  return [fitting([`${named}  ${size}`, `${short}  ${size}`, short, number], width)].filter(Boolean);
}

/** A block whose details show when it is pointed at or has the focus. */
function block(told, box, className) {
  const node = drawn('g', { class: 'block', role: 'img', tabindex: '-1', 'aria-label': `${told.title}. ${told.pairs.filter(([, value]) => value).map((pair) => pair.join(': ')).join(', ')}` });
  const inset = className === 'f-gap' ? 0 : Math.min(1.25, box.width / 4);
  const stroke = Math.min(2.5, box.width / 2);
  node.append(drawn('rect', {
    class: className, x: box.x + inset, y: box.y + inset, width: Math.max(box.width - 2 * inset, 0.5), height: Math.max(box.height - 2 * inset, 1),
    'stroke-width': className === 'f-gap' ? 0 : stroke,
  }));
  node.append(drawn('rect', { class: 'edge', x: box.x, y: box.y, width: box.width, height: box.height }));
  node.told = told;
  return node;
}

/** The texts of a block, cut where it ends. */
function inscription(texts, box) {
  const line = 15;
  const first = box.height / 2 - ((texts.length - 1) * line) / 2 + 4;
  const lines = texts.map((text, at) => drawn('text', { x: 8, y: first + at * line, class: at ? 'more' : '' }, text));
  return drawn('svg', { x: box.x, y: box.y, width: Math.max(box.width - 3, 0), height: box.height, 'aria-hidden': 'true' }, ...lines);
}

/** The map of an image, so many pixels wide and high; with an axis where `axis` is set. */
function mapOf(image, width, height, axis) {
  const partitions = drawable(image);
  const reach = Math.max(image.size, ...partitions.map(endOf));
  const total = Math.min(reach, image.size * BEYOND) || 1;
  const x = scaleOf(partitions, total, width);
  const inside = (area, y, tall) => ({ x: x(area.start), y, width: x(endOf(area)) - x(area.start), height: tall });
  const end = x(image.size);
  const svg = drawn('svg', {
    class: 'map', viewBox: `0 0 ${width} ${height + (axis ? 18 : 0)}`, role: 'group', 'aria-label': `Map of ${image.name}`,
  });
  svg.append(drawn('rect', { class: 'f-gap', x: 0.5, y: 0.5, width: Math.max(end - 1, 1), height: height - 1 }));
  const parts = [];
  const texts = [];
  const inset = (depth) => depth * Math.min(5, height / 8);
  const blocks = arrange(partitions).sort((one, other) => one.depth - other.depth);
  for (const { partition, depth, lane, lanes } of blocks) {
    const box = inside(partition, inset(depth), height - 2 * inset(depth));
    box.height /= lanes;
    box.y += lane * box.height;
    const container = isContainer(partition);
    const node = block(tellPartition(partition), box, container ? 'f-container' : `f-${family(partition.fs)}`);
    parts.push({ at: partition.start, node });
    if (!container) texts.push(inscription(labels(partition, box.width, box.height), box));
  }
  for (const gap of gapsOf(partitions, image.size)) {
    const around = partitions.filter((partition) => isContainer(partition) && holds(partition, gap)).length;
    const box = inside(gap, inset(around) + 1, height - 2 * inset(around) - 2);
    if (box.width > SEEN) parts.push({ at: gap.start, node: block(tellArea('No partition', gap), box, 'f-gap') });
  }
  for (let at = 0; at + 1 < image.unread.length; at += 2) {
    const area = { start: image.unread[at], size: image.unread[at + 1] };
    const box = inside(area, 0, height);
    box.width = Math.max(box.width, 3);
    parts.push({ at: area.start, node: block(tellArea('Never read', area), box, 'f-unread') });
  }
  for (const part of parts) svg.append(part.node);
  svg.append(...texts);
  // Arrows go by place, whatever lies on top of what.
  const order = parts.sort((one, other) => one.at - other.at).map((part) => part.node);
  if (total > image.size) {
    const missing = { start: image.size, size: reach - image.size };
    const box = { x: end, y: 0, width: width - end, height };
    order.push(svg.appendChild(block(tellArea('Not in the image, which ends before', missing), box, 'f-beyond')));
  }
  if (!partitions.length) {
    const text = image.message || (image.count === undefined ? 'undecided' : image.table ? 'no partitions' : 'no partition table');
    svg.append(drawn('svg', { width: width - 6, height }, drawn('text', { class: 'none', x: 9, y: height / 2 + 4 }, text)));
  }
  if (axis) addAxis(svg, x, image.size, height);
  rove(svg, order);
  return svg;
}

function addAxis(svg, x, size, height) {
  const steps = 4;
  for (let step = 0; step <= steps; step += 1) {
    const at = (size / steps) * step;
    const place = x(at);
    const anchor = step === 0 ? 'start' : step === steps ? 'end' : 'middle';
    svg.append(drawn('rect', { class: 'tick', x: Math.min(place, x(size) - 1), y: height, width: 1, height: 4 }));
    svg.append(drawn('text', { class: 'scale', x: place, y: height + 15, 'text-anchor': anchor }, step ? human(at) : '0'));
  }
}

/** One stop of the tab key; arrows go from block to block. */
function rove(svg, blocks) {
  if (!blocks.length) return;
  const wanted = blocks.find((node) => !node.firstChild.classList.contains('f-gap')) || blocks[0];
  wanted.setAttribute('tabindex', '0');
  svg.addEventListener('keydown', (event) => {
    const at = blocks.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: blocks.length - 1 }[event.key];
    if (event.key === 'Escape') hideTip();
    if (at < 0 || to === undefined || !blocks[to]) return;
    event.preventDefault();
    blocks[at].setAttribute('tabindex', '-1');
    blocks[to].setAttribute('tabindex', '0');
    blocks[to].focus();
  });
}

/** Tells of the block that is pointed at or has the focus, in all maps below `root`. */
function tellBlocks(root) {
  const tell = (event) => {
    const node = event.target.closest && event.target.closest('.block');
    if (node && node.told) showTip(node.told, node.lastChild);
    else hideTip();
  };
  root.addEventListener('pointerover', tell);
  root.addEventListener('focusin', tell);
  root.addEventListener('pointerleave', hideTip);
  root.addEventListener('focusout', hideTip);
}
