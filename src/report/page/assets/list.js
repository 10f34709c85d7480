// The same in words: a list of the shown events, and all that is known of the chosen one.

const list = byId("list"), detail = byId("detail");
/** How many events the list has at a time. */
const LIST = 160;
const part = { from: 0, to: 0 };

function drawList(around) {
  const count = shown.events.length;
  const middle = around === undefined ? 0 : around;
  part.from = Math.max(0, Math.min(middle - LIST / 2, count - LIST));
  part.to = Math.min(count, part.from + LIST);
  const rows = shown.events.slice(part.from, part.to).map((i, n) => rowOf(i, part.from + n));
  if (part.from > 0) rows.unshift(more(`${many(part.from, "event")} before these`, part.from - 1));
  if (part.to < count) rows.push(more(`${many(count - part.to, "event")} after these`, part.to));
  if (count === 0) rows.push(el("p", { class: "hint" }, "No event fits. Clear the search, or choose another execution."));
  list.replaceChildren(...rows);
  markChosen();
}

const more = (text, n) => el("button", { type: "button", class: "more", onclick: () => { drawList(n); list.focus(); } }, text);

function rowOf(i, n) {
  const event = events[i];
  const isBroken = violation() && event.s === violation().at;
  const all = event.w || [];
  const asides = !view.matters || isBroken || all.every((written) => written.aside);
  const kept = all.filter((written) => asides || !written.aside);
  const written = kept.map((one) => el("span", { class: "written" }, one.text));
  const text = event.text || kept.length === 0 ? event.text : "written by the server itself";
  return el("div", {
    class: `row ${event.k}${isBroken ? " broken" : ""}${violation() && event.s > violation().at ? " after" : ""}`,
    role: "option", id: `event-${event.s}`, "aria-selected": "false", "aria-setsize": shown.events.length, "aria-posinset": n + 1,
    onclick: () => select(i, { scroll: false }),
  },
  el("span", { class: "when" }, ms(event.t)),
  el("span", { class: "where" }, nodes[event.n].name),
  el("span", { class: "what" }, isBroken ? el("b", { class: "flag" }, "✗ breaks here ") : null, text, ...written));
}

function markChosen() {
  list.querySelectorAll("[aria-selected=true]").forEach((row) => row.setAttribute("aria-selected", "false"));
  const event = events[view.selected];
  const row = event && document.getElementById(`event-${event.s}`);
  if (!row) return list.removeAttribute("aria-activedescendant");
  row.setAttribute("aria-selected", "true");
  list.setAttribute("aria-activedescendant", row.id);
  const top = row.offsetTop;
  if (top < list.scrollTop || top + row.offsetHeight > list.scrollTop + list.clientHeight) {
    list.scrollTop = top - list.clientHeight / 3;
  }
}

const fact = (name, ...value) => [el("dt", {}, name), el("dd", {}, ...value)];

function drawDetail() {
  const event = events[view.selected];
  if (!event) {
    fill(detail, el("h2", {}, "No event chosen"), el("p", { class: "hint" },
      "Choose an event in the picture or in the list to see its keys, arguments, reply and writes."));
    return;
  }
  const isBroken = violation() && event.s === violation().at;
  const call = callOf(event);
  const written = (event.w || []).map((one) => el("li", {}, one.text));
  fill(detail,
    el("h2", { class: isBroken ? "broken" : "" }, isBroken ? "✗ " : "", ...prose(event.text || "Written by the server itself")),
    isBroken ? el("p", { class: "why" }, violation().message) : null,
    el("dl", { class: "facts" },
      ...fact("When", `${ms(event.t)} ms`),
      ...fact("Where", nodes[event.n].name),
      ...fact("Event", `${event.s}`),
      ...(event.x ? fact("About", event.x.map((x) => `${executions[x].name} = ${executions[x].id}`).join(", ")) : []),
      ...chain(event)),
    written.length ? el("h3", {}, "What it changed") : null,
    written.length ? el("ul", { class: "changes" }, ...written) : null,
    ...(call ? callDetail(call, call === event) : []));
}

/** Links to what led to an event and to what it led to. */
function chain(event) {
  const link = (i) => el("button", { type: "button", class: "link", onclick: () => show(i) }, `${events[i].s}: ${nodes[events[i].n].name}`);
  const before = event.c !== undefined && placeOf.has(event.c) ? fact("Because of", link(placeOf.get(event.c))) : [];
  const after = (caused.get(event.s) || []).slice(0, 12).map(link);
  return [...before, ...(after.length ? fact("Led to", ...after) : [])];
}

function callDetail(event, isOwn) {
  const call = event.call;
  // On a phone the list of events should not be many screens away.
  const fold = (title, ...inside) => el("details", { open: innerWidth > 860, class: "fold" }, el("summary", {}, title), ...inside);
  const table = (title, places) => places.length === 0 ? null : fold(`${title} (${places.length})`,
    el("ol", { class: "args" }, ...places.map((place) => el("li", {}, el("code", {}, words[place] === "" ? "(empty)" : words[place])))));
  const command = (effect) => el("li", {}, el("code", {}, effect.map((place) => wordOf(words[place])).join(" ")));
  return [
    isOwn ? null : el("h3", { class: "other" }, `The call itself, at ${ms(event.t)} ms`),
    el("dl", { class: "facts" },
      ...fact("Function", el("code", {}, call.name)),
      ...(call.by === undefined ? [] : fact("Called by", nodes[call.by].name)),
      ...fact("Server’s clock", `+${call.now - about.start_ms} ms  (${call.now})`)),
    el("h3", {}, "Reply"), el("pre", {}, call.reply),
    table("KEYS", call.keys), table("ARGV", call.argv),
    call.effects.length === 0 ? el("h3", {}, "It wrote nothing") : fold(`Writes, as Valkey propagates them (${call.effects.length})`,
      el("ol", { class: "args effects" }, ...call.effects.map(command))),
  ];
}

const wordOf = (word) => (/^[^\s"']+$/.test(word) ? word : JSON.stringify(word));
