// Sorting: the sign beside a head sorts the bodies of its table, beginning with the better side. Floors stay with floors,
// and what failed stays last; an entrant keeps its seeds and its other ways to sample.
for (const table of document.querySelectorAll("table[data-name]")) {
  const heads = [...table.querySelectorAll("thead tr:last-child th")];
  heads.forEach((head, column) => head.querySelector(".sort")?.addEventListener("click", () => {
    const sorted = head.getAttribute("aria-sort");
    const up = sorted ? sorted !== "ascending" : head.dataset.better !== "higher";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = body => body.rows[0].cells[column]?.dataset.value ?? "";
    for (const kind of ["entrant", "floor", "failed"]) {
      [...table.tBodies].filter(body => body.classList.contains(kind)).sort((a, b) => {
        const missing = (value(a) === "") - (value(b) === "");
        if (missing || value(a) === "") return missing;
        const order = value(a) - value(b);
        return (Number.isNaN(order) ? value(a).localeCompare(value(b)) : order) * (up ? 1 : -1);
      }).forEach(body => table.append(body));
    }
  }));
}

// Numbers: each opens one popover with its value, interval, sampler setting, seeds, records and signature. Within a
// table, the tiles, the strip and the comparisons beside a finding the arrow keys lead from number to number, so that the
// Tab key leaves them in one step.
const make = (tag, text, more) => Object.assign(document.createElement(tag), { textContent: text ?? "", ...more });
const source = make("div", "", { id: "source", className: "pop src", popover: "auto" });
source.setAttribute("role", "dialog");
source.setAttribute("aria-label", "Where this number comes from");
document.body.append(source);
function facts(button) {
  const cell = button.closest("[data-value]"), d = cell.dataset;
  const head = cell.closest("table")?.querySelectorAll("thead tr:last-child > *")[cell.cellIndex];
  const value = make("p", d.value, { className: "val" });
  if (d.unit) value.append(make("span", ` ${d.unit}`));
  const rows = [
    ["Column", head?.querySelector(".h, span")?.textContent],
    ["95 % interval", d.low && `${+(+d.low).toPrecision(6)} to ${+(+d.high).toPrecision(6)}`],
    ["Standard error", d.stderr && (+d.stderr).toPrecision(3)],
    ["Standard deviation over seeds", d.sd && (+d.sd).toPrecision(3)],
    ["Kind", d.kind], ["Sampler", d.setting], ["Made by", `${d.how} of ${d.path}${d.over ? ` to ${d.over}` : ""}`],
  ];
  const records = d.records.split(" "), seeds = (d.seeds ?? "").split(" "), values = (d.values ?? "").split(" ");
  records.forEach((record, i) =>
    rows.push([seeds[i] ? `Record, seed ${seeds[i]}` : "Record", record + (values[i] ? `: ${values[i]}` : "")]));
  if (d.against) rows.push(["Against", d.against]);
  const table = make("table"), body = table.createTBody();
  for (const [name, text] of rows.filter(row => row[1])) {
    const row = body.insertRow();
    row.append(Object.assign(make("th", name), { scope: "row" }), make("td", text));
  }
  source.replaceChildren(value, table);
  const actions = make("p", "", { className: "act" });
  if (d.signature) {
    const signature = `${d.signature}|${document.querySelector(`#ends > :nth-child(${+d.end + 1})`).textContent}`;
    const copy = make("button", "Copy the signature", { type: "button" }), text = make("code", signature);
    copy.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(signature); copy.textContent = "Copied"; } catch {
        getSelection().selectAllChildren(text);
        copy.textContent = "Selected: copy it";
      }
    });
    source.append(text);
    actions.append(copy);
  }
  const close = make("button", "Close", { type: "button" });
  close.addEventListener("click", () => source.hidePopover());
  actions.append(close);
  source.append(actions);
}
document.addEventListener("click", event => {
  const button = event.target.closest?.(".num");
  if (!button) return;
  facts(button);
  source.showPopover({ source: button });
  source.querySelector("button").focus({ preventScroll: true });
});
for (const table of document.querySelectorAll("table[data-name], .tiles, .strip, ul.evidence")) {
  const numbers = () => [...table.querySelectorAll(".num")].filter(one => one.checkVisibility());
  [...table.querySelectorAll(".num")].slice(1).forEach(one => { one.tabIndex = -1; });
  table.addEventListener("keydown", event => {
    const all = numbers(), at = all.indexOf(event.target), cell = event.target.closest?.("td");
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (at < 0 || !step) return;
    const column = event.key === "ArrowUp" || event.key === "ArrowDown";
    const line = column ? all.filter(one => one.closest("td")?.cellIndex === cell?.cellIndex) : all;
    const next = line[line.indexOf(event.target) + step];
    event.preventDefault();
    if (!next) return;
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

// A click on a figure enlarges it.
const dialog = document.querySelector("dialog");
for (const zoom of document.querySelectorAll(".zoom")) {
  zoom.addEventListener("click", () => {
    const image = zoom.querySelector("img");
    Object.assign(dialog.querySelector("img"), { src: image.src, alt: image.alt });
    dialog.showModal();
  });
}
dialog?.addEventListener("click", () => dialog.close());
