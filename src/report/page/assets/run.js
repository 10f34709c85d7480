// The run: what is drawn follows from the events, what the reader chose to see, and where each event stands.

const { about, nodes, executions, violations, events, bars, spans, words } = data;
const placeOf = new Map(events.map((event, i) => [event.s, i]));
const caused = new Map();
events.forEach((event, i) => {
  if (event.c === undefined) return;
  if (!caused.has(event.c)) caused.set(event.c, []);
  caused.get(event.c).push(i);
});

const view = {
  violation: data.focus,
  execution: -1,
  matters: true,
  trueTime: false,
  text: "",
  selected: -1,
  /** The event of the violation. */
  place: -1,
  scale: 1,
  left: 0,
};

const ms = (us) => (us / 1000).toFixed(3);
const violation = () => violations[view.violation];
/** What broke at an event that has no words of its own is shown at the one before it. */
const placeOfViolation = () => (violation() ? events.findLastIndex((event) => event.s <= violation().at) : -1);
const isServer = (event) => event.k === "call" || event.k === "refused" || event.k === "server";
const VALKEY = nodes.findIndex((node) => node.name === "valkey");

/** Requests, replies and messages: from event to event, or to nowhere. */
const arrows = (() => {
  const all = [];
  const effects = (event, kinds) => (caused.get(event.s) || []).filter((i) => kinds.includes(events[i].k));
  events.forEach((event, i) => {
    if (event.k === "request") {
      const calls = effects(event, ["call", "refused"]);
      const gaveUp = effects(event, ["lost"])[0];
      const isHeldBack = effects(event, ["fault"]).some((fault) => /late-request|at-deadline/.test(events[fault].text));
      for (const [n, to] of calls.entries()) {
        const isOver = gaveUp !== undefined && events[gaveUp].s < events[to].s;
        all.push({ kind: "request", from: i, to, late: isHeldBack || isOver || n > 0 });
      }
      if (calls.length === 0) all.push({ kind: "request", from: i, lost: true, lane: VALKEY, until: gaveUp });
      if (gaveUp !== undefined && calls.length > 0 && events[calls[0]].s < events[gaveUp].s) {
        all.push({ kind: "reply", from: calls[0], lost: true, lane: event.n, until: gaveUp });
      }
    } else if (event.k === "reply" && placeOf.has(event.c)) {
      all.push({ kind: "reply", from: placeOf.get(event.c), to: i });
    } else if (event.k === "message") {
      const received = effects(event, ["received"]);
      for (const to of received) all.push({ kind: "message", from: i, to });
      if (received.length === 0) {
        all.push({ kind: "message", from: i, lost: event.x !== undefined, lane: event.to, until: i });
      }
    }
  });
  return all;
})();

/** The call that an event belongs to: its own, the one it asked for, or the one it answers. */
function callOf(event) {
  if (event.call) return event;
  if (event.k === "request" || event.k === "lost") {
    const request = event.k === "request" ? event.s : event.c;
    const call = (caused.get(request) || []).find((i) => events[i].call);
    return call === undefined ? undefined : events[call];
  }
  const cause = event.k === "reply" && placeOf.has(event.c) ? events[placeOf.get(event.c)] : undefined;
  return cause && cause.call ? cause : undefined;
}

/** What of the run is shown, and where. */
const shown = { events: [], at: new Map(), pos: [], width: 1, lanes: [], rows: [], executions: [], hidden: {} };

function choose() {
  const only = view.execution;
  const needle = view.text.trim().toLowerCase();
  const about = (event) => event.x !== undefined && event.x.includes(only);
  const hidden = { other: 0, routine: 0, idle: 0, text: 0 };
  const takesPart = new Set();
  if (only >= 0) events.forEach((event) => { if (about(event) && event.r === "matters") takesPart.add(event.n); });
  if (only >= 0) arrows.forEach((arrow) => { if (about(events[arrow.from])) takesPart.add(arrow.lane); });
  const hitsThem = (event) => event.k === "fault" && event.x === undefined &&
    (takesPart.has(event.n) || spans.some((span) => span.from.s === event.s && span.n.some((n) => takesPart.has(n))));
  shown.events = [];
  events.forEach((event, i) => {
    const always = violation() && event.s === violation().at;
    if (!always && view.matters && event.r !== "matters") return void hidden[event.r]++;
    if (!always && only >= 0 && !about(event) && !hitsThem(event)) return void hidden.other++;
    if (needle && !saysOf(event).includes(needle)) return void hidden.text++;
    shown.events.push(i);
  });
  shown.hidden = hidden;
  place();
}

const sayings = new Map();
function saysOf(event) {
  if (!sayings.has(event.s)) {
    const all = [nodes[event.n].name, event.text, ...(event.w || []).map((written) => written.text)];
    sayings.set(event.s, all.join(" ").toLowerCase());
  }
  return sayings.get(event.s);
}

/** Gives each shown event its place along the picture: by its time, or at even distances with long waits cut short. */
function place() {
  const { events: places } = shown;
  shown.at = new Map(places.map((i, n) => [events[i].s, n]));
  shown.pos = new Array(places.length);
  if (view.trueTime) {
    const unit = 1400 / Math.max(1, about.ended_us);
    places.forEach((i, n) => { shown.pos[n] = events[i].t * unit; });
    shown.width = 1400;
  } else {
    let at = 20;
    places.forEach((i, n) => {
      if (n > 0) {
        const before = events[places[n - 1]];
        const wait = (events[i].t - before.t) / 1000;
        at += wait === 0 ? (before.n === events[i].n ? 15 : 9) : 20 + 13 * Math.log10(1 + wait);
      }
      shown.pos[n] = at;
    });
    const rest = places.length ? (about.ended_us - events[places[places.length - 1]].t) / 1000 : 0;
    shown.width = at + 40 + 13 * Math.log10(1 + Math.max(0, rest));
  }
  const isShown = new Set(places.map((i) => events[i].n));
  for (const arrow of arrows) {
    if (arrow.lane !== undefined && shown.at.has(events[arrow.from].s)) isShown.add(arrow.lane);
  }
  for (const i of places) if (events[i].to !== undefined) isShown.add(events[i].to);
  if (places.length === 0) isShown.add(VALKEY);
  shown.lanes = nodes.map((_, n) => n).filter((n) => isShown.has(n));
  const concerned = new Set();
  places.forEach((i) => (events[i].x || []).forEach((x) => concerned.add(x)));
  shown.executions = view.execution >= 0 ? [view.execution] : [...concerned].sort((a, b) => a - b);
}

/** Where a point of the run stands: at its event if that is shown, else between the events around it. */
function positionOf(point) {
  const n = point.s === undefined ? undefined : shown.at.get(point.s);
  if (n !== undefined) return shown.pos[n];
  const { events: places, pos } = shown;
  if (view.trueTime) return point.t * (1400 / Math.max(1, about.ended_us));
  const isBefore = (i) => events[i].t < point.t || (events[i].t === point.t && point.s !== undefined && events[i].s <= point.s);
  let low = 0, high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBefore(places[middle])) low = middle + 1; else high = middle;
  }
  const before = low === 0 ? { t: 0, x: 0 } : { t: events[places[low - 1]].t, x: pos[low - 1] };
  const after = low === places.length
    ? { t: about.ended_us, x: shown.width } : { t: events[places[low]].t, x: pos[low] };
  const part = after.t > before.t ? (point.t - before.t) / (after.t - before.t) : 0.5;
  return before.x + Math.min(1, Math.max(0, part)) * (after.x - before.x);
}
