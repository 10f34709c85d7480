// The picture. It is drawn on a canvas, and only what is in view: what falls on the same spot is drawn once, so that a
// run of ten thousand events costs no more than the screen has room for.

const stage = byId("stage"), canvas = byId("canvas");
/** Where drawing goes: the picture, or for a moment a sample of the legend. */
let pen = canvas.getContext("2d");
const AXIS = 30, CAPTION = 20;
/** The picture may be taller than the window: the canvas is as tall as the window at most, and shows it from `top` on. */
const sizes = { width: 0, gutter: 132, height: 0, tall: 0, top: 0 };
/** How many arrows a frame has at most. */
const MOST_ARROWS = 3000;
/** What was drawn last, for the pointer; and how much it was, for tests. */
const drawn = { marks: [], bars: [], labels: new Map(), count: 0, frames: 0, milliseconds: 0 };
let colours = {}, frame = 0;

const NAMES = ["ground", "raised", "ink", "soft", "faint", "line", "bad", "bad-ground", "warn", "warn-ground", "good", "message",
  "grant", "grant-ground", "accent", "on-bar", "w0", "w1", "w2", "w3", "w4", "w5"];
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

function readColours() {
  const probe = document.body.appendChild(el("span", { class: "unseen" }));
  colours = Object.fromEntries(NAMES.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  }));
  probe.remove();
}

const workers = nodes.map((node, n) => n).filter((n) => nodes[n].name.startsWith("worker-"));
const colourOf = (n) => (workers.includes(n) ? colours[`w${workers.indexOf(n) % 6}`] : colours.soft);
const screen = (unit) => sizes.gutter + (unit - view.left) * view.scale;

/** Rows from top to bottom: what the server holds of each execution, then a lane a process. */
function layRows() {
  const rows = [];
  let y = AXIS;
  const add = (row) => { rows.push({ ...row, y }); y += row.h; };
  const slim = shown.executions.length > 4;
  if (shown.executions.length) add({ kind: "caption", h: CAPTION, text: "What the server holds" });
  for (const x of shown.executions) add({ kind: "execution", x, h: slim ? 34 : 72, slim });
  add({ kind: "caption", h: CAPTION, text: "What the processes do" });
  const isShown = new Set(shown.executions);
  for (const n of shown.lanes) {
    const ends = [];
    const work = [];
    for (const bar of bars) {
      if (bar.k !== "work" || bar.n !== n || !isShown.has(bar.x)) continue;
      let level = ends.findIndex((end) => end <= bar.from.t);
      if (level < 0) level = ends.length;
      ends[level] = bar.to.t;
      work.push({ bar, level });
    }
    const above = 20 + 17 * ends.length;
    add({ kind: "lane", n, h: above + 24, line: y + above, work });
  }
  shown.rows = rows;
  sizes.height = y + 8;
}

const lineOf = new Map();

function resize() {
  sizes.width = Math.max(280, stage.clientWidth);
  sizes.gutter = sizes.width < 600 ? 88 : 132;
  layRows();
  lineOf.clear();
  shown.rows.forEach((row) => { if (row.kind === "lane") lineOf.set(row.n, row.line); });
  sizes.tall = Math.min(sizes.height, Math.max(320, innerHeight));
  const ratio = Math.min(3, devicePixelRatio || 1);
  canvas.width = Math.round(sizes.width * ratio);
  canvas.height = Math.round(sizes.tall * ratio);
  canvas.style.width = `${sizes.width}px`;
  canvas.style.height = `${sizes.tall}px`;
  stage.style.height = `${sizes.height}px`;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  scrolled();
  redraw();
}

/** The page was scrolled: the canvas stays in the window and shows another part of the picture. */
function scrolled() {
  const top = Math.max(0, Math.min(-stage.getBoundingClientRect().top, sizes.height - sizes.tall));
  if (top === sizes.top) return;
  sizes.top = top;
  redraw();
}

const rowInView = (y, h) => y + h >= sizes.top && y <= sizes.top + sizes.tall;

function redraw() {
  if (frame) return;
  frame = requestAnimationFrame(() => { frame = 0; draw(); });
}

function draw() {
  const began = performance.now();
  drawn.marks = [];
  drawn.bars = [];
  drawn.labels = new Map();
  drawn.count = 0;
  pen.clearRect(0, 0, sizes.width, sizes.tall);
  pen.save();
  pen.translate(0, -sizes.top);
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  drawRows();
  const waits = view.trueTime ? [] : drawWaits();
  drawSpans();
  drawBars();
  drawArrows();
  drawMarks();
  drawNames();
  waits.forEach(drawWaitText);
  pen.translate(0, sizes.top);
  drawAxis();
  pen.translate(0, -sizes.top);
  drawViolation();
  pen.restore();
  drawn.frames++;
  drawn.milliseconds = performance.now() - began;
}

const inView = (from, to) => to >= sizes.gutter && from <= sizes.width;

/** How far apart, in pixels, signs and arrows of one lane are drawn at least: further when the whole of a long run is in view. */
const grain = () => (view.scale < 0.2 ? 8 : 4);

/** A set of spots that are taken: what falls on one of them again is not drawn. */
function spots() {
  const taken = new Set();
  return (key) => !taken.has(key) && taken.add(key);
}

const widths = new Map();
function widthOf(text, font) {
  const key = font + text;
  if (!widths.has(key)) {
    if (widths.size > 5000) widths.clear();
    pen.font = font;
    widths.set(key, pen.measureText(text).width);
  }
  return widths.get(key);
}

/** Text from x on, cut to what there is room for. Answers where it ends, or x where there is no room. */
function write(text, x, y, room, colour, font) {
  let shownText = text;
  if (widthOf(text, font) > room) {
    const per = widthOf(text, font) / text.length;
    const fits = Math.floor(room / per) - 1;
    if (fits < 3) return x;
    shownText = text.slice(0, fits) + "…";
  }
  pen.font = font;
  pen.fillStyle = colour;
  pen.fillText(shownText, x, y);
  drawn.count++;
  return x + widthOf(shownText, font);
}

/** What came after the violation is paler: it is not what led there. */
const isAfter = (point) => violation() !== undefined && (point.s === undefined ? false : point.s > violation().at);
const pale = (event) => { pen.globalAlpha = isAfter(event) && caused.get(violation().at)?.every((i) => events[i].s !== event.s) ? 0.4 : 1; };

function drawRows() {
  const flag = flagBox();
  if (flag && flag.x < sizes.width) {
    const from = Math.max(sizes.gutter, flag.x);
    pen.globalAlpha = 0.6;
    pen.fillStyle = colours.ground;
    pen.fillRect(from, AXIS, sizes.width, sizes.height);
    pen.globalAlpha = 1;
  }
  for (const row of shown.rows) {
    if (row.kind === "lane") {
      pen.fillStyle = colours.line;
      pen.fillRect(sizes.gutter, row.line - 0.5, sizes.width, 1);
    }
    if (row.kind !== "caption") {
      pen.globalAlpha = 0.5;
      pen.fillStyle = colours.line;
      pen.fillRect(0, row.y + row.h - 0.5, sizes.width, 0.5);
      pen.globalAlpha = 1;
    }
  }
}

function hatch(x, y, w, h, colour, gap) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, w, h);
  pen.clip();
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.beginPath();
  const first = x - h - ((x - h) % gap);
  for (let at = first; at < x + w; at += gap) {
    pen.moveTo(at, y + h);
    pen.lineTo(at + h, y);
  }
  pen.stroke();
  pen.restore();
}

/** The part of a stretch that is in view, in pixels. */
function stretch(from, to) {
  const start = screen(positionOf(from)), end = screen(positionOf(to));
  const x = Math.max(sizes.gutter, start), right = Math.min(sizes.width, end);
  return { x, w: Math.max(right - x, 0), start, end };
}

function drawSpans() {
  const free = spots();
  const rowOf = new Map(shown.rows.filter((row) => row.kind === "lane").map((row) => [row.n, row]));
  for (const span of spans) {
    const { x, w, start, end } = stretch(span.from, span.to);
    if (!inView(start, end)) continue;
    span.n.forEach((n, which) => {
      const row = rowOf.get(n);
      if (!row || !free(`${n} ${span.k} ${Math.round(x / 3)} ${Math.round(w / 3)}`)) return;
      const wide = Math.max(w, 2);
      const colour = span.k === "clock" ? colours.accent : span.k === "partition" ? colours.message : colours.warn;
      pen.globalAlpha = 0.13;
      pen.fillStyle = colour;
      pen.fillRect(x, row.y + 1, wide, row.h - 2);
      pen.globalAlpha = span.k === "crash" ? 0.5 : 0.25;
      if (span.k !== "clock") hatch(x, row.y + 1, wide, row.h - 2, colour, span.k === "crash" ? 5 : 9);
      pen.globalAlpha = 1;
      pen.fillStyle = colour;
      if (start >= sizes.gutter) pen.fillRect(start - 0.5, row.y + 1, 1, row.h - 2);
      drawn.count += 2;
      drawn.bars.push({ x, y: row.y, w: wide, h: row.h, text: spanText(span), weak: true });
      // A fault that begins in view is named at its sign; one that began before it, at the edge.
      const isNamed = (start >= sizes.gutter && shown.at.has(span.from.s)) || (span.from.s === undefined && nodes[n].clock);
      if ((which === 0 || span.k === "partition") && !isNamed) {
        const to = write(span.label, x + 5, row.line + 13, w - 8, colour, `600 11px ${FONT}`);
        drawn.labels.set(`${n} below`, Math.max(drawn.labels.get(`${n} below`) || 0, to + 4));
      }
    });
  }
}

const spanText = (span) =>
  `${span.n.map((n) => nodes[n].name).join(", ")}: ${span.label}, ${ms(span.from.t)} to ${ms(span.to.t)} ms`;

function drawAxis() {
  const font = `11px ${FONT}`;
  pen.fillStyle = colours.raised;
  pen.fillRect(0, 0, sizes.width, AXIS);
  pen.fillStyle = colours.line;
  pen.fillRect(0, AXIS - 0.5, sizes.width, 1);
  pen.fillRect(sizes.gutter - 1, 0, 1, AXIS);
  write("ms", 12, AXIS - 12, 40, colours.faint, font);
  let free = sizes.gutter;
  const flag = flagBox();
  // The text is made for a tick that has room alone: a run has thousands of times.
  const tick = (x, say) => {
    if (x < free) return;
    const text = say(), wide = widthOf(text, font);
    if (flag && x + wide + 6 > flag.left && x < flag.left + flag.wide + 4) return;
    if (x + wide + 4 > sizes.width + 20) return;
    pen.fillStyle = colours.line;
    pen.fillRect(x - 0.5, AXIS - 6, 1, 6);
    write(text, x + 3, AXIS - 12, 90, colours.soft, font);
    free = x + wide + 14;
  };
  if (view.trueTime) {
    const perPixel = about.ended_us / 1000 / 1400 / view.scale;
    const step = [1, 2, 5].flatMap((n) => [0.001, 0.01, 0.1, 1, 10, 100, 1e3, 1e4, 1e5, 1e6].map((power) => n * power))
      .sort((a, b) => a - b).find((n) => n / perPixel > 90) || 1e7;
    const first = Math.max(0, Math.floor((view.left * about.ended_us) / 1000 / 1400 / step));
    for (let n = first; n < first + 60 && n * step <= about.ended_us / 1000; n++) {
      tick(screen((n * step * 1000 * 1400) / about.ended_us), () => `${+(n * step).toFixed(3)} ms`);
    }
    return;
  }
  const from = firstInView();
  for (let n = from; n < shown.events.length; n++) {
    const x = screen(shown.pos[n]);
    if (x > sizes.width) break;
    const event = events[shown.events[n]];
    const isNew = n === 0 || event.t !== events[shown.events[n - 1]].t;
    if (x >= sizes.gutter && isNew) tick(x, () => (event.t / 1000).toFixed(event.t % 1000 ? 1 : 0));
  }
}

/** The waits that the picture cuts short: a line through each, and where its text goes. */
function drawWaits() {
  const waits = [];
  for (let n = Math.max(1, firstInView()); n < shown.events.length; n++) {
    const from = screen(shown.pos[n - 1]), to = screen(shown.pos[n]);
    if (from > sizes.width) break;
    const wait = (events[shown.events[n]].t - events[shown.events[n - 1]].t) / 1000;
    const middle = (from + to) / 2;
    if (wait < 400 || to - from < 34 || middle < sizes.gutter + 16) continue;
    pen.setLineDash([1, 4]);
    pen.strokeStyle = colours.faint;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.7;
    pen.beginPath();
    pen.moveTo(middle, sizes.top + AXIS);
    pen.lineTo(middle, sizes.top + sizes.tall);
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 1;
    drawn.count++;
    waits.push({ middle, wait });
  }
  return waits;
}

function drawWaitText({ middle, wait }) {
  const text = wait >= 10000 ? `${(wait / 1000).toFixed(0)} s` : wait >= 1000 ? `${(wait / 1000).toFixed(1)} s` : `${wait.toFixed(0)} ms`;
  const font = `10px ${FONT}`;
  const caption = shown.rows[0].text, free = 20 + widthOf(caption, `600 10.5px ${FONT}`);
  if (middle - widthOf(`${text} ⋯`, font) / 2 < free) return;
  write(`${text} ⋯`, middle - widthOf(`${text} ⋯`, font) / 2, AXIS + CAPTION / 2 + 0.5, 80, colours.faint, font);
}

/** The first shown event that is not left of the picture; binary search. */
function firstInView() {
  let low = 0, high = shown.pos.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (screen(shown.pos[middle]) < sizes.gutter - 30) low = middle + 1; else high = middle;
  }
  return low;
}
