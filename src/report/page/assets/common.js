// What both kinds of page share. Untrusted text reaches the page by textContent alone.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/** An element. `about` holds attributes, or listeners where the name begins with "on". */
function el(tag, about, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(about || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

/** Puts children in the place of what an element has. */
const fill = (element, ...children) => element.replaceChildren(...children.filter((child) => child !== undefined && child !== null));

/** Text in which names like worker-4 are not broken at the end of a line. */
function prose(text) {
  return text.split(/(\s+)/).map((word) => (/-/.test(word) && word.length < 24 ? el("span", { class: "whole" }, word) : word));
}

/** A line to copy, with its button. */
function copyLine(text) {
  const done = el("span", { class: "copied", role: "status" });
  const button = el("button", { type: "button", class: "copy", onclick: () => copy(text, code, done) }, "Copy");
  const code = el("code", {}, text);
  return el("div", { class: "command" }, code, button, done);
}

function copy(text, code, done) {
  const select = () => getSelection().selectAllChildren(code);
  const said = () => { done.textContent = "copied"; setTimeout(() => { done.textContent = ""; }, 1500); };
  if (!navigator.clipboard) return select();
  navigator.clipboard.writeText(text).then(said, select);
}

/** Light or dark: as the system says until the reader says otherwise. */
const theme = {
  listeners: [],
  isDark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  },
  set(name) {
    document.documentElement.dataset.theme = name;
    try { localStorage.setItem("grantsim-theme", name); } catch (_) { /* a file may have no storage */ }
    theme.changed();
  },
  changed() {
    byId("theme").setAttribute("aria-label", theme.isDark() ? "Use light colours" : "Use dark colours");
    byId("theme").textContent = theme.isDark() ? "☀ Light" : "☾ Dark";
    theme.listeners.forEach((listener) => listener());
  },
  begin() {
    let stored = null;
    try { stored = localStorage.getItem("grantsim-theme"); } catch (_) { /* as above */ }
    if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
    byId("theme").addEventListener("click", () => theme.set(theme.isDark() ? "light" : "dark"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme.changed);
    theme.changed();
  },
};

/** A count with its word. */
const many = (count, one, more) => `${count.toLocaleString("en")} ${count === 1 ? one : more || one + "s"}`;
