/* Bars: pieces on a line, drawn as one path per kind, however many pieces there are. */

const WIDTH = 1000, CROWD = 6, FLOOR = 0.25;

/* Pieces in order: `lo` and `hi` on the line, `kind` (a place in `classes`), `row` (what it stands for). */
class Pieces {
  constructor(classes, thin) {
    this.classes = classes;
    this.thin = thin;
    this.lo = [];
    this.hi = [];
    this.kind = [];
    this.row = [];
  }

  add(lo, hi, kind, row) {
    if (hi <= lo) return;
    this.lo.push(lo);
    this.hi.push(hi);
    this.kind.push(kind);
    this.row.push(row);
  }

  /* Several kinds share `[lo, hi)`: each gets its part of it. */
  share(lo, hi, sums, row) {
    const total = sum(sums) || 1;
    let at = lo;
    sums.forEach((part, kind) => {
      const next = at + ((hi - lo) * Number(part)) / total;
      this.add(at, next, kind, row);
      at = next;
    });
  }

  /* The first piece that ends behind `at`. */
  first(at) {
    let low = 0, high = this.hi.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.hi[middle] > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /* Path data per kind for the view `[start, stop)`. Narrow pieces get at least the width of their kind; where so many of
     them crowd that they would hide the rest, their height tells how much of the place they take. */
  outlines(start, stop, height) {
    const scale = WIDTH / (stop - start || 1);
    const open = this.classes.map(() => null);
    const paths = this.classes.map(() => "");
    const close = (kind) => {
      const { a, b, taken } = open[kind];
      const part = taken / (b - a), crowded = open[kind].pieces > 1 && part < 0.98;
      const top = crowded ? (height * (1 - Math.max(part, FLOOR))).toFixed(2) : 0;
      paths[kind] += `M${a.toFixed(2)} ${top}H${b.toFixed(2)}V${height}H${a.toFixed(2)}Z`;
    };
    for (let i = this.first(start); i < this.lo.length && this.lo[i] < stop; i++) {
      const kind = this.kind[i], least = this.thin[kind];
      let a = Math.max(0, (this.lo[i] - start) * scale), b = Math.min(WIDTH, (this.hi[i] - start) * scale);
      const taken = least === SEEN ? b - a : Infinity;
      if (b - a < least) {
        a = Math.min(Math.max(0, (a + b - least) / 2), WIDTH - least);
        b = a + least;
      }
      const last = open[kind];
      if (last && a <= last.b + 0.2 && (taken === Infinity || last.b - last.a < CROWD)) {
        last.b = Math.max(last.b, b);
        last.taken += taken;
        last.pieces++;
        continue;
      }
      if (last) {
        close(kind);
        if (last.pieces > 1) a = Math.max(a, last.b);
      }
      open[kind] = { a, b: Math.max(b, a), taken, pieces: 1 };
    }
    open.forEach((piece, kind) => piece && close(kind));
    return paths;
  }
}

/* Draws the view into an <svg>; kinds are laid over each other in the order of their classes. */
function paint(svg, pieces, start, stop, height) {
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  const paths = pieces.outlines(start, stop, height);
  const drawn = [];
  paths.forEach((d, kind) => {
    if (d) drawn.push(make("path", { class: pieces.classes[kind], d }));
  });
  svg.replaceChildren(...drawn);
}

function bar(pieces, stop, height, label) {
  const svg = make("svg", { role: "img", "aria-label": label, focusable: "false" });
  paint(svg, pieces, 0, stop, height);
  return svg;
}

/* Statuses and verdicts in the order in which they are drawn: what must be seen comes last. */
const CALM = { absent: 4, trimmed: 4, blank: 4, unread: 4, duplicate: 3, recovered: 2, intact: 2 };
const NARROW = 0.3, SEEN = 3;

function kinds(prefix, names) {
  const order = names.map((_, place) => place).sort((a, b) => (CALM[names[b]] || 0) - (CALM[names[a]] || 0) || a - b);
  return {
    classes: order.map((place) => prefix + names[place]),
    thin: order.map((place) => (CALM[names[place]] ? NARROW : SEEN)),
    of: names.map((_, place) => order.indexOf(place)),
    order,
  };
}

const STATUS = kinds("s-", DATA.statuses), VERDICT = kinds("v-", DATA.verdicts);
const isCalm = (word) => Boolean(CALM[word]);

/* Sums by status or verdict as one bar. */
function sumsBar(sums, set, height, label) {
  const pieces = new Pieces(set.classes, set.thin);
  const total = sum(sums);
  let at = 0;
  sums.forEach((count, place) => {
    pieces.add(at, at + Number(count), set.of[place], place);
    at += Number(count);
  });
  return bar(pieces, total, height, label);
}
