// A hunt: what broke first, then what was seen, so that a reader knows what the hunt could show.

const { report, violations, known, reach } = data;

const fact = (name, ...value) => [el("dt", {}, name), el("dd", {}, ...value)];
const number = (value) => el("td", { class: "number" }, value.toLocaleString("en"));
const sheet = (title, ...children) => el("section", { class: "sheet" }, el("h2", {}, title), ...children);
const row = (...cells) => el("tr", {}, ...cells);
const table = (names, rows) => el("table", {},
  el("thead", {}, row(...names.map(([name, kind]) => el("th", { scope: "col", class: kind }, name)))), el("tbody", {}, ...rows));

function head() {
  const count = violations.length;
  const title = count ? `${many(count, "kind")} of violation in ${many(report.seeds, "seed")}` : `No new violation in ${many(report.seeds, "seed")}`;
  const state = data.is_going_on ? " The hunt goes on, or was cut off: this is what it had found."
    : report.interrupted ? " The hunt was interrupted." : "";
  fill(byId("head"),
    el("p", { class: count ? "verdict" : "verdict held" }, el("b", {}, count ? "✗ Broken" : "✓ Nothing new"), state),
    el("h1", {}, title),
    el("dl", { class: "facts" },
      ...fact("Library", `${report.library.name} ${report.library.version} `, el("code", {}, report.library.sha256.slice(0, 12))),
      ...fact("Seeds", `${many(report.seeds, "run")}, ${report.passed.toLocaleString("en")} passed; `, el("code", {}, `${report.first_token} … ${report.last_token}`)),
      ...fact("Protocol", `${many(report.grants, "grant")}, ${many(report.claims, "claim")}, ${many(report.expiries, "grant")} expired, ` +
        `${many(report.lost_leases, "lease")} lost, ${many(report.calls, "call")}`),
      ...fact("Time", `${Math.round(report.sim_seconds).toLocaleString("en")} s simulated in ${report.wall_seconds.toFixed(1)} s; ` +
        `${many(report.unfinished, "run")} out of time with executions still open`)));
}

function card(one) {
  return el("article", { class: "card" },
    el("h3", {}, one.page ? el("a", { href: encodeURIComponent(one.page) }, one.message) : one.message),
    el("p", {}, el("b", {}, `${one.property}: `), one.claim),
    el("p", {}, el("code", {}, one.fingerprint), `, shown by ${many(one.seeds, "seed")}`),
    one.page ? null : el("p", {}, "It has no page: its run did not show it again."),
    copyLine(one.replay));
}

function reached() {
  const most = Math.max(1, ...reach.map((state) => state.count));
  const rows = reach.map((state) => {
    const gauge = el("span", { class: "gauge" });
    gauge.style.width = `${(100 * Math.log1p(state.count)) / Math.log1p(most)}%`;
    const never = state.count === 0 ? el("b", {}, state.required ? "never, and a long hunt must" : "never") : gauge;
    return el("tr", { class: state.count === 0 ? "never" : "" },
      el("td", {}, state.claim, el("span", { class: "track" }, never)), number(state.count));
  });
  return sheet("States reached", el("p", { class: "hint" }, "A hunt that never meets a state shows nothing about it."),
    table([["State"], ["Times", "number"]], rows));
}

function functions() {
  const rows = Object.entries(report.functions).map(([name, answers]) => {
    const sorted = Object.entries(answers).sort((a, b) => b[1] - a[1]);
    const total = sorted.reduce((sum, [, count]) => sum + count, 0);
    return el("tr", { class: total === 0 ? "never" : "" }, el("td", {}, el("code", {}, name)), number(total),
      el("td", {}, total === 0 ? el("b", {}, "never called") : el("div", { class: "answers" }, ...sorted.map(([answer, count]) =>
        el("span", { class: "small" }, el("code", {}, answer), ` ${count.toLocaleString("en")}`)))));
  });
  const called = Object.values(report.functions).filter((answers) => Object.keys(answers).length).length;
  return sheet(`Functions: ${called} of ${rows.length} called`, table([["Function"], ["Calls", "number"], ["Answers"]], rows));
}

function faults() {
  const rows = Object.entries(report.faults).map(([name, count]) => row(el("td", {}, name), number(count)));
  return sheet("Faults that happened", rows.length ? table([["Fault"], ["Times", "number"]], rows) : el("p", { class: "hint" }, "None."));
}

function begin() {
  theme.begin();
  head();
  const main = byId("main");
  if (violations.length) main.append(sheet("Violations", el("div", { class: "cards" }, ...violations.map(card))));
  if (data.in_baseline.length) {
    main.append(sheet("The baseline breaks in the same way", el("div", { class: "cards" }, ...data.in_baseline.map(card))));
  }
  if (known.length) {
    main.append(sheet("Known findings met again", table([["Finding"], ["Seeds", "number"]],
      known.map((one) => row(el("td", {}, el("code", {}, one.slug), el("p", { class: "small" }, one.about)), number(one.seeds))))));
  }
  const fixed = Object.entries(report.fixed);
  if (fixed.length) {
    main.append(sheet("No longer shown by this library", table([["Finding"], ["Fingerprints"]],
      fixed.map(([slug, kinds]) => row(el("td", {}, slug), el("td", {}, el("code", {}, kinds.join(", "))))))));
  }
  main.append(reached(), functions(), faults());
}

begin();
