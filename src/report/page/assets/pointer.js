// The pointer: hover and click, drag, pinch and wheel.

const tip = byId("tip");

const pointers = new Map();
let dragged = 0, pinch = 0;

function under(event) {
  const frame = canvas.getBoundingClientRect();
  const x = event.clientX - frame.left, y = event.clientY - frame.top + sizes.top;
  const reach = event.pointerType === "touch" ? 22 : 11;
  let best, distance = reach;
  for (const mark of drawn.marks) {
    const far = Math.hypot(mark.x - x, mark.y - y);
    if (far < distance) [best, distance] = [mark, far];
  }
  const inside = (bar) => x >= bar.x - 1 && x <= bar.x + bar.w + 1 && y >= bar.y && y <= bar.y + bar.h;
  const hit = drawn.bars.filter(inside);
  return { x, y, mark: best, bar: hit.find((bar) => !bar.weak) || hit[0] };
}

function hover(event) {
  const { x, y, mark, bar } = under(event);
  canvas.style.cursor = mark || bar ? "pointer" : "grab";
  if (!mark && !bar) { tip.hidden = true; return; }
  if (mark) {
    const of = events[mark.i];
    const call = of.k === "request" ? callOf(of) : undefined;
    fill(tip, el("b", {}, `${ms(of.t)} ms  ${nodes[of.n].name}`), el("span", {}, of.text || "written by the server itself"),
      ...(of.w || []).slice(0, 4).map((one) => el("span", { class: "written" }, one.text)),
      call ? el("span", { class: "written" }, `executed at ${ms(call.t)} ms: ${callAnswer(call)}`) : null,
      el("span", { class: "hint" }, callOf(of) ? "Click for KEYS, ARGV, reply and writes" : "Click for more"));
  } else {
    fill(tip, el("span", {}, bar.text));
  }
  tip.hidden = false;
  const wide = tip.offsetWidth;
  tip.style.left = `${Math.max(4, Math.min(x + 14, sizes.width - wide - 4))}px`;
  const above = y - tip.offsetHeight - 12;
  tip.style.top = `${above > sizes.top ? above : y + 16}px`;
}

function onPointer() {
  stage.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    dragged = 0;
    pinch = 0;
    if (event.pointerType !== "touch") stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) { if (event.pointerType !== "touch") hover(event); return; }
    const now = { x: event.clientX, y: event.clientY };
    pointers.set(event.pointerId, now);
    if (pointers.size === 2) {
      const [a, b] = [...pointers.values()];
      const apart = Math.hypot(a.x - b.x, a.y - b.y);
      if (pinch) zoom(apart / pinch, (a.x + b.x) / 2 - canvas.getBoundingClientRect().left);
      pinch = apart;
      dragged = 99;
      return;
    }
    dragged += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
    if (dragged < 4) return;
    tip.hidden = true;
    view.left -= (now.x - before.x) / view.scale;
    clampLeft();
    redraw();
  });
  const up = (event) => {
    const was = pointers.delete(event.pointerId);
    if (!was || dragged >= 4 || event.type === "pointercancel") return;
    const { mark, bar } = under(event);
    const i = mark ? mark.i : bar && placeOf.get(bar.at);
    if (i !== undefined) {
      select(i, { keep: true });
      if (event.pointerType === "touch") hover(event);
    } else {
      tip.hidden = true;
    }
  };
  stage.addEventListener("pointerup", up);
  stage.addEventListener("pointercancel", up);
  stage.addEventListener("pointerleave", () => { tip.hidden = true; });
  stage.addEventListener("wheel", (event) => {
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (sideways) {
      view.left += (event.deltaX || event.deltaY) / view.scale;
      clampLeft();
      redraw();
    } else {
      // All of it is in view: now the wheel moves the page again.
      if (event.deltaY > 0 && view.scale <= least() * 1.001) return;
      zoom(Math.exp(-event.deltaY * 0.0016), event.clientX - canvas.getBoundingClientRect().left);
    }
    event.preventDefault();
    tip.hidden = true;
  }, { passive: false });
}
