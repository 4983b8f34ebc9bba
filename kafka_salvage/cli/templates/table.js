/* Table: rows of which only those in sight are elements; sorted, filtered and walked through with keys. */

const ROW = 32, AHEAD = 6, SHOWN = 12, PRINTED = 40;

class Table {
  /* host; columns [{title, width, cell(row, i), key(row) or text, least, n}], rows, {label, pick(row), note(shown)} */
  constructor(host, columns, rows, options) {
    Object.assign(this, { columns, rows, options });
    this.order = rows.map((_, i) => i);
    this.shown = this.order;
    this.sorted = null;
    this.at = -1;
    this.keep = () => true;
    this.template = columns.map((column) => column.width).join(" ");
    this.head = make("div", { class: "head", role: "row" });
    this.head.style.gridTemplateColumns = this.template;
    this.heads = columns.map((column, place) => this.heading(column, place));
    this.head.append(...this.heads);
    this.space = make("div", { role: "presentation" });
    this.body = make("div", { class: "body", tabindex: "0", role: "rowgroup", "aria-label": options.label + ", rows", onkeydown: (e) => this.key(e), onscroll: () => this.draw() }, this.space);
    this.note = make("p", { class: "note", role: "status" });
    this.grid = make("div", { class: "grid", role: "grid", "aria-label": options.label, "aria-colcount": columns.length }, make("div", { role: "rowgroup" }, this.head), this.body);
    if (options.least) this.grid.style.setProperty("--least", options.least);
    host.replaceChildren(this.grid, this.note);
    window.addEventListener("beforeprint", () => this.print(true));
    window.addEventListener("afterprint", () => this.print(false));
    this.arrange();
  }

  heading(column, place) {
    if (!column.key) return make("div", { role: "columnheader" }, make("span", {}, column.title));
    const button = make("button", { type: "button", onclick: () => this.sort(place) }, column.title);
    return make("div", { role: "columnheader", class: column.n ? "n" : null, "aria-sort": "none" }, button);
  }

  /* First click: numbers from the largest, texts from A; second: the other way; third: as it was. */
  sort(place) {
    const first = this.columns[place].n ? -1 : 1;
    if (!this.sorted || this.sorted.place !== place) this.sorted = { place, way: first };
    else this.sorted = this.sorted.way === first ? { place, way: -first } : null;
    this.heads.forEach((head, at) => {
      const here = this.sorted && this.sorted.place === at;
      if (this.columns[at].key) head.setAttribute("aria-sort", here ? (this.sorted.way > 0 ? "ascending" : "descending") : "none");
    });
    this.arrange();
  }

  filter(keep) {
    this.keep = keep;
    this.arrange();
  }

  arrange() {
    const picked = this.shown[this.at];
    this.shown = this.order.filter((i) => this.keep(this.rows[i]));
    if (this.sorted) {
      const { place, way } = this.sorted, key = this.columns[place].key;
      const keys = new Map(this.shown.map((i) => [i, key(this.rows[i])]));
      const compare = (a, b) => (typeof a === "string" ? LANGUAGE.compare(a, b) : a - b);
      this.shown.sort((a, b) => way * compare(keys.get(a), keys.get(b)) || a - b);
    }
    this.at = this.shown.indexOf(picked);
    const rows = Math.max(Math.min(this.shown.length, this.options.shown || SHOWN), 1);
    this.body.style.maxHeight = rows * ROW + 1 + "px";
    this.space.style.height = this.shown.length * ROW + "px";
    this.grid.setAttribute("aria-rowcount", this.shown.length + 1);
    this.note.textContent = this.options.note ? this.options.note(this.shown.length) : "";
    this.note.hidden = !this.note.textContent;
    this.body.scrollTop = 0;
    this.head.style.paddingRight = this.body.offsetWidth - this.body.clientWidth + "px";
    this.draw();
  }

  draw() {
    if (this.printing) return;
    const height = Math.min(this.shown.length, this.options.shown || SHOWN) * ROW;
    const first = Math.max(0, Math.floor(this.body.scrollTop / ROW) - AHEAD);
    const last = Math.min(this.shown.length, Math.ceil((this.body.scrollTop + height) / ROW) + AHEAD);
    this.fill(first, last);
  }

  fill(first, last) {
    const rows = [];
    for (let at = first; at < last; at++) rows.push(this.row(at));
    if (!this.shown.length) rows.push(make("div", { class: "none" }, this.options.none || "None."));
    this.space.replaceChildren(...rows);
    this.body.setAttribute("aria-activedescendant", this.at >= first && this.at < last ? this.id(this.at) : "");
  }

  id(at) {
    return this.options.id + "-" + this.shown[at];
  }

  row(at) {
    const row = this.rows[this.shown[at]];
    const line = make("div", { class: "row", role: "row", id: this.id(at), "aria-rowindex": at + 2, "aria-selected": String(at === this.at), onclick: () => this.pick(at) });
    line.style.gridTemplateColumns = this.template;
    if (!this.printing) line.style.top = at * ROW + "px";
    for (const column of this.columns) {
      const value = column.cell(row);
      const cell = make("div", { role: "gridcell", class: [column.n ? "n" : "", column.bar ? "bar" : "", column.bad && column.bad(row) ? "bad" : "", column.mono ? "mono" : ""].join(" ").trim() || null }, value);
      if (typeof value === "string" && value.length > 12 && !column.n) cell.title = value;
      line.append(cell);
    }
    return line;
  }

  pick(at, quiet) {
    if (at < 0 || at >= this.shown.length) return;
    this.at = at;
    const top = at * ROW, height = this.body.clientHeight;
    if (top < this.body.scrollTop) this.body.scrollTop = top;
    else if (top + ROW > this.body.scrollTop + height) this.body.scrollTop = top + ROW - height;
    this.draw();
    if (!quiet) this.options.pick(this.rows[this.shown[at]]);
  }

  /* Picks a row of `rows`, lifting the filter that hides it. */
  show(place) {
    if (!this.shown.includes(place)) {
      this.options.lift?.();
      this.filter(() => true);
    }
    this.pick(this.shown.indexOf(place));
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.body.clientHeight / ROW) - 1), last = this.shown.length - 1;
    const places = { ArrowDown: this.at + 1, ArrowUp: this.at - 1, PageDown: this.at + page, PageUp: this.at - page, Home: 0, End: last };
    if (!(event.key in places)) return;
    event.preventDefault();
    this.pick(Math.min(Math.max(places[event.key], 0), last));
  }

  /* Paper does not scroll: the first rows stand there in one piece, and how many are left out. */
  print(on) {
    this.printing = on;
    if (!on) {
      this.arrange();
      return;
    }
    this.space.style.height = "auto";
    this.fill(0, Math.min(this.shown.length, PRINTED));
    const rest = this.shown.length - PRINTED;
    if (rest > 0) this.space.append(make("div", { class: "none" }, `… and ${number(rest)} more, in the page on a screen and in the report`));
  }
}

const LANGUAGE = new Intl.Collator("en", { numeric: true });

/* A search field and buttons above a table. */
function tools(host, table, text, switches) {
  const field = make("input", { type: "search", placeholder: "Filter by name", "aria-label": "Filter " + table.options.label, oninput: () => apply() });
  const boxes = switches.map(({ label, keep, on }) => {
    const box = make("input", { type: "checkbox", onchange: () => apply() });
    box.checked = Boolean(on);
    return { box, keep, element: make("label", {}, box, label) };
  });
  const apply = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = boxes.filter(({ box }) => box.checked);
    table.filter((row) => wanted.every(({ keep }) => keep(row)) && words.every((word) => text(row).includes(word)));
  };
  table.options.lift = () => {
    field.value = "";
    boxes.forEach(({ box }) => (box.checked = false));
  };
  host.append(field, ...boxes.map(({ element }) => element));
  if (boxes.some(({ box }) => box.checked)) apply();
  return apply;
}
