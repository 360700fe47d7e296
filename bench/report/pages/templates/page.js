// A click on a heading sorts each body of its table: floors stay with floors, and what failed stays last.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    for (const body of table.tBodies) {
      const value = row => row.cells[column]?.dataset.value ?? "";
      const missing = row => value(row) === "";
      [...body.rows].sort((a, b) => {
        if (missing(a) || missing(b)) return missing(a) - missing(b);
        const order = value(a) - value(b);
        return (Number.isNaN(order) ? value(a).localeCompare(value(b)) : order) * (up ? 1 : -1);
      }).forEach(row => body.append(row));
    }
  }));
}
const dialog = document.querySelector("dialog");
for (const zoom of document.querySelectorAll(".zoom")) {
  zoom.addEventListener("click", () => {
    const image = zoom.querySelector("img");
    Object.assign(dialog.querySelector("img"), { src: image.src, alt: image.alt });
    dialog.showModal();
  });
}
dialog.addEventListener("click", () => dialog.close());
