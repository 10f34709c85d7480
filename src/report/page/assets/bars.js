// What lasts: grants, leases and states in the rows of executions, work in the lanes of workers.

function rounded(x, y, w, h, radius) {
  pen.beginPath();
  pen.roundRect(x, y, w, h, Math.min(radius, w / 2));
}

function drawBars() {
  const free = spots();
  const rows = new Map(shown.rows.filter((row) => row.kind === "execution").map((row) => [row.x, row]));
  for (const bar of bars) {
    const row = rows.get(bar.x);
    if (!row || bar.k === "work" || !rowInView(row.y, row.h)) continue;
    const { x, w, start, end } = stretch(bar.from, bar.to);
    if (!inView(start, end) || !free(`${bar.k} ${bar.x} ${Math.round(x / 2)} ${Math.round(w / 2)}`)) continue;
    const wide = Math.max(w, 2);
    if (bar.k === "grant") drawGrant(bar, x, row.slim ? row.y + 3 : row.y + 6, wide, row.slim ? 9 : 16, row.slim);
    if (bar.k === "lease") drawLease(bar, x, row.slim ? row.y + 13 : row.y + 26, wide, row.slim ? 17 : 21);
    if (bar.k === "state" && !row.slim) drawState(bar, x, row.y + 51, wide, 15);
  }
  for (const row of shown.rows) {
    if (!row.work || !rowInView(row.y, row.h)) continue;
    for (const { bar, level } of row.work) {
      const { x, w, start, end } = stretch(bar.from, bar.to);
      if (!inView(start, end) || !free(`work ${bar.n} ${level} ${Math.round(x / 2)} ${Math.round(w / 2)}`)) continue;
      drawWork(bar, x, row.y + 5 + 17 * level, Math.max(w, 2), 14);
    }
  }
}

function box(x, y, w, h, bar) {
  drawn.count++;
  drawn.bars.push({ x, y, w, h, text: barText(bar), at: bar.from.s });
}

/** The stretches in which a grant or lease is over by the server's clock and still lies there. */
function drawOver(bar, y, h, draw) {
  for (const [from, to] of (bar.over || []).slice(0, 200)) {
    const { x, w, start, end } = stretch({ t: from }, { t: to, s: bar.to.t === to ? bar.to.s : undefined });
    if (inView(start, end) && w > 0) draw(x, y, w, h);
  }
}

/** The first of some wordings that fits, else the last one cut. */
function writeBest(wordings, x, y, room, colour, font) {
  const best = wordings.find((text) => widthOf(text, font) <= room) || wordings[wordings.length - 1];
  return widthOf(best, font) <= room || room > 30 ? write(best, x, y, room, colour, font) : x;
}

function drawGrant(bar, x, y, w, h, slim) {
  rounded(x, y, w, h, 4);
  pen.fillStyle = colours["grant-ground"];
  pen.fill();
  drawOver(bar, y, h, (ox, oy, ow, oh) => {
    pen.fillStyle = colours.raised;
    pen.fillRect(ox, oy, ow, oh);
    hatch(ox, oy, ow, oh, colours.grant, 5);
  });
  rounded(x + 0.5, y + 0.5, Math.max(1, w - 1), h - 1, 4);
  pen.strokeStyle = colours.grant;
  pen.lineWidth = 1;
  pen.stroke();
  if (!slim) {
    const [kind, whom] = bar.label.split(" grant for ");
    const end = bar.how === "consumed" ? " ✓" : "";
    const wordings = [`${bar.label}, ${bar.how}`, `${bar.label}${end}`, `${kind} → ${whom}${end}`, `${kind}${end}`, kind];
    writeBest(wordings, x + 6, y + h / 2 + 0.5, solidWidth(bar, x, w) - 10, colours.ink, `11px ${FONT}`);
  }
  box(x, y, w, h, bar);
}

function drawLease(bar, x, y, w, h) {
  const colour = bar.n === undefined ? colours.soft : colourOf(bar.n);
  rounded(x, y, w, h, 4);
  pen.fillStyle = colour;
  pen.fill();
  drawOver(bar, y, h, (ox, oy, ow, oh) => {
    pen.fillStyle = colours.raised;
    pen.globalAlpha = 0.72;
    pen.fillRect(ox, oy, ow, oh);
    pen.globalAlpha = 1;
    hatch(ox, oy, ow, oh, colour, 6);
    pen.strokeStyle = colour;
    pen.strokeRect(ox + 0.5, oy + 0.5, Math.max(0.5, ow - 1), oh - 1);
    write("expired", ox + 6, oy + oh / 2 + 0.5, ow - 10, colours.ink, `600 10.5px ${FONT}`);
  });
  const free = spots();
  pen.fillStyle = colours.ground;
  for (const seq of bar.renewed || []) {
    const at = screen(positionOf({ s: seq, t: events[placeOf.get(seq)] ? events[placeOf.get(seq)].t : 0 }));
    if (at > x && at < x + w && free(Math.round(at / 3))) {
      pen.fillRect(at, y + h - 5, 1.5, 5);
      drawn.count++;
    }
  }
  const wordings = [`epoch ${bar.epoch} · ${bar.label}`, `epoch ${bar.epoch}`, `${bar.epoch}`];
  writeBest(wordings, x + 6, y + h / 2 + 0.5, solidWidth(bar, x, w) - 9, colours["on-bar"], `600 11.5px ${FONT}`);
  box(x, y, w, h, bar);
}

/** How much of a bar is not hatched, from its left edge on. */
function solidWidth(bar, x, w) {
  const next = (bar.over || []).find(([, to]) => screen(positionOf({ t: to })) > x);
  return next === undefined ? w : Math.max(0, Math.min(w, screen(positionOf({ t: next[0] })) - x));
}

function drawState(bar, x, y, w, h) {
  const isMarked = bar.label.includes("lease ");
  pen.fillStyle = isMarked ? colours["warn-ground"] : colours.line;
  pen.globalAlpha = isMarked ? 1 : 0.55;
  pen.fillRect(x, y, Math.max(1, w - 1), h);
  pen.globalAlpha = 1;
  write(bar.label, x + 6, y + h / 2 + 0.5, w - 10, isMarked ? colours.warn : colours.soft, `10.5px ${FONT}`);
  box(x, y, w, h, bar);
}

function drawWork(bar, x, y, w, h) {
  const colour = colourOf(bar.n);
  rounded(x, y, w, h, 3);
  pen.globalAlpha = 0.22;
  pen.fillStyle = colour;
  pen.fill();
  pen.globalAlpha = 1;
  pen.strokeStyle = colour;
  pen.stroke();
  const name = executions[bar.x].name;
  const wordings = [`${bar.label}, epoch ${bar.epoch}`, `${name}, epoch ${bar.epoch}`, `epoch ${bar.epoch}`, `${bar.epoch}`];
  writeBest(wordings, x + 5, y + h / 2 + 0.5, w - 8, colours.ink, `10.5px ${FONT}`);
  box(x, y, w, h, bar);
}

function barText(bar) {
  const what = bar.k === "lease" ? `lease of ${executions[bar.x].name}, epoch ${bar.epoch}, held by ${bar.label}`
    : bar.k === "grant" ? `${bar.label}, ${executions[bar.x].name}`
    : bar.k === "state" ? `${executions[bar.x].name} is ${bar.label}` : `${nodes[bar.n].name} ${bar.label}, epoch ${bar.epoch}`;
  const over = bar.over && bar.over.length && bar.how !== "expired" ? `; expired by the server’s clock at ${ms(bar.over[0][0])} ms` : "";
  const renewed = bar.renewed ? `; renewed ${bar.renewed.length} ×` : "";
  return `${what}: ${ms(bar.from.t)} to ${ms(bar.to.t)} ms${bar.how ? `, ${bar.how}` : ""}${renewed}${over}`;
}
