// What happens: arrows, signs and their labels, the violation, and the names on the left.

function line(x1, y1, x2, y2, head) {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const ux = (x2 - x1) / length, uy = (y2 - y1) / length;
  const ex = x2 - ux * 5, ey = y2 - uy * 5;
  pen.beginPath();
  pen.moveTo(x1 + ux * 4, y1 + uy * 4);
  pen.lineTo(ex, ey);
  pen.stroke();
  if (!head) return;
  pen.setLineDash([]);
  pen.beginPath();
  pen.moveTo(ex + ux * 2, ey + uy * 2);
  pen.lineTo(ex - ux * 6 - uy * 3.2, ey - uy * 6 + ux * 3.2);
  pen.lineTo(ex - ux * 6 + uy * 3.2, ey - uy * 6 - ux * 3.2);
  pen.closePath();
  pen.fill();
}

function cross(x, y, size) {
  pen.setLineDash([]);
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(x - size, y - size);
  pen.lineTo(x + size, y + size);
  pen.moveTo(x + size, y - size);
  pen.lineTo(x - size, y + size);
  pen.stroke();
}

function drawArrows() {
  const free = spots();
  let arrowCount = 0;
  pen.save();
  pen.beginPath();
  pen.rect(sizes.gutter, 0, sizes.width, sizes.height);
  pen.clip();
  for (const arrow of arrows) {
    const from = events[arrow.from], to = arrow.to === undefined ? undefined : events[arrow.to];
    const a = shown.at.get(from.s), b = to && shown.at.get(to.s);
    if (a === undefined || (to && b === undefined)) continue;
    const x1 = screen(shown.pos[a]), y1 = lineOf.get(from.n), y2 = lineOf.get(to ? to.n : arrow.lane);
    let x2 = to ? screen(shown.pos[b]) : x1 + 14;
    if (arrow.until !== undefined && shown.at.has(events[arrow.until].s)) {
      x2 = Math.min(x1 + 60, Math.max(x2, screen(shown.pos[shown.at.get(events[arrow.until].s)])));
    }
    if (!inView(Math.min(x1, x2), Math.max(x1, x2)) || y1 === undefined || y2 === undefined) continue;
    if (Math.max(y1, y2) < sizes.top || Math.min(y1, y2) > sizes.top + sizes.tall) continue;
    const isChosen = view.selected >= 0 && (arrow.from === view.selected || arrow.to === view.selected);
    const lanes = from.n * nodes.length + (to ? to.n : arrow.lane);
    const spot = (lanes * 65536 + Math.round(x1 / grain())) * 65536 + Math.round(x2 / grain());
    if (!isChosen && (arrowCount >= MOST_ARROWS || !free(spot))) continue;
    arrowCount++;
    const colour = arrow.lost ? colours.bad : arrow.late ? colours.warn
      : arrow.kind === "message" ? colours.message : arrow.kind === "reply" ? colours.faint : colours.soft;
    pale(to || from);
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = isChosen ? 2.6 : 1.2;
    pen.setLineDash(arrow.lost ? [4, 3] : arrow.kind === "reply" ? [1, 2.5] : arrow.kind === "message" ? [6, 3] : []);
    if (arrow.lost) {
      const mx = x1 + (x2 - x1) * 0.55, my = y1 + (y2 - y1) * 0.55;
      line(x1, y1, mx, my, false);
      cross(mx, my, 4);
    } else {
      line(x1, y1, x2, y2, true);
    }
    drawn.count++;
  }
  pen.setLineDash([]);
  pen.restore();
}

/** An event's sign. */
function sign(kind, x, y, broken) {
  pen.setLineDash([]);
  pen.lineWidth = 1.5;
  const colour = { refused: colours.bad, lost: colours.bad, fault: colours.warn, message: colours.message, received: colours.message,
    server: colours.grant }[kind] || colours.ink;
  pen.strokeStyle = colour;
  pen.fillStyle = colours.raised;
  pen.beginPath();
  if (kind === "fault") {
    pen.moveTo(x, y - 6); pen.lineTo(x + 6, y + 5); pen.lineTo(x - 6, y + 5); pen.closePath();
    pen.fillStyle = colour;
    pen.fill();
    pen.fillStyle = colours.ground;
    pen.fillRect(x - 0.9, y - 2.5, 1.8, 4);
    pen.fillRect(x - 0.9, y + 2.3, 1.8, 1.6);
  } else if (kind === "lost") {
    cross(x, y, 3.5);
  } else if (kind === "work") {
    pen.rect(x - 3, y - 3, 6, 6); pen.fillStyle = colours.soft; pen.fill();
  } else if (kind === "message" || kind === "received") {
    pen.moveTo(x, y - 4.5); pen.lineTo(x + 4.5, y); pen.lineTo(x, y + 4.5); pen.lineTo(x - 4.5, y); pen.closePath();
    if (kind === "received") pen.fillStyle = colour;
    pen.fill(); pen.stroke();
  } else {
    pen.arc(x, y, kind === "call" || kind === "refused" || kind === "server" ? 4.2 : 3, 0, 7);
    if (kind === "call" || kind === "server") pen.fillStyle = broken ? colours.bad : colour;
    pen.fill(); pen.stroke();
  }
}

function drawMarks() {
  const free = spots();
  const first = firstInView();
  const at = violation() ? violation().at : -1;
  for (let n = first; n < shown.events.length; n++) {
    const i = shown.events[n], event = events[i];
    const x = screen(shown.pos[n]), y = lineOf.get(event.n);
    if (x > sizes.width + 10) break;
    if (x < sizes.gutter - 2 || y === undefined || !rowInView(y - 20, 40)) continue;
    const isSpecial = i === view.selected || event.s === at;
    if (!isSpecial && !free(event.n * 65536 + Math.round(x / grain()))) continue;
    pale(event);
    sign(event.k, x, y, event.s === at);
    drawn.count++;
    drawn.marks.push({ x, y, i });
    if (event.s === at) ring(x, y, colours.bad, 9);
    if (i === view.selected) ring(x, y, colours.accent, event.s === at ? 13 : 9);
    label(event, x, y);
    pen.globalAlpha = 1;
  }
}

function ring(x, y, colour, radius) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2.5;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.stroke();
}

const plain = (name) => name.replace(/^ff_/, "");

/** What stands beside a sign, where there is room: above its lane's line, else below it. */
function label(event, x, y) {
  const { labels } = drawn;
  let text, colour = colours.ink;
  if (event.k === "request") text = plain(event.f);
  else if (event.k === "refused") [text, colour] = [callAnswer(event), colours.bad];
  else if (event.k === "lost") [text, colour] = ["no reply", colours.bad];
  else if (event.k === "fault") [text, colour] = [faultText(event), colours.warn];
  else if (event.k === "message" && event.x) [text, colour] = [event.text.split(": ")[1].split(",")[0], colours.message];
  else return;
  const font = `11px ${FONT}`;
  const most = event.k === "fault" ? 280 : 190;
  const wide = Math.min(most, widthOf(text, font));
  for (const [side, dy] of [["above", -12], ["below", 13]]) {
    const key = `${event.n} ${side}`;
    if ((labels.get(key) || -1e9) > x - 6) continue;
    const end = write(text, x - 3, y + dy, most, colour, font);
    labels.set(key, Math.max(end, x + wide) + 4);
    return;
  }
  // A fault is the cause more often than not: it is named, if need be a little to the right.
  const below = labels.get(`${event.n} below`);
  if (event.k === "fault" && below < x + 120) {
    labels.set(`${event.n} below`, write(text, below + 6, y + 13, most, colour, font) + 4);
  }
}

/** A fault that lasts has its span's words; one of a call has its class: whom it hit is where it stands. */
function faultText(event) {
  const span = spans.find((one) => one.from.s === event.s);
  return span ? span.label : event.text.replace(/^! (fault )?/, "").split(":")[0];
}

function callAnswer(event) {
  const said = event.text.split("  (")[0].split(": ");
  return said.slice(1).join(": ");
}

/** Where the violation's flag is, if it is in view. */
function flagBox() {
  const broken = violation(), event = events[view.place];
  if (!broken || !event) return undefined;
  const x = screen(positionOf({ s: event.s, t: event.t }));
  const text = `✗ ${broken.property} breaks here`, font = `600 11.5px ${FONT}`;
  const wide = widthOf(text, font) + 14;
  const left = Math.max(sizes.gutter, Math.min(x - 7, sizes.width - wide - 4));
  return inView(x, x) ? { x, left, wide, text, font, line: lineOf.get(event.n) } : { x, wide: 0, left: -1e9 };
}

function drawViolation() {
  const flag = flagBox();
  if (!flag) return;
  const { x } = flag;
  if (!flag.text) return;
  pen.strokeStyle = colours.bad;
  pen.lineWidth = 1.5;
  pen.beginPath();
  const top = sizes.top;
  pen.moveTo(x, top + 20);
  pen.lineTo(x, Math.max(top + AXIS, (flag.line || sizes.height) - 10));
  pen.stroke();
  rounded(flag.left, top + 3, flag.wide, 20, 5);
  pen.fillStyle = colours.bad;
  pen.fill();
  write(flag.text, flag.left + 7, top + 13.5, flag.wide, colours["on-bar"], flag.font);
}

/** The names on the left, over whatever was drawn there. */
function drawNames() {
  pen.fillStyle = colours.raised;
  pen.fillRect(0, AXIS + 1, sizes.gutter - 1, sizes.height);
  pen.fillStyle = colours.line;
  pen.fillRect(sizes.gutter - 1, 0, 1, sizes.height);
  const small = sizes.width < 600, edge = small ? 9 : 12, room = sizes.gutter - edge - 4;
  for (const row of shown.rows) {
    if (!rowInView(row.y, row.h)) continue;
    if (row.kind === "caption") {
      pen.fillStyle = colours.ground;
      pen.fillRect(0, row.y, sizes.width, row.h);
      write(row.text, 12, row.y + row.h / 2 + 0.5, sizes.width, colours.soft, `600 10.5px ${FONT}`);
    } else if (row.kind === "execution") {
      write(executions[row.x].name, edge, row.slim ? row.y + 17 : row.y + 36, room, colours.ink, `600 13px ${FONT}`);
      if (!row.slim && !small) {
        write("grant", 78, row.y + 14, 50, colours.faint, `10px ${FONT}`);
        write("lease", 78, row.y + 37, 50, colours.faint, `10px ${FONT}`);
        write("state", 78, row.y + 59, 50, colours.faint, `10px ${FONT}`);
      }
    } else {
      const isWorker = workers.includes(row.n);
      if (isWorker) {
        pen.fillStyle = colourOf(row.n);
        pen.fillRect(0, row.y + 1, 4, row.h - 2);
      }
      write(nodes[row.n].name, edge, row.line, room, colours.ink, `600 ${small ? 11 : 13}px ${FONT}`);
      if (nodes[row.n].clock) write(nodes[row.n].clock, edge, row.line + 14, room, colours.accent, `10px ${FONT}`);
    }
  }
}
