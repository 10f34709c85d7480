// What the reader does: choose, filter, zoom, go from event to event.


function drawHead() {
  const broken = violation();
  const parts = [];
  if (violations.length > 1) {
    const button = (one, i) => el("button", {
      type: "button", "aria-pressed": String(i === view.violation), onclick: () => openViolation(i),
    }, one.fingerprint);
    parts.push(el("div", { class: "choices", role: "group", "aria-label": "Violations of this run" },
      el("span", {}, `${violations.length} violations:`), ...violations.map(button)));
  }
  if (broken) {
    parts.push(
      el("p", { class: "verdict" }, el("b", {}, `✗ ${broken.property}`), broken.finding ? ": a known finding" : ": a promise is broken"),
      el("h1", {}, ...prose(broken.message)),
      el("p", { class: "promise" }, el("b", {}, "Must hold: "), broken.claim));
    if (broken.kind) parts.push(el("p", { class: "promise" }, el("b", {}, "What happened: "), broken.kind));
    if (broken.finding) {
      parts.push(el("details", { class: "finding", open: innerWidth > 700 },
        el("summary", {}, `Why: finding ${broken.finding.slug}`), el("p", {}, broken.finding.about)));
    }
  } else {
    parts.push(el("p", { class: "verdict held" }, el("b", {}, "✓ All held")), el("h1", {}, "No promise broke in this run."));
  }
  const place = broken && events[placeOfViolation()];
  const side = el("div", {}, el("details", { class: "run", open: innerWidth > 860 }, el("summary", {}, "About this run"), el("dl", { class: "facts" },
    ...(broken ? fact("Fingerprint", el("code", {}, broken.fingerprint)) : []),
    ...(place ? fact("When", `${ms(place.t)} ms, at ${nodes[place.n].name}${broken.times > 1 ? `; ${broken.times} times in this run` : ""}`) : []),
    ...(about.token ? fact("Token", el("code", {}, about.token)) : []),
    ...fact("Library", `${about.library}, on ${about.dialect}`),
    ...fact("Run", `${many(events.length, "event")}, ${(about.ended_us / 1e6).toFixed(3)} s simulated; ${about.ended}`))),
  copyLine(about.replay));
  fill(byId("broken"), el("div", {}, ...parts), side);
}

function openViolation(i) {
  view.violation = i;
  view.place = placeOfViolation();
  view.execution = violation() && violation().execution !== undefined ? violation().execution : -1;
  view.text = byId("find").value = "";
  drawHead();
  byId("execution").value = String(view.execution);
  refresh();
  toViolation();
}

/** What is shown has changed: places, rows, list, picture. */
function refresh() {
  choose();
  const n = view.selected >= 0 ? shown.at.get(events[view.selected].s) : undefined;
  if (n === undefined) view.selected = -1;
  drawList(n);
  drawDetail();
  resize();
  const { hidden } = shown;
  const left = [
    hidden.other && `${hidden.other} about other executions`, hidden.idle && `${hidden.idle} that changed nothing`,
    hidden.routine && `${hidden.routine} of routine renewals`, hidden.text && `${hidden.text} that do not match`,
  ].filter(Boolean);
  byId("shown").textContent = `${shown.events.length} of ${many(events.length, "event")} shown` +
    (left.length ? `; left out: ${left.join(", ")}.` : ".");
}

const room = () => sizes.width - sizes.gutter - 24;
const least = () => Math.min(1, room() / Math.max(1, shown.width)) * 0.9;

function fit() {
  view.scale = Math.min(3.5, room() / Math.max(1, shown.width));
  view.left = 0;
  redraw();
}

function clampLeft() {
  const margin = room() / view.scale / 2;
  view.left = Math.max(-margin, Math.min(shown.width - margin, view.left));
}

function zoom(factor, at) {
  const x = at === undefined ? (view.selected >= 0 ? screen(selectedPosition()) : sizes.gutter + room() / 2) : at;
  const unit = view.left + (x - sizes.gutter) / view.scale;
  view.scale = Math.max(least(), Math.min(view.trueTime ? 20000 : 12, view.scale * factor));
  view.left = unit - (x - sizes.gutter) / view.scale;
  clampLeft();
  redraw();
}

const selectedPosition = () => shown.pos[shown.at.get(events[view.selected].s)] || 0;

/** Brings a place of the picture into view. */
function reveal(unit, part) {
  const x = screen(unit);
  if (part === undefined && x > sizes.gutter + 40 && x < sizes.width - 60) return;
  view.left = unit - (room() * (part === undefined ? 0.5 : part)) / view.scale;
  clampLeft();
  redraw();
}

function toViolation() {
  const i = view.place;
  if (i < 0) { fit(); return; }
  const whole = room() / Math.max(1, shown.width);
  const closest = sizes.width < 600 ? 0.55 : 0.75;
  view.scale = view.trueTime || whole >= closest ? Math.min(whole, 3.5) : closest + 0.1;
  view.left = 0;
  const unit = positionOf({ s: events[i].s, t: events[i].t });
  if (whole < closest) reveal(unit, 0.68); else redraw();
  select(i, { keep: true });
}

function select(i, how = {}) {
  view.selected = i;
  const n = i < 0 ? undefined : shown.at.get(events[i].s);
  if (n !== undefined && (n < part.from || n >= part.to)) drawList(n); else markChosen();
  drawDetail();
  if (n !== undefined && !how.keep) reveal(shown.pos[n]);
  redraw();
}

/** Selects an event that may not be among those shown. */
function show(i) {
  if (!shown.at.has(events[i].s)) {
    view.text = byId("find").value = "";
    view.matters = byId("matters").checked = false;
    const x = events[i].x || [];
    if (view.execution >= 0 && !x.includes(view.execution)) view.execution = -1;
    byId("execution").value = String(view.execution);
    view.selected = i;
    refresh();
  }
  select(i);
}

/** The next event in a direction, among all or in the lane of the chosen one. */
function step(by, sameLane) {
  let n = view.selected >= 0 ? shown.at.get(events[view.selected].s) + by : by > 0 ? 0 : shown.events.length - 1;
  const lane = view.selected >= 0 ? events[view.selected].n : undefined;
  while (sameLane && lane !== undefined && shown.events[n] !== undefined && events[shown.events[n]].n !== lane) n += by;
  if (shown.events[n] !== undefined) select(shown.events[n]);
}

const KEYS = {
  ArrowRight: () => step(1), ArrowLeft: () => step(-1),
  ArrowDown: (inList) => step(1, !inList), ArrowUp: (inList) => step(-1, !inList),
  Home: () => shown.events.length && select(shown.events[0]),
  End: () => shown.events.length && select(shown.events[shown.events.length - 1]),
  "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: fit, v: toViolation,
  PageDown: () => { view.left += (room() * 0.8) / view.scale; clampLeft(); redraw(); },
  PageUp: () => { view.left -= (room() * 0.8) / view.scale; clampLeft(); redraw(); },
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  tip.hidden = true;
  KEYS[event.key](event.currentTarget === list);
}

function letGo() {
  tip.hidden = true;
  if (byId("find").value) {
    view.text = byId("find").value = "";
    refresh();
  } else if (view.selected >= 0) {
    select(-1);
  }
}

function begin() {
  theme.begin();
  byId("back").hidden = !about.index;
  const option = (value, text) => el("option", { value: String(value) }, text);
  byId("execution").append(option(-1, `all (${executions.length})`), ...executions.map((one, x) => option(x, one.name)));
  byId("to-violation").hidden = violations.length === 0;
  byId("execution").addEventListener("change", (event) => { view.execution = Number(event.target.value); refresh(); afterFilter(); });
  byId("matters").checked = view.matters;
  byId("matters").addEventListener("change", (event) => { view.matters = event.target.checked; refresh(); afterFilter(); });
  byId("true-time").addEventListener("change", (event) => { view.trueTime = event.target.checked; refresh(); afterFilter(); });
  byId("find").addEventListener("input", (event) => { view.text = event.target.value; refresh(); afterFilter(); });
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("in").addEventListener("click", () => zoom(1.5));
  byId("out").addEventListener("click", () => zoom(1 / 1.5));
  byId("fit").addEventListener("click", fit);
  byId("to-violation").addEventListener("click", () => { if (!shown.at.has(violation().at)) openViolation(view.violation); toViolation(); });
  stage.addEventListener("keydown", onKey);
  list.addEventListener("keydown", onKey);
  document.addEventListener("keydown", (event) => {
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (event.key === "Escape") { letGo(); if (isTyping) stage.focus(); }
    if (event.key === "/" && !isTyping) { event.preventDefault(); byId("find").focus(); }
  });
  onPointer();
  const recolour = () => { readColours(); drawLegend(); redraw(); };
  theme.listeners.push(recolour);
  readColours();
  drawLegend();
  addEventListener("scroll", scrolled, { passive: true });
  addEventListener("resize", () => resize());
  new ResizeObserver(() => { if (stage.clientWidth !== sizes.width) resize(); }).observe(stage);
  sizes.width = Math.max(280, stage.clientWidth);
  openViolation(view.violation);
}

/** After a filter: the chosen event stays in view, or all that is left is shown. */
function afterFilter() {
  if (view.selected >= 0 && !view.trueTime) {
    view.scale = Math.max(view.scale, 0.4);
    reveal(selectedPosition(), 0.5);
  } else {
    fit();
  }
}

begin();
// For tests: what is shown and what drawing it took.
window.grantsim = { view, shown, drawn, events, violations, select, show, zoom, fit, draw, step };
