// The legend, drawn by what draws the picture.

function drawLegend() {
  const sample = (wide, paint) => {
    const ratio = Math.min(3, devicePixelRatio || 1);
    const small = el("canvas", { width: wide * ratio, height: 18 * ratio, "aria-hidden": "true" });
    small.style.width = `${wide}px`;
    small.style.height = "18px";
    const kept = pen;
    pen = small.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.textBaseline = "middle";
    paint(wide);
    pen = kept;
    return small;
  };
  const arrow = (colour, dash, head, lost) => (wide) => {
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = 1.4;
    pen.setLineDash(dash);
    line(0, 9, wide - 2, 9, head);
    if (lost) cross(wide - 8, 9, 4);
  };
  const bar = (paint) => (wide) => paint(1, 2, wide - 2, 14);
  const filled = (colour) => bar((x, y, w, h) => { rounded(x, y, w, h, 4); pen.fillStyle = colour; pen.fill(); });
  const items = [
    [30, bar((x, y, w, h) => { rounded(x + 0.5, y + 0.5, w - 1, h - 1, 4); pen.fillStyle = colours["grant-ground"]; pen.fill();
      pen.strokeStyle = colours.grant; pen.stroke(); }), "grant, from issue to its end"],
    [30, filled(colours.w0), "lease, in its worker’s colour"],
    [30, bar((x, y, w, h) => { hatch(x, y, w, h, colours.w0, 6); pen.strokeStyle = colours.w0; pen.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1); }),
      "expired by the server’s clock, and still there"],
    [30, bar((x, y, w, h) => { rounded(x, y, w, h, 3); pen.globalAlpha = 0.22; pen.fillStyle = colours.w0; pen.fill(); pen.globalAlpha = 1;
      pen.strokeStyle = colours.w0; pen.stroke(); }), "a worker at work, as it believes"],
    [30, bar((x, y, w, h) => { pen.globalAlpha = 0.15; pen.fillStyle = colours.warn; pen.fillRect(x, y, w, h); pen.globalAlpha = 0.5;
      hatch(x, y, w, h, colours.warn, 8); pen.globalAlpha = 1; }), "a fault that lasts"],
    [16, () => sign("fault", 8, 9), "a fault"],
    [30, arrow(colours.soft, [], true), "request"],
    [30, arrow(colours.faint, [1, 2.5], true), "reply"],
    [30, arrow(colours.message, [6, 3], true), "message with a grant"],
    [30, arrow(colours.bad, [4, 3], false, true), "lost"],
    [30, arrow(colours.warn, [], true), "late, or a second time"],
    [14, () => sign("call", 7, 9), "executed"],
    [14, () => sign("refused", 7, 9), "refused"],
    [22, () => { sign("call", 11, 9, true); ring(11, 9, colours.bad, 7); }, "the violation"],
  ];
  fill(byId("legend"), ...items.map(([wide, paint, text]) => el("span", {}, sample(wide, paint), text)));
}
